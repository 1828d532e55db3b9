"""The live side of a node, put together: the hub, the fronts, and the routes that serve them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from adapters.bus.contract import Bus
from adapters.bus.local import LocalBus
from adapters.calls.contract import Calls, UnknownCall
from adapters.http.access import Access, Denied
from adapters.http.problems import problem
from adapters.live.described import ALL_CALLS, ONE_CALL
from adapters.live.front_socket import FrontSocket
from adapters.live.fronts import By, Fronts, Key
from adapters.live.hub import Hub
from adapters.live.pace import Pace
from adapters.live.sockets import watch
from adapters.live.sse import EventStream
from adapters.live.watching import AllCalls, OneCall, Watcher
from adapters.live.wire import Wire
from fsm.clock import Clock
from fsm.errors import CallchartError
from fsm.observe import Journal

__all__ = ["ALL_CALLS", "FRONT", "ONE_CALL", "Live"]

FRONT = "/logs"
_BURST, _RATE = 20, 1.0  # connections of one client's fronts: at once, and a second from then on
_LONGEST = 128  # characters of an id, a number, a token

log = logging.getLogger(__name__)


class Live:
    """Everything that is told of calls while they happen.

    Made before the calls are (`hub` observes them and is their `FrontPort`, `fronts.claim` is asked for each), and
    given `calls` once these are there.

    Args:
        journal: says when the end of a call is durable; None: at once.
    """

    def __init__(self, *, clock: Clock, bus: Bus, journal: Journal | None = None) -> None:
        self.clock = clock
        self.hub = Hub(clock=clock, node=bus.node, journal=journal)
        self.fronts = Fronts(clock=clock)
        self._bus = bus
        self._connecting = Pace(clock, burst=_BURST, rate=_RATE)
        self._calls: Calls | None = None
        self._access: Access | None = None
        if not isinstance(bus, LocalBus):  # every step of every call would be written for nobody
            self.hub.publish = self._publish_events
        self.fronts.publish = self._publish_front
        bus.listen(self.heard)

    def routes(self, calls: Calls, access: Access) -> list[BaseRoute]:
        """Return the routes, to stand before those of the API: `/api/v1/calls/live` is no call's id."""
        self._calls, self._access = calls, access
        return [
            WebSocketRoute(ALL_CALLS, self._watch_all),
            Route(ALL_CALLS, self._stream_all, methods=["GET"]),
            WebSocketRoute(ONE_CALL, self._watch_one),
            Route(ONE_CALL, self._stream_one, methods=["GET"]),
            WebSocketRoute(FRONT, self._front),
        ]

    def hello(self) -> None:
        """Ask the other nodes what waits for calls; once the bus has started."""
        self.fronts.hello()

    async def aclose(self) -> None:
        """Tell the ends of calls that are still to be told, then end every stream; before the journal closes."""
        await self.hub.aclose()

    # -- the bus ---------------------------------------------------------------------------------

    def _publish_events(self, events: Sequence[tuple[str, int, int, str, Mapping[str, Any]]]) -> None:
        self._bus.publish(orjson.dumps({"live": events}, default=str))

    def _publish_front(self, said: Mapping[str, Any]) -> None:
        self._bus.publish(orjson.dumps(said, default=str))

    def heard(self, message: bytes) -> None:
        """Take what another node published; what is not for us is left to others."""
        try:
            said = orjson.loads(message)
            if "live" in said:
                self.hub.heard(said["live"])
            elif "front" in said:
                self.fronts.heard(said)
        except (ValueError, TypeError) as error:  # of another version, perhaps
            log.warning("bus_message_unreadable", extra={"error": type(error).__name__})

    # -- WebSockets ------------------------------------------------------------------------------

    async def _watch_one(self, socket: WebSocket) -> None:
        call_id = socket.path_params["call_id"]
        if await self._admit(socket, control=False, call_id=call_id):
            await watch(Wire(socket, self.clock), self._one(call_id, socket))

    async def _watch_all(self, socket: WebSocket) -> None:
        if await self._admit(socket, control=False, call_id=None):
            await watch(Wire(socket, self.clock), self._all(socket))

    async def _front(self, socket: WebSocket) -> None:
        try:
            self._known_access.check_origin(socket.scope)  # first: another's page must not use up what ours may
        except Denied as denied:
            await _refuse(socket, denied.status, denied.detail)
            return
        if not self._connecting.allows(_client(socket)):
            await _refuse(socket, 429, "slower: too many connections; wait a second before the next")
            return
        keys = [Key(by, value) for by in _BY if (value := socket.query_params.get(by, ""))]
        if len(keys) > 1 or any(not (_SHORTEST[key.by] <= len(key.value) <= _LONGEST) for key in keys):
            await _refuse(socket, 400, "name one of call_id, called, token (16 to 128 characters)")
            return
        key = keys[0] if keys else None
        bound = key.value if key is not None and key.by == "call_id" else None
        if admitted := await self._admit(socket, control=True, call_id=bound):
            wire = Wire(socket, self.clock)
            front = FrontSocket(wire, self.hub, self._known_calls, self.fronts, only=admitted.only)
            await front.serve(key, _last_id(socket))

    async def _admit(self, socket: WebSocket, *, control: bool, call_id: str | None) -> _Admitted | None:
        """Accept a socket, or refuse it."""
        try:
            only = self._known_access.check(socket.scope, control=control, call_id=call_id)
        except Denied as denied:
            await _refuse(socket, denied.status, denied.detail)
            return None
        await socket.accept()
        return _Admitted(only)

    # -- server-sent events ----------------------------------------------------------------------

    async def _stream_one(self, request: Request) -> Response:
        call_id = request.path_params["call_id"]
        return await self._stream(request, call_id)

    async def _stream_all(self, request: Request) -> Response:
        return await self._stream(request, None)

    async def _stream(self, request: Request, call_id: str | None) -> Response:
        try:
            self._known_access.check(request.scope, control=False, call_id=call_id)
        except Denied as denied:
            return problem(denied.status, denied.detail, headers=denied.headers)
        watcher = self._all(request) if call_id is None else self._one(call_id, request)
        started = False
        try:
            started = await watcher.start()
            if started:
                return EventStream(watcher)
            answer = Response(status_code=204)  # nothing more will come: a browser stops to connect again
        except UnknownCall as unknown:
            answer = problem(404, str(unknown))
        except CallchartError as error:
            answer = problem(503, str(error), headers={"Retry-After": "2"})
        finally:
            if not started:
                watcher.close()
        return answer

    # -- inside ----------------------------------------------------------------------------------

    def _one(self, call_id: str, connection: HTTPConnection) -> Watcher:
        return OneCall(self.hub, self._known_calls, call_id, _last_id(connection))

    def _all(self, connection: HTTPConnection) -> Watcher:
        return AllCalls(self.hub, self._known_calls, _last_id(connection))

    @property
    def _known_calls(self) -> Calls:
        assert self._calls is not None  # a route was asked for
        return self._calls

    @property
    def _known_access(self) -> Access:
        assert self._access is not None  # a route was asked for
        return self._access


class _Admitted(NamedTuple):
    """A socket that was let in; `only`: the one call that its ticket is for."""

    only: str | None


_BY: tuple[By, ...] = ("call_id", "called", "token")
_SHORTEST = {"call_id": 1, "called": 1, "token": 16}


def _last_id(connection: HTTPConnection) -> str:
    """Return the id that a client heard last; a browser's own header knows better than the address."""
    return str(connection.headers.get("last-event-id") or connection.query_params.get("after", ""))


def _client(connection: HTTPConnection) -> str:
    return connection.client.host if connection.client is not None else ""


async def _refuse(socket: WebSocket, status: int, detail: str) -> None:
    """Refuse a handshake, with a reason where the server can say one."""
    if "websocket.http.response" in socket.scope.get("extensions", {}):
        await socket.send_denial_response(problem(status, detail))
    else:
        await socket.close(1008, detail[:100])
