"""Sessions on small charts: actions and services that a test controls, and a log of what ran."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import dedent
from typing import Any

from fsm.clock import LoopClock
from fsm.compile import Machine, compile_chart
from fsm.context import CallContext
from fsm.load import load_chart
from fsm.observe import Effect, Journal, Observer
from fsm.options import Options
from fsm.ports import CallPorts
from fsm.registry import Action, Registry, Service, Verdict
from fsm.session import Session
from fsm.step import Refusal, Step
from fsm.triggers import AgentCompleted, AgentProgress, AgentSaid, CallEnded, CallStarted, Trigger
from tests.fakes import fake_ports

LOG: list[str] = []
"""What ran, in order; emptied by `a_session`."""

END = CallEnded()


# -- guards and reducers ---------------------------------------------------------------------------


def yes(call: CallContext, trigger: Trigger) -> bool:
    return True


def no(call: CallContext, trigger: Trigger) -> Verdict:
    return Verdict(holds=False, reason="never")


def raises(call: CallContext, trigger: Trigger) -> bool:
    raise ZeroDivisionError


def loud(call: CallContext, trigger: CallStarted) -> bool:
    return trigger.at_capacity


def add(call: CallContext, trigger: Trigger, *, by: int = 1) -> CallContext:
    LOG.append(f"add {by}")
    return replace(call, turn=call.turn + by)


def spoil(call: CallContext, trigger: Trigger) -> CallContext:
    raise ZeroDivisionError


# -- actions ---------------------------------------------------------------------------------------


def _logs(name: str) -> Any:
    def action(session: Session, trigger: Trigger) -> None:
        LOG.append(name)

    action.__name__ = name
    return action


def post_end(session: Session, trigger: Trigger) -> None:
    LOG.append("post_end")
    session.post(END)


def boom(session: Session, trigger: Trigger) -> None:
    LOG.append("boom")
    raise ZeroDivisionError


def cancelled(session: Session, trigger: Trigger) -> None:
    raise asyncio.CancelledError


def undoing(session: Session, trigger: Trigger, *, name: str, fails: bool = False) -> None:
    def undo() -> None:
        LOG.append(f"undo {name}")
        if fails:
            raise ZeroDivisionError

    session.on_leave(undo)


async def quick(session: Session, trigger: Trigger) -> None:
    LOG.append("quick")


async def slow(session: Session, trigger: Trigger) -> None:
    LOG.append("slow begins")
    try:
        await asyncio.sleep(1)
        LOG.append("slow ends")
    except asyncio.CancelledError:
        LOG.append("slow cancelled")
        raise


async def endless(session: Session, trigger: Trigger) -> None:
    LOG.append("endless begins")
    await asyncio.sleep(1e9)


async def boom_later(session: Session, trigger: Trigger) -> None:
    await asyncio.sleep(0.1)
    raise ZeroDivisionError


async def gives_up(session: Session, trigger: Trigger) -> None:
    raise asyncio.CancelledError


async def swallows(session: Session, trigger: Trigger, *, times: int = 1) -> None:
    """Take cancellations as long as it is told to, then use the call once more."""
    LOG.append("swallows begins")
    for _ in range(times):
        try:
            await asyncio.sleep(1e9)
        except asyncio.CancelledError:
            LOG.append("swallowed")
    try:
        session.post(END)
        LOG.append("posted")
    except Exception as error:
        LOG.append(type(error).__name__)
        raise


# -- services --------------------------------------------------------------------------------------


async def work(session: Session, trigger: Trigger) -> Trigger | None:
    LOG.append("work begins")
    try:
        await asyncio.sleep(1)
    except asyncio.CancelledError:
        LOG.append("work cancelled")
        raise
    return None


async def agent(session: Session, trigger: Trigger) -> Trigger | None:
    session.post(AgentProgress(data={"half": 1}))
    await asyncio.sleep(1)
    return AgentCompleted(result="done")


async def fails(session: Session, trigger: Trigger) -> Trigger | None:
    raise ZeroDivisionError


async def quits(session: Session, trigger: Trigger) -> Trigger | None:
    raise asyncio.CancelledError


async def hangs_on(session: Session, trigger: Trigger) -> Trigger | None:
    """Answer only after its cancellation."""
    try:
        await asyncio.sleep(1e9)
    except asyncio.CancelledError:
        session.post(AgentSaid(text="too late"))
    return AgentCompleted(result="too late")


NAMES = (
    "a", "b", "c", "in_root", "out_root", "in_up", "out_up", "in_x", "out_x", "in_y", "out_y", "in_end", "out_end",
)  # fmt: skip
REGISTRY = Registry(
    guards=(yes, no, raises, loud),
    reducers=(add, spoil),
    actions=(
        *(_logs(name) for name in NAMES),
        post_end, boom, cancelled, undoing, quick, slow, Action(endless, deadline=2.0), boom_later, gives_up, swallows,
    ),
    services=(
        Service(work), Service(agent, produces=(AgentProgress, AgentCompleted), durable=True), Service(fails),
        Service(quits), Service(hangs_on, produces=(AgentSaid, AgentCompleted)),
    ),
)  # fmt: skip


FLAT = """
    id: flat
    initial: x
    preempt: [call.ended, call.lost, session.shutdown]
    entry: [in_root]
    exit: [out_root]
    on:
      call.ended: {target: end}
      session.shutdown: {target: end}
      error.action.*: {actions: [c]}
    states:
      x:
        entry: [in_x]
        exit: [out_x]
        on:
          user.speaking: {target: y, actions: [a, b]}
          user.silent: {actions: [slow, b]}
          call.dtmf: {target: y, actions: [boom, b]}
          sts.ready: {target: y, actions: [post_end, b]}
          call.started: {actions: [quick]}
      y:
        entry: [in_y]
        exit: [out_y]
        on:
          user.speaking: {target: x}
          user.silent: {target: x, actions: [slow]}
      end:
        type: final
        entry: [in_end, boom, c]
        exit: [out_end]
"""


async def ended(session: Session) -> None:
    session.post(END)
    await session.wait_settled()
    assert session.leftovers() == {"tasks": 0, "lost_tasks": 0, "timers": 0, "listeners": 0}


# -- sessions --------------------------------------------------------------------------------------


def a_machine(text: str, registry: Registry = REGISTRY) -> Machine:
    """Compile a chart written in a test."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "chart.yaml"
        path.write_text(dedent(text), encoding="utf-8")
        return compile_chart(load_chart(path, registry=registry), registry)


@dataclass
class Notes(Observer):
    """Everything an observer is told, by name."""

    seen: list[str]
    effects: list[Effect]

    def on_commit(self, session: Session, step: Step) -> None:
        self.seen.append(f"{step.trigger.name}: {step.before.state} -> {step.after.state}")

    def on_effects(self, session: Session, step: Step, effects: list[Effect]) -> None:
        self.effects += effects

    def on_refusal(self, session: Session, refusal: Refusal) -> None:
        self.seen.append(f"refused {refusal.trigger.name}")

    def on_stale(self, session: Session, trigger: Trigger) -> None:
        self.seen.append(f"stale {trigger.name}")

    def on_overflow(self, session: Session, trigger: Trigger) -> None:
        self.seen.append(f"dropped {trigger.name}")

    def on_settled(self, session: Session) -> None:
        self.seen.append("settled")


def notes() -> Notes:
    return Notes([], [])


def a_session(
    machine: Machine,
    *,
    observers: tuple[Observer, ...] = (),
    journal: Journal | None = None,
    inbox_limit: int = 256,
    ports: CallPorts | None = None,
    start: bool = True,
) -> Session:
    """Start a call on `machine`."""
    LOG.clear()
    session = Session(
        machine,
        CallContext(call_id="CA1"),
        ports or fake_ports([]),
        clock=LoopClock(),
        options=Options(observers=observers, journal=journal, inbox_limit=inbox_limit),
    )
    if start:
        session.start()
    return session
