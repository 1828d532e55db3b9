"""One media socket of one call: what is to be sent, in order, by one writer; and how it is closed.

How this works: methods put commands into a bounded queue and return. The writer encodes and sends them one after the
other; the server lets it wait while the peer does not read. A peer that leaves one message unread for too long, or
lets too much pile up, is let go. `clear` takes back what has not been sent, so that a barge-in never waits behind
audio.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any, TypeAlias

from adapters.carriers.contract import MediaFormat
from adapters.carriers.twilio.calls import TwilioCalls
from adapters.carriers.twilio.codec import Clear, Command, Mark, Play, Started, TwilioCodec
from adapters.carriers.twilio.config import TwilioConfig
from adapters.carriers.twilio.translate import CARRIER
from adapters.carriers.twilio.twiml import dialable
from fsm.errors import PortError

__all__ = ["Message", "Send", "TwilioLeg"]

Message: TypeAlias = MutableMapping[str, Any]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

NORMAL, POLICY = 1000, 1008  # RFC 6455 section 7.4.1
_ENVELOPE = 100  # characters around a payload, about
_CLOSE_S = 1.0  # how long the last message, and then the peer's good-bye, may take
_MAX_REASON = 120  # bytes of a close frame's reason, RFC 6455 section 5.5


class TwilioLeg:
    """`Leg` of Twilio. Its endpoint runs `write` beside its reader."""

    carrier = CARRIER
    media_format = MediaFormat("pcmu", 8000)

    def __init__(self, started: Started, codec: TwilioCodec, calls: TwilioCalls, config: TwilioConfig) -> None:
        self.stream_id = started.stream_sid
        self.call_id = started.call_sid
        self.reason = ""
        """Why we closed the socket; empty while we have not."""
        self._codec = codec
        self._calls = calls
        self._config = config
        self._queue: deque[Command] = deque()
        self._waiting = 0
        self._wake = asyncio.Event()
        self._code: int | None = None
        self._sending: asyncio.Timeout | None = None
        self._closed = asyncio.Event()

    @property
    def can_return(self) -> bool:
        return self._calls.get(self.call_id) is not None  # its `action` URL is ours

    def play(self, payload: str) -> None:
        self._put(Play(payload))

    def mark(self, name: str) -> None:
        self._put(Mark(name))

    def clear(self) -> None:
        if self._code is None:
            # Marks go out all the same: whoever waits for one gets it back, and knows that it does not count.
            self._queue = deque(command for command in self._queue if not isinstance(command, Play))
            self._waiting = sum(map(_size, self._queue))
            self._put(Clear())

    def close(self, reason: str = "", *, code: int = NORMAL) -> None:
        """Begin to close the socket; what is queued is not sent any more."""
        if self._code is not None:
            return
        self._code, self.reason = code, reason or "closed"
        self._queue.clear()
        self._wake.set()
        if self._sending is not None and not self._sending.expired():
            self._sending.reschedule(_loop_time() + _CLOSE_S)

    async def hang_up(self) -> None:
        call = self._calls.get(self.call_id)
        if call is not None:
            call.hanging_up = True
        self.close("hang_up")
        await self.wait_closed()

    async def transfer(self, target: str) -> None:
        address = dialable(target)
        if self._code is not None:
            return
        call = self._calls.get(self.call_id)
        if call is None:
            raise PortError("our webhook never saw this call, so Twilio will not ask", port="carrier", retryable=False)
        call.transfer_target = address
        self.close("transfer")

    async def wait_closed(self) -> None:
        await self._closed.wait()

    # -- for its endpoint ----------------------------------------------------------------------------

    async def write(self, send: Send) -> bool:
        """Send what is queued until the leg is closed; tell whether the close frame, the last, could be sent."""
        with suppress(TimeoutError):
            while self._code is None:
                await self._wake.wait()
                self._wake.clear()
                async with asyncio.timeout(None) as self._sending:
                    await self._send_queued(send, self._sending)
                self._sending = None
        self._sending = None
        if self._code is None:
            self.close("the peer does not read", code=POLICY)
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await send({"type": "websocket.close", "code": self._code, "reason": self.reason[:_MAX_REASON]})
                return True
        return False

    def gone(self) -> None:
        """The socket is gone: nothing more is queued."""
        if self._code is None:
            self._code = NORMAL
        self._queue.clear()

    def settled(self) -> None:
        """Everything of this leg is gone."""
        self._closed.set()

    async def _send_queued(self, send: Send, stall: asyncio.Timeout) -> None:
        while self._queue:
            command = self._queue.popleft()
            self._waiting -= _size(command)
            stall.reschedule(_loop_time() + self._config.stall_timeout_s)
            await send({"type": "websocket.send", "text": self._codec.send(command)})

    def _put(self, command: Command) -> None:
        if self._code is not None:
            return
        self._queue.append(command)
        self._waiting += _size(command)
        self._wake.set()
        if self._waiting > self._config.queue_limit:
            self.close("the peer does not read", code=POLICY)


def _size(command: Command) -> int:
    return _ENVELOPE + (len(command.payload) if isinstance(command, Play) else 0)


def _loop_time() -> float:
    return asyncio.get_running_loop().time()
