"""A call as a stereo WAV file: the caller left, what the caller heard right. 16 bit, the leg's rate.

Written as it comes: what is kept in memory is how far one side is ahead of the other, a few seconds at most. Meant
for demos and for looking into single calls: it decodes every frame.
"""

from __future__ import annotations

import base64
import struct
import wave
from array import array
from pathlib import Path

from adapters.carriers.contract import MediaFormat
from adapters.media.g711 import linear_from_alaw, linear_from_ulaw
from adapters.media.playhead import OVERDUE_S

__all__ = ["CallRecorder"]

_JITTER_S = 0.12  # audio that is later than this is not joined to what was before it
_HORIZON_S = OVERDUE_S + 1  # one side this far ahead: the other was silent
_BATCH_S = 1.0


class CallRecorder:
    """Records one call. Without `start` nothing is written.

    Args:
        path: the file to make; its folder must exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: wave.Wave_write | None = None
        self._format = MediaFormat("pcmu", 8000)
        self._began = 0.0
        self._left = _Track()
        self._right = _Track()

    def start(self, media_format: MediaFormat, at: float) -> None:
        """Begin the file; `at` in monotonic seconds is its first sample. Harmless the second time."""
        if self._file is not None:
            return
        self._format = media_format
        self._began = at
        self._file = wave.open(str(self.path), "wb")  # noqa: SIM115  # closed by `close`
        self._file.setnchannels(2)
        self._file.setsampwidth(2)
        self._file.setframerate(media_format.rate)

    def caller(self, payload: str, at: float) -> None:
        """Add a frame of the caller that arrived at `at`: it was spoken before."""
        samples = self._decoded(payload)
        self._add(self._left, samples, at - len(samples) / self._format.rate)

    def heard(self, payload: str, ms: float, ended_at: float) -> None:
        """Add the first `ms` milliseconds of `payload`, which the caller heard until `ended_at`."""
        samples = self._decoded(payload)[: round(ms * self._format.rate / 1000)]
        self._add(self._right, samples, ended_at - len(samples) / self._format.rate)

    def close(self, at: float) -> None:
        """Write what is left, both sides equally long, and close the file."""
        if self._file is None:
            return
        end = max(self._left.end, self._right.end, round((at - self._began) * self._format.rate))
        self._left.reach(end)
        self._right.reach(end)
        self._write(self._file, end - self._left.written)
        self._file.close()
        self._file = None

    def _add(self, track: _Track, samples: array[int], at: float) -> None:
        if self._file is None:
            return
        rate = self._format.rate
        place = round((at - self._began) * rate)
        if place > track.end + _JITTER_S * rate:
            track.reach(place)
        track.samples.extend(samples)
        horizon = max(self._left.end, self._right.end) - round(_HORIZON_S * rate)
        self._left.reach(horizon)
        self._right.reach(horizon)
        ready = min(len(self._left.samples), len(self._right.samples))
        if ready >= _BATCH_S * rate:
            self._write(self._file, ready)

    def _write(self, file: wave.Wave_write, count: int) -> None:
        both = array("h", bytes(4 * count))
        both[0::2] = self._left.take(count)
        both[1::2] = self._right.take(count)
        file.writeframesraw(both.tobytes())

    def _decoded(self, payload: str) -> array[int]:
        audio = base64.b64decode(payload)
        if self._format.encoding == "pcmu":
            return linear_from_ulaw(audio)
        if self._format.encoding == "pcma":
            return linear_from_alaw(audio)
        count = len(audio) // 2
        return array("h", struct.unpack(f"<{count}h", audio[: 2 * count]))


class _Track:
    """One side: samples that are not written yet, and how many are."""

    __slots__ = ("samples", "written")

    def __init__(self) -> None:
        self.samples = array("h")
        self.written = 0

    @property
    def end(self) -> int:
        return self.written + len(self.samples)

    def reach(self, place: int) -> None:
        """Be silent until `place`."""
        if place > self.end:
            self.samples.extend(array("h", bytes(2 * (place - self.end))))

    def take(self, count: int) -> array[int]:
        taken = self.samples[:count]
        del self.samples[:count]
        self.written += count
        return taken
