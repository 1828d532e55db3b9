"""Sound for the simulators: G.711, WAV files, loudness, and a stand-in for speech. Standard library only.

Inside the simulators sound is mu-law at 8 kHz, as a telephone line carries it: 8 bytes are one millisecond. It shares
nothing with the product's own audio code, so that the two cannot make the same mistake.

Sources: ITU-T G.711 (the two laws), Python's `wave` module (PCM WAV files).
"""

from __future__ import annotations

import math
import sys
import wave
from array import array
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import chain
from pathlib import Path
from typing import IO

__all__ = [
    "BYTES_PER_MS", "FRAME", "SILENCE", "alaw_to_mulaw", "duration_ms", "loudness", "mulaw_to_alaw", "mulaw_to_pcm",
    "mulaw_to_pcm24k", "pcm24k_to_mulaw", "pcm_loudness", "pcm_to_mulaw", "quiet_tail_ms", "read_wav", "resample",
    "synthesise", "write_stereo_wav",
]  # fmt: skip

BYTES_PER_MS = 8
SILENCE = b"\xff"
FRAME = 160  # bytes: 20 ms
_QUIET_LEVEL = 200  # of 32768: below it nobody hears anything


def duration_ms(sound: bytes) -> float:
    """Return how long mu-law `sound` lasts."""
    return len(sound) / BYTES_PER_MS


def mulaw_to_pcm(sound: bytes) -> array[int]:
    """Return the 16-bit samples (8 kHz) of mu-law `sound`."""
    return array("h", map(_mulaw_levels().__getitem__, sound))


def pcm_to_mulaw(samples: Iterable[int]) -> bytes:
    """Return the mu-law bytes of 16-bit samples at 8 kHz."""
    codes = _mulaw_codes()
    return bytes(codes[(sample + 32768) >> 2] for sample in samples)


def mulaw_to_alaw(sound: bytes) -> bytes:
    """Return `sound` in A-law."""
    return sound.translate(_mulaw_as_alaw())


def alaw_to_mulaw(sound: bytes) -> bytes:
    """Return A-law `sound` in mu-law."""
    return sound.translate(_alaw_as_mulaw())


def mulaw_to_pcm24k(sound: bytes) -> bytes:
    """Return `sound` as 16-bit little-endian samples at 24 kHz."""
    return _little_endian(resample(mulaw_to_pcm(sound), 8000, 24000))


def pcm24k_to_mulaw(sound: bytes) -> bytes:
    """Return 16-bit little-endian samples at 24 kHz as mu-law; an odd last byte is dropped."""
    return pcm_to_mulaw(resample(_samples(sound), 24000, 8000))


def loudness(sound: bytes) -> float:
    """Return the root mean square of mu-law `sound`, 0 to 32768."""
    if not sound:
        return 0.0
    return math.sqrt(sum(map(_mulaw_energy().__getitem__, sound)) / len(sound))


def pcm_loudness(sound: bytes) -> float:
    """Return the root mean square of 16-bit little-endian samples, 0 to 32768."""
    samples = _samples(sound)
    if not samples:
        return 0.0
    return math.sqrt(sum(sample * sample for sample in samples) / len(samples))


def quiet_tail_ms(sound: bytes) -> float:
    """Return for how long nothing can be heard at the end of mu-law `sound`."""
    return (len(sound) - len(sound.rstrip(_quiet_codes()))) / BYTES_PER_MS


def resample(samples: Sequence[int], rate: int, wanted: int) -> array[int]:
    """Return `samples` at another rate: the mean of what falls together, a straight line between what falls apart."""
    if rate == wanted or not samples:
        return array("h", samples)
    count = len(samples) * wanted // rate
    if wanted < rate:
        edges = [index * rate // wanted for index in range(count + 1)]
        return array("h", (sum(samples[a:b]) // (b - a) for a, b in zip(edges, edges[1:], strict=False)))
    last = len(samples) - 1
    resampled = array("h")
    for index in range(count):
        whole, part = divmod(index * rate, wanted)
        here, there = samples[whole], samples[min(whole + 1, last)]
        resampled.append(here + (there - here) * part // wanted)
    return resampled


def read_wav(source: str | Path | IO[bytes]) -> bytes:
    """Return a PCM WAV file (any rate, 8 to 32 bits, any number of channels) as mu-law at 8 kHz.

    Raises:
        wave.Error: `source` is not a PCM WAV file.
    """
    with wave.open(str(source) if isinstance(source, Path) else source, "rb") as file:
        channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
        interleaved = _sixteen_bits(file.readframes(file.getnframes()), width)
    parts = [interleaved[channel::channels] for channel in range(channels)]
    mono = array("h", (sum(frame) // channels for frame in zip(*parts, strict=True)))
    return pcm_to_mulaw(resample(mono, rate, 8000))


def write_stereo_wav(path: Path, left: bytes, right: bytes) -> None:
    """Write two mu-law channels as a 16-bit 8 kHz WAV file; the shorter is filled with silence."""
    length = max(len(left), len(right))
    tracks = (mulaw_to_pcm(track.ljust(length, SILENCE)) for track in (left, right))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(_little_endian(array("h", chain.from_iterable(zip(*tracks, strict=True)))))


def synthesise(text: str, *, pitch_hz: float = 150.0) -> bytes:
    """Return mu-law that sounds as long as speech and is as loud: 60 ms a character, a syllable's swell, pauses.

    It says nothing, but a detector of speech hears it, and the same text sounds the same every time.
    """
    samples = array("h")
    phase = 0.0
    for position, letter in enumerate(text):
        voiced = letter.isalnum()
        step = 2 * math.pi * pitch_hz * (1 + (ord(letter) % 7) / 14) / 8000
        swell = 5000 + 4000 * abs(math.sin(position * math.pi / 3))
        for _ in range(480):
            phase += step
            samples.append(round(swell * (math.sin(phase) + math.sin(3 * phase) / 3)) if voiced else 0)
    return pcm_to_mulaw(samples)


def _sixteen_bits(raw: bytes, width: int) -> array[int]:
    if width == 1:  # a WAV file's 8-bit samples are unsigned, all others signed
        return array("h", ((value - 128) << 8 for value in raw))
    high = bytearray(len(raw) // width * 2)
    high[0::2] = raw[width - 2 :: width]
    high[1::2] = raw[width - 1 :: width]
    return _samples(bytes(high))


def _samples(raw: bytes) -> array[int]:
    samples = array("h", raw[: len(raw) // 2 * 2])
    if sys.byteorder == "big":  # pragma: no cover
        samples.byteswap()
    return samples


def _little_endian(samples: array[int]) -> bytes:
    if sys.byteorder == "big":  # pragma: no cover
        samples = array("h", samples)
        samples.byteswap()
    return samples.tobytes()


@cache
def _mulaw_levels() -> tuple[int, ...]:
    levels = []
    for code in range(256):
        bits = ~code & 0xFF
        magnitude = (((bits & 0x0F) << 3) + 132 << (bits >> 4 & 7)) - 132
        levels.append(-magnitude if bits & 0x80 else magnitude)
    return tuple(levels)


@cache
def _mulaw_codes() -> bytes:
    return bytes(_mulaw_code((index << 2) - 32768) for index in range(16384))


def _mulaw_code(sample: int) -> int:
    magnitude = min(abs(sample), 32635) + 132
    segment = magnitude.bit_length() - 8
    bits = segment << 4 | magnitude >> (segment + 3) & 0x0F
    return ~(bits | (0x80 if sample < 0 else 0)) & 0xFF


@cache
def _alaw_levels() -> tuple[int, ...]:
    levels = []
    for code in range(256):
        bits = code ^ 0x55
        segment = bits >> 4 & 7
        magnitude = ((bits & 0x0F) << 4) + 8
        if segment:
            magnitude = magnitude + 256 << segment - 1
        levels.append(magnitude if bits & 0x80 else -magnitude)
    return tuple(levels)


def _alaw_code(sample: int) -> int:
    magnitude = sample if sample >= 0 else ~sample
    segment = max(0, magnitude.bit_length() - 8)
    bits = segment << 4 | magnitude >> (segment + 3 if segment else 4) & 0x0F
    return (bits | (0x80 if sample >= 0 else 0)) ^ 0x55


@cache
def _mulaw_as_alaw() -> bytes:
    return bytes(map(_alaw_code, _mulaw_levels()))


@cache
def _alaw_as_mulaw() -> bytes:
    return bytes(map(_mulaw_code, _alaw_levels()))


@cache
def _mulaw_energy() -> tuple[int, ...]:
    return tuple(level * level for level in _mulaw_levels())


@cache
def _quiet_codes() -> bytes:
    return bytes(code for code, level in enumerate(_mulaw_levels()) if abs(level) < _QUIET_LEVEL)
