from __future__ import annotations

import io
import math
import wave
from array import array
from pathlib import Path

import pytest

from adapters.simulators.audio import (
    alaw_to_mulaw,
    duration_ms,
    loudness,
    mulaw_to_alaw,
    mulaw_to_pcm,
    mulaw_to_pcm24k,
    pcm24k_to_mulaw,
    pcm_loudness,
    pcm_to_mulaw,
    quiet_tail_ms,
    read_wav,
    resample,
    synthesise,
    write_stereo_wav,
)
from adapters.simulators.line import Mouth, to_mulaw
from adapters.simulators.voices import spoken, words


def tone(rate: int, seconds: float = 0.5, hertz: float = 400.0, level: int = 8000) -> array[int]:
    return array("h", (round(level * math.sin(2 * math.pi * hertz * i / rate)) for i in range(int(rate * seconds))))


def wav(frames: bytes, *, rate: int, width: int, channels: int) -> io.BytesIO:
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setparams((channels, width, rate, 0, "NONE", ""))
        file.writeframes(frames)
    stream.seek(0)
    return stream


def test_mulaw_levels_are_those_of_the_standard() -> None:
    # G.711 table 2: code 0xFF is +0, 0x80 the largest positive, 0x00 the largest negative level (of 8159, times 4).
    assert list(mulaw_to_pcm(bytes([0xFF, 0x7F, 0x80, 0x00, 0xF0, 0x70]))) == [0, 0, 32124, -32124, 120, -120]


def test_mulaw_survives_a_round_trip() -> None:
    codes = bytes(set(range(256)) - {0x7F})  # -0 becomes +0

    assert pcm_to_mulaw(mulaw_to_pcm(codes)) == codes
    assert pcm_to_mulaw([-32768, 32767]) == b"\x00\x80"


def test_alaw_is_as_near_to_mulaw_as_the_laws_allow() -> None:
    there_and_back = mulaw_to_pcm(alaw_to_mulaw(mulaw_to_alaw(bytes(range(256)))))

    for before, after in zip(mulaw_to_pcm(bytes(range(256))), there_and_back, strict=True):
        assert abs(before - after) <= max(16, abs(before) // 16)


def test_alaw_silence_is_0xd5() -> None:
    assert mulaw_to_alaw(b"\xff") == b"\xd5"
    assert loudness(alaw_to_mulaw(b"\xd5")) <= 8


def test_24_khz_and_back_keeps_length_and_loudness() -> None:
    sound = pcm_to_mulaw(tone(8000))

    wide = mulaw_to_pcm24k(sound)
    back = pcm24k_to_mulaw(wide)

    assert len(wide) == len(sound) * 6
    assert len(back) == len(sound)
    assert loudness(back) == pytest.approx(loudness(sound), rel=0.05)
    assert pcm_loudness(wide) == pytest.approx(loudness(sound), rel=0.05)


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_wav_files_of_every_rate_become_8_khz(rate: int, channels: int) -> None:
    samples = array("h", (level for level in tone(rate) for _ in range(channels)))

    sound = read_wav(wav(samples.tobytes(), rate=rate, width=2, channels=channels))

    assert duration_ms(sound) == pytest.approx(500, abs=1)
    assert loudness(sound) == pytest.approx(8000 / math.sqrt(2), rel=0.06)


@pytest.mark.parametrize(
    ("width", "frames"),
    [(1, bytes([0x80, 0xC0, 0x40])), (3, b"\0\0\0\1\0\x40\1\0\xc0"), (4, b"\0\0\0\0\1\1\0\x40\1\1\0\xc0")],
)
def test_wav_files_of_every_width_become_8_bit_mulaw(width: int, frames: bytes) -> None:
    sound = read_wav(wav(frames, rate=8000, width=width, channels=1))

    assert sound == pcm_to_mulaw([0, 0x4000, -0x4000])


def test_a_stereo_recording_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"

    write_stereo_wav(path, b"\x10" * 8, b"\x20" * 4)

    with wave.open(str(path)) as file:
        samples = array("h", file.readframes(8))
    assert samples[0::2] == mulaw_to_pcm(b"\x10" * 8)
    assert samples[1::2] == mulaw_to_pcm(b"\x20" * 4 + b"\xff" * 4)


def test_resampling_nothing_is_nothing() -> None:
    assert resample([], 8000, 24000) == array("h")
    assert resample([1, 2], 8000, 8000) == array("h", [1, 2])


def test_loudness_of_nothing_is_nothing() -> None:
    assert (loudness(b""), pcm_loudness(b""), loudness(b"\xff" * 160)) == (0, 0, 0)


def test_a_quiet_tail_is_measured() -> None:
    assert quiet_tail_ms(b"\x00" * 8 + b"\xff" * 80) == 10


def test_any_text_gets_sound_of_its_length() -> None:
    sound = synthesise("Guten Tag, wer da?")

    assert duration_ms(sound) == 18 * 60
    assert loudness(sound) > 2000
    assert sound == synthesise("Guten Tag, wer da?")


def test_words_are_what_a_text_is_known_by() -> None:
    assert words("  Hello, what's  YOUR number? ") == "hello whats your number"


def test_caller_and_model_have_voices_of_their_own() -> None:
    assert spoken("never recorded", "caller") != spoken("never recorded", "model")


def test_recorded_clips_are_speech() -> None:
    clip = spoken("hello WHAT are your opening hours", "caller")

    assert 1500 < duration_ms(clip) < 2500
    assert clip != synthesise("hello WHAT are your opening hours", pitch_hz=210)
    assert loudness(clip) > 1000


def test_what_is_said_may_be_text_or_file_or_bytes(tmp_path: Path) -> None:
    stream = wav(tone(16000).tobytes(), rate=16000, width=2, channels=1)
    path = tmp_path / "a.wav"
    path.write_bytes(stream.getvalue())

    assert to_mulaw(path) == to_mulaw(stream.getvalue()) == read_wav(stream)
    assert to_mulaw(b"\x01\x02") == b"\x01\x02"
    assert to_mulaw("Hello?") == spoken("Hello?", "caller")


async def test_a_mouth_speaks_in_frames_and_can_be_shut() -> None:
    mouth = Mouth()
    said = mouth.queue(b"\x01" * 170)
    nothing = mouth.queue(b"")

    frames = [mouth.next_frame() for _ in range(2)]

    assert b"".join(frames) == b"\x01" * 170 + b"\xff" * 150
    assert said.done()
    assert mouth.speaking
    mouth.shut()
    assert not nothing.done()
    assert not mouth.speaking
    assert mouth.next_frame() == b"\xff" * 160
