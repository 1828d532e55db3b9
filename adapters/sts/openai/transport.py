"""The socket to the model, behind a port small enough that a faster client can take its place.

The one file here that touches a socket. By default it is the `websockets` library: RFC 6455, TLS, proxies, pings.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Protocol, TypeAlias
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.protocol import State

from adapters.sts.openai.config import OpenAiConfig
from adapters.sts.openai.faults import Unreachable, status_fault

__all__ = ["Connect", "Disconnected", "Transport", "connect_websocket", "model_url"]

_MOST_UNSENT = 4 * 1024 * 1024  # bytes, a minute of the widest audio: the peer has stopped reading
_UNSEEN = 1006  # RFC 6455 7.4.1: the socket is gone without a close frame


class Disconnected(Exception):
    """The socket is gone. `code` and `reason` are those of the close frame, 1006 and empty without one."""

    def __init__(self, code: int = _UNSEEN, reason: str = "") -> None:
        self.code = code
        self.reason = reason
        super().__init__(f"closed {code}")


class Transport(Protocol):
    """One open WebSocket that carries text messages."""

    def send(self, message: str) -> None:
        """Queue a message; after the socket is gone this does nothing."""
        ...

    async def receive(self) -> str:
        """Return the next message.

        Raises:
            Disconnected: there will be none.
        """
        ...

    def abort(self) -> None:
        """Cut the socket."""
        ...

    async def close(self) -> None:
        """Close with a handshake, or cut if that takes too long; return once socket and tasks are gone."""
        ...


Connect: TypeAlias = Callable[[str, Mapping[str, str], OpenAiConfig], Awaitable[Transport]]
"""Opens a socket: URL, headers, time limits. Raises `Unreachable`."""


def model_url(url: str, model: str) -> str:
    """Return `url` with `model` in its query, behind what is there; a `model` that it names itself is replaced."""
    parts = urlsplit(url)
    query = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name != "model"]
    return urlunsplit(parts._replace(query=urlencode([*query, ("model", model)])))


async def connect_websocket(url: str, headers: Mapping[str, str], config: OpenAiConfig) -> Transport:
    """Open a WebSocket with `websockets`. Pings find a dead peer within two intervals; nothing is compressed.

    Raises:
        Unreachable: no socket, or the server refused the handshake.
    """
    try:
        connection = await connect(
            url,
            additional_headers=dict(headers),
            user_agent_header=None,
            compression=None,
            max_size=config.max_message,
            open_timeout=config.connect_timeout,
            close_timeout=config.close_timeout,
            ping_interval=config.ping_interval,
            ping_timeout=config.ping_interval,
            proxy=None if _is_loopback(url) else True,
            logger=_without_headers(),
        )
    except InvalidStatus as error:
        raise status_fault(error.response.status_code) from error
    except TimeoutError as error:
        raise Unreachable("connect_timed_out") from error
    except (OSError, EOFError, WebSocketException) as error:
        raise Unreachable("connect_failed") from error
    return _Websocket(connection, config.close_timeout)


def _is_loopback(url: str) -> bool:
    """Whether the server is on this machine, to which no proxy of the environment leads."""
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def _without_headers() -> logging.Logger:
    """The library writes every header at level DEBUG, and one of ours is the key."""
    log = logging.getLogger(f"{__name__}.websockets")
    log.setLevel(logging.WARNING)
    return log


class _Websocket:
    """A `websockets` connection (asyncio sets TCP_NODELAY on it).

    The library's own `send` is a coroutine, which would cost a task's turn for each 20 ms of a caller. A frame is
    handed to its protocol object and the socket at once instead; nothing else writes messages to them.
    """

    def __init__(self, connection: ClientConnection, close_timeout: float) -> None:
        self._connection = connection
        self._close_timeout = close_timeout

    def send(self, message: str) -> None:
        connection = self._connection
        if connection.protocol.state is not State.OPEN or connection.transport.is_closing():
            return
        connection.protocol.send_text(message.encode())
        connection.send_data()
        if connection.transport.get_write_buffer_size() > _MOST_UNSENT:
            self.abort()

    async def receive(self) -> str:
        try:
            while True:
                message = await self._connection.recv()
                if isinstance(message, str):
                    return message
        except ConnectionClosed as closed:
            frame = closed.rcvd
            raise Disconnected(*((frame.code, frame.reason) if frame else ())) from closed

    def abort(self) -> None:
        self._connection.transport.abort()

    async def close(self) -> None:
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._close_timeout):
                    await self._connection.close()
        finally:
            self._connection.transport.abort()
        await self._connection.wait_closed()
