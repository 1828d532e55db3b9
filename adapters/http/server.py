"""The process's one port: uvicorn, with a drain between the signal and the end."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Awaitable, Callable
from types import FrameType

import uvicorn

from adapters.carriers.websocket_server import MediaWebSocket
from adapters.http.app import AsgiApp
from fsm.errors import SettingError

__all__ = ["DrainingServer", "bind"]

log = logging.getLogger(__name__)
_LARGEST_MESSAGE = 256 * 1024  # bytes of one WebSocket message; carriers send less than 1 KiB


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        SettingError: the address cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SettingError(f"cannot listen on {host}:{port}: {reason}; set CALLCHART_HOST or CALLCHART_PORT") from error


class DrainingServer(uvicorn.Server):
    """Serves `app` until a signal; then `drain` runs, with the port still open, and a second signal cuts it short.

    Args:
        listening: told the URL once requests are served.
    """

    def __init__(self, app: AsgiApp, *, drain: Callable[[], Awaitable[None]], listening: Callable[[str], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                ws=MediaWebSocket,
                ws_per_message_deflate=False,
                ws_max_size=_LARGEST_MESSAGE,
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=3,
                lifespan="off",
                server_header=False,
            )
        )
        self._drain = drain
        self._listening = listening
        self._draining: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._loop = asyncio.get_running_loop()
        for listener in sockets or ():
            host, port = listener.getsockname()[:2]
            self._listening(f"http://{f'[{host}]' if ':' in host else host}:{port}")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal: drain; at the second one stop at once. It is not raised again: a drained process exits 0."""
        if self._draining is not None or self._loop is None:
            self.should_exit = self.force_exit = True
            return
        log.info("draining", extra={"signal": signal.Signals(sig).name})
        self._loop.call_soon_threadsafe(self._begin_drain)

    def _begin_drain(self) -> None:
        if self._draining is None:
            self._draining = asyncio.create_task(self._drain_then_exit())

    async def _drain_then_exit(self) -> None:
        try:
            await self._drain()
        except Exception:  # the boundary of the process: it ends, whatever went wrong before
            log.exception("drain_failed")
        self.should_exit = True
