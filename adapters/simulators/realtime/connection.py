"""One socket of the simulated model: carries a conversation's events, and breaks as it is told to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request

from adapters.simulators.realtime.conversation import Conversation
from adapters.simulators.realtime.faults import Faults
from adapters.simulators.realtime.script import Progress
from adapters.simulators.realtime.session import Session
from adapters.simulators.tcp import reset

__all__ = ["TIME_LIMIT", "Connection"]

TIME_LIMIT = "Your session hit the maximum duration of 60 minutes."
_BETA = "invalid_request_error.beta_api_shape_disabled"


class Connection:
    """One client.

    Attributes:
        path: what was asked for, with the query string.
        headers: of the handshake, names in small letters.
        received: each event of the client; text that is not JSON as it came.
        sent: each event sent.
        is_open: whether the socket is.
        close_code: how it was closed, once it is (1006: without a close frame).
        lasts_s: when the session's time is over.
    """

    def __init__(
        self,
        socket: ServerConnection,
        request: Request,
        session: Session,
        progress: Progress,
        faults: Faults,
        speed: float,
        changed: Callable[[], None],
    ) -> None:
        self.socket = socket
        self.path = request.path
        self.headers = {name.lower(): value for name, value in request.headers.raw_items()}
        self.received: list[Any] = []
        self.sent: list[dict[str, Any]] = []
        self.is_open = False
        self.close_code: int | None = None
        self.lasts_s = 3600.0
        self.conversation = Conversation(self._send, progress, session, speed, faults)
        self._faults = faults
        self._changed = changed
        self._outbox: asyncio.Queue[str] = asyncio.Queue()
        self._closing: list[asyncio.Task[None]] = []
        self._mute = False

    async def run(self) -> None:
        """Carry the session until the socket is closed."""
        self.is_open = True
        self._changed()
        writer = asyncio.create_task(self._write())
        timers = self._set_timers()
        try:
            await self._begin()
            await self._read()
        finally:
            for timer in timers:
                timer.cancel()
            writer.cancel()
            await asyncio.gather(writer, *self._closing, self.conversation.aclose(), return_exceptions=True)
            await self.socket.wait_closed()
            self.is_open = False
            self.close_code = self.socket.close_code
            self._changed()

    async def _begin(self) -> None:
        if "openai-beta" in self.headers:
            await self.socket.close(4000, _BETA)
        elif self._faults.close_before_created:
            await self.socket.close(1011, "")
        elif not self._faults.no_created:
            self.conversation.open()

    async def _read(self) -> None:
        with suppress(ConnectionClosed):  # an end like any other: `close_code` tells
            async for message in self.socket:
                self._receive(message)
                self._changed()

    def _receive(self, message: str | bytes) -> None:
        try:
            event = json.loads(message)
        except ValueError:
            self.received.append(message)
            self.conversation.receive({})
            return
        self.received.append(event)
        self.conversation.receive(event)

    async def _write(self) -> None:
        with suppress(ConnectionClosed):
            while True:
                await self.socket.send(await self._outbox.get())

    def _send(self, event: dict[str, Any]) -> None:
        if self._mute:
            return
        text = json.dumps(event)  # now: an item's body may change before it is sent
        for _ in range(2 if self._faults.duplicate_events else 1):
            self.sent.append(json.loads(text))
            self._outbox.put_nowait(text)
        self._changed()

    def _set_timers(self) -> list[asyncio.TimerHandle]:
        faults, conversation = self._faults, self.conversation
        planned: list[tuple[float | None, Callable[[], None]]] = [
            (self.lasts_s, lambda: self._close(1001, TIME_LIMIT)),
            (faults.time_limit_at_s, lambda: self._close(1001, TIME_LIMIT)),
            (faults.expired_at_s, self._expire),
            (faults.close_at_s, lambda: self._close(1011, "")),
            (faults.abort_at_s, lambda: reset(self.socket.transport)),
            (faults.stall_at_s, self._stall),
            (faults.server_error_at_s, lambda: conversation.fail("server_error", None, "The server had an error.")),
            (faults.malformed_at_s, lambda: self._outbox.put_nowait('{"type": "response.output_audio.delta", "del')),
            (faults.unknown_event_at_s, lambda: conversation.emit("response.pondered", thoughts=3)),
            (faults.phantom_speech_at_s, conversation.pretend_speech),
        ]
        loop = asyncio.get_running_loop()
        return [loop.call_later(at_s, act) for at_s, act in planned if at_s is not None]

    def _stall(self) -> None:
        self._mute = True

    def _expire(self) -> None:
        self.conversation.fail("invalid_request_error", "session_expired", TIME_LIMIT)
        self._close(1000, "")

    def _close(self, code: int, reason: str) -> None:
        """Close after what is still to be sent."""
        self._closing.append(asyncio.create_task(self._flush_and_close(code, reason)))

    async def _flush_and_close(self, code: int, reason: str) -> None:
        with suppress(ConnectionClosed):
            while not self._outbox.empty():
                await self.socket.send(self._outbox.get_nowait())
            await self.socket.close(code, reason)
