"""Memory: what an idle call costs, its machine apart from its facts, on the bundled chart.

10,000 calls are brought to `listening` and left alone. Ports are shared, so that only what `fsm/` keeps is counted;
the calls' contexts (who calls, what was said) are then exchanged for one that all share, which leaves the machine:
session, snapshot, visits, timers, its entry in the manager. A bare model of `transitions.AsyncMachine` with the same
states and events, without timers or services, stands beside it.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

from fsm.clock import LoopClock
from fsm.context import CallContext
from fsm.manager import SessionManager
from fsm.session import Session
from fsm.triggers import CallEnded, CallStarted, PlaybackFinished, StsReady
from tests.benchmarks.calls import bundled_machine
from tests.benchmarks.report import Figure, main
from tests.benchmarks.storm_peer import Peer
from tests.benchmarks.storm_world import World
from tests.fakes import fake_ports

__all__ = ["Calls", "measure"]

_BATCH = 100
_PAGE = os.sysconf("SC_PAGE_SIZE")


def measure(smoke: bool) -> list[Figure]:
    """Measure resident memory first: a process does not give back what it once had."""
    count = 500 if smoke else 10_000
    resident = asyncio.run(_resident(count))
    created, whole, machine = asyncio.run(_traced(count))
    model = asyncio.run(_model(min(count, 2000)))
    return [
        Figure(name="idle session's machine, in listening", reached=machine, unit="bytes", goal=1024, better="lower"),
        Figure(
            name="idle session's machine, in created (three timers run)",
            reached=created,
            unit="bytes",
            goal=1024,
            better="lower",
        ),
        Figure(name="with its context", reached=whole, unit="bytes"),
        Figure(name="resident memory per session, with its context", reached=resident, unit="bytes"),
        Figure(name="AsyncMachine: a bare model", reached=model, unit="bytes", note=f"{model / machine:.1f} x ours"),
    ]


class Calls:
    """Many calls with shared ports."""

    def __init__(self, count: int) -> None:
        self.ports = fake_ports(_Nothing())
        self.manager = SessionManager(clock=LoopClock(), max_calls=count)
        self.contexts = [CallContext(call_id=f"CA{n:032}") for n in range(count)]

    async def create(self) -> None:
        """Open them a few at a time: what asyncio keeps for many tasks at once is not theirs."""
        for number, context in enumerate(self.contexts):
            self.manager.open(bundled_machine(), context, lambda session, slot: self.ports)
            if number % _BATCH == 0:
                await _rest()
        await _rest()

    async def listen(self) -> None:
        """Bring them to `listening`."""
        for number, session in enumerate(self.manager):
            for trigger in (CallStarted(), StsReady(), PlaybackFinished()):
                session.post(trigger)
            if number % _BATCH == 0:
                await _rest()
        await _rest()
        assert all(session.state == "listening" for session in self.manager)

    async def end(self) -> None:
        for session in self.manager:
            session.post(CallEnded())
        assert await self.manager.idle(60)


class _Nothing(list[Any]):
    """A log that keeps nothing."""

    def append(self, entry: Any) -> None:
        pass


async def _resident(count: int) -> float:
    calls = Calls(count)
    await _rest()
    before = _rss()
    await calls.create()
    await calls.listen()
    after = _rss()
    await calls.end()
    return (after - before) / count


async def _traced(count: int) -> tuple[float, float, float]:
    """Return bytes of a machine in `created`, of a session in `listening`, and of its machine alone."""
    calls = Calls(count)
    traced = _tracing()
    await calls.create()
    created = traced()
    await calls.listen()
    whole = traced()
    shared = CallContext(call_id="CA")
    sessions: list[Session] = list(calls.manager)
    contexts = [session.context for session in sessions]
    for session in sessions:
        session.snapshot = session.snapshot._replace(context=shared)
    del session, sessions
    contexts.clear()
    machine = traced()
    tracemalloc.stop()
    for context, session in zip(calls.contexts, calls.manager, strict=True):
        session.snapshot = session.snapshot._replace(context=context)
    del session
    await calls.end()
    return created / count, whole / count, machine / count


async def _model(count: int) -> float:
    """Return bytes of a model that is added to an AsyncMachine."""
    peer = Peer(bundled_machine(), World(all_async=False), guarded=False)
    models = [type("Model", (), {})]
    made: list[Any] = [models[0]() for _ in range(count)]
    traced = _tracing()
    for model in made:
        peer.machine.add_model(model)
    bytes_each = traced() / count
    tracemalloc.stop()
    return bytes_each


def _tracing() -> Callable[[], float]:
    """Begin to trace; return a function that tells how many bytes more there are now."""
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]

    def traced() -> float:
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before

    return traced


async def _rest() -> None:
    """Let everything run that can."""
    for _ in range(5):
        await asyncio.sleep(0)


def _rss() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * _PAGE


if __name__ == "__main__":
    sys.exit(main(measure, __doc__))
