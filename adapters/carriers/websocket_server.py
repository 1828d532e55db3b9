"""uvicorn's sans-I/O WebSocket, except that a peer that has stopped to read cannot keep a closed socket open.

uvicorn closes a connection once everything written has been sent, which a peer that does not read prevents for ever.
Here the connection is cut some seconds after its application has returned.

And a handshake that its application has refused with a response counts as completed: uvicorn logs an error for each.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

__all__ = ["MediaWebSocket"]

_LINGER_S = 15.0  # longer than uvicorn waits for the other side's close frame


class MediaWebSocket(WebSocketsSansIOProtocol):
    """For `uvicorn.Config(ws=MediaWebSocket)`."""

    _cut: asyncio.TimerHandle | None = None

    async def run_asgi(self) -> None:
        await super().run_asgi()
        if self.disconnected:
            return
        self._cut = self.loop.call_later(_LINGER_S, self.transport.abort)

    async def send(self, message: Any) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._cut is not None:
            self._cut.cancel()
