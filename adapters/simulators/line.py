"""What every simulated caller needs whatever the carrier: the time of the call, and a mouth."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import TypeAlias

from adapters.simulators.audio import FRAME, SILENCE, read_wav
from adapters.simulators.voices import spoken

__all__ = ["FRAME_MS", "LineClock", "Mouth", "Sound", "to_mulaw"]

Sound: TypeAlias = str | bytes | Path
"""What can be said: a text, mu-law bytes, the bytes of a WAV file, or the path of one."""
FRAME_MS = 20
_NOISE = bytes((0x7E, 0xFE, 0xFF, 0x7D, 0xFD, 0xFE, 0x7F, 0x7E)) * (FRAME // 8)  # at most 24 of 32768: a line's hiss


def to_mulaw(sound: Sound) -> bytes:
    """Return `sound` as mu-law at 8 kHz.

    Raises:
        wave.Error, OSError: it is a WAV file that cannot be read.
    """
    if isinstance(sound, str):
        return spoken(sound, "caller")
    if isinstance(sound, Path):
        return read_wav(sound)
    return read_wav(BytesIO(sound)) if sound.startswith(b"RIFF") else sound


class LineClock:
    """Milliseconds of one call, on the running loop's clock; with `speed` 4 a second of it takes 0.25 s."""

    def __init__(self, speed: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._origin = self._loop.time()
        self._per_ms = 0.001 / speed

    @property
    def now_ms(self) -> float:
        # A timer may fire a rounding error before its time; what was due then must count as past.
        return round((self._loop.time() - self._origin) / self._per_ms, 3)

    async def until(self, at_ms: float) -> None:
        """Return when the call is `at_ms` old; at once if it is older."""
        await asyncio.sleep(max(0.0, self._origin + at_ms * self._per_ms - self._loop.time()))

    def call_at(self, at_ms: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        """Call `callback` when the call is `at_ms` old."""
        return self._loop.call_at(self._origin + at_ms * self._per_ms, callback)


class Mouth:
    """What the caller is about to say, frame by frame; silence, or a line's hiss, when it is nothing."""

    def __init__(self, *, mute: bool = False, hiss: bool = False) -> None:
        self._mute = mute
        self._rest = _NOISE if hiss else SILENCE * FRAME
        self._frames: deque[tuple[bytes, asyncio.Future[None] | None]] = deque()

    @property
    def speaking(self) -> bool:
        return bool(self._frames)

    def queue(self, sound: bytes) -> asyncio.Future[None]:
        """Queue mu-law behind what is being said; the result is done when its last frame has been taken."""
        said: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        padded = sound + SILENCE * (-len(sound) % FRAME)
        frames = [padded[start : start + FRAME] for start in range(0, len(padded), FRAME)] or [self._rest]
        self._frames.extend((frame, None) for frame in frames[:-1])
        self._frames.append((frames[-1], said))
        return said

    def next_frame(self) -> bytes:
        """Take the next 20 ms."""
        if not self._frames:
            return self._rest
        frame, said = self._frames.popleft()
        if said is not None and not said.done():
            said.set_result(None)
        return self._rest if self._mute else frame

    def shut(self) -> None:
        """Nothing more will be said."""
        self._frames.clear()
