"""A real uvicorn server inside a test's own event loop, on a free port of loopback; works in virtual time.

`uvicorn.Server.serve` would install signal handlers and tick ten times a second, which makes virtual time run. So
only its start and its shutdown are used.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from adapters.carriers.websocket_server import MediaWebSocket

__all__ = ["running", "serve"]


@asynccontextmanager
async def serve(app: Any, **options: Any) -> AsyncIterator[str]:
    """Serve an ASGI application; yield `127.0.0.1:<port>`. Connections still open at the end are closed.

    Args:
        app: raw ASGI, Starlette, FastAPI.
        options: of `uvicorn.Config`, over those of a test.
    """
    async with running(app, **options) as server:
        host, port = server.servers[0].sockets[0].getsockname()[:2]
        yield f"{host}:{port}"


@asynccontextmanager
async def running(app: Any, **options: Any) -> AsyncIterator[uvicorn.Server]:
    """Serve as `serve` does, and yield the server itself: `server.server_state.connections` are those open."""
    settings: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": 0,
        "ws": MediaWebSocket,
        "ws_per_message_deflate": False,
        "lifespan": "off",
        "log_config": None,
        "timeout_graceful_shutdown": 5,
    }
    config = uvicorn.Config(app, **{**settings, **options})
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        yield server
    finally:
        await server.shutdown()
