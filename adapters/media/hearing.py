"""The way in: the caller's audio to the model, kept back until the model may hear it, gaps filled while they speak.

A frame costs a few attribute look-ups and one call: no task, no trigger, no copy.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from adapters.carriers.contract import MediaFormat
from adapters.media.pieces import duration_ms, silence
from fsm.clock import Clock, TimerHandle

__all__ = ["CallerAudio", "Listener"]

_KEPT_MS = 10_000
_PAUSE_S = 0.75  # OpenAI's own Twilio layer waits as long before it pads
_LONGEST_FILL_MS = 10_000
_JITTER_MS = 60  # timestamps that are less apart from what was expected are no gap
_CHUNK_MS = 1_000


class Listener(Protocol):
    """Who follows what the caller says (a recorder)."""

    def caller(self, payload: str, at: float) -> None:
        """A frame arrived at `at` (monotonic seconds)."""
        ...


class CallerAudio:
    """Audio of one caller on its way to the model."""

    def __init__(self, *, clock: Clock, listener: Listener | None = None) -> None:
        self.dropped_frames = 0
        """Frames that were too many to keep before the model was ready."""
        self.model_format: MediaFormat | None = None
        """What the model was told that it will hear; None while there is no model."""
        self.received_ms = 0.0
        """How much the caller has sent, milliseconds."""
        self._clock = clock
        self._listener = listener
        self._append: Callable[[str], None] | None = None
        self._format = MediaFormat("pcmu", 8000)
        self._kept: deque[str] = deque()
        self._kept_ms = 0.0
        self._speaking = False
        self._frame_size = 0
        self._frame_ms = 0.0
        self._last_payload = ""
        self._last_ms: int | None = None
        self._last_at = 0.0
        self._filled_ms = 0
        self._timer: TimerHandle | None = None

    def new_stream(self, media_format: MediaFormat) -> None:
        """Another socket brings the audio: its timestamps begin anew."""
        if media_format != self._format:
            self._format = media_format
            self._frame_size = 0
            self._kept.clear()
            self._kept_ms = 0.0
        self._last_ms = None
        self._last_at = self._clock.now()

    def open(self, append: Callable[[str], None]) -> None:
        """Send what was kept back, in order, and everything that comes straight on."""
        if self._append is not None:
            return
        self._append = append
        while self._kept:
            append(self._kept.popleft())
        self._kept_ms = 0.0

    def close(self) -> None:
        """Keep back again."""
        self._append = None
        self.speech_stopped()

    def hear(self, payload: str, timestamp_ms: int | None) -> None:
        """Take one frame."""
        if len(payload) != self._frame_size:  # frames of one stream are of one length
            self._frame_size, self._frame_ms = len(payload), duration_ms(payload, self._format)
        self.received_ms += self._frame_ms
        if self._listener is not None:
            self._listener.caller(payload, self._clock.now())
        append = self._append
        if append is None:
            self._keep(payload)
            return
        if self._speaking:
            self._bridge(timestamp_ms)
        self._last_payload = payload
        self._last_ms = timestamp_ms
        self._last_at = self._clock.now()
        append(payload)

    def speech_started(self) -> None:
        """The caller speaks: from now on the detector must see where that ends, even if frames stop coming."""
        self._speaking = True
        self._filled_ms = 0
        self._watch(max(self._last_at + _PAUSE_S, self._clock.now()))

    def speech_stopped(self) -> None:
        """The caller is silent."""
        self._speaking = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _keep(self, payload: str) -> None:
        self._kept.append(payload)
        self._kept_ms += duration_ms(payload, self._format)
        while self._kept_ms > _KEPT_MS:
            self._kept_ms -= duration_ms(self._kept.popleft(), self._format)
            self.dropped_frames += 1

    def _bridge(self, timestamp_ms: int | None) -> None:
        """Fill what is missing between the last frame and one that comes now, less what was filled while waiting."""
        if timestamp_ms is not None and self._last_ms is not None:
            missing = timestamp_ms - self._last_ms - int(duration_ms(self._last_payload, self._format))
            if missing > _JITTER_MS:
                self._fill(missing)
        self._filled_ms = 0
        if self._timer is None:
            self._watch(self._clock.now() + _PAUSE_S)

    def _watch(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._clock.call_at(when, self._look)

    def _look(self) -> None:
        """See whether frames have stopped coming; Twilio may pause while the detector waits for silence."""
        self._timer = None
        now = self._clock.now()
        due = self._last_at + _PAUSE_S
        if now >= due:
            self._fill(int((now - self._last_at) * 1000))
            due = now + _PAUSE_S
        if self._filled_ms < _LONGEST_FILL_MS:
            self._watch(due)

    def _fill(self, pause_ms: int) -> None:
        """Send silence until `pause_ms` of this pause are filled."""
        append = self._append
        left = min(pause_ms, _LONGEST_FILL_MS) - self._filled_ms
        if append is None or left <= 0:
            return
        self._filled_ms += left
        while left > 0:
            append(silence(min(left, _CHUNK_MS), self._format))
            left -= _CHUNK_MS
