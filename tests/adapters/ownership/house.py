"""A node without sockets: switchboard, write-behind, leases and desk over a store that several of them may share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from adapters.carriers.contract import LegEvents
from adapters.media.clips import Clips
from adapters.ownership.desk import Desk
from adapters.ownership.keeper import Keeper
from adapters.ownership.kept import KeptCalls
from adapters.ownership.reaper import Reaper
from adapters.stores.contract import Kept
from adapters.stores.memory import MemoryStore
from adapters.stores.write_behind import WriteBehind
from adapters.sts.contract import StsEvents
from adapters.switchboard import Outside, Switchboard
from fsm.clock import LoopClock
from fsm.compile import Machine, compile_chart
from fsm.context import BotSettings
from fsm.load import load_chart
from fsm.triggers import CallStarted
from handlers import REGISTRY
from tests.adapters.media.fakes import FakeClient, FakeLeg
from tests.bus_hub import BusHub
from tests.calls.nodes import CutStore
from tests.fakes import FakeAgents, FakeFronts, FakeIntents, FakeTranscripts, elapse

__all__ = ["House", "a_store"]

_MACHINES = {name: compile_chart(load_chart(name, registry=REGISTRY), REGISTRY) for name in ("voice_call", "listen")}


def a_store() -> MemoryStore:
    return MemoryStore(clock=LoopClock())


@dataclass
class House:
    """One node; made by `open`."""

    board: Switchboard
    desk: Desk
    keeper: Keeper
    kept: KeptCalls
    reaper: Reaper
    write_behind: WriteBehind
    store: CutStore
    reopened: list[str]
    clients: list[FakeClient]

    @classmethod
    async def open(
        cls, store: Any, hub: BusHub, name: str, *, max_calls: int = 10, max_active: int = 0, max_age: float = 3600.0
    ) -> House:
        clock, bus, cut = LoopClock(), hub.bus(name), CutStore(store)
        keeper = Keeper(cut, node=name, lease=15.0, max_active=max_active)
        write_behind = WriteBehind(cut, node=name, clock=clock, spool=None, on_fenced=keeper.fenced)
        keeper.writer = write_behind
        clients: list[FakeClient] = []
        did: list[tuple[Any, ...]] = []

        def make_client(events: StsEvents) -> FakeClient:
            clients.append(FakeClient(events))
            return clients[-1]

        board = Switchboard(
            clock=clock,
            choose=choose,
            outside=Outside(
                make_client=make_client,
                clips=Clips(),
                intents=FakeIntents(did),
                agents=FakeAgents(did),
                transcripts=FakeTranscripts(did),
                fronts=FakeFronts(did),
            ),
            observers=(write_behind, keeper),
            journal=write_behind,
            max_calls=max_calls,
        )
        kept = KeptCalls(
            cut,
            choose=choose,
            registry=REGISTRY,
            clock=clock,
            max_age=max_age,
            resume_window=lambda bot, called: 30.0,
        )
        reopened: list[str] = []

        def note(kept: Kept) -> None:
            reopened.append(kept.call_id)

        desk = Desk(
            board=board,
            store=cut,
            keeper=keeper,
            kept=kept,
            bus=bus,
            registry=REGISTRY,
            on_reopen=note,
        )
        reaper = Reaper(
            store=cut,
            keeper=keeper,
            clock=clock,
            recover=desk.recover,
            window=kept.resume_window,
            every=5.0,
            cleanup_interval=300.0,
        )
        await write_behind.start()
        return cls(board, desk, keeper, kept, reaper, write_behind, cut, reopened, clients)

    async def announce(self, call_id: str = "CA1") -> str:
        return await self.desk.announce(call_id, carrier="fake", caller="+15550100", called="+15550101")

    async def connect(
        self, leg: FakeLeg, call_id: str = "CA1", *, proof: bool = True, again: bool = False
    ) -> LegEvents | None:
        started = CallStarted(carrier="fake", called="+15550101", stream_id=leg.stream_id)
        leg.events = await self.desk.connect(leg, started, call_id=call_id, proof=proof, again=again)
        return leg.events

    async def talk(self, call_id: str = "CA1") -> FakeLeg:
        """A call in which the model is ready, and which the store has."""
        leg = FakeLeg(f"MZ of {call_id}")
        assert await self.connect(leg, call_id) is not None
        await elapse(0.1)
        self.clients[-1].usable = True
        self.clients[-1].events.on_ready("sess_1")
        await self.write_behind.flushed()
        await elapse(0.1)
        return leg

    def state(self, call_id: str = "CA1") -> str:
        session = self.board.manager.get(call_id)
        return "" if session is None else session.state

    async def die(self) -> None:
        """End as with kill -9."""
        self.store.cut = True
        for session in self.board.manager:
            session.give_up()
            await session.wait_settled()
        await self.keeper.aclose()
        await self.reaper.aclose()
        await self.write_behind.aclose()

    async def close(self) -> None:
        """End every call, and see that nothing is left."""
        self.store.cut = False
        self.board.manager.end_all()
        assert await self.board.manager.idle(timeout=60.0)
        await self.reaper.aclose()
        await self.keeper.aclose()
        await self.desk.aclose()
        await self.write_behind.aclose()
        assert len(self.desk._turns) == 0
        assert self.board.manager.slots_taken == 0


def choose(called: str, bot: str = "") -> tuple[Machine, BotSettings]:
    chart = "listen" if bot == "listen" else "voice_call"
    return _MACHINES[chart], BotSettings(name=bot or "default", idle_after=0.0)
