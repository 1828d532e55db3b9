"""The caller's end of the line: the sockets of one call, one after the other, behind `CarrierPort`.

A socket that has arrived is *offered*; `attach` takes it into use and closes the one it replaces first. Each socket
has an ear of its own (`LegLink`), so that what a replaced one still says is known to be stale.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from adapters.carriers.contract import Leg, MediaFormat
from adapters.media.clips import Clips
from adapters.media.hearing import CallerAudio
from adapters.media.playback import Playback
from fsm.errors import PortError
from fsm.triggers import CallEnded, CallLost, HeardReply, Trigger

__all__ = ["CarrierSide", "LegLink"]

_PLAY_OUT_S = 4.0
"""Seconds that `hang_up` waits for what is queued; an action that hangs up has five in all."""


class LegLink:
    """One socket of a call, and what we hear of it (`LegEvents`).

    Attributes:
        hears: its audio goes to the model, or is kept for it.
        tells: what it reports becomes a trigger; not after it was replaced, let go, or has told the call's end.
        over: the carrier said that the call has ended.
        closed: the socket is gone.
        transferred: the carrier takes the caller elsewhere. The stream ends with that, which is neither a loss nor a
            hang-up; what became of the caller is told otherwise (`call.transferred`).
    """

    __slots__ = ("_audio", "_side", "can_return", "closed", "hears", "leg", "over", "tells", "transferred")

    def __init__(self, leg: Leg, side: CarrierSide, audio: CallerAudio, *, can_return: bool, hears: bool) -> None:
        self.leg = leg
        self.can_return = can_return
        self.hears = hears
        self.tells = True
        self.over = False
        self.closed = False
        self.transferred = False
        self._side = side
        self._audio = audio

    def on_audio(self, payload: str, timestamp_ms: int | None) -> None:
        if self.hears:
            self._audio.hear(payload, timestamp_ms)

    def on_mark(self, name: str) -> None:
        self._side.mark_returned(self, name)

    def on_trigger(self, trigger: Trigger) -> None:
        self._side.told(self, trigger)

    def on_closed(self, reason: str) -> None:
        self._side.closed(self, reason)

    def let_go(self) -> None:
        """Hear nothing of it any more."""
        self.hears = self.tells = False


class CarrierSide:
    """`CarrierPort` of one call."""

    def __init__(
        self,
        *,
        post: Callable[[Trigger], None],
        playback: Playback,
        audio: CallerAudio,
        clips: Clips,
        on_detach: Callable[[], None],
    ) -> None:
        self._post = post
        self._playback = playback
        self._audio = audio
        self._clips = clips
        self._on_detach = on_detach
        self._offered: LegLink | None = None
        self._attached: LegLink | None = None
        self._playing: LegLink | None = None
        self._links: list[LegLink] = []
        self._transferred = False
        self._hung_up = False

    @property
    def media_format(self) -> MediaFormat | None:
        """The format of the socket in use, or of the one that is offered; None before the first."""
        link = self._attached or self._offered
        return None if link is None else link.leg.media_format

    @property
    def legs(self) -> tuple[Leg, ...]:
        """Every leg whose socket may still be open."""
        return tuple(link.leg for link in self._links)

    def offer(self, leg: Leg, *, can_return: bool) -> LegLink:
        """A socket has arrived. One that was offered before and not taken into use is closed."""
        self.reject("replaced")
        self._links = [link for link in self._links if not link.closed]
        hears = self._attached is None or self._attached.closed
        link = LegLink(leg, self, self._audio, can_return=can_return, hears=hears)
        if hears:
            self._audio.new_stream(leg.media_format)
        self._offered = link
        self._links.append(link)
        return link

    def reject(self, reason: str) -> None:
        """Close a socket that is offered and will not be taken into use."""
        if self._offered is not None:
            self._close(self._offered, reason)
            self._offered = None

    def attach(self) -> None:
        new, old = self._offered, self._attached
        if new is None:
            self._attach_again()
            return
        if new.closed and _is_alive(old):
            self._offered = None  # it came and went; the one in use is still there
            return
        pinned = self._audio.model_format
        if pinned not in (None, new.leg.media_format):
            raise PortError("the new socket has another media format", port="carrier", retryable=False)
        if old is not None:
            self._close(old, "replaced")
        self._attached, self._offered = new, None
        if not new.hears:
            new.hears = new.tells
            self._audio.new_stream(new.leg.media_format)
        self._route(new)
        self._playback.takes_replies = True

    def _attach_again(self) -> None:
        """No other socket has come: the one in use goes on, also after `detach`."""
        if self._attached is None or not _is_alive(self._attached):
            raise PortError("there is no media socket", port="carrier")
        self._attached.hears = self._attached.tells = True
        self._playback.takes_replies = True

    def detach(self) -> None:
        self._playback.takes_replies = False
        self._on_detach()
        if self._attached is not None:
            self._attached.let_go()

    def play(self, clip: str, language: str) -> None:
        link = self._attached if _is_alive(self._attached) else self._offered
        if link is not None and _is_alive(link):
            self._route(link)
            self._playback.play_clip(self._clips.payload(clip, language, link.leg.media_format))

    async def drained(self) -> None:
        await self._playback.drained()

    async def hang_up(self) -> None:
        link = self._offered if _is_alive(self._offered) else self._attached or self._offered
        if link is None or self._transferred or self._hung_up:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_PLAY_OUT_S):
                await self._playback.drained()
        if self._hung_up:
            return
        self._hung_up = True
        link.let_go()
        if link.over:
            link.leg.close("call over")
        else:
            await link.leg.hang_up()

    async def transfer(self, target: str) -> None:
        link = self._attached if _is_alive(self._attached) else self._offered
        if link is None or not _is_alive(link):
            raise PortError("there is no media socket", port="carrier")
        await link.leg.transfer(target)
        self._transferred = link.transferred = True

    # -- what the sockets report ---------------------------------------------------------------------

    def mark_returned(self, link: LegLink, name: str) -> None:
        """A mark came back; only those of the socket that is played to count."""
        if link is self._playing:
            self._playback.on_mark(name)

    def told(self, link: LegLink, trigger: Trigger) -> None:
        """Something happened on the stream. The end of a stream is not the call's if the next one is there already."""
        if isinstance(trigger, CallEnded):
            self._ended(link, trigger)
        elif link.tells:
            self._post(trigger)

    def _ended(self, link: LegLink, ended: CallEnded) -> None:
        succeeded = link is self._attached and _is_alive(self._offered)
        tells = link.tells and not succeeded and not link.transferred
        link.over = not succeeded
        link.let_go()
        replies = self._lose(link, told=tells)
        if tells:
            self._post(replace(ended, replies=replies))

    def closed(self, link: LegLink, reason: str) -> None:
        """A socket is gone. It is a loss if nobody asked for it and no other socket is there."""
        link.closed = True
        other = self._offered if link is self._attached else self._attached
        lost = link.tells and not link.transferred and not _is_alive(other)
        link.let_go()
        replies = self._lose(link, told=lost)
        if lost:
            self._post(CallLost(can_return=link.can_return, reason=reason or "carrier_lost", replies=replies))

    def end(self) -> None:
        """Begin to close every socket; none of them tells anything from now on."""
        self._hung_up = True
        for link in self._links:
            self._close(link, "call over")

    # -- inside --------------------------------------------------------------------------------------

    def _route(self, link: LegLink) -> None:
        self._playing = None if link.closed else link
        self._playback.route(None if link.closed else link.leg)

    def _lose(self, link: LegLink, *, told: bool) -> tuple[HeardReply, ...]:
        if link is not self._playing:
            return ()
        self._playing = None
        if told:
            return self._playback.leg_gone()
        self._playback.route(None)
        return ()

    def _close(self, link: LegLink, reason: str) -> None:
        link.let_go()
        link.leg.close(reason)


def _is_alive(link: LegLink | None) -> bool:
    return link is not None and not link.closed and not link.over
