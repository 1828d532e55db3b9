"""The way out: replies and bundled audio to the carrier's leg, and what becomes of them there.

Everything that is played passes here, is cut into pieces with a mark after each, and is followed by the playhead.
What was heard, cut or cannot be heard any more is told from here, once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from adapters.carriers.contract import Leg
from adapters.media.pieces import duration_ms, split
from adapters.media.playhead import Piece, Playhead
from adapters.media.replies import Replies
from adapters.sts.contract import ResponseEnd, StsClient
from fsm.clock import Clock, TimerHandle
from fsm.triggers import HeardReply, PlaybackFinished, ReplyFinished, ReplyStarted, Trigger

__all__ = ["Listener", "Playback"]

_PATIENCE_S = 10.0
"""Seconds that `drained` gives a reply that was asked for, since anything was last played or asked for."""


class Listener(Protocol):
    """Who follows what the caller hears (a recorder)."""

    def heard(self, payload: str, ms: float, ended_at: float) -> None:
        """The first `ms` milliseconds of `payload` were heard, until `ended_at` (monotonic seconds)."""
        ...


class Playback:
    """Audio on its way to the caller."""

    def __init__(
        self,
        *,
        clock: Clock,
        post: Callable[[Trigger], None],
        on_change: Callable[[], None],
        listener: Listener | None = None,
    ) -> None:
        self.takes_replies = False
        """Whether the model is heard at all: from attach to detach. Bundled audio is played at any time."""
        self._clock = clock
        self._post = post
        self.on_change = on_change
        self._listener = listener
        self._leg: Leg | None = None
        self._playhead = Playhead()
        self._replies = Replies()
        self._clips = 0
        self._requested = 0  # replies asked for that have not ended
        self._cancelled: set[str] = set()  # responses cancelled before their end came
        self._played = False  # something that `playback.finished` has not been told of
        self._last_item = ""
        self._steps = 0  # grows with everything that happens; lets `drained` tell waiting from being stuck
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._watchdog: TimerHandle | None = None

    # -- what is going on ----------------------------------------------------------------------------

    @property
    def is_heard(self) -> bool:
        """Whether something is on its way to the caller's ear now."""
        return not self._playhead.empty

    def audible(self) -> HeardReply | None:
        """Return the reply that the caller is hearing, or that is queued next; None if there is none."""
        return next(iter(self.snapshot()), None)

    def snapshot(self) -> tuple[HeardReply, ...]:
        """Return all replies that are playing or queued, as far as they have been heard."""
        now = self._clock.now()
        return tuple(self._replies.heard(r, self._playhead.heard_ms(r.item_id, now)) for r in self._replies)

    # -- the carrier's side --------------------------------------------------------------------------

    def route(self, leg: Leg | None) -> None:
        """Play to `leg` from now on. What another leg still had queued is cut, and told."""
        if leg is self._leg:
            return
        self._leg = None  # it is closed, or about to be: nothing to clear there
        for cut in self._cut():
            self._post(cut)
        self._leg = leg
        self._settle()

    def leg_gone(self) -> tuple[HeardReply, ...]:
        """Stop playing; return what was heard of the replies that were under way, which is told no other way."""
        replies = self.snapshot()
        self._leg = None
        self._cut()
        self._settle()
        return replies

    def on_mark(self, name: str) -> None:
        """Take a mark that the carrier returned."""
        now = self._clock.now()
        self._heard(self._playhead.returned(name, now), now)

    def play_clip(self, payload: str) -> None:
        """Queue bundled audio."""
        self._clips += 1
        self._send(f"clip:{self._clips}", payload)

    # -- the model's side ----------------------------------------------------------------------------

    def requested(self) -> None:
        """A reply was asked for; `response_ended` answers it."""
        self._requested += 1
        self._changed()

    def reply_audio(
        self, response_id: str, item_id: str, payload: str, purpose: str, conversation_id: str = ""
    ) -> None:
        """Play audio of a reply, unless it was cut."""
        if self._replies.is_over(response_id, item_id):
            return
        if self._leg is None or not self.takes_replies:
            self._replies.drop(response_id)
            return
        began = not self._replies.is_open(item_id)
        self._replies.audio(response_id, item_id, duration_ms(payload, self._leg.media_format))
        if began:
            self._post(
                ReplyStarted(response_id=response_id, conversation_id=conversation_id, item_id=item_id, purpose=purpose)
            )
        self._send(item_id, payload)
        if began:
            self._settle()

    def reply_text(self, item_id: str, delta: str) -> None:
        """Keep words of a reply."""
        self._replies.words(item_id, delta)

    def response_ended(self, end: ResponseEnd) -> None:
        """Take the end of a response. A cancelled one is not waited for any more, even if it completed meanwhile."""
        if end.status != "cancelled" and end.response_id not in self._cancelled:
            self._requested = max(0, self._requested - 1)
        self._cancelled.discard(end.response_id)
        for trigger in self._replies.end(end):
            self._post(trigger)
        self._settle()

    def model_gone(self) -> None:
        """No reply will come any more; what has come plays out."""
        self._requested = 0
        self._cancelled.clear()
        self._replies.complete()
        self._settle()

    def interrupt(self, client: StsClient | None) -> None:
        """Silence everything: the carrier's queue, the response that is being made, those asked for."""
        finished = self._cut()
        if client is not None:
            self._silence(client, [(reply.item_id, reply.heard_ms) for reply in finished])
        self._requested = 0
        for reply in finished:
            self._post(reply)
        self._changed()

    def _silence(self, client: StsClient, heard: list[tuple[str, int]]) -> None:
        active = client.active_response_id
        is_made = active is not None and active not in self._cancelled
        if is_made or self._requested:
            client.cancel()
        if active is not None:
            self._replies.drop(active)
            self._cancelled.add(active)
        if heard:
            client.truncate(heard)

    # -- waiting -------------------------------------------------------------------------------------

    async def drained(self) -> None:
        """Return once all that is queued or asked for was heard, or cannot be."""
        while not self._quiet.is_set():
            steps = self._steps
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    await self._quiet.wait()
            except TimeoutError:
                if self._playhead.empty and steps == self._steps:
                    return

    def stop(self) -> None:
        """Forget everything, tell nothing, wake who waits."""
        self._leg = None
        self._playhead.clear(self._clock.now())
        self._requested = 0
        self._played = False
        self._disarm()
        self._changed()

    # -- inside --------------------------------------------------------------------------------------

    def _send(self, item_id: str, payload: str) -> None:
        leg = self._leg
        if leg is None:
            return
        now = self._clock.now()
        for piece, ms in split(payload, leg.media_format):
            mark = self._playhead.send(item_id, ms, now, piece)
            leg.play(piece)
            leg.mark(mark)
        self._played = True
        self._arm()
        self._changed()

    def _heard(self, pieces: list[Piece], now: float) -> None:
        if not pieces:
            return
        for piece in pieces:
            if self._listener is not None:
                self._listener.heard(piece.payload, piece.ms, now)
            if not self._replies.is_open(piece.item_id):
                self._playhead.forget(piece.item_id)
        self._settle()

    def _settle(self) -> None:
        """Tell what has come to its end."""
        for reply in self._replies:
            if not reply.complete or self._playhead.is_queued(reply.item_id):
                break
            self._playhead.forget(reply.item_id)
            self._last_item = reply.item_id
            self._post(self._replies.finish(reply, reply.received_ms, interrupted=False))
        if self._played and self._is_quiet() and self._leg is not None:
            self._played = False
            self._post(PlaybackFinished(item_id=self._last_item))
        self._changed()

    def _cut(self) -> list[ReplyFinished]:
        """Empty the carrier's queue and end every open reply where it was; return what is to be told."""
        if self._playhead.empty and not self._replies:
            return []
        now = self._clock.now()
        cut = [(reply, self._playhead.heard_ms(reply.item_id, now)) for reply in self._replies]
        playing = self._playhead.clear(now)
        if playing is not None and self._leg is not None:
            self._leg.clear()
        if playing is not None and self._listener is not None:
            self._listener.heard(playing[0].payload, playing[1], now)
        finished = [self._replies.finish(reply, heard_ms, interrupted=True) for reply, heard_ms in cut]
        self._replies.drop(*(reply.response_id for reply in finished))
        self._played = False
        return finished

    def _is_quiet(self) -> bool:
        return self._leg is None or (self._playhead.empty and not self._requested)

    def _changed(self) -> None:
        self._steps += 1
        if self._is_quiet():
            self._quiet.set()
        else:
            self._quiet.clear()
        if self._playhead.empty:
            self._disarm()
        self.on_change()

    def _arm(self) -> None:
        due = self._playhead.overdue_at
        if self._watchdog is None and due is not None:
            self._watchdog = self._clock.call_at(due, self._overdue)

    def _disarm(self) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None

    def _overdue(self) -> None:
        """The mark of the piece that is playing is late, or merely a later piece is playing now: look again."""
        self._watchdog = None
        now = self._clock.now()
        self._heard(self._playhead.expire(now), now)
        self._arm()
