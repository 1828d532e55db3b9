"""A store that a test makes fail, and calls whose commits go there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson

from adapters.stores.contract import Commit, Outcome, SessionStore, StoreAway
from adapters.stores.memory import MemoryStore
from adapters.stores.spool import Spool
from adapters.stores.spool_folder import SpoolFiles
from adapters.stores.write_behind import WriteBehind
from fsm.clock import LoopClock
from fsm.compile import Machine
from fsm.context import CallContext
from fsm.observe import Observer
from fsm.options import Options
from fsm.session import Session
from tests.fakes import fake_ports
from tests.fsm.running import a_machine

__all__ = ["FaultyStore", "a_call_on", "a_memory", "a_spool", "a_talk", "records", "versions"]

TALK = """
    id: talk
    initial: a
    preempt: [call.ended]
    on:
      call.ended: {target: z}
    states:
      a: {on: {session.configured: {actions: [quick]}, user.speaking: {target: b}}}
      b: {on: {session.configured: {actions: [quick]}, user.silent: {target: a}}}
      z: {type: final, entry: [a]}
"""


def a_talk() -> Machine:
    return a_machine(TALK)


def a_memory() -> MemoryStore:
    return MemoryStore(clock=LoopClock(), max_sessions=100_000)


def a_spool() -> Spool:
    return Spool(SpoolFiles(a_memory(), a_memory()))


class FaultyStore(MemoryStore):
    """A memory store that does what `faults` say, one after the other, and then what `always` says.

    A fault: `away` (nothing is done), `lost` (all is done, and the reply is lost), `slow` (1 s), `stuck` (for ever),
    `broken` (it raises what no store should), or nothing.

    Attributes:
        batches: the commits that were asked for.
        refuses: ids of calls that it never takes.
    """

    def __init__(self) -> None:
        super().__init__(clock=LoopClock(), max_sessions=100_000)
        self.faults: list[str] = []
        self.always = ""
        self.batches: list[list[Commit]] = []
        self.refuses: set[str] = set()

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        fault = self.faults.pop(0) if self.faults else self.always
        self.batches.append(list(commits))
        match fault:
            case "away":
                raise StoreAway("nobody there")
            case "broken":
                raise ZeroDivisionError
            case "stuck":
                await asyncio.sleep(1e9)
            case "slow":
                await asyncio.sleep(1)
            case _:
                pass
        taken = iter(await super().commit([commit for commit in commits if commit.call_id not in self.refuses]))
        if fault == "lost":
            raise StoreAway("no reply")
        return [Outcome("refused", 0, 0) if commit.call_id in self.refuses else next(taken) for commit in commits]


def a_call_on(
    journal: WriteBehind, call_id: str = "CA1", *, machine: Machine | None = None, watch: tuple[Observer, ...] = ()
) -> Session:
    """Start a call whose commits go to `journal`."""
    session = Session(
        machine or a_talk(),
        CallContext(call_id=call_id, caller="+15550001", created_at=1_700_000_000.0),
        fake_ports([]),
        clock=LoopClock(),
        options=Options(observers=(journal, *watch), journal=journal),
    )
    session.start()
    return session


async def records(store: SessionStore, call_id: str = "CA1") -> list[dict[str, Any]]:
    """Return what the store's log has of a call."""
    return [orjson.loads(entry.record) for entry in await store.log(call_id, limit=100_000)]


async def versions(store: SessionStore, call_id: str = "CA1") -> list[int]:
    return [entry.version for entry in await store.log(call_id, limit=100_000)]
