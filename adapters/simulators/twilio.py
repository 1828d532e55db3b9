"""A caller who phones in through Twilio, simulated from Twilio's documents: webhook, TwiML, media socket, callbacks.

    async with TwilioCaller("http://127.0.0.1:8080", speed=4) as caller:
        await caller.heard_silence()
        await caller.say("What are your opening hours?")
        await caller.hang_up()
    caller.record(Path("call.wav"))

Given an `http` address it posts the voice webhook and does what the TwiML says; given a `ws` address it starts with the
media socket. Everything runs on the loop's clock, so a call takes no time in virtual time.

Sources: Twilio, TwiML Voice: `<Stream>` and `<Connect>`; Twilio, Media Streams - WebSocket Messages; Twilio, Webhooks
security. That a broken socket ends `<Connect>` like a closed one is not documented: `broken_stream` says which.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypeAlias, assert_never

from websockets.exceptions import InvalidHandshake

from adapters.simulators import twiml
from adapters.simulators.audio import BYTES_PER_MS, SILENCE, write_stereo_wav
from adapters.simulators.exchange import Exchange
from adapters.simulators.line import FRAME_MS, LineClock, Mouth, Sound, to_mulaw
from adapters.simulators.media_stream import MediaStream, StreamIds
from adapters.simulators.misbehaviour import Misbehaviour
from adapters.simulators.playback import Heard, MarkLog
from adapters.simulators.waiting import Watch
from adapters.simulators.webhook import WebhookError

__all__ = ["CallEvent", "CallOver", "Outcome", "TwilioCaller"]

Outcome: TypeAlias = Literal["live", "hung_up", "aborted", "ended", "rejected", "transferred", "refused"]
"""How the call ended: by the caller, cut, by the other side, before it was answered, handed over, or never begun."""


class CallOver(Exception):
    """The call ended before what was waited for happened."""


@dataclass(frozen=True, slots=True)
class CallEvent:
    """Something that happened in the call, in milliseconds since it began."""

    at_ms: float
    name: str
    detail: str = ""


class TwilioCaller:
    """One call. Nothing happens before `dial`.

    Args:
        url: base address of the server, or the address of its media socket.
        speed: how many seconds of the call pass in one of the loop's.
        auth_token: sign the webhooks and the handshake with it.
        public_url: the address that Twilio knows, where the server at `url` stands behind a proxy.
        status_path: where the end of the call is posted, if anywhere (`/twilio/status`).
        broken_stream: whether `<Connect>`'s `action` is requested when a socket breaks.
        parameters: `customParameters` of a stream that no TwiML started.
        on_event: called with each event as it happens.

    Attributes:
        call_sid: the call's id (CA…).
        outcome: `live` until the call is over.
        transferred_to: whom `<Dial>` connected the caller to.
        streams: the media sockets of the call, in order; each knows what it received.
        events: what happened, in order.
        problems: answers that Twilio would not have understood.
    """

    def __init__(
        self,
        url: str,
        *,
        call_sid: str | None = None,
        caller: str = "+15550100",
        called: str = "+15550101",
        account_sid: str = "AC00000000000000000000000000000001",
        speed: float = 1.0,
        auth_token: str | None = None,
        public_url: str | None = None,
        webhook_path: str = "/twilio/voice",
        status_path: str | None = None,
        broken_stream: Literal["action", "end"] = "action",
        misbehaviour: Misbehaviour | None = None,
        parameters: dict[str, str] | None = None,
        on_event: Callable[[CallEvent], None] = lambda event: None,
    ) -> None:
        self.call_sid = call_sid or "CA" + secrets.token_hex(16)
        self.outcome: Outcome = "live"
        self.transferred_to: str | None = None
        self.streams: list[MediaStream] = []
        self.events: list[CallEvent] = []
        self.problems: list[str] = []
        self._account_sid = account_sid
        form = {"AccountSid": account_sid, "CallSid": self.call_sid, "From": caller, "To": called}
        self._exchange = Exchange(url, public_url, auth_token, form, self._note)
        self._speed = speed
        self._webhook_path = webhook_path
        self._status_path = status_path
        self._broken_stream = broken_stream
        self._faults = misbehaviour or Misbehaviour()
        self._parameters = parameters or {}
        self._told = False
        self._on_event = on_event
        self._mouth = Mouth(mute=self._faults.mute, hiss=self._faults.hiss)
        self._said: list[Heard] = []
        self._paused_until = 0.0
        self._spoke_until = 0.0
        self._watch = Watch()

    async def __aenter__(self) -> Self:
        await self.dial()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.hang_up()

    @property
    def now_ms(self) -> float:
        """How old the call is."""
        return self._clock.now_ms

    @property
    def heard_ms(self) -> float:
        """How much audio was heard in the call until now."""
        return sum(stream.playback.heard_ms(self.now_ms) for stream in self.streams)

    @property
    def buffered_ms(self) -> float:
        """How much audio waits to be heard."""
        return sum(stream.playback.buffered_ms(self.now_ms) for stream in self.streams)

    @property
    def silent_ms(self) -> float:
        """For how long nothing audible was heard; 0 if nothing was since the caller last spoke or pressed a key."""
        ends = [stream.playback.last_sound_ms(self.now_ms) for stream in self.streams]
        last = max((end for end in ends if end is not None), default=0.0)
        return self.now_ms - last if last > self._spoke_until else 0.0

    @property
    def heard(self) -> list[Heard]:
        """The audio that was heard, with its times."""
        return [piece for stream in self.streams for piece in stream.playback.heard(self.now_ms)]

    @property
    def marks(self) -> list[MarkLog]:
        """The marks that were due, in order."""
        return [mark for stream in self.streams for mark in stream.playback.log]

    async def dial(self) -> None:
        """Phone; return when the first stream has started, or the call is over."""
        self._clock = LineClock(self._speed)
        self._call = asyncio.create_task(self._carry_out(), name=f"call {self.call_sid}")
        self._voice = asyncio.create_task(self._talk(), name=f"voice {self.call_sid}")
        if self._faults.abort_after_ms is not None:
            self._clock.call_at(self._faults.abort_after_ms, self.abort)
        await self._wait(lambda: bool(self.streams))

    async def say(self, sound: Sound) -> None:
        """Say a text, a WAV file (path or bytes) or mu-law bytes; return when it has been said.

        Raises:
            CallOver: the call ended meanwhile.
        """
        self._note("said", sound if isinstance(sound, str) else "")
        said = self._mouth.queue(to_mulaw(sound))
        await self._must(said.done)
        self._spoke_until = self.now_ms

    async def press(self, digits: str, *, gap_ms: float = 200.0) -> None:
        """Press keys, one every `gap_ms`."""
        for digit in digits:
            self._note("pressed", digit)
            if stream := self._live_stream:
                stream.press(digit)
            await self.elapse(gap_ms)
        self._spoke_until = self.now_ms

    async def elapse(self, duration_ms: float) -> None:
        """Let time of the call pass."""
        await self._clock.until(self.now_ms + duration_ms)

    def go_dark(self, duration_ms: float) -> None:
        """Send no audio for a while, not even silence, as a carrier does whose caller is on hold."""
        self._paused_until = self.now_ms + duration_ms

    async def wait_for(self, happened: Callable[[], bool], *, within_ms: float = 60_000.0) -> None:
        """Return when `happened()`, looked at whenever a message arrives and every 20 ms.

        Raises:
            TimeoutError: it did not within that time of the call.
            CallOver: the call ended before.
        """
        async with asyncio.timeout(within_ms / 1000 / self._speed):
            await self._must(happened)

    async def heard_more(self, duration_ms: float, *, within_ms: float = 60_000.0) -> None:
        """Return when so much more audio was heard than until now. Raises as `wait_for` does."""
        enough = self.heard_ms + duration_ms
        await self.wait_for(lambda: self.heard_ms >= enough, within_ms=within_ms)

    async def heard_silence(self, duration_ms: float = 700.0, *, within_ms: float = 60_000.0) -> None:
        """Return when something was heard since the caller last spoke, and then nothing for `duration_ms`.

        Raises as `wait_for` does.
        """
        await self.wait_for(lambda: self.silent_ms >= duration_ms, within_ms=within_ms)

    async def wait_for_end(self, *, within_ms: float = 60_000.0) -> Outcome:
        """Return how the call ended, once the other side has ended it. Raises TimeoutError."""
        async with asyncio.timeout(within_ms / 1000 / self._speed):
            return await self.over()

    async def hang_up(self) -> None:
        """Hang up, and return when the call is over; no harm if it is."""
        if self.outcome == "live":
            self._finish("hung_up")
            if stream := self._live_stream:
                stream.hang_up()
            else:
                self._call.cancel()
                await self._tell_status()
        await self.over()

    def abort(self) -> None:
        """Cut the line: the TCP connection is reset, nothing is sent any more."""
        if self.outcome == "live":
            self._finish("aborted")
            if stream := self._live_stream:
                stream.abort()
            else:
                self._call.cancel()

    async def over(self) -> Outcome:
        """Return how the call ended, once it did."""
        await asyncio.wait([self._call, self._voice])
        if not self._call.cancelled() and (error := self._call.exception()):
            raise error
        return self.outcome

    def record(self, path: Path) -> None:
        """Write the call as a stereo WAV file: the caller left, what the caller heard right."""
        write_stereo_wav(path, _laid_out(self._said), _laid_out(self.heard))

    @property
    def _live_stream(self) -> MediaStream | None:
        return self.streams[-1] if self.streams and self.streams[-1].close_code is None else None

    async def _carry_out(self) -> None:
        """Do what the TwiML says until nothing is left to do."""
        try:
            verbs = await self._first_verbs()
            while verbs and self.outcome == "live":
                verbs = await self._carry_out_verb(verbs[0], verbs[1:])
            self._finish("ended")
            await self._tell_status()
        except (WebhookError, twiml.TwimlError) as failed:
            self.problems.append(str(failed))
            self._finish("refused")
        finally:
            self._finish("ended")
            self._voice.cancel()
            self._mouth.shut()
            self._watch.changed()

    async def _first_verbs(self) -> list[twiml.Verb]:
        if self._exchange.url.startswith("ws"):
            return [twiml.Stream(url=self._exchange.url, parameters=self._parameters)]
        return await self._exchange.ask(self._exchange.public_url + self._webhook_path, CallStatus="ringing")

    async def _carry_out_verb(self, verb: twiml.Verb, rest: list[twiml.Verb]) -> list[twiml.Verb]:
        match verb:
            case twiml.Stream():
                return await self._stream(verb, rest)
            case twiml.Dial(target):
                self.transferred_to = target
                self._finish("transferred", target)
            case twiml.Reject(reason):
                self._finish("rejected", reason)
            case twiml.HangUp():
                self._finish("ended")
            case twiml.Pause(seconds):
                await self.elapse(seconds * 1000)
            case twiml.Other(tag, text):
                self._note(tag, text)
            case _:
                assert_never(verb)
        return rest

    async def _stream(self, verb: twiml.Stream, rest: list[twiml.Verb]) -> list[twiml.Verb]:
        ids = StreamIds(self._account_sid, self.call_sid, "MZ" + secrets.token_hex(16))
        try:
            connection = await self._exchange.connect(verb.url, max_queue=1 if self._faults.deaf else None)
        except (OSError, InvalidHandshake) as failed:
            self.problems.append(f"the media socket was refused: {failed}")
            await self._tell_stream(verb, ids, "stream-error", StreamError=str(failed))
            broken = True
            if not verb.action and not rest:
                self._finish("refused")
        else:
            broken = await self._carry(
                MediaStream(connection, ids, self._clock, self._faults, self._watch.changed), verb
            )
        if self.outcome != "live" or (broken and self._broken_stream == "end"):
            return []
        return await self._exchange.ask(verb.action, CallStatus="in-progress") if verb.action else rest

    async def _carry(self, stream: MediaStream, verb: twiml.Stream) -> bool:
        """Carry one stream; return whether its socket broke."""
        stream.start(verb.parameters)
        self.streams.append(stream)
        self._note("stream started", stream.ids.stream_sid)
        self._watch.changed()
        async with asyncio.TaskGroup() as tasks:  # a slow callback must not make the caller deaf
            tasks.create_task(self._tell_stream(verb, stream.ids, "stream-started"))
            end = await stream.run()
        self._note(f"stream {end}", str(stream.close_code))
        await self._tell_stream(verb, stream.ids, "stream-stopped")
        return stream.close_code == 1006

    async def _tell_stream(self, verb: twiml.Stream, ids: StreamIds, event: str, **fields: str) -> None:
        if verb.status_callback:
            of_stream = {"StreamSid": ids.stream_sid, "StreamName": verb.name, "StreamEvent": event}
            await self._tell(verb.status_callback, **of_stream, **fields)

    async def _tell_status(self) -> None:
        if self._status_path and not self._told:
            self._told = True
            url, seconds = self._exchange.public_url + self._status_path, str(round(self.now_ms / 1000))
            await self._tell(url, CallStatus="completed", CallDuration=seconds)

    async def _tell(self, url: str, **fields: str) -> None:
        """Post to a callback. One that fails changes nothing in the call."""
        try:
            await self._exchange.tell(url, **fields)
        except WebhookError as failed:
            self.problems.append(str(failed))

    async def _talk(self) -> None:
        """Say 20 ms every 20 ms, for as long as the call lives, whether a stream carries it or not."""
        tick = 0
        while True:
            tick += 1
            await self._clock.until(tick * FRAME_MS)
            if (stream := self._live_stream) and self.now_ms >= self._paused_until:
                frame = self._mouth.next_frame()
                self._said.append(Heard((tick - 1) * FRAME_MS, frame))  # a frame is sent when it is complete
                stream.say(frame)
            self._watch.changed()

    async def _must(self, happened: Callable[[], bool]) -> None:
        await self._wait(happened)
        if not happened():
            raise CallOver(f"the call was over ({self.outcome}) before it happened")

    async def _wait(self, happened: Callable[[], bool]) -> None:
        """Return when `happened()` or the call is over."""
        if self._call.done() or happened():
            return
        with self._watch.expecting(happened) as expected:
            await asyncio.wait([expected, self._call], return_when=asyncio.FIRST_COMPLETED)

    def _finish(self, outcome: Outcome, detail: str = "") -> None:
        if self.outcome == "live":
            self.outcome = outcome
            self._note(outcome, detail)

    def _note(self, name: str, detail: str = "") -> None:
        event = CallEvent(self.now_ms, name, detail)
        self.events.append(event)
        self._on_event(event)


def _laid_out(pieces: list[Heard]) -> bytes:
    """Return one track with each piece at its time and silence between."""
    track = bytearray()
    for piece in pieces:
        track += SILENCE * (round(piece.at_ms * BYTES_PER_MS) - len(track))
        track += piece.sound
    return bytes(track)
