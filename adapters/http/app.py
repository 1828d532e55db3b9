"""One port for everything: media sockets go straight to their carrier, the rest to the API and the webhooks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute

from adapters.calls.contract import Calls
from adapters.http.access import Access
from adapters.http.api.guarded import Api
from adapters.http.api.looking import looking
from adapters.http.api.steering import steering
from adapters.http.api.ticketing import ticketing
from adapters.http.described import described
from adapters.http.limits import BodyLimit, OriginCheck, RateLimit
from adapters.http.probes import node_routes, probes
from adapters.http.problems import install
from adapters.live.pace import Pace
from fsm.manager import SessionManager

__all__ = ["AsgiApp", "build_api", "dispatch"]

Scope: TypeAlias = dict[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Any]]
Send: TypeAlias = Callable[[Any], Awaitable[None]]
AsgiApp: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]


def build_api(
    manager: SessionManager,
    routes: Sequence[BaseRoute],
    *,
    calls: Calls | None = None,
    access: Access | None = None,
    rate: int = 50,
    burst: int = 0,
    store_away: Callable[[], bool] = lambda: False,
) -> FastAPI:
    """Return the HTTP side: health, the API, and what else is served.

    Args:
        manager: of this node's calls.
        routes: of carriers' webhooks and live streams; they come before those of the API.
        calls: of all nodes; None: `/api/v1` is not served.
        access: who may ask; None: only this machine.
        rate: requests to the API that a client may make in a second.
        burst: how many at once; 0: four seconds' worth.
        store_away: whether the store cannot be reached just now.
    """
    access = access or Access()
    api = FastAPI(
        title="callchart", version="1", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False
    )
    api.state.api = Api(access, calls)
    api.router.routes.extend(routes)
    api.include_router(probes(manager, store_away))
    api.include_router(node_routes(manager))
    api.include_router(described())
    if calls is not None:
        for router in (ticketing, looking, steering):
            api.include_router(router)
    install(api)
    _limit(api, access, Pace(manager.clock, burst=burst or 4 * rate, rate=rate))
    return api


def _limit(api: FastAPI, access: Access, pace: Pace) -> None:
    """Put the limits around `api`. The last one is the outermost: pages that may ask are told their limits, too."""
    api.add_middleware(BodyLimit)
    api.add_middleware(RateLimit, access=access, pace=pace)
    if access.origins:
        api.add_middleware(
            CORSMiddleware,
            allow_origins=sorted(access.origins),
            allow_methods=["GET", "POST", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "If-Match", "Last-Event-ID"],
            expose_headers=["ETag", "Location", "Retry-After", "Content-Disposition"],
        )
    api.add_middleware(OriginCheck, access=access)


def dispatch(api: AsgiApp, sockets: Mapping[str, AsgiApp]) -> AsgiApp:
    """Return an app that serves `sockets` (path to raw ASGI app) and leaves everything else to `api`.

    An ordinary request to a media path goes there too: it is told that only a WebSocket is served. Media do not pass
    through the API's framework: it costs a third of the calls a core can carry.
    """

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        media = sockets.get(scope.get("path", "").rstrip("/"))
        await (api if media is None else media)(scope, receive, send)

    return app
