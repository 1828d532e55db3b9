"""One call, running: each sentence of how steps are processed."""

from __future__ import annotations

import asyncio
from dataclasses import fields

import pytest

from fsm.ports import CallPorts
from fsm.registry import Action
from fsm.triggers import (
    After,
    CallDtmf,
    CallLost,
    CallStarted,
    UserSilent,
    UserSpeaking,
)
from tests.fakes import elapse, fake_ports
from tests.fsm.running import END, FLAT, LOG, REGISTRY, a_machine, a_session, ended, notes, quick


async def test_exit_transition_and_entry_actions_run_in_that_order() -> None:
    session = a_session(a_machine(FLAT))

    session.post(UserSpeaking())
    await elapse(0)

    assert LOG == ["in_root", "in_x", "out_x", "a", "b", "in_y"]
    assert session.state == "y"
    await ended(session)
    assert LOG[6:] == ["out_y", "in_end", "boom", "c", "out_end", "out_root"]


async def test_a_machine_that_is_done_leaves_the_root_and_is_closed_once() -> None:
    watch = notes()
    session = a_session(a_machine(FLAT), observers=(watch,))

    session.post(END)
    session.post(END)
    await session.wait_closed()
    await session.wait_closed()
    await session.wait_settled()
    await session.wait_settled()

    assert session.closed
    assert session.settled
    assert session.late == 1
    assert [line for line in watch.seen if line.endswith("-> end")] == ["call.ended: x -> end"]
    assert watch.seen[-1] == "settled"
    session.post(END)
    assert session.late == 2


async def test_in_a_final_states_entry_every_action_is_attempted_and_a_failure_only_recorded() -> None:
    session = a_session(a_machine(FLAT))

    await ended(session)

    assert LOG[-5:] == ["in_end", "boom", "c", "out_end", "out_root"]
    assert session.faults == ("action boom: ZeroDivisionError",)


async def test_a_failed_action_skips_the_rest_of_its_block_and_becomes_a_trigger() -> None:
    watch = notes()
    session = a_session(a_machine(FLAT), observers=(watch,))

    session.post(CallDtmf(digits="1"))
    await elapse(0)

    assert LOG == ["in_root", "in_x", "out_x", "boom", "in_y", "c"]
    assert [(e.name, e.outcome, e.error) for e in watch.effects if e.block == "transition"][:2] == [
        ("boom", "failed", "ZeroDivisionError"),
        ("b", "skipped", ""),
    ]
    assert session.state == "y"
    await ended(session)


async def test_the_trigger_of_a_failed_action_comes_before_what_waits() -> None:
    watch = notes()
    session = a_session(a_machine(FLAT), observers=(watch,))

    session.post(CallDtmf(digits="1"))
    session.post(UserSpeaking())
    await elapse(0)

    assert watch.seen[1:] == ["call.dtmf: x -> y", "error.action.boom: y -> y", "user.speaking: y -> x"]
    await ended(session)


async def test_a_failure_while_a_failure_is_handled_is_only_recorded() -> None:
    chart = FLAT.replace("error.action.*: {actions: [c]}", "error.action.*: {actions: [boom, c]}")
    session = a_session(a_machine(chart))

    session.post(CallDtmf(digits="1"))
    await elapse(0)

    assert LOG == ["in_root", "in_x", "out_x", "boom", "in_y", "boom"]
    assert session.faults == ("action boom: ZeroDivisionError",)
    await ended(session)


async def test_every_exit_action_is_attempted() -> None:
    session = a_session(a_machine(FLAT.replace("exit: [out_x]", "exit: [boom, out_x]")))

    session.post(UserSpeaking())
    await elapse(0)

    assert LOG == ["in_root", "in_x", "boom", "out_x", "a", "b", "in_y", "c"]
    await ended(session)


async def test_state_and_context_are_committed_before_the_effects() -> None:
    chart = FLAT.replace("actions: [slow, b]", "target: y, actions: [slow, b, add]")
    session = a_session(a_machine(chart))

    session.post(UserSilent())
    await elapse(0.5)

    assert (session.state, session.context.turn) == ("y", 1)
    assert LOG[-1] == "slow begins"
    await ended(session)


async def test_one_consumer_runs_to_completion_and_exists_only_while_there_is_something_to_do() -> None:
    session = a_session(a_machine(FLAT))
    await elapse(0)
    assert len(asyncio.all_tasks()) == 1

    session.post(UserSilent())
    session.post(UserSpeaking())
    await elapse(2)

    assert LOG[2:] == ["slow begins", "slow ends", "b", "out_x", "a", "b", "in_y"]
    assert len(asyncio.all_tasks()) == 1
    await ended(session)


async def test_an_event_that_no_active_state_handles_is_refused_and_changes_nothing() -> None:
    watch = notes()
    session = a_session(a_machine(FLAT), observers=(watch,))
    await elapse(0)
    before = session.snapshot

    session.post(CallLost())
    await elapse(0)

    assert session.snapshot is before
    assert session.refused == 1
    assert watch.seen[-1] == "refused call.lost"
    await ended(session)


async def test_a_full_inbox_drops_but_never_a_hang_up() -> None:
    watch = notes()
    session = a_session(a_machine(FLAT), observers=(watch,), inbox_limit=2)
    await elapse(0)

    for _ in range(5):
        session.post(UserSpeaking())
    session.post(END)
    await session.wait_settled()

    assert session.dropped == 3
    assert watch.seen.count("dropped user.speaking") == 3
    assert session.state == "end"


async def test_an_observer_that_raises_is_ignored() -> None:
    class Broken(type(notes())):  # type: ignore[misc]
        def on_commit(self, *anything: object) -> None:
            raise ZeroDivisionError

    session = a_session(a_machine(FLAT), observers=(Broken([], []),))

    await ended(session)

    assert session.state == "end"


async def test_without_observers_nothing_is_recorded_and_all_is_done() -> None:
    session = a_session(a_machine(FLAT))

    for trigger in (UserSilent(), CallDtmf(digits="1"), UserSilent(), UserSpeaking()):
        session.post(trigger)
    await elapse(3)

    assert LOG.count("slow ends") == 2
    await ended(session)


async def test_the_line_is_closed_before_the_call_is_settled_and_a_failure_there_is_recorded() -> None:
    class Ports(CallPorts):
        async def aclose(self) -> None:
            LOG.append("aclose")
            raise OSError

    fakes = fake_ports()
    line = Ports(**{port.name: getattr(fakes, port.name) for port in fields(fakes)})
    session = a_session(a_machine(FLAT), ports=line)

    await ended(session)

    assert LOG[-1] == "aclose"
    assert session.faults[-1] == "closing the line: OSError"


async def test_a_mistake_of_our_own_does_not_keep_a_call_open() -> None:
    session = a_session(a_machine(FLAT))
    await elapse(0)

    session.post(After(name="after.setup", node=[]))  # type: ignore[arg-type]
    await elapse(0)

    await ended(session)
    assert session.faults[0] == "step: TypeError"


async def test_what_is_posted_before_the_start_comes_after_it() -> None:
    watching = notes()
    session = a_session(a_machine(FLAT), observers=(watching,), start=False)
    session.post(END)
    session.start()
    await session.wait_settled()

    assert [seen.partition(":")[0] for seen in watching.seen] == ["init", "call.ended", "settled"]


async def test_a_short_deadline_after_a_long_one_is_kept() -> None:
    patient = REGISTRY.extend(actions=(Action(quick, deadline=50.0),))
    chart = """
        id: two
        initial: x
        states:
          x:
            on:
              call.started: {actions: [quick, endless]}
              error.action.endless: {target: z}
          z: {type: final}
    """
    began = asyncio.get_running_loop().time()
    session = a_session(a_machine(chart, patient))
    session.post(CallStarted())
    await session.wait_settled()

    assert LOG[:2] == ["quick", "endless begins"]
    assert asyncio.get_running_loop().time() - began == pytest.approx(2.0)


async def test_a_line_that_does_not_close_is_given_up() -> None:
    class Ports(CallPorts):
        async def aclose(self) -> None:
            await asyncio.Event().wait()

    fakes = fake_ports()
    session = a_session(
        a_machine(FLAT), ports=Ports(**{port.name: getattr(fakes, port.name) for port in fields(fakes)})
    )

    await ended(session)

    assert session.faults[-1] == "closing the line: timed_out"
    assert set(session.leftovers().values()) == {0}
