"""Nodes as bootstrap would wire them, on one memory store and one bus; their carriers and models are fakes.

async with some_nodes(2) as (one, two):
    await one.book.create(call_id="API1", bot="", metadata={})
    await two.book.add_segments("API1", [{"text": "hello"}])
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

from adapters.bus.questions import Questions
from adapters.calls.activity import Activity
from adapters.calls.book import CallBook
from adapters.calls.here import Here
from adapters.calls.over import OverCalls
from adapters.calls.remote import Nodes, serve_calls
from adapters.calls.shelf import Shelf
from adapters.calls.transcripts import Transcripts
from adapters.media.clips import Clips
from adapters.ownership.desk import Desk
from adapters.ownership.keeper import Keeper
from adapters.ownership.kept import KeptCalls
from adapters.stores.contract import SessionStore
from adapters.stores.memory import MemoryStore
from adapters.stores.spool import Spool
from adapters.stores.write_behind import WriteBehind
from adapters.sts.contract import StsEvents
from adapters.switchboard import Outside, Switchboard
from fsm.bots import Bots, load_bots
from fsm.clock import LoopClock
from fsm.compile import Machine, compile_chart
from fsm.context import BotSettings
from fsm.session import Session
from fsm.triggers import CallStarted
from handlers import REGISTRY
from tests.adapters.media.fakes import FakeClient, FakeLeg
from tests.bus_hub import BusHub
from tests.fakes import FakeAgents, FakeFronts, FakeIntents, FakeTranscripts, elapse

__all__ = ["LEASE", "Node", "some_nodes"]

LEASE = 15.0
_BOTS = Path(__file__).with_name("bots.yaml")


class Node:
    """One node.

    Attributes:
        forgotten: ids of calls whose files were to be deleted.
        runs: ids of calls whose post-call work was to be done again.
    """

    def __init__(
        self,
        name: str,
        store: SessionStore,
        hub: BusHub,
        *,
        inactivity: float,
        max_calls: int,
        spool: Spool | None = None,
    ) -> None:
        self.name = name
        self.store = store
        self.clients: list[FakeClient] = []
        self.forgotten: list[str] = []
        self.runs: list[str] = []
        self.resets = 0
        clock = LoopClock()
        self._bots, self._machines = _compiled()
        self.bus, questions = hub.bus(name), Questions()
        self.bus.serve(questions)
        self.activity = Activity(clock=clock, timeout=inactivity)
        self.keeper = Keeper(store, node=name, lease=LEASE, max_active=100)
        self.journal = WriteBehind(
            store, node=name, clock=clock, spool=spool, facts=self.activity.facts, on_fenced=self.keeper.fenced
        )
        self.keeper.writer = self.journal
        self.transcripts = Transcripts(clock=clock, store=store)
        self.here = Here(journal=self.journal, activity=self.activity, transcripts=self.transcripts, registry=REGISTRY)
        self.board = Switchboard(
            clock=clock,
            choose=self._choose,
            outside=self._outside(),
            observers=(self.activity, self.journal, self.keeper, self.here),
            journal=self.journal,
            max_calls=max_calls,
        )
        self.here.manager = self.board.manager
        self.kept = KeptCalls(
            store,
            choose=self._choose,
            registry=REGISTRY,
            clock=clock,
            max_age=3600.0,
            resume_window=lambda bot, called: 30.0,
        )
        self.desk = Desk(
            board=self.board,
            store=store,
            keeper=self.keeper,
            kept=self.kept,
            bus=self.bus,
            registry=REGISTRY,
            on_reopen=self.activity.restore,
        )
        self.book = CallBook(
            here=self.here,
            shelf=Shelf(store),
            over=OverCalls(store, clock=clock, unwrite=self.journal.erase, forget=self._forget),
            nodes=Nodes(self.bus),
            desk=self.desk,
            bots=self._machines,
            clock=clock,
            why_not=self.kept.why_not,
            run_pipeline=self._run,
            on_reset=self._reset,
        )
        questions.serve("fenced", self.keeper.answer_fenced)
        serve_calls(questions, self.book.answers)

    async def start(self) -> None:
        await self.journal.start()
        await self.keeper.start()

    async def phone(self, call_id: str, *, called: str = "+15550101") -> FakeLeg:
        """Have a caller talk to the model of a bot."""
        leg = FakeLeg(f"MZ of {call_id}")
        started = CallStarted(carrier="fake", caller="+15550100", called=called, stream_id=leg.stream_id)
        leg.events = await self.desk.connect(leg, started, call_id=call_id, proof=False)
        assert leg.events is not None
        await elapse(0.1)
        self.clients[-1].usable = True
        self.clients[-1].events.on_ready("sess_1")
        await elapse(0.1)
        return leg

    def session(self, call_id: str) -> Session:
        session = self.board.manager.get(call_id)
        assert session is not None
        return session

    async def die(self) -> None:
        """Be gone as if killed: nothing more is written, renewed or answered."""
        self.bus.cut = True
        await self.keeper.aclose()
        sessions = list(self.board.manager)
        for session in sessions:
            await self.journal.erase(session.call_id)
            session.give_up()
        await asyncio.gather(*(session.wait_settled() for session in sessions))

    async def aclose(self) -> None:
        await self.here.aclose()
        await self.keeper.aclose()
        self.board.manager.end_all()
        assert await self.board.manager.idle(timeout=60.0)
        await self.journal.aclose()
        await self.here.aclose()
        await self.desk.aclose()
        self.activity.aclose()
        assert len(self.activity) == len(self.transcripts) == 0
        assert self.board.manager.slots_taken == 0

    def _choose(self, called: str, bot: str = "") -> tuple[Machine, BotSettings]:
        found = self._bots.find(called=called, bot=bot)
        return self._machines[found.name], found.settings

    def _outside(self) -> Outside:
        did: list[tuple[Any, ...]] = []
        return Outside(
            make_client=self._client,
            clips=Clips(),
            intents=FakeIntents(did),
            agents=FakeAgents(did),
            transcripts=FakeTranscripts(did),
            fronts=FakeFronts(did),
        )

    def _client(self, events: StsEvents) -> FakeClient:
        self.clients.append(FakeClient(events))
        return self.clients[-1]

    async def _forget(self, call_id: str) -> None:
        self.forgotten.append(call_id)

    async def _run(self, call_id: str) -> str:
        self.runs.append(call_id)
        return f"run {len(self.runs)}"

    def _reset(self) -> None:
        self.resets += 1


@cache
def _compiled() -> tuple[Bots, Mapping[str, Machine]]:
    bots = load_bots(_BOTS, REGISTRY)
    return bots, {bot.name: compile_chart(bot.chart, REGISTRY) for bot in bots.by_name.values()}


@asynccontextmanager
async def some_nodes(
    count: int = 1,
    *,
    store: SessionStore | None = None,
    inactivity: float = 1800.0,
    max_calls: int = 10,
    spool: Spool | None = None,
) -> AsyncIterator[tuple[Node, ...]]:
    """Give nodes on one store; they end with their calls.

    Args:
        inactivity: seconds without activity after which a call is told so.
        spool: of the first one.
    """
    kept = store or MemoryStore(clock=LoopClock())
    hub = BusHub()
    spools = [spool, *[None] * (count - 1)]
    nodes = tuple(
        Node(f"n{n}", kept, hub, inactivity=inactivity, max_calls=max_calls, spool=spooling)
        for n, spooling in enumerate(spools, 1)
    )
    await kept.start()
    for node in nodes:
        await node.start()
    try:
        yield nodes
    finally:
        for node in nodes:
            await node.aclose()
        await kept.aclose()
