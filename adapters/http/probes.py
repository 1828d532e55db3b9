"""What load balancers and monitors ask: whether the process runs, whether it takes calls, and which it has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Response

from adapters.http.api.guarded import Guarded, documented, json_answer
from adapters.http.api.shapes import AsteriskStatus, Health, Status
from adapters.http.problems import problems
from fsm.manager import SessionManager

__all__ = ["node_routes", "probes"]


def probes(manager: SessionManager, store_away: Callable[[], bool]) -> APIRouter:
    """Return the routes that anybody may ask."""
    routes = APIRouter(tags=["node"])

    @routes.head("/livez", include_in_schema=False)
    @routes.head("/healthz", include_in_schema=False)
    @routes.get("/livez", summary="The process runs", responses={200: {"model": Status}})
    @routes.get("/healthz", include_in_schema=False)
    async def livez() -> dict[str, str]:
        return {"status": "ok"}

    ready: dict[int | str, dict[str, Any]] = {
        200: {"model": Status},
        503: {"model": Status, "description": "The process drains"},
    }

    @routes.head("/readyz", include_in_schema=False)
    @routes.get("/readyz", summary="New calls are welcome", responses=ready)
    async def readyz(response: Response) -> dict[str, str]:
        if manager.draining:
            response.status_code = 503
            return {"status": "draining"}
        return {"status": "degraded", "store": "away"} if store_away() else {"status": "ok"}

    return routes


def node_routes(manager: SessionManager) -> APIRouter:
    """Return the routes that tell of this node to those who may look."""
    routes = APIRouter(tags=["node"], route_class=Guarded, responses=problems(401, 403, 429, 500))

    @routes.get("/api/health", response_model=None, responses=documented(Health), summary="This node's calls")
    async def health() -> Response:
        """Tell which calls this node has; those that wait for their carrier too."""
        calls = manager.call_ids()
        said: dict[str, Any] = {
            "status": "draining" if manager.draining else "ok",
            "sessions": {"active_count": len(calls), "uuids": calls},
            "slots": {"taken": manager.slots_taken, "of": manager.max_calls},
        }
        return json_answer(said)

    @routes.get("/asterisk/status", response_model=None, responses=documented(AsteriskStatus))
    async def asterisk_status() -> Response:
        """Tell how Asterisk is connected: this version has no carrier for it."""
        return json_answer({"status": "not_configured", "enabled": False, "active_calls": 0})

    return routes
