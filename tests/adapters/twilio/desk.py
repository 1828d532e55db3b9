"""A desk that writes down what it is told, and Twilio's socket as a test holds it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from websockets.asyncio.client import ClientConnection, connect

from adapters.carriers.contract import Announced, Leg, LegEvents
from adapters.carriers.twilio.calls import TwilioCalls
from adapters.carriers.twilio.config import TwilioConfig
from adapters.carriers.twilio.endpoint import MEDIA_PATHS, media_app
from adapters.carriers.twilio.webhooks import routes
from fsm.triggers import CallStarted, Trigger
from tests.serve import running

__all__ = ["CALL", "STREAM", "FakeDesk", "Heard", "Line", "media", "served", "start"]

STREAM = "MZ0f00000000000000000000000000000a"
CALL = "CA00000000000000000000000000000002"


class Heard:
    """`LegEvents` as a list, and a way to wait for the next."""

    def __init__(self) -> None:
        self.log: list[tuple[Any, ...]] = []
        self.closed = asyncio.Event()
        self._news = asyncio.Event()

    def on_audio(self, payload: str, timestamp_ms: int | None) -> None:
        self._add("audio", payload, timestamp_ms)

    def on_mark(self, name: str) -> None:
        self._add("mark", name)

    def on_trigger(self, trigger: Trigger) -> None:
        self._add("trigger", trigger)

    def on_closed(self, reason: str) -> None:
        self._add("closed", reason)
        self.closed.set()

    async def until(self, *event: Any) -> None:
        """Return once `event` has been heard."""
        while event not in self.log:
            self._news.clear()
            await self._news.wait()

    def _add(self, *event: Any) -> None:
        self.log.append(event)
        self._news.set()


@dataclass
class FakeDesk:
    """Admits every call, and every first socket; a later one with proof only."""

    has_slots: bool = True
    refuses: bool = False
    live: set[str] = field(default_factory=set)
    over: set[str] = field(default_factory=set)
    transfers: dict[str, str] = field(default_factory=dict)
    announced: list[tuple[str, ...]] = field(default_factory=list)
    posted: list[tuple[str, Trigger]] = field(default_factory=list)
    connected: list[tuple[CallStarted, str, bool]] = field(default_factory=list)
    brought_again: list[str] = field(default_factory=list)
    slow: asyncio.Event | None = None
    """Held back until it is set: the store is asked."""
    legs: asyncio.Queue[tuple[Leg, Heard]] = field(default_factory=asyncio.Queue)

    async def announce(self, call_id: str, *, carrier: str, caller: str, called: str) -> Announced:
        self.announced.append((call_id, carrier, caller, called))
        if call_id in self.over:
            return "over"
        return "welcome" if self.has_slots else "busy"

    async def connect(
        self, leg: Leg, started: CallStarted, *, call_id: str, proof: bool, again: bool = False
    ) -> LegEvents | None:
        self.connected.append((started, call_id, proof))
        if again:
            self.brought_again.append(call_id)
        if self.slow is not None:
            await self.slow.wait()
        if self.refuses or (call_id in self.live and not proof):
            return None
        self.live.add(call_id)
        heard = Heard()
        self.legs.put_nowait((leg, heard))
        return heard

    async def post(self, call_id: str, trigger: Trigger) -> bool:
        self.posted.append((call_id, trigger))
        return call_id in self.live

    async def is_live(self, call_id: str) -> bool:
        return call_id in self.live

    async def transfer_target(self, call_id: str) -> str:
        return self.transfers.get(call_id, "")


@dataclass
class Line:
    """A served carrier."""

    server: uvicorn.Server
    desk: FakeDesk
    calls: TwilioCalls

    @property
    def address(self) -> str:
        host, port = self.server.servers[0].sockets[0].getsockname()[:2]
        return f"{host}:{port}"

    def open_connections(self) -> int:
        """How many sockets the server holds."""
        return len(self.server.server_state.connections)

    @asynccontextmanager
    async def socket(self, path: str = "/twilio/media", **options: Any) -> AsyncIterator[ClientConnection]:
        """Twilio's end of a media socket."""
        plain: dict[str, Any] = {"compression": None, "proxy": None, "ping_interval": None}
        async with connect(f"ws://{self.address}{path}", **(plain | options)) as socket:
            yield socket

    @asynccontextmanager
    async def stream(self, **parameters: str) -> AsyncIterator[tuple[ClientConnection, Leg, Heard]]:
        """A stream that has started."""
        async with self.socket() as socket:
            await socket.send(start(**parameters))
            leg, heard = await self.desk.legs.get()
            yield socket, leg, heard


@asynccontextmanager
async def served(*, desk: FakeDesk | None = None, **settings: Any) -> AsyncIterator[Line]:
    """Serve webhooks and media socket on one port."""
    config, desk = TwilioConfig(**settings), desk or FakeDesk()
    calls = TwilioCalls(config)
    media_socket = media_app(config, desk, calls)
    sockets = [WebSocketRoute(path, media_socket) for path in MEDIA_PATHS]
    async with running(Starlette(routes=[*routes(config, desk, calls), *sockets])) as server:
        yield Line(server, desk, calls)


def start(*, call_id: str = CALL, stream_id: str = STREAM, **parameters: str) -> str:
    """A stream's first numbered frame."""
    fields = {"streamSid": stream_id, "callSid": call_id, "customParameters": parameters}
    return json.dumps({"event": "start", "sequenceNumber": "1", "streamSid": stream_id, "start": fields})


def media(number: int, payload: str = "f39/fw==") -> str:
    """The `number`th 20 ms of the caller."""
    fields = {"track": "inbound", "chunk": str(number), "timestamp": str(number * 20), "payload": payload}
    frame = {"event": "media", "sequenceNumber": str(number + 1), "streamSid": STREAM, "media": fields}
    return json.dumps(frame, separators=(",", ":"))
