"""Everything of one process that keeps calls: store, write-behind, leases, and the work after a call."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from socket import gethostname

from adapters.bus.contract import Bus
from adapters.bus.local import LocalBus
from adapters.bus.questions import Questions
from adapters.calls.activity import Activity
from adapters.ownership.keeper import Keeper
from adapters.pipeline.leftovers import Leftovers
from adapters.pipeline.relay import Relay
from adapters.pipeline.results import Results
from adapters.pipeline.runner import LocalRunner
from adapters.pipeline.stages import TranscriptFile
from adapters.settings import Settings
from adapters.stores.chosen import spool_of, store_of
from adapters.stores.contract import SessionStore
from adapters.stores.write_behind import WriteBehind
from fsm.clock import Clock

__all__ = ["Keeping", "keep"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """What keeps calls.

    Attributes:
        questions: what other nodes may ask this one.
        leftovers: forgets this node's files of calls that the store has forgotten.
    """

    store: SessionStore
    bus: Bus
    questions: Questions
    activity: Activity
    keeper: Keeper
    write_behind: WriteBehind
    runner: LocalRunner
    relay: Relay
    leftovers: Leftovers

    async def start(self) -> None:
        """Make ready to keep calls; the store may be away.

        Raises:
            SettingError: the store must not be used as it is set up.
        """
        await self.store.start()
        await self.write_behind.start()
        await self.bus.start()
        await self.keeper.start()
        await self.relay.start()
        self.leftovers.start()

    async def aclose(self) -> None:
        """Write what is left, and let go of store and bus. May be called without `start`, and twice."""
        async with AsyncExitStack() as closing:  # the last first, and each of them, whatever another one raises
            for part in (self.store, self.bus, self.write_behind, self.relay, self.leftovers):
                closing.push_async_callback(part.aclose)
            closing.callback(self.activity.aclose)
            closing.push_async_callback(self.keeper.aclose)

    def is_away(self) -> bool:
        """Whether the store does not answer: calls are taken all the same, and none is taken over."""
        return self.keeper.store_away or self.write_behind.away


def keep(settings: Settings, clock: Clock, *, store: SessionStore | None = None, bus: Bus | None = None) -> Keeping:
    """Return what keeps calls, not started.

    Args:
        store, bus: instead of those that the settings choose.
    """
    bus = bus or bus_of(settings, f"{gethostname()}-{os.getpid()}-{token_hex(4)}")
    store = store or store_of(settings, clock)
    questions = Questions()
    bus.serve(questions)
    activity = Activity(clock=clock, timeout=settings.call_session_timeout)
    keeper = Keeper(store, node=bus.node, lease=settings.lease, max_active=settings.max_sessions)
    questions.serve("fenced", keeper.answer_fenced)
    write_behind = WriteBehind(
        store,
        node=bus.node,
        clock=clock,
        spool=spool_of(settings, clock),
        facts=activity.facts,
        on_fenced=keeper.fenced,
    )
    keeper.writer = write_behind
    folder = settings.data_dir / "calls"
    results = Results(folder)
    runner = LocalRunner(store, (TranscriptFile(folder),), results, clock=clock)
    return Keeping(
        store=store,
        bus=bus,
        questions=questions,
        activity=activity,
        keeper=keeper,
        write_behind=write_behind,
        runner=runner,
        relay=Relay(store, runner, write_behind),
        leftovers=_leftovers(settings, folder, store, results, clock),
    )


def _leftovers(settings: Settings, folder: Path, store: SessionStore, results: Results, clock: Clock) -> Leftovers:
    every = settings.cleanup_interval
    return Leftovers(folder, store, results, clock=clock, retention=settings.retention, every=every)


def bus_of(settings: Settings, node: str) -> Bus:
    """Return how this node talks to others: over Redis, or not at all."""
    if settings.store != "redis":
        return LocalBus(node)
    from adapters.bus.redis import redis_bus

    return redis_bus(settings, node)
