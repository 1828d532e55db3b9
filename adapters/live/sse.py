"""Live events over plain HTTP, as server-sent events (HTML Living Standard, section 9.2)."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from adapters.live.watching import Told, Watcher
from fsm.errors import CallchartError

__all__ = ["EventStream"]

_SENDING = 10.0  # seconds that a client may take to read one message
_RETRY = b"retry: 2000\n\n"  # milliseconds after which a browser connects again


class EventStream(Response):
    """Streams what a watcher tells until it has nothing more to tell, or the client has left.

    A message's id is the event's id, so that a browser resumes by itself (`Last-Event-ID`); a heartbeat is a comment.
    """

    media_type = "text/event-stream"

    def __init__(self, watcher: Watcher) -> None:
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._watcher = watcher

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        if scope["method"] == "HEAD":
            self._watcher.close()
            await send({"type": "http.response.body", "body": b""})
            return
        gone = asyncio.create_task(_left(receive), name="event stream: reader")
        telling = asyncio.create_task(self._tell(send), name="event stream: writer")
        try:
            await asyncio.wait((gone, telling), return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            telling.cancel()
            await asyncio.gather(gone, telling, return_exceptions=True)
            self._watcher.close()

    async def _tell(self, send: Send) -> None:
        await _send(send, _RETRY)
        try:
            async with aclosing(self._watcher.messages()) as stream:
                async for told in stream:
                    await _send(send, _encode(told))
        except CallchartError:  # it lags, or the server stops: the browser connects again, with its last id
            pass
        except (TimeoutError, OSError):  # it does not read: the server cuts the connection
            return
        await _send(send, b"", more=False)


async def _send(send: Send, body: bytes, *, more: bool = True) -> None:
    async with asyncio.timeout(_SENDING):
        await send({"type": "http.response.body", "body": body, "more_body": more})


async def _left(receive: Receive) -> None:
    """Return once the client is gone; a body of its request is of no interest."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _encode(told: Told) -> bytes:
    """Return one event; JSON has no line breaks in it."""
    if told.kind == "heartbeat":
        return b": heartbeat\n\n"
    id = f"id: {told.id}\n" if told.id else ""
    return f"{id}data: {told.text}\n\n".encode()
