"""One port for everything: media sockets go straight to their carrier, the rest to the API and the webhooks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias

from fastapi import FastAPI, Request, Response
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute

from fsm.manager import SessionManager

__all__ = ["AsgiApp", "build_api", "dispatch"]

Scope: TypeAlias = dict[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Any]]
Send: TypeAlias = Callable[[Any], Awaitable[None]]
AsgiApp: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]


def build_api(manager: SessionManager, routes: Sequence[BaseRoute]) -> FastAPI:
    """Return the HTTP side: health, and the carriers' webhooks."""
    api = FastAPI(title="callchart", docs_url="/api/docs", redoc_url=None, openapi_url="/api/openapi.json")
    api.router.routes.extend(routes)

    @api.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> Response:
        """Our own mistake: the log has it, the caller of the API learns nothing of our inside."""
        return JSONResponse({"detail": "Internal Server Error"}, status_code=500)

    @api.head("/livez", include_in_schema=False)
    @api.head("/healthz", include_in_schema=False)
    @api.get("/livez", summary="The process runs")
    @api.get("/healthz", include_in_schema=False)
    async def livez() -> dict[str, str]:
        return {"status": "ok"}

    @api.head("/readyz", include_in_schema=False)
    @api.get("/readyz", summary="New calls are welcome")
    async def readyz(response: Response) -> dict[str, str]:
        if manager.draining:
            response.status_code = 503
            return {"status": "draining"}
        return {"status": "ok"}

    @api.get("/api/health", summary="This node's calls, those that wait for their carrier too")
    async def health() -> dict[str, Any]:
        calls = manager.call_ids()
        return {
            "status": "draining" if manager.draining else "ok",
            "sessions": {"active_count": len(calls), "uuids": calls},
            "slots": {"taken": manager.slots_taken, "of": manager.max_calls},
        }

    return api


def dispatch(api: AsgiApp, sockets: Mapping[str, AsgiApp]) -> AsgiApp:
    """Return an app that serves `sockets` (path to raw ASGI app) and leaves everything else to `api`.

    An ordinary request to a media path goes there too: it is told that only a WebSocket is served. Media do not pass
    through the API's framework: it costs a third of the calls a core can carry.
    """

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        media = sockets.get(scope.get("path", "").rstrip("/"))
        await (api if media is None else media)(scope, receive, send)

    return app
