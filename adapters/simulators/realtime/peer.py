"""A Realtime server on loopback: `ws://127.0.0.1:<port>/v1/realtime`, scripted, offline, with every fault one likes.

    async with RealtimePeer(Script(utterances=["What are your opening hours?"], replies=["We are open."])) as peer:
        ...  # connect a client to peer.url
    assert peer.violations == [] and peer.open_sockets == 0

It judges its client by hand-written rules, keeps all that it received, and works on the ordinary loop and in virtual
time. Source: OpenAI, Realtime API reference (GA); the beta's header is refused as since 2026-05-12.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from adapters.simulators.realtime.connection import Connection
from adapters.simulators.realtime.conversation import Truncation, Violation
from adapters.simulators.realtime.faults import Faults
from adapters.simulators.realtime.script import Progress, Script
from adapters.simulators.realtime.session import Session
from adapters.simulators.waiting import Watch

__all__ = ["RealtimePeer"]

_ERRORS = {401: "invalid_api_key", 403: "model_not_found", 429: "rate_limit_exceeded"}


class RealtimePeer:
    """The server.

    Attributes:
        connections: every socket that was accepted, in order, each with what it received, sent and how it ended.
        refused: the statuses with which handshakes were refused, in order.
        script: what is understood and said; may be replaced between calls.
    """

    def __init__(
        self,
        script: Script | None = None,
        *,
        faults: Faults | Sequence[Faults] = (),
        port: int = 0,
        host: str = "127.0.0.1",
        speed: float = 1.0,
        session_s: float = 3600.0,
        one_call: bool = True,
    ) -> None:
        """Prepare a server; it listens once it is started.

        Args:
            faults: of every connection, or of the first, second …; those that follow have none.
            port: 0 for any free one.
            speed: how much faster than real time the model thinks and speaks.
            session_s: how long a session may last, as `expires_at` says and the close with 1001 makes true.
            one_call: all connections go on with one script, as a call does that is rolled over; otherwise each
                connection begins it anew.
        """
        self.connections: list[Connection] = []
        self.refused: list[int] = []
        self.script = script or Script()
        self._faults = faults
        self._address = (host, port)
        self._speed = speed
        self._session_s = session_s
        self._progress = Progress(self.script) if one_call else None
        self._attempts = 0
        self._watch = Watch()
        self._stopping = asyncio.Event()
        self._server: Server | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen."""
        host, port = self._address
        self._server = await serve(
            self._carry,
            host,
            port,
            process_request=self._admit,
            compression=None,
            ping_interval=None,
            open_timeout=None,
            close_timeout=2,
            max_size=24 * 1024 * 1024,  # an append may have 15 MiB of audio
        )
        self._address = (host, self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close every socket and stop listening."""
        self._stopping.set()
        if self._server is not None:
            self._server.close(close_connections=True)
            await self._server.wait_closed()

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"ws://{self._address[0]}:{self._address[1]}/v1/realtime"

    @property
    def open_sockets(self) -> int:
        """How many sockets are open now."""
        return sum(connection.is_open for connection in self.connections)

    @property
    def received(self) -> list[Any]:
        """Every event of every client, in the order of the connections."""
        return [event for connection in self.connections for event in connection.received]

    @property
    def violations(self) -> list[Violation]:
        """Client events that were refused, other than by a race."""
        return [violation for connection in self.connections for violation in connection.conversation.violations]

    @property
    def truncations(self) -> list[Truncation]:
        """What clients told of replies that were cut."""
        return [truncation for connection in self.connections for truncation in connection.conversation.truncations]

    def received_of(self, kind: str) -> list[Any]:
        """Return the client events of one type."""
        return [event for event in self.received if isinstance(event, dict) and event.get("type") == kind]

    async def until(self, happened: Callable[[], bool], *, within_s: float = 30.0) -> None:
        """Return when `happened()`, looked at after every event and every socket that opens or closes.

        Raises:
            TimeoutError: it did not within `within_s` seconds of the loop's time.
        """
        if happened():
            return
        async with asyncio.timeout(within_s):
            with self._watch.expecting(happened) as expected:
                await expected

    async def _admit(self, socket: ServerConnection, request: Request) -> Response | None:
        faults = self._next_faults()
        if faults.never_answers:
            await self._stopping.wait()
            return self._refuse(socket, 503)
        if urlsplit(request.path).path != "/v1/realtime":
            return self._refuse(socket, 404)
        if not request.headers.get("Authorization", "").startswith("Bearer "):
            return self._refuse(socket, 401)
        if faults.refuse is not None:
            return self._refuse(socket, faults.refuse)
        number = len(self.connections) + 1
        query = dict(parse_qsl(urlsplit(request.path).query))
        session = Session(number, query.get("model", "gpt-realtime"), self._session_s)
        progress = self._progress or Progress(self.script)
        connection = Connection(socket, request, session, progress, faults, self._speed, self._watch.changed)
        connection.lasts_s = self._session_s
        self.connections.append(connection)
        return None

    async def _carry(self, socket: ServerConnection) -> None:
        connection = next(one for one in self.connections if one.socket is socket)
        await connection.run()

    def _next_faults(self) -> Faults:
        nth, self._attempts = self._attempts, self._attempts + 1
        if isinstance(self._faults, Faults):
            return self._faults
        return self._faults[nth] if nth < len(self._faults) else Faults()

    def _refuse(self, socket: ServerConnection, status: int) -> Response:
        self.refused.append(status)
        self._watch.changed()
        code = _ERRORS.get(status, "server_error")
        body = json.dumps({"error": {"type": "invalid_request_error", "code": code, "message": "Refused."}})
        response = socket.respond(HTTPStatus(status), body)
        response.headers["Content-Type"] = "application/json"
        return response
