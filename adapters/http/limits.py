"""What the API lets in: from which pages, how often, and how much. Carriers' sockets never come this way.

Each is plain ASGI around the API. Rate and origin are asked under `/api` only: a carrier's webhook is never too many.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from ipaddress import IPv6Address, ip_address
from typing import Any, TypeAlias

from starlette.exceptions import HTTPException

from adapters.http.access import Access, Denied
from adapters.http.problems import problem
from adapters.live.pace import Pace

__all__ = ["LARGEST_BODY", "BodyLimit", "OriginCheck", "RateLimit", "is_api"]

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

LARGEST_BODY = 1024 * 1024
"""Bytes."""


def is_api(scope: Scope) -> bool:
    """Whether a request is one for the API, over HTTP."""
    path: str = scope.get("path", "")
    return scope["type"] == "http" and path.startswith(("/api/", "/asterisk/"))


class RateLimit:
    """Answers 429 to a client that asks too often. A client is a token of ours, else an address.

    Args:
        pace: a bucket for each client.
    """

    def __init__(self, app: App, *, access: Access, pace: Pace) -> None:
        self._app = app
        self._access = access
        self._pace = pace

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if is_api(scope) and not self._pace.allows(_network(self._access.identity(scope))):
            detail = "too many requests; wait a second (CALLCHART_API_RATE tells how many a client may make in one)"
            await problem(429, detail, headers={"Retry-After": "1"})(scope, receive, send)
        else:
            await self._app(scope, receive, send)


class OriginCheck:
    """Answers 403 to pages of other origins, before anything else is looked at; preflights too."""

    def __init__(self, app: App, *, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if is_api(scope):
            try:
                self._access.check_origin(scope)
            except Denied as denied:
                await problem(denied.status, denied.detail)(scope, receive, send)
                return
        await self._app(scope, receive, send)


class BodyLimit:
    """Answers 413 to a body of more than `largest` bytes: before it is read if it says so, else as soon as it is."""

    def __init__(self, app: App, *, largest: int = LARGEST_BODY) -> None:
        self._app = app
        self._largest = largest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        detail = f"the body is too large; at most {self._largest} bytes are taken"
        if _announced(scope) > self._largest:
            await problem(413, detail, headers={"Connection": "close"})(scope, receive, send)
            return
        taken = 0

        async def counted() -> MutableMapping[str, Any]:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._largest:
                raise HTTPException(413, detail)
            return message

        await self._app(scope, counted, send)


def _announced(scope: Scope) -> int:
    lengths = [value for name, value in scope["headers"] if name == b"content-length"]
    return int(lengths[0][:18]) if lengths and lengths[0].isdigit() else 0


def _network(who: str) -> str:
    """Return the network that a client of IPv6 has to itself: it may use any address of a /64."""
    try:
        address = ip_address(who)
    except ValueError:
        return who
    return who if not isinstance(address, IPv6Address) else str(int(address) >> 64)
