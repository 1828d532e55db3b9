"""A scripted OpenAI Realtime server on loopback, and somebody who writes down what a client reports.

It judges everything it is sent. By itself it only opens sessions: tests say what else it does.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from adapters.carriers.contract import MediaFormat
from adapters.sts.contract import ResponseEnd, StsClient
from adapters.sts.openai.client import OpenAiClient
from adapters.sts.openai.config import OpenAiConfig
from fsm.clock import LoopClock
from tests.adapters.openai.judge import judge_client_event, judge_server_event

__all__ = ["PCMU", "Notes", "Peer", "PeerSession", "elapse", "phone", "silence"]

PCMU = MediaFormat("pcmu", 8000)


async def elapse(seconds: float) -> None:
    """Let virtual time pass."""
    await asyncio.sleep(seconds)


def silence(ms: int) -> str:
    """Base64 of `ms` milliseconds of mu-law silence; `ms` divisible by 3, so that it needs no padding."""
    return "////" * (ms * 8 // 3)


class PeerSession:
    """One client's socket, as the server sees it."""

    def __init__(self, connection: ServerConnection, number: int) -> None:
        self.connection = connection
        self.number = number
        self.path = ""
        self.received: list[dict[str, Any]] = []
        self.ready = asyncio.Event()
        self.closed = asyncio.Event()
        self._taken = 0
        self._news = asyncio.Condition()

    async def heard(self, message: str) -> dict[str, Any]:
        judge_client_event(message)
        event: dict[str, Any] = json.loads(message)
        async with self._news:
            self.received.append(event)
            self._news.notify_all()
        return event

    async def next(self, kind: str) -> dict[str, Any]:
        """The next event of this kind that the client has sent, or sends; those before it are passed over."""
        async with self._news:
            while True:
                for index in range(self._taken, len(self.received)):
                    if self.received[index]["type"] == kind:
                        self._taken = index + 1
                        return self.received[index]
                await self._news.wait()

    def count(self, kind: str) -> int:
        """How many events of this kind have come."""
        return sum(event["type"] == kind for event in self.received)

    async def send(self, *events: dict[str, Any]) -> None:
        for event in events:
            message = json.dumps({"type": event["type"], "event_id": "event_1", **event}, separators=(",", ":"))
            judge_server_event(message)
            await self.connection.send(message)

    async def raw(self, message: str) -> None:
        await self.connection.send(message)

    async def abort(self) -> None:
        self.connection.transport.abort()
        await self.closed.wait()

    # -- what a response looks like ---------------------------------------------------------------

    async def create(self, response_id: str, metadata: dict[str, str] | None = None) -> None:
        response: dict[str, Any] = {"object": "realtime.response", "id": response_id, "status": "in_progress"}
        if metadata is not None:
            response["metadata"] = metadata
        await self.send({"type": "response.created", "response": response})

    async def speak(self, response_id: str, item_id: str, ms: int = 90, text: str = "") -> None:
        place = {"response_id": response_id, "item_id": item_id, "output_index": 0, "content_index": 0}
        if text:
            await self.send({"type": "response.output_audio_transcript.delta", **place, "delta": text})
        await self.send({"type": "response.output_audio.delta", **place, "delta": silence(ms)})

    async def finish(
        self, response_id: str, status: str = "completed", details: dict[str, Any] | None = None, **more: Any
    ) -> None:
        response = {"object": "realtime.response", "id": response_id, "status": status, "output": [], **more}
        if details:
            response["status_details"] = details
        await self.send({"type": "response.done", "response": response})

    async def error(self, code: str, event_id: str | None = None, kind: str = "invalid_request_error") -> None:
        await self.send({"type": "error", "error": {"type": kind, "code": code, "message": "-", "event_id": event_id}})

    async def asked(self) -> dict[str, Any]:
        """The next `response.create`."""
        return await self.next("response.create")


Script = Callable[[PeerSession], Any]


class Peer:
    """The server. `scripts` say what the next sessions do instead of opening; `refusals` refuse handshakes."""

    def __init__(self) -> None:
        self.url = ""
        self.sessions: list[PeerSession] = []
        self.requests: list[Request] = []
        self.refusals: list[int] = []
        self.scripts: list[Script] = []
        self.updated: dict[str, Any] = {}
        self.created: dict[str, Any] = {}
        self.problems: list[Exception] = []
        self._arrivals: asyncio.Queue[PeerSession] = asyncio.Queue()

    async def session(self) -> PeerSession:
        """The next session that has been opened and configured."""
        session = await self._arrivals.get()
        await session.ready.wait()
        return session

    def refuse(self, connection: ServerConnection, request: Request) -> Response | None:
        self.requests.append(request)
        return connection.respond(HTTPStatus(self.refusals.pop(0)), "no\n") if self.refusals else None

    async def serve(self, connection: ServerConnection) -> None:
        session = PeerSession(connection, len(self.sessions))
        self.sessions.append(session)
        self._arrivals.put_nowait(session)
        try:
            if self.scripts:
                await self.scripts.pop(0)(session)
            else:
                await self.open(session)
            async for message in connection:
                await session.heard(str(message))
        except ConnectionClosed:
            pass
        except (ValueError, AssertionError) as problem:
            self.problems.append(problem)
        finally:
            session.closed.set()

    async def open(self, session: PeerSession) -> None:
        described = {"type": "realtime", "object": "realtime.session", "id": f"sess_{session.number}", **self.created}
        message = {"type": "session.created", "event_id": "event_0", "session": described}
        await session.raw(json.dumps(message))
        update = await session.heard(str(await session.connection.recv()))
        assert update["type"] == "session.update"
        await session.send({"type": "session.updated", "session": {**update["session"], **self.updated}})
        session.ready.set()


class Notes:
    """An `StsEvents` that writes everything down."""

    def __init__(self) -> None:
        self.all: list[tuple[Any, ...]] = []
        self._taken = 0
        self._news = asyncio.Event()

    def note(self, *what: Any) -> None:
        self.all.append(what)
        self._news.set()

    async def next(self, kind: str) -> tuple[Any, ...]:
        """The next report of this kind, without its name; those before it are passed over."""
        while True:
            for index in range(self._taken, len(self.all)):
                if self.all[index][0] == kind:
                    self._taken = index + 1
                    return self.all[index][1:]
            self._news.clear()
            await self._news.wait()

    def of(self, kind: str) -> list[tuple[Any, ...]]:
        """All reports of this kind, without their name."""
        return [what[1:] for what in self.all if what[0] == kind]

    async def end(self) -> ResponseEnd:
        """The next end of a response."""
        (end,) = await self.next("end")
        assert isinstance(end, ResponseEnd)
        return end

    async def end_of(self, purpose: str) -> ResponseEnd:
        """The end of the response with this purpose."""
        self._taken = 0
        while (end := await self.end()).purpose != purpose:
            pass
        return end

    def on_ready(self, session_id: str) -> None:
        self.note("ready", session_id)

    def on_renewed(self, session_id: str, reason: str) -> None:
        self.note("renewed", session_id, reason)

    def on_failed(self, reason: str) -> None:
        self.note("failed", reason)

    def on_reply_audio(self, response_id: str, item_id: str, payload: str, purpose: str) -> None:
        self.note("audio", response_id, item_id, payload, purpose)

    def on_reply_text(self, item_id: str, delta: str) -> None:
        self.note("text", item_id, delta)

    def on_response_end(self, end: ResponseEnd) -> None:
        self.note("end", end)

    def on_speech_started(self, item_id: str) -> None:
        self.note("started", item_id)

    def on_speech_stopped(self, item_id: str) -> None:
        self.note("stopped", item_id)

    def on_transcript(self, item_id: str, text: str, reason: str) -> None:
        self.note("transcript", item_id, text, reason)


def _is_whole(client: StsClient) -> bool:
    """The client is what the contract says: type checkers prove it here."""
    return not client.usable


@asynccontextmanager
async def phone(**options: Any) -> AsyncIterator[tuple[OpenAiClient, Notes, Peer]]:
    """A client that has not started, its notes, and the server it will find; all are closed afterwards."""
    peer = Peer()
    async with serve(peer.serve, "127.0.0.1", 0, process_request=peer.refuse, compression=None) as server:
        peer.url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/v1/realtime"
        config = OpenAiConfig(api_key="sk-secret", **{"url": peer.url, **options})
        notes = Notes()
        client = OpenAiClient(config, notes, clock=LoopClock(), jitter=lambda: 1.0)
        try:
            assert _is_whole(client)
            yield client, notes, peer
        finally:
            await client.aclose()
    if peer.problems:
        raise peer.problems[0]
