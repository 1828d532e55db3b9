"""One call, running: what comes together rarely."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import fields

import pytest

from fsm.clock import LoopClock
from fsm.ports import CallPorts
from fsm.registry import Action
from fsm.session import Session
from fsm.triggers import Trigger, UserSilent, UserSpeaking
from tests.fakes import elapse, fake_ports
from tests.fsm.running import END, LOG, REGISTRY, a_machine, a_session

EDGES = """
    id: edges
    initial: x
    preempt: [call.ended]
    delays: {long: 60s}
    on:
      call.ended: {target: end}
      error.action.*: {}
    after:
      long: {target: end}
    states:
      x:
        on:
          user.speaking: [{guard: raises, target: end}, {target: y}]
          user.silent: {actions: [patient, brisk]}
      y:
        invoke: [{id: first, src: work}, {id: second, src: work}]
      end: {type: final}
"""


async def patient(session: Session, trigger: Trigger) -> None:
    LOG.append("patient")


async def brisk(session: Session, trigger: Trigger) -> None:
    LOG.append("brisk begins")
    await elapse(3)


REGISTERED = REGISTRY.extend(actions=(Action(patient, deadline=5.0), Action(brisk, deadline=1.0)))


async def ended(session: Session) -> None:
    session.post(END)
    await session.wait_settled()
    assert session.leftovers() == {"tasks": 0, "lost_tasks": 0, "timers": 0, "listeners": 0}


async def test_a_guard_that_raises_is_remembered_as_a_fault_of_the_call() -> None:
    session = a_session(a_machine(EDGES, REGISTERED))
    await elapse(0)

    session.post(UserSpeaking())
    await elapse(0)

    assert session.state == "y"
    assert session.faults == ("guard raises: ZeroDivisionError",)
    await ended(session)


async def test_two_services_of_one_state_both_run_and_are_counted() -> None:
    session = a_session(a_machine(EDGES, REGISTERED))
    session.post(UserSpeaking())
    await elapse(0.5)

    assert LOG.count("work begins") == 2
    assert session.leftovers() == {"tasks": 2, "lost_tasks": 0, "timers": 1, "listeners": 0}
    await ended(session)


async def test_a_shorter_deadline_after_a_longer_one_is_kept() -> None:
    session = a_session(a_machine(EDGES, REGISTERED))
    session.post(UserSilent())
    await elapse(1.1)

    assert LOG == ["patient", "brisk begins"]
    assert session.context.last_error == "error.action.brisk: "
    await ended(session)


async def test_what_is_posted_before_the_start_comes_after_it() -> None:
    session = a_session(a_machine(EDGES, REGISTERED), start=False)
    session.post(UserSpeaking())
    session.start()
    await elapse(0)

    assert session.state == "y"
    assert session.refused == 0
    await ended(session)


class StuckPorts(CallPorts):
    """Legs that do not close in time."""

    async def aclose(self) -> None:
        await elapse(60)


async def test_a_line_that_does_not_close_in_time_is_given_up() -> None:
    ports = fake_ports([])
    stuck = StuckPorts(**{field.name: getattr(ports, field.name) for field in fields(CallPorts)})
    session = a_session(a_machine(EDGES, REGISTERED), ports=stuck)

    await ended(session)

    assert session.faults == ("closing the line: timed_out",)


async def test_timers_run_in_a_context_of_their_own() -> None:
    call: ContextVar[str] = ContextVar("call", default="none")
    clock = LoopClock()
    seen: list[str] = []
    call.set("CA1")

    clock.call_at(clock.now() + 1, lambda: seen.append(call.get()))
    await elapse(2)

    assert seen == ["none"]


async def test_where_a_handler_failed_is_told_to_developers_but_not_what_its_error_says(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def quotes(session: Session, trigger: Trigger) -> None:
        raise ValueError("the caller said 4711")

    chart = "id: c\ninitial: x\nentry: [quotes]\non: {call.ended: {target: end}}\nstates: {x: {}, end: {type: final}}"
    with caplog.at_level("DEBUG"):
        session = a_session(a_machine(chart, REGISTRY.extend(actions=(quotes,))))
        session.post(END)
        await session.wait_settled()

    [line] = [record for record in caplog.records if record.message == "handler_failed"]
    assert (vars(line)["handler"], vars(line)["error"]) == ("quotes", "ValueError")
    assert "test_session_edges.py:" in vars(line)["where"]
    assert "4711" not in caplog.text
