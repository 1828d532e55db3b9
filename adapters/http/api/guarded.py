"""What all routes of the API share: who may ask is checked before a body is read, and bodies are read strictly."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.convertors import StringConvertor, register_url_convertor

from adapters.calls.contract import Calls
from adapters.http.access import Access
from adapters.http.api.shapes import RESERVED
from adapters.http.problems import problems

__all__ = ["Api", "Asked", "Guarded", "Looking", "TheCalls", "api_of", "documented", "json_answer", "router"]


@dataclass(frozen=True, slots=True)
class Api:
    """What routes need of the process, at `app.state.api`."""

    access: Access
    calls: Calls | None


def api_of(request: Request) -> Api:
    """Return what the routes of this application need."""
    api: Api = request.app.state.api
    return api


async def _calls(request: Request) -> Calls:
    """Async, or it would be run in a thread."""
    calls = api_of(request).calls
    assert calls is not None  # these routes are served with it only
    return calls


TheCalls = Annotated[Calls, Depends(_calls)]


class _CallId(StringConvertor):
    """One step of a path that is no address of its own under `/calls/`."""

    regex = f"(?!(?:{'|'.join(sorted(RESERVED))})(?:/|$))[^/]+"


register_url_convertor("call", _CallId())


class Asked(Request):
    """A request whose body is read as RFC 8259 has it: no NaN, no lone surrogates, no endless nesting."""

    async def json(self) -> Any:
        if not hasattr(self, "_json"):
            self._json = orjson.loads(await self.body())
        return self._json


class Guarded(APIRoute):
    """A route for those who may look; if it takes more than GET, for those who may steer."""

    looking = False
    """Whether it only looks, whatever its method."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        serve = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            control = request.method != "GET" and not self.looking
            call_id = request.path_params.get("call_id")
            api_of(request).access.check(request.scope, control=control, call_id=call_id, tickets=False)
            return await serve(Asked(request.scope, request.receive))

        return guarded


class Looking(Guarded):
    """A route for those who may look, whatever its method."""

    looking = True


def router(*, route_class: type[APIRoute] = Guarded, tag: str) -> APIRouter:
    """Return a router whose routes may answer what all of them may."""
    return APIRouter(prefix="/api/v1", route_class=route_class, tags=[tag], responses=problems(401, 403, 429, 500, 503))


def documented(
    model: type[BaseModel], *statuses: int, status: int = 200, description: str = "As asked"
) -> dict[int | str, dict[str, Any]]:
    """Return what a route answers, for its documentation; what it sends is not checked against it again."""
    return {status: {"model": model, "description": description}, **problems(*statuses)}


def json_answer(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer. Nobody on the way may keep it: calls change, and are confidential."""
    return Response(
        orjson.dumps(content, default=_plain),
        status_code=status,
        headers={"Cache-Control": "no-store", **(headers or {})},
        media_type="application/json",
    )


def _plain(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else str(value)
