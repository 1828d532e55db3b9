"""The media socket of Twilio, as a raw ASGI application: admits, reads, forwards. What a call does is not its business.

Raw, because half of a core's time goes into frames: no framework class, no task and no JSON tree per frame.

Every way in ends with `LegEvents.on_closed`, once: the stream ended, the peer vanished, broke the protocol or does
not read, or we closed. A socket that goes without `stop` is just closed here; whether the call is lost, and may come
back, is for the relay to say.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, NamedTuple, TypeAlias

from adapters.carriers.contract import CallDesk, LegEvents
from adapters.carriers.twilio.calls import TwilioCalls
from adapters.carriers.twilio.codec import Event, Mark, Media, Started, TwilioCodec
from adapters.carriers.twilio.config import TwilioConfig
from adapters.carriers.twilio.leg import POLICY, Message, Send, TwilioLeg
from adapters.carriers.twilio.signature import Request, is_signed
from adapters.carriers.twilio.translate import CARRIER, call_started, to_trigger
from fsm.errors import ProtocolError

__all__ = ["MEDIA_PATHS", "TwilioMedia", "media_app"]

MEDIA_PATHS = ("/twilio/media", "/media-stream")
_UNSUITABLE = 1003  # RFC 6455 section 7.4.1: a type of message that we do not take
_GOOD_BYE_S = 2.0  # how long the socket may outlive our close frame here; the server finishes the handshake

Receive: TypeAlias = Callable[[], Awaitable[Message]]
_log = logging.getLogger(__name__)


class TwilioMedia:
    """ASGI application for `MEDIA_PATHS`."""

    def __init__(self, config: TwilioConfig, desk: CallDesk, calls: TwilioCalls) -> None:
        self._config = config
        self._desk = desk
        self._calls = calls

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            await _answer(send, "http.response", 426, b"This address takes Twilio's media sockets only.\n")
            return
        await receive()  # websocket.connect
        if self._config.auth_token and not is_signed(self._config, Request(scope)):
            _log.warning("socket_refused", extra={"carrier": CARRIER, "why": "signature"})
            await _refuse(scope, send)
            return
        await send({"type": "websocket.accept"})
        codec = TwilioCodec()
        try:
            async with asyncio.timeout(self._config.start_timeout_s):
                started = await _start(receive, codec)
        except TimeoutError:
            await _close(send, POLICY, "no start")
        except ProtocolError as broken:
            _log.warning("socket_refused", extra={"carrier": CARRIER, "why": str(broken)})
            await _close(send, broken.close_code, str(broken))
        else:
            if started is not None:
                await self._bring(started, codec, receive, send)

    async def _bring(self, started: Started, codec: TwilioCodec, receive: Receive, send: Send) -> None:
        """Bring a stream to the desk, and serve it until it is gone."""
        call_id = started.call_sid
        leg = TwilioLeg(started, codec, self._calls, self._config)
        events = None if self._calls.is_over(call_id) else await self._connect(leg, started)
        if events is None:
            _log.warning("socket_refused", extra={"carrier": CARRIER, "call_id": call_id, "why": "desk"})
            leg.gone()
            leg.settled()
            await _close(send, POLICY, "refused")
            return
        await self._serve(leg, codec, events, receive, send)

    async def _connect(self, leg: TwilioLeg, started: Started) -> LegEvents | None:
        """Ask the desk. What comes meanwhile waits in the server's queue."""
        call_id, own = started.call_sid, started.parameters
        shows_token = self._calls.is_token(call_id, own.get("token", ""))
        call = self._calls.get(call_id)
        trigger = call_started(started, caller=call.caller if call else "", called=call.called if call else "")
        is_news = shows_token and call is None  # our TwiML, from before a restart or from another node
        if is_news:
            call = self._calls.see(call_id, caller=trigger.caller, called=trigger.called)
        if call is not None:
            call.connected = True
        proof = shows_token or bool(self._config.auth_token)
        again = shows_token and bool(own.get("again"))
        events = await self._desk.connect(leg, trigger, call_id=call_id, proof=proof, again=again)
        if events is None and is_news:
            self._calls.forget(call_id)
        return events

    async def _serve(self, leg: TwilioLeg, codec: TwilioCodec, events: LegEvents, receive: Receive, send: Send) -> None:
        reason = _End("the server stops")
        lifetime = asyncio.timeout(None)
        writer = asyncio.create_task(_write(leg, send, lifetime), name=f"twilio writer {leg.stream_id}")
        try:
            async with lifetime:
                reason = await _read(codec, events, receive)
                if reason.close_code is not None:
                    leg.close(reason.text, code=reason.close_code)
                    await asyncio.wait([writer])
        except TimeoutError:
            reason = _End("the peer does not answer")
        finally:
            leg.gone()
            writer.cancel()
            with suppress(asyncio.CancelledError):
                await writer
            try:
                events.on_closed(leg.reason or reason.text)
            finally:
                leg.settled()


class _End(NamedTuple):
    """Why a socket ends; `close_code` if it is for us to close it."""

    text: str
    close_code: int | None = None


def media_app(config: TwilioConfig, desk: CallDesk, calls: TwilioCalls) -> TwilioMedia:
    """Return the application that serves every path of `MEDIA_PATHS`."""
    return TwilioMedia(config, desk, calls)


async def _start(receive: Receive, codec: TwilioCodec) -> Started | None:
    """Return the stream's start, or None if the peer leaves first."""
    while (text := await _text(receive)) is not None:
        if isinstance(event := codec.receive(text), Started):
            return event
    return None


async def _read(codec: TwilioCodec, events: LegEvents, receive: Receive) -> _End:
    """Forward what comes until the socket is gone, or its peer breaks the protocol; return why."""
    try:
        while (text := await _text(receive)) is not None:
            _forward(codec.receive(text), events)
    except ProtocolError as broken:
        return _End(str(broken), broken.close_code)
    return _End("the peer closed")


def _forward(event: Event | None, events: LegEvents) -> None:
    if type(event) is Media:
        events.on_audio(event.payload, event.timestamp_ms)
    elif isinstance(event, Mark):
        events.on_mark(event.name)
    elif event is not None and (trigger := to_trigger(event)) is not None:
        events.on_trigger(trigger)


async def _text(receive: Receive) -> str | None:
    """Return the next text frame, or None at the end."""
    message = await receive()
    text: str | None = message.get("text")
    if text is None and message["type"] != "websocket.disconnect":
        raise ProtocolError("a binary frame", peer=CARRIER, close_code=_UNSUITABLE)
    return text


async def _write(leg: TwilioLeg, send: Send, lifetime: asyncio.Timeout) -> None:
    try:
        said_good_bye = await leg.write(send)
    except OSError:  # the peer went first: the reader hears of it too (ASGI, "WebSocket: send after disconnect")
        return
    lifetime.reschedule(asyncio.get_running_loop().time() + (_GOOD_BYE_S if said_good_bye else 0))


async def _refuse(scope: dict[str, Any], send: Send) -> None:
    """Refuse a handshake: with a reason where the server can say one, else as the server does (403)."""
    if "websocket.http.response" in scope.get("extensions", {}):
        await _answer(send, "websocket.http.response", 403, b"X-Twilio-Signature is missing or wrong.\n")
    else:
        await send({"type": "websocket.close", "code": POLICY})


async def _answer(send: Send, kind: str, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": f"{kind}.start", "status": status, "headers": headers})
    await send({"type": f"{kind}.body", "body": body})


async def _close(send: Send, code: int, reason: str) -> None:
    with suppress(OSError):  # the peer may have gone
        await send({"type": "websocket.close", "code": code, "reason": reason[:120]})
