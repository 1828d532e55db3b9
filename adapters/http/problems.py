"""Errors as RFC 9457 problem details: one shape for everything that is refused, whoever refuses it.

What is told is written for whoever asked. Of our own mistakes they learn no more than that there was one; the log has
the rest.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, TypeAlias

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from adapters.calls.contract import AlreadyThere, BadEvent, CallOver, Stale, UnknownCall, Unreachable
from adapters.http.access import Denied
from adapters.stores.contract import StoreAway
from fsm.errors import CallchartError

__all__ = ["MEDIA_TYPE", "PROBLEM_SCHEMA", "install", "problem", "problems"]

MEDIA_TYPE = "application/problem+json"
_RETRY_AFTER = "2"  # seconds; a store's breaker tries again about that often
_MOST_ERRORS = 20
_STATUS: Mapping[type[CallchartError], int] = {
    UnknownCall: 404,
    CallOver: 409,
    AlreadyThere: 409,
    Stale: 409,
    BadEvent: 422,
    Unreachable: 503,
    StoreAway: 503,
}
Handler: TypeAlias = Callable[[Request, Exception], Awaitable[Response]]

PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "title": "Problem",
    "description": "Problem details (RFC 9457).",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference", "examples": ["about:blank"]},
        "title": {"type": "string", "description": "The status in words."},
        "status": {"type": "integer", "description": "The status of HTTP."},
        "detail": {"type": "string", "description": "What is wrong, and what to change."},
        "errors": {
            "type": "array",
            "description": "Of 422: what does not fit, by its place in the body or the name of its parameter.",
            "items": {
                "type": "object",
                "required": ["detail"],
                "properties": {
                    "pointer": {"type": "string", "examples": ["#/segments/0/text"]},
                    "parameter": {"type": "string", "examples": ["limit"]},
                    "detail": {"type": "string"},
                },
            },
        },
        "current": {"type": "integer", "description": "Of 409 and 412: the version of the metadata as they are."},
    },
}


def problem(
    status: int, detail: str, *, title: str = "", headers: Mapping[str, str] | None = None, **members: Any
) -> Response:
    """Return the answer that tells of a problem.

    Args:
        title: empty: the status in words.
        members: more of them, as RFC 9457 section 3.2 lets a problem have.
    """
    said = {"type": "about:blank", "title": title or _phrase(status), "status": status, "detail": detail, **members}
    sent = {"Cache-Control": "no-store", **(headers or {})}
    return Response(orjson.dumps(said, default=str), status_code=status, headers=sent, media_type=MEDIA_TYPE)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what a route's documentation says of these statuses."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"description": _phrase(status), "content": {MEDIA_TYPE: {"schema": schema}}} for status in statuses
    }


def install(api: FastAPI) -> None:
    """Have `api` answer every error in this shape."""
    for kind, status in _STATUS.items():
        api.add_exception_handler(kind, _of_status(status))
    api.add_exception_handler(Denied, _denied)
    api.add_exception_handler(HTTPException, _http)
    api.add_exception_handler(RequestValidationError, _invalid)
    api.add_exception_handler(Exception, _broken)


def _of_status(status: int) -> Handler:
    async def answer(request: Request, error: Exception) -> Response:
        headers = {"Retry-After": _RETRY_AFTER} if status == 503 else None
        members: dict[str, Any] = {"current": error.current} if isinstance(error, Stale) else {}
        return problem(status, str(error), headers=headers, **members)

    return answer


async def _denied(request: Request, error: Exception) -> Response:
    assert isinstance(error, Denied)
    return problem(error.status, error.detail, title=error.title, headers=error.headers)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code < 400:
        return Response(status_code=error.status_code, headers=error.headers)
    detail = _WORDS.get(error.status_code) or str(error.detail)
    headers = {"Allow": ", ".join(_methods(request))} if error.status_code == 405 else error.headers
    return problem(error.status_code, detail, headers=headers)


def _methods(request: Request) -> list[str]:
    """Return every method that this address takes; a route by itself knows only its own."""
    return [
        method
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in request.app.routes)
    ]


async def _invalid(request: Request, error: Exception) -> Response:
    """What was sent cannot be read (400, 415), or can, and does not fit (422)."""
    assert isinstance(error, RequestValidationError)
    errors = error.errors()
    if errors and errors[0]["type"] == "json_invalid":
        return problem(400, f"the body is not JSON: {errors[0].get('ctx', {}).get('error', 'it cannot be read')}")
    if isinstance(error.body, bytes) and error.body:
        return problem(415, "send the body as Content-Type: application/json")
    said = [_place(found) for found in errors[:_MOST_ERRORS]]
    first = said[0] if said else {"detail": ""}
    where = first.get("parameter") or first.get("pointer") or "the request"
    return problem(422, f"{where}: {first['detail']}", errors=said)


async def _broken(request: Request, error: Exception) -> Response:
    """Our own mistake: the log has it, whoever asked learns nothing of our inside."""
    return problem(500, _WORDS[500])


_WORDS: Mapping[int, str] = {
    404: "there is nothing at this address; /api/docs tells what there is",
    405: "this address takes other methods; see Allow",
    500: "this is our mistake; the log tells more",
}


def _place(found: Mapping[str, Any]) -> dict[str, str]:
    """Return where something does not fit, and why; never what was sent there."""
    part, *path = [str(step) for step in found["loc"]]
    detail = str(found["msg"]).removeprefix("Value error, ")  # pydantic's word for what our own checks say
    if part == "body":
        escaped = [step.replace("~", "~0").replace("/", "~1")[:100] for step in path]  # RFC 6901 section 3
        return {"pointer": "/".join(["#", *escaped]), "detail": detail}
    return {"parameter": path[0] if path else part, "detail": detail}


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
