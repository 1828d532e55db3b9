"""A call that another node has: what it held here ends, and nothing more is decided."""

from __future__ import annotations

import pytest

from fsm.observe import Observer
from fsm.session import Session
from fsm.step import Step
from fsm.triggers import CallStarted, UserSilent, UserSpeaking
from tests.fakes import elapse, fake_ports
from tests.fsm.running import END, FLAT, LOG, a_machine, a_session, notes

NOTHING = {"tasks": 0, "lost_tasks": 0, "timers": 0, "listeners": 0}

BUSY = """
    id: busy
    initial: x
    preempt: [call.ended]
    on:
      call.ended: {target: end}
      error.action.*: {}
    after: {longest: {target: end}}
    delays: {longest: 60s, patience: 10s}
    states:
      x:
        entry: [{type: undoing, params: {name: x}}]
        exit: [out_x]
        invoke: {id: work, src: work}
        after: {patience: {target: end}}
        on:
          done.invoke.work: {actions: [a]}
          user.silent: {actions: [{type: swallows, params: {times: 1}}, b]}
      end: {type: final, entry: [slow, c], exit: []}
"""


async def test_an_idle_call_that_is_given_up_settles_without_a_step() -> None:
    watch = notes()
    session = a_session(a_machine(FLAT), observers=(watch,))
    await elapse(1)
    seen, seq = list(watch.seen), session.snapshot.seq

    session.give_up()
    session.post(UserSpeaking())
    await session.wait_settled()

    assert (session.given_up, session.closed, session.settled) == (True, True, True)
    assert (session.state, session.snapshot.seq, session.late) == ("x", seq, 1)
    assert watch.seen == [*seen, "settled"]
    assert LOG == ["in_root", "in_x"]
    assert session.leftovers() == NOTHING


async def test_an_action_that_runs_is_cut_and_no_block_follows() -> None:
    watch = notes()
    session = a_session(a_machine(FLAT), observers=(watch,))
    session.post(UserSilent())
    session.post(UserSpeaking())
    await elapse(0.5)
    watch.effects.clear()

    session.give_up()
    await session.wait_settled()

    assert LOG == ["in_root", "in_x", "slow begins", "slow cancelled"]
    assert (session.late, session.faults) == (1, ())
    assert watch.effects == []
    assert watch.seen[-2:] == ["user.silent: x -> x", "settled"]


async def test_an_exit_block_that_has_begun_is_cut_too() -> None:
    session = a_session(a_machine(FLAT.replace("exit: [out_x]", "exit: [slow, out_x]")))
    session.post(UserSpeaking())
    await elapse(0.5)

    session.give_up()
    await session.wait_settled()

    assert LOG == ["in_root", "in_x", "slow begins", "slow cancelled"]


async def test_agents_timers_and_undos_end_with_it() -> None:
    session = a_session(a_machine(BUSY))
    await elapse(0.5)
    assert session.leftovers() == {"tasks": 1, "lost_tasks": 0, "timers": 2, "listeners": 1}

    session.give_up()
    await session.wait_settled()

    assert LOG == ["work begins", "work cancelled", "undo x"]
    assert session.leftovers() == NOTHING
    await elapse(120)
    assert LOG == ["work begins", "work cancelled", "undo x"]


async def test_an_action_that_swallows_its_cancellation_is_waited_for_and_moves_nothing() -> None:
    session = a_session(a_machine(BUSY))
    await elapse(2)
    session.post(UserSilent())
    await elapse(0.5)

    session.give_up()
    await session.wait_settled()

    assert "b" not in LOG
    assert session.state == "x"
    assert session.leftovers() == NOTHING


async def test_a_call_that_is_closing_already_closes_as_it_was_to() -> None:
    session = a_session(a_machine(BUSY))
    session.post(END)
    await elapse(0.5)

    session.give_up()
    await session.wait_settled()

    assert (session.given_up, session.state) == (False, "end")
    assert LOG[-2:] == ["slow ends", "c"]


async def test_a_call_is_given_up_once() -> None:
    watch = notes()
    session = a_session(a_machine(FLAT), observers=(watch,))
    await elapse(1)

    session.give_up()
    session.give_up()
    await session.wait_settled()
    session.give_up()

    assert watch.seen.count("settled") == 1


async def test_a_call_that_was_not_yet_entered_never_is() -> None:
    watch = notes()
    session = a_session(a_machine(FLAT), observers=(watch,))

    session.give_up()
    await session.wait_settled()

    assert LOG == []
    assert watch.seen == ["settled"]


class GivesUp(Observer):
    """Learns with a commit that another node has the call, as an owner does whose store tells it at once."""

    def __init__(self, trigger: str) -> None:
        self.trigger = trigger

    def on_commit(self, session: Session, step: Step) -> None:
        if step.trigger.name == self.trigger:
            session.give_up()


@pytest.mark.parametrize("trigger", ["user.speaking", "call.ended"])
async def test_a_call_that_is_given_up_by_its_own_commit_runs_none_of_its_actions(trigger: str) -> None:
    watch = notes()
    session = a_session(a_machine(FLAT), observers=(GivesUp(trigger), watch))
    await elapse(0.1)

    session.post(UserSpeaking() if trigger == "user.speaking" else END)
    await session.wait_settled()

    assert LOG == ["in_root", "in_x"]
    assert watch.seen.count("settled") == 1
    assert session.given_up


async def test_the_line_of_a_call_that_is_given_up_is_closed() -> None:
    closed: list[str] = []

    class Ports(type(fake_ports())):  # type: ignore[misc]  # the class of the fakes' ports
        async def aclose(self) -> None:
            closed.append("line")

    fakes = fake_ports([])
    ports = Ports(**{name: getattr(fakes, name) for name in fakes.__dataclass_fields__})
    session = a_session(a_machine(FLAT), ports=ports)
    session.post(CallStarted())
    await elapse(0.1)

    session.give_up()
    await session.wait_settled()

    assert closed == ["line"]
