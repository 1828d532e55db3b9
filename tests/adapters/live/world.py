"""Calls that are told what happens, with the bundled chart and no sockets of their own, and the live side over them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from websockets.asyncio.client import ClientConnection, connect

from adapters.bus.contract import Answer, NodeAway
from adapters.calls.contract import CallOver, CallsPage, TranscriptLine, UnknownCall
from adapters.http.access import Access, Denied
from adapters.http.app import build_api
from adapters.live.app import Live
from adapters.stores.queues import CallGone
from fsm.bots import load_bots
from fsm.clock import LoopClock
from fsm.compile import Machine, compile_chart
from fsm.context import BotSettings, CallContext
from fsm.document import Facts, document
from fsm.journal import step_record, trigger_from
from fsm.manager import SessionManager
from fsm.observe import Journal, Observer
from fsm.options import Options
from fsm.session import Session
from fsm.step import Step
from fsm.stored import store
from fsm.triggers import CallEnded, CallStarted, IntentDetected, StsReady, Trigger, UserTranscript
from handlers import REGISTRY
from tests.fakes import FakeIntents, fake_ports
from tests.serve import serve

__all__ = ["NUMBER", "Book", "Gate", "SharedBus", "World", "a_world", "hear", "two_nodes"]

NUMBER = "+15550100"


class SharedBus:
    """One node's end of a bus that carries at once, unless it is told to lose what comes."""

    def __init__(self, node: str, ends: list[SharedBus]) -> None:
        self.node = node
        self.losing = False
        self._ends = ends
        self._heard: list[Any] = []
        ends.append(self)

    def listen(self, heard: Any) -> None:
        self._heard.append(heard)

    def serve(self, answer: Answer) -> None: ...

    def publish(self, message: bytes) -> None:
        for end in self._ends:
            if end is not self and not end.losing:
                for heard in end._heard:
                    heard(message)

    async def ask(self, node: str, question: Mapping[str, Any], *, within: float = 2.0) -> Mapping[str, Any]:
        raise NodeAway(node)

    async def start(self) -> None: ...

    async def aclose(self) -> None: ...


class Gate(Journal):
    """A journal in which nothing is durable until it is opened, and what is lost never is."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.lost: set[str] = set()
        self.asked: list[tuple[str, int]] = []

    async def durable(self, call_id: str, seq: int) -> None:
        self.asked.append((call_id, seq))
        await self.opened.wait()
        if call_id in self.lost:
            raise CallGone(call_id)


class Door(Access):
    """Admits who shows the token in the address; none is needed if it is empty."""

    def __init__(self) -> None:
        super().__init__()
        self.token = ""
        self.asked: list[tuple[bool, str | None]] = []

    def check(self, scope: Any, *, control: bool, call_id: str | None = None, tickets: bool = True) -> str | None:
        self.asked.append((control, call_id))
        if self.token and HTTPConnection(scope).query_params.get("ticket") != self.token:
            raise Denied(401, "Unauthorized", "show a ticket: POST /api/v1/tickets")
        return None


class Book(Observer):
    """`Calls`, as far as the live side asks them, over the calls of a test's nodes."""

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}
        self.records: dict[str, list[dict[str, Any]]] = {}
        self.unsettled = False
        self.complete = True
        self.times: list[Any] = []
        self.before: list[Any] = []
        self.asked: list[str] = []

    def on_commit(self, session: Session, step: Step) -> None:
        self.sessions[session.call_id] = session
        record = json.loads(orjson.dumps(step_record(session.machine, step, session.clock.wall())))
        self.records.setdefault(session.call_id, []).append(record)

    async def get(self, call_id: str) -> dict[str, Any]:
        self.asked.append("get")
        session = self._session(call_id)
        facts = Facts(
            settled=session.settled and not self.unsettled, ended_at=session.clock.wall() if session.closed else 0.0
        )
        made: dict[str, Any] = json.loads(orjson.dumps(document(store(session), facts, closed=session.closed)))
        for happen in self.times:
            happen()
            await asyncio.sleep(0.1)
        return made

    async def lines(self, call_id: str) -> list[TranscriptLine]:
        records = self.records[call_id]
        return [
            TranscriptLine(
                role=said["role"], text=said["text"], id=said.get("item_id", ""), at=record["at"], seq=record["seq"]
            )
            for record in records
            for said in record.get("said", ())
        ]

    async def journal(
        self, call_id: str, *, after: int = 0, limit: int = 500
    ) -> tuple[list[dict[str, Any]], int | None]:
        self.asked.append("journal")
        entries: list[dict[str, Any]] = []
        for record in self.records[call_id]:
            entries += [{**record, "version": len(entries) + 1}]
            entries += [{"seq": record["seq"], "effects": [], "version": len(entries) + 1}]
        page = entries[after : after + limit]
        return page, (after + limit if len(entries) > after + limit else None)

    async def active(self) -> CallsPage:
        for happen in self.before:
            happen()
            await asyncio.sleep(0.1)
        live = [s for s in self.sessions.values() if not s.closed]
        found = [{"call_id": s.call_id, "state": s.state, "seq": s.snapshot.seq} for s in live]
        for happen in self.times:
            happen()
        return CallsPage(found, None, complete=self.complete)

    async def post(self, call_id: str, event: str, data: Mapping[str, Any]) -> int:
        session = self._session(call_id)
        if session.closed:
            raise CallOver(f"call {call_id} has ended")
        session.post(trigger_from(event, data, REGISTRY))
        return session.snapshot.seq + 1

    def _session(self, call_id: str) -> Session:
        if call_id not in self.sessions:
            raise UnknownCall(f"there is no call {call_id}")
        return self.sessions[call_id]


class World:
    """One node: its calls, its live side, and a server in front of it."""

    def __init__(self, book: Book, bus: SharedBus, journal: Journal | None) -> None:
        self.clock = LoopClock()
        self.book = book
        self.bus = bus
        self.access = Door()
        self.live = Live(clock=self.clock, bus=bus, journal=journal)
        self.manager = SessionManager(clock=self.clock, options=Options(observers=(book, self.live.hub)))
        self.url = ""
        self.did: dict[str, list[tuple[Any, ...]]] = {}

    def open(
        self, call_id: str = "CA1", *, called: str = NUMBER, parameters: Mapping[str, str] | None = None
    ) -> Session:
        """Begin a call as the switchboard does: what waits for it is known before it starts."""
        context = CallContext(call_id=call_id, called=called, carrier="twilio", bot=_BOT)
        did = self.did[call_id] = []
        ports = fake_ports(did)
        ports.fronts = self.live.hub
        ports.intents = FakeIntents(did, IntentDetected(intent="opening_hours", confidence=0.9))
        session = self.book.sessions[call_id] = self.manager.open(_MACHINE, context, lambda session, slot: ports)
        job = self.live.fronts.claim(call_id, called=called, parameters=parameters)
        if job is not None:
            session.post(job)
        return session

    def answer(self, call_id: str = "CA1", **facts: Any) -> Session:
        """Begin a call, and have it answered."""
        session = self.open(call_id, **facts)
        session.post(CallStarted(carrier="twilio", stream_id=f"MZ{call_id}", called=NUMBER))
        session.post(StsReady(session_id="sess_1"))
        return session

    def say(self, text: str, call_id: str = "CA1") -> None:
        """Have the caller say something."""
        self.post(UserTranscript(text=text, item_id=f"item_{text}"), call_id)

    def post(self, trigger: Trigger, call_id: str = "CA1") -> None:
        self.book.sessions[call_id].post(trigger)

    def hang_up(self, call_id: str = "CA1") -> None:
        self.post(CallEnded(), call_id)

    @asynccontextmanager
    async def socket(self, path: str) -> AsyncGenerator[ClientConnection]:
        async with connect(f"ws://{self.url}{path}", compression=None, proxy=None) as socket:
            yield socket


_BOTS = load_bots(None, REGISTRY)
_MACHINE: Machine = compile_chart(_BOTS.find(called=NUMBER).chart, REGISTRY)
_BOT: BotSettings = _BOTS.find(called=NUMBER).settings


@asynccontextmanager
async def a_world(
    *,
    book: Book | None = None,
    bus: SharedBus | None = None,
    journal: Journal | None = None,
    access: Access | None = None,
) -> AsyncGenerator[World]:
    """Give a node; whoever leaves it ends its calls, and fails if a subscription or a waiting front is left.

    Args:
        access: who is let in, and then the whole API is served; None: everybody, until `world.access` says otherwise.
    """
    world = World(book or Book(), bus or SharedBus("n1", []), journal)
    calls: Any = world.book  # as far as it is asked
    routes = world.live.routes(calls, access or world.access)
    app = Starlette(routes=routes) if access is None else build_api(world.manager, routes, calls=calls, access=access)
    async with serve(app, ws_ping_interval=None) as world.url:
        yield world
        world.manager.end_all()
        await world.manager.idle(timeout=60)
        await world.live.aclose()
    assert world.live.hub.watched == 0
    assert not any(entry.fronts for entry in world.live.fronts._waiting.values())


@asynccontextmanager
async def two_nodes() -> AsyncGenerator[tuple[World, World]]:
    """Give two nodes that share a bus and what is kept of calls."""
    ends: list[SharedBus] = []
    book = Book()
    async with (
        a_world(book=book, bus=SharedBus("n1", ends)) as one,
        a_world(book=book, bus=SharedBus("n2", ends)) as two,
    ):
        yield one, two


async def hear(socket: ClientConnection, *kinds: str, within: float = 60.0) -> dict[str, Any]:
    """Return the next message, or the next of one of these types."""
    async with asyncio.timeout(within):
        while True:
            said: dict[str, Any] = json.loads(await socket.recv())
            if not kinds or said["type"] in kinds:
                return said
