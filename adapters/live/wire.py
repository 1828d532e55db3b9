"""One WebSocket of a browser: what goes out in order and in time, what comes in within bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

import orjson
from pydantic import ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect

from adapters.live.messages import FRONT, LARGEST, Bind, Configure, Ping, SessionUpdate, type_names
from adapters.live.pace import Pace
from adapters.live.watching import message
from fsm.clock import Clock
from fsm.document import iso
from fsm.errors import CallchartError
from fsm.names import did_you_mean

__all__ = ["BadMessage", "Close", "Gone", "Wire", "together"]

_SENDING = 10.0  # seconds that a peer may take to read one message
_BURST, _RATE = 40, 20.0  # messages of one peer, a second
_MISTAKES = 50  # messages that cannot be used, before the connection is closed
_TYPES = sorted(type_names(FRONT))


class Gone(CallchartError):
    """The peer is gone, or does not read."""


class Close(CallchartError):
    """The connection is to be closed."""

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        super().__init__(reason)


class BadMessage(CallchartError):
    """What a peer sent cannot be used; the text says what to send instead."""

    def __init__(self, code: str, text: str) -> None:
        self.code = code
        super().__init__(text)


class Wire:
    """An accepted WebSocket. Several may send; one receives."""

    def __init__(self, socket: WebSocket, clock: Clock) -> None:
        self._socket = socket
        self._clock = clock
        self._turn = asyncio.Lock()
        self._pace = Pace(clock, burst=_BURST, rate=_RATE)
        self._mistakes = 0

    async def send(self, text: str) -> None:
        """Send a message.

        Raises:
            Gone
        """
        try:
            async with asyncio.timeout(_SENDING), self._turn:
                await self._socket.send_text(text)
        except (TimeoutError, WebSocketDisconnect, RuntimeError, OSError) as error:
            raise Gone("the peer does not read") from error

    async def say(self, kind: str, call_id: str | None, data: Mapping[str, Any]) -> None:
        """Send a message that is no event of a call."""
        await self.send(message(kind, call_id, data))

    async def complain(self, code: str, text: str, call_id: str | None = None) -> None:
        """Say why something could not be done, and what to do."""
        await self.say("error", call_id, {"message": text, "code": code, "at": iso(self._clock.wall())})

    async def beat(self, call_id: str | None = None) -> None:
        """Send a sign of life."""
        await self.say("heartbeat", call_id, {"at": iso(self._clock.wall())})

    async def close(self, code: int, reason: str) -> None:
        """Close the socket, if the peer still reads."""
        try:
            async with asyncio.timeout(_SENDING), self._turn:
                await self._socket.close(code, reason[:100])
        except (TimeoutError, WebSocketDisconnect, RuntimeError, OSError):
            return

    async def serve(self, take: Callable[[Configure | SessionUpdate | Bind | Ping], Awaitable[None]]) -> None:
        """Have `take` use each message that comes. What cannot be used is answered with an `error`.

        Raises:
            Gone: the peer has left.
            Close: it sends nothing but what cannot be used.
        """
        while True:
            received = await self._socket.receive()
            if received["type"] != "websocket.receive":
                raise Gone("the peer has left")
            raw = received.get("text") or received.get("bytes") or ""
            try:
                await take(self._read(raw))
            except BadMessage as bad:
                self._mistakes += 1
                await self.complain(bad.code, str(bad))
                if self._mistakes >= _MISTAKES:
                    raise Close(1008, "too many messages that cannot be used") from bad

    def _read(self, raw: str | bytes) -> Configure | SessionUpdate | Bind | Ping:
        if not self._pace.allows():
            raise BadMessage("rate_limited", f"slower: {_RATE:.0f} messages a second at most")
        return _parse(raw)


def _parse(raw: str | bytes) -> Configure | SessionUpdate | Bind | Ping:
    if len(raw) > LARGEST:
        raise BadMessage("too_large", f"a message has {LARGEST} bytes at most")
    try:
        said = orjson.loads(raw)
    except ValueError:
        raise BadMessage("not_json", 'send JSON, such as {"type": "ping"}') from None
    if not isinstance(said, dict) or not isinstance(said.get("type"), str):
        raise BadMessage("no_type", f"send an object whose `type` is one of {', '.join(_TYPES)}")
    kind = said["type"]
    if kind not in _TYPES:
        hint = did_you_mean(kind[:40], _TYPES) or f"; use one of {', '.join(_TYPES)}"
        raise BadMessage("unknown_type", f"no message has the type {kind[:40]!r}{hint}")
    if kind in ("configure", "bind") and "data" not in said:
        inside = {name: value for name, value in said.items() if name not in ("type", "call_id")}
        said = {"type": kind, "call_id": said.get("call_id"), "data": inside}
    try:
        return FRONT.validate_python(said)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"][1:])[:80]
        raise BadMessage("invalid", f"{kind}: {where}: {first['msg']}"[:300]) from None


async def together(*parts: Coroutine[Any, Any, None]) -> None:
    """Run all parts until the first ends; end the others, and raise what the first has raised."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        done = [task for task in tasks if task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
