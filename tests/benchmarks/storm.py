"""Storm: thousands of calls whose handlers raise, hang and swallow their cancellation, ended at a random moment.

15,000 calls (5 seeds x 3,000) on the bundled chart, in virtual time. 5 % of all handlers' calls raise, 3 % outlast
their deadline, some of those swallow their cancellation once, twice or six times; in one half of the calls all
actions are asynchronous, so that a hang-up meets more of them. Afterwards every call must be closed, with each
closing action begun exactly once, and settled; no task, timer, listener, model session or slot may be left. Beside it
the same calls on `transitions.AsyncMachine` (see `storm_peer.py`).
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

from adapters.simulators.virtual_time import VirtualLoop
from fsm.clock import LoopClock
from fsm.compile import Machine, compile_chart
from fsm.context import CallContext
from fsm.load import load_chart
from fsm.manager import SessionManager, Slot
from fsm.ports import CallPorts
from fsm.session import Session
from fsm.triggers import Trigger
from tests.benchmarks.report import Figure, main
from tests.benchmarks.storm_peer import Peer
from tests.benchmarks.storm_plan import Plan, plan_call
from tests.benchmarks.storm_world import World, WorldPorts
from tests.fakes import elapse, fake_ports

__all__ = ["goals", "measure", "on_async_machine", "on_guarded_machine", "on_sessions", "run"]

PATIENCE = 60.0
"""Seconds after the last hang-up at which a call that is not closed counts as open."""
LAST_RESORT = 3 * 3600.0
"""Seconds after which it counts as never closed: the chart's own last resort, two hours, is over then."""


def measure(smoke: bool) -> list[Figure]:
    """Run the storms; every figure of ours has the goal 0."""
    seeds, calls = (1, 300) if smoke else (5, 3000)
    ours: Counter[str] = Counter()
    plainly: Counter[str] = Counter()
    guarded: Counter[str] = Counter()
    for seed in range(seeds):
        for all_async in (False, True):
            numbers = range(all_async, calls, 2)
            plans = [plan_call(seed, number) for number in numbers]
            ours += run(on_sessions, plans, all_async)
            plainly += run(on_async_machine, plans, all_async)
            guarded += run(on_guarded_machine, plans, all_async)
    return [*_told(ours), *goals(ours), *_beside("AsyncMachine", plainly), *_beside("AsyncMachine, guarded", guarded)]


def run(storm: Callable[[list[Plan], World], Any], plans: list[Plan], all_async: bool) -> Counter[str]:
    """Let one storm pass in virtual time and return what it left behind."""
    complaints: list[str] = []
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.get_loop().set_exception_handler(lambda loop, context: complaints.append(str(context.get("message"))))
        left: Counter[str] = runner.run(storm(plans, World(all_async=all_async)))
        gc.collect()
    left["complaints"] = len(complaints)
    return left


async def play(plans: list[Plan], begin: Callable[[str], object], post: Callable[[str, Trigger], object]) -> None:
    """Let the planned calls begin and their events happen, each at its time, in order; then have patience."""
    happenings: list[tuple[float, str, Trigger | None]] = [(plan.begins, plan.call_id, None) for plan in plans]
    happenings += [(when, plan.call_id, trigger) for plan in plans for when, trigger in plan.events]
    happenings.sort(key=lambda happening: happening[0])
    now = 0.0
    for when, call_id, trigger in happenings:
        if when > now:
            await elapse(when - now)
            now = when
        if trigger is None:
            begin(call_id)
        else:
            post(call_id, trigger)
    await elapse(PATIENCE)


# -- ours --------------------------------------------------------------------------------------------


async def on_sessions(plans: list[Plan], world: World) -> Counter[str]:
    """Run the calls on our sessions and count what is wrong afterwards."""
    machine = _machine(world)
    manager = SessionManager(clock=LoopClock(), max_calls=len(plans))
    sessions: dict[str, Session] = {}

    def begin(call_id: str) -> None:
        def make_ports(session: Session, slot: Slot) -> CallPorts:
            return _ports(world, call_id, slot)

        sessions[call_id] = manager.open(machine, CallContext(call_id=call_id), make_ports)

    await play(plans, begin, lambda call_id, trigger: sessions[call_id].post(trigger))
    left = Counter({"calls": len(plans), "steps": sum(s.snapshot.seq for s in sessions.values()), **world.faults})
    left["abandoned"] = sum(s.abandoned for s in sessions.values())
    for session in sessions.values():
        left["not closed"] += not session.closed or session.state != "closed"
        left["not settled"] += not session.settled
        left["closing actions not exactly once"] += not world.closed_once(session.call_id)
        left.update(session.leftovers())
    return left + _left_over(world, manager.slots_taken + len(manager))


def _ports(world: World, call_id: str, slot: Slot) -> CallPorts:
    fake = fake_ports()
    return WorldPorts(
        carrier=fake.carrier, sts=fake.sts, media=fake.media, intents=fake.intents, agents=fake.agents,
        transcripts=fake.transcripts, fronts=fake.fronts, slot=slot, call_id=call_id, world=world,
    )  # fmt: skip


# -- beside it ---------------------------------------------------------------------------------------


async def on_async_machine(plans: list[Plan], world: World, *, guarded: bool = False) -> Counter[str]:
    """Run the same calls on an AsyncMachine and count what is wrong afterwards."""
    peer = Peer(_machine(world), world, guarded=guarded)
    await play(plans, peer.open, lambda call_id, trigger: peer.calls[call_id].post(trigger))
    left = Counter({"calls": len(plans), **world.faults})
    left["not closed"] = sum(call.state != "closed" for call in peer.calls.values())
    left["closing actions not exactly once"] = sum(not world.closed_once(call_id) for call_id in peer.calls)
    left += _left_over(world, len(peer.slots))
    await elapse(LAST_RESORT)
    left["never closed"] = sum(call.state != "closed" for call in peer.calls.values())
    return left


def on_guarded_machine(plans: list[Plan], world: World) -> Any:
    """The same with a `try` and a deadline around every handler."""
    return on_async_machine(plans, world, guarded=True)


# -- what is left --------------------------------------------------------------------------------------


def _machine(world: World) -> Machine:
    registry = world.registry()
    return compile_chart(load_chart("voice_call", registry=registry), registry)


def _left_over(world: World, slots: int) -> Counter[str]:
    loop = asyncio.get_running_loop()
    timers = [timer for timer in getattr(loop, "_scheduled", ()) if not timer.cancelled()]
    return Counter(
        {
            "tasks": len(asyncio.all_tasks()) - 1,
            "timers": len(timers),
            "listeners": len(world.listening),
            "model sessions": len(world.connected),
            "slots": slots,
        }
    )


_GOALS = (
    "not closed", "not settled", "closing actions not exactly once", "tasks", "lost_tasks", "timers", "listeners",
    "model sessions", "slots", "complaints",
)  # fmt: skip


def _told(left: Counter[str]) -> list[Figure]:
    names = ("calls", "steps", "raises", "outlasts", "swallows", "abandoned")
    return [Figure(name=name, reached=left[name]) for name in names]


def goals(left: Counter[str]) -> list[Figure]:
    return [Figure(name=name, reached=left[name], goal=0, better="exactly") for name in _GOALS]


def _beside(who: str, left: Counter[str]) -> list[Figure]:
    names = ("not closed", "never closed", "closing actions not exactly once", "tasks", "model sessions", "slots")
    return [Figure(name=f"{who}: {name}", reached=left[name]) for name in names]


if __name__ == "__main__":
    sys.exit(main(measure, __doc__))
