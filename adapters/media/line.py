"""One call's line: a carrier's leg here, a model's client there, and everything that must know both. Read first.

    caller -> LegLink -> CallerAudio -> client.append                      (hearing.py)
    client -> Playback -> leg.play, leg.mark -> caller                     (playback.py, playhead.py, replies.py)

`CarrierSide` (legs.py) is the call's `CarrierPort`, `ModelSide` (model.py) its `StsPort` and `MediaPort`. Neither
decides anything about the conversation: the chart's handlers call the ports, and what happens comes back as triggers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from adapters.carriers.contract import Leg, LegEvents, MediaFormat
from adapters.media.clips import Clips
from adapters.media.hearing import CallerAudio
from adapters.media.idle import IdleTimer
from adapters.media.legs import CarrierSide
from adapters.media.model import ModelSide
from adapters.media.playback import Playback
from adapters.sts.contract import StsClient, StsEvents
from fsm.clock import Clock
from fsm.context import CallContext
from fsm.ports import CarrierPort, MediaPort, StsPort
from fsm.triggers import HeardReply, Trigger, UserIdle

__all__ = ["Line", "Recorder"]

log = logging.getLogger(__name__)

_CLOSE_S = 2.0


class Recorder(Protocol):
    """Keeps both directions of a call."""

    def start(self, media_format: MediaFormat, at: float) -> None:
        """The call's first socket is there; harmless the second time."""
        ...

    def caller(self, payload: str, at: float) -> None:
        """A frame of the caller arrived at `at` (monotonic seconds)."""
        ...

    def heard(self, payload: str, ms: float, ended_at: float) -> None:
        """The caller heard the first `ms` milliseconds of `payload`, until `ended_at`."""
        ...

    def close(self, at: float) -> None:
        """The call is over."""
        ...


class Line:
    """The path of the audio of one call.

    Args:
        call_id: names the call in log lines.
        post: takes the call's triggers; never raises, never blocks.
        make_client: makes a model's client that reports to what it is given; once for each `sts.start`.
        idle_after: seconds without either side being heard that make a `user.idle`; 0: never.
        recorder: an observer of both directions.
    """

    def __init__(
        self,
        *,
        call_id: str,
        post: Callable[[Trigger], None],
        clock: Clock,
        make_client: Callable[[StsEvents], StsClient],
        clips: Clips,
        idle_after: float,
        recorder: Recorder | None = None,
    ) -> None:
        self._call_id = call_id
        self._clock = clock
        self._post: Callable[[Trigger], None] = post
        self._recorder = recorder
        self._closed = False
        self._idle = IdleTimer(clock=clock, after=idle_after, on_idle=self._nobody_heard)
        self._audio = CallerAudio(clock=clock, listener=recorder)
        self._playback = Playback(clock=clock, post=self._tell, on_change=self._follow, listener=recorder)
        self._carrier = CarrierSide(
            post=self._tell, playback=self._playback, audio=self._audio, clips=clips, on_detach=self._detached
        )
        self._model = ModelSide(
            post=self._tell,
            make_client=make_client,
            playback=self._playback,
            audio=self._audio,
            idle=self._idle,
            media_format=lambda: self._carrier.media_format,
        )
        self.carrier: CarrierPort = self._carrier
        self.sts: StsPort = self._model
        self.media: MediaPort = self._model

    @property
    def dropped_frames(self) -> int:
        """Frames of the caller that could not be kept until the model was ready."""
        return self._audio.dropped_frames

    @property
    def received_ms(self) -> int:
        """Audio of the caller that has come, in milliseconds."""
        return int(self._audio.received_ms)

    def offer(self, leg: Leg, *, can_return: bool) -> LegEvents:
        """Take a socket that has arrived; `carrier.attach` takes it into use. Called before its trigger is posted.

        Args:
            can_return: whether the carrier can bring the call back on another socket after it has lost this one.

        Returns:
            Who hears the leg's events.
        """
        if self._recorder is not None:
            self._recorder.start(leg.media_format, self._clock.now())
        return self._carrier.offer(leg, can_return=can_return)

    def reject(self, reason: str = "refused") -> None:
        """Close a socket that was offered and will not be attached."""
        self._carrier.reject(reason)

    def remember(self, context: CallContext) -> None:
        """Keep what a new session of the model is told when the conversation is rolled over."""
        self._model.remember(context)

    def reply_snapshot(self) -> tuple[HeardReply, ...]:
        """Return the replies that are playing or queued, as far as they have been heard."""
        return self._playback.snapshot()

    async def aclose(self) -> None:
        """End both legs and wait, at most 2 s, until their sockets and tasks are gone. May be called again."""
        first, self._closed = not self._closed, True
        self._model.close_soon()
        self._carrier.end()
        self._idle.stop()
        self._audio.close()
        self._playback.stop()
        await self._gone([c.aclose() for c in self._model.clients] + [leg.wait_closed() for leg in self._carrier.legs])
        if first and self._recorder is not None:
            self._recorder.close(self._clock.now())

    async def _gone(self, ends: list[Coroutine[Any, Any, None]]) -> None:
        tasks = [asyncio.create_task(end) for end in ends]
        if not tasks:
            return
        try:
            await asyncio.wait(tasks, timeout=_CLOSE_S)
        finally:
            for task in tasks:
                task.cancel()
        await asyncio.wait(tasks, timeout=0.1)
        for task in tasks:
            if not task.done():
                log.warning("end_not_gone", extra={"call_id": self._call_id})
            elif not task.cancelled() and task.exception() is not None:
                log.warning("end_failed", extra={"call_id": self._call_id}, exc_info=task.exception())

    def _tell(self, trigger: Trigger) -> None:
        if not self._closed:
            self._post(trigger)

    def _nobody_heard(self, idle_ms: int) -> None:
        self._tell(UserIdle(idle_ms=idle_ms))

    def _detached(self) -> None:
        self._idle.stop()
        self._audio.close()

    def _follow(self) -> None:
        """Keep the idle timer in step with who is heard."""
        self._idle.heard(self._playback.is_heard or self._model.caller_speaks)
