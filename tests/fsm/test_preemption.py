"""A hang-up is served while something else is busy; what must not be cut is not."""

from __future__ import annotations

from fsm.triggers import (
    CallLost,
    CallResumed,
    CallStarted,
    SessionShutdown,
    StsReady,
    UserSilent,
    UserSpeaking,
)
from tests.fakes import elapse
from tests.fsm.running import END, FLAT, LOG, a_machine, a_session, ended, notes


async def test_a_hang_up_cancels_the_running_action_and_skips_what_is_left() -> None:
    watch = notes()
    session = a_session(
        a_machine(FLAT.replace("actions: [slow, b]", "target: y, actions: [slow, b]")), observers=(watch,)
    )
    session.post(UserSilent())
    await elapse(0.5)

    session.post(END)
    await session.wait_settled()

    assert LOG[2:] == ["out_x", "slow begins", "slow cancelled", "out_y", "in_end", "boom", "c", "out_end", "out_root"]
    assert [(e.name, e.outcome) for e in watch.effects[3:6]] == [
        ("slow", "preempted"),
        ("b", "skipped"),
        ("in_y", "skipped"),
    ]


async def test_a_hang_up_jumps_the_queue() -> None:
    watch = notes()
    session = a_session(a_machine(FLAT), observers=(watch,))
    await elapse(0)

    session.post(UserSpeaking())
    session.post(UserSpeaking())
    session.post(END)
    await session.wait_settled()

    assert watch.seen[1:] == ["call.ended: x -> end", "settled"]
    assert session.late == 2


async def test_preempting_events_keep_their_order() -> None:
    watch = notes()
    session = a_session(a_machine(FLAT), observers=(watch,))
    await elapse(0)

    session.post(UserSpeaking())
    session.post(CallLost())
    session.post(END)
    await session.wait_settled()

    assert watch.seen[1:3] == ["refused call.lost", "call.ended: x -> end"]


async def test_no_event_overtakes_the_one_that_attached_its_socket() -> None:
    watch = notes()
    session = a_session(a_machine(FLAT), observers=(watch,), start=False)
    session.start()

    session.post(UserSpeaking())
    session.post(CallStarted())
    session.post(UserSpeaking())
    session.post(END)
    await session.wait_settled()

    assert watch.seen == [
        "init:  -> x",
        "user.speaking: x -> y",
        "refused call.started",
        "call.ended: y -> end",
        "settled",
    ]


async def test_a_preempting_event_that_leads_nowhere_cancels_nothing() -> None:
    session = a_session(a_machine(FLAT))
    session.post(UserSilent())
    await elapse(0.5)

    session.post(CallLost())
    await elapse(1)

    assert LOG[2:] == ["slow begins", "slow ends", "b"]
    await ended(session)


async def test_one_that_waits_behind_another_socket_cancels_nothing() -> None:
    session = a_session(a_machine(FLAT))
    session.post(UserSilent())
    await elapse(0.5)

    session.post(CallResumed())
    session.post(END)
    await session.wait_settled()

    assert LOG[2:5] == ["slow begins", "slow ends", "b"]


async def test_an_action_may_end_the_call_itself() -> None:
    session = a_session(a_machine(FLAT))

    session.post(StsReady())
    await session.wait_settled()

    assert LOG[2:] == ["out_x", "post_end", "out_y", "in_end", "boom", "c", "out_end", "out_root"]


async def test_no_exit_action_is_cancelled() -> None:
    session = a_session(a_machine(FLAT.replace("exit: [out_x]", "exit: [slow, out_x]")))
    session.post(UserSpeaking())
    await elapse(0.5)

    session.post(END)
    await session.wait_settled()

    assert LOG[2:6] == ["slow begins", "slow ends", "out_x", "out_y"]


async def test_entry_into_a_final_state_is_never_preempted() -> None:
    session = a_session(a_machine(FLAT.replace("entry: [in_end, boom, c]", "entry: [slow, c]")))
    session.post(END)
    await elapse(0.5)

    session.post(SessionShutdown())
    await session.wait_settled()

    assert LOG[-5:] == ["slow begins", "slow ends", "c", "out_end", "out_root"]


async def test_closed_is_known_before_the_closing_actions_are_over() -> None:
    session = a_session(a_machine(FLAT.replace("entry: [in_end, boom, c]", "entry: [slow, c]")))
    session.post(END)

    await session.wait_closed()

    assert "c" not in LOG
    assert not session.settled
    await session.wait_settled()
    assert "c" in LOG
