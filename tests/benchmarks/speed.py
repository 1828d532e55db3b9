"""Speed: what a step costs beside `transitions.AsyncMachine`, a session beside 10,000 others, a hang-up, a simulation.

Ratios come from one run: both sides measure in turns, and their medians are compared. The AsyncMachine is driven in
its cheapest way, by awaiting each trigger; ours as calls drive it, by posting each and waiting until its last action
has run.
"""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from transitions.extensions.asyncio import AsyncMachine

from fsm.clock import LoopClock
from fsm.context import CallContext
from fsm.manager import SessionManager
from fsm.registry import Registry
from fsm.session import Session
from fsm.triggers import CallEnded, PlaybackFinished, Trigger
from tests.benchmarks.calls import a_call_in_agent, bundled_machine, simulated_cases
from tests.benchmarks.report import Figure, interleaved, main
from tests.fakes import fake_ports
from tests.fsm.running import a_machine

__all__ = ["measure", "steps"]

ROOT = Path(__file__).parents[2]
_CHART = """
    id: table_tennis
    version: 1
    initial: ping
    preempt: [call.ended]
    on: {call.ended: {target: over}}
    states:
      ping: {exit: [leave], on: {playback.finished: {target: pong, actions: [move]}}, entry: [enter]}
      pong: {exit: [leave], on: {playback.finished: {target: ping, actions: [move]}}, entry: [enter]}
      over: {type: final}
"""
GO = PlaybackFinished()
Wait = Callable[[], Awaitable[object]]


def measure(smoke: bool) -> list[Figure]:
    """Measure everything; a few seconds, or one if `smoke`."""
    return [
        *steps(rounds=3 if smoke else 15, times=200 if smoke else 2000),
        *asyncio.run(_creation(others=500 if smoke else 10_000, rounds=3 if smoke else 15)),
        *asyncio.run(_hang_up(calls=30 if smoke else 500)),
        *_simulate(cases=200 if smoke else 20_000, rounds=1 if smoke else 3),
    ]


# -- post -> done --------------------------------------------------------------------------------------


class Done:
    """Opened by the last of the three actions."""

    def __init__(self) -> None:
        self.gate: asyncio.Future[None] | None = None

    def arm(self) -> asyncio.Future[None]:
        self.gate = asyncio.get_running_loop().create_future()
        return self.gate

    def open(self) -> None:
        if self.gate is not None and not self.gate.done():
            self.gate.set_result(None)


def _actions(kind: str, done: Done) -> list[Callable[..., Any]]:
    """Return `leave`, `move` and `enter` of one kind: `plain`, `async` (that end at once), `waiting` (one turn)."""
    if kind == "plain":
        return [_plain("leave", None), _plain("move", None), _plain("enter", done)]
    turns = int(kind == "waiting")
    return [_later("leave", None, turns), _later("move", None, turns), _later("enter", done, turns)]


def _plain(name: str, done: Done | None) -> Callable[..., Any]:
    def action(session: Any, trigger: Trigger) -> None:
        if done is not None:
            done.open()

    action.__name__ = name
    return action


def _later(name: str, done: Done | None, turns: int) -> Callable[..., Any]:
    async def action(session: Any, trigger: Trigger) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        if done is not None:
            done.open()

    action.__name__ = name
    return action


def steps(rounds: int, times: int) -> list[Figure]:
    """Measure one step with three actions: on exit, on the way, on entry."""
    figures = []
    for kind, what, goal, bare in (
        ("plain", "three plain actions", 4.0, False),
        ("plain", "three plain actions (a bare AsyncMachine)", 4.0, True),
        ("async", "three async actions", 1.0, False),
        ("async", "three async actions (a bare AsyncMachine)", 1.0, True),
        ("waiting", "three async actions that wait a turn", 1.0, False),
    ):
        theirs, ours = interleaved(
            rounds, partial(_run, _async_machine, kind, times, bare), partial(_run, _session, kind, times)
        )
        note = f"{ours * 1e6:.1f} us, AsyncMachine {theirs * 1e6:.1f} us"
        figures.append(Figure(name=f"post -> done, {what}", reached=theirs / ours, unit="x", goal=goal, note=note))
    return figures


def _run(side: Callable[..., Coroutine[Any, Any, float]], *arguments: object) -> float:
    return asyncio.run(side(*arguments))


async def _session(kind: str, times: int) -> float:
    """Return seconds for one step of ours."""
    done = Done()
    machine = a_machine(_CHART, Registry(actions=_actions(kind, done)))
    session = Session(machine, CallContext(call_id="CA1"), fake_ports(), clock=LoopClock())
    session.start()

    async def step() -> None:
        gate = done.arm()
        session.post(GO)
        await gate

    took = await _timed(step, times)
    session.post(CallEnded())
    await session.wait_settled()
    assert session.refused == 0
    assert not session.faults
    return took


async def _async_machine(kind: str, times: int, bare: bool) -> float:
    """Return seconds for one step of an AsyncMachine with the same states and actions.

    Args:
        bare: no queue, and all three actions in one block, which it runs side by side: the least that it can do.
    """
    leave, move, enter = (partial(action, None) for action in _actions(kind, Done()))
    edges: dict[str, Any] = {} if bare else {"on_exit": leave, "on_enter": enter}
    model = type("Model", (), {})()
    AsyncMachine(
        model,
        states=[{"name": name, **edges} for name in ("ping", "pong")],
        transitions=[
            {"trigger": "go", "source": a, "dest": b, "before": [leave, move, enter] if bare else move}
            for a, b in (("ping", "pong"), ("pong", "ping"))
        ],
        initial="ping",
        auto_transitions=False,
        queued=not bare,
    )
    return await _timed(lambda: model.go(GO), times)


async def _timed(step: Wait, times: int) -> float:
    for _ in range(20):
        await step()
    gc.collect()
    began = time.perf_counter()
    for _ in range(times):
        await step()
    return (time.perf_counter() - began) / times


# -- creating a session --------------------------------------------------------------------------------


async def _creation(others: int, rounds: int) -> list[Figure]:
    """Compare creating a session alone with creating one beside `others`."""
    machine, ports = bundled_machine(), fake_ports([])
    manager = SessionManager(clock=LoopClock(), max_calls=2 * others)
    numbers = iter(range(10_000_000))

    async def create(count: int) -> tuple[float, list[Session]]:
        began = time.perf_counter()
        made = [
            manager.open(machine, CallContext(call_id=f"CA{next(numbers)}"), lambda session, slot: ports)
            for _ in range(count)
        ]
        await asyncio.sleep(0)  # their first step is committed and done
        return (time.perf_counter() - began) / count, made

    async def a_round() -> float:
        took, made = await create(50)
        await _end(made)
        return took

    await a_round()
    alone = [await a_round() for _ in range(rounds)]
    _, crowd = await create(others)
    beside = [await a_round() for _ in range(rounds)]
    await _end(crowd)
    alone += [await a_round() for _ in range(rounds)]
    growth = median(beside) / median(alone)
    note = f"{median(alone) * 1e6:.1f} us alone, {median(beside) * 1e6:.1f} us beside {others:,} calls"
    return [
        Figure(
            name="creating a session, beside many / alone",
            reached=growth,
            unit="x",
            goal=1.5,
            better="lower",
            note=note,
        )
    ]


async def _end(sessions: list[Session]) -> None:
    for session in sessions:
        session.post(CallEnded())
    for session in sessions:
        await session.wait_settled()


# -- hanging up ----------------------------------------------------------------------------------------


async def _hang_up(calls: int) -> list[Figure]:
    """Hang up, one after the other, calls whose agent has 20 s to go."""
    machine = bundled_machine()
    sessions = [await a_call_in_agent(machine, f"CA{n}", agent_takes=20.0) for n in range(calls)]
    took = []
    for session in sessions:
        began = time.perf_counter()
        session.post(CallEnded())
        await session.wait_closed()
        took.append((time.perf_counter() - began) * 1000)
        await session.wait_settled()
    worst = sorted(took)[int(len(took) * 0.99)]
    name = "hang-up -> closed during a 20 s agent, median"
    return [Figure(name=name, reached=median(took), unit="ms", goal=1.0, better="lower", note=f"99 %: {worst:.3f} ms")]


# -- simulating ----------------------------------------------------------------------------------------


def _simulate(cases: int, rounds: int) -> list[Figure]:
    """Run the command, start-up included."""
    lines, steps = simulated_cases(cases)
    with TemporaryDirectory() as folder:
        events = Path(folder) / "cases.jsonl"
        events.write_text("\n".join(lines), encoding="utf-8")
        took = [_command(["simulate", "voice_call", "--events", str(events), "--json"]) for _ in range(rounds)]
    name = f"callchart simulate, {steps:,} steps, start-up included"
    goal = 100_000 if steps >= 200_000 else None
    return [Figure(name=name, reached=steps / median(took), unit="steps/s", goal=goal, note=f"{median(took):.2f} s")]


def _command(arguments: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "adapters", *arguments], cwd=ROOT, check=True, timeout=120, stdout=subprocess.DEVNULL
    )
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main(measure, __doc__))
