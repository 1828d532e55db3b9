"""Actions that take too long, fail later, or swallow their cancellation."""

from __future__ import annotations

import asyncio

from fsm.session import Session
from fsm.triggers import SessionShutdown, Trigger, UserSilent, UserSpeaking
from tests.fakes import elapse
from tests.fsm.running import END, FLAT, LOG, REGISTRY, a_machine, a_session, ended, notes


async def test_an_action_that_outlasts_its_deadline_is_cancelled_and_fails() -> None:
    watch = notes()
    session = a_session(a_machine(FLAT.replace("[slow, b]", "[endless, b]")), observers=(watch,))
    began = session.clock.now()

    session.post(UserSilent())
    await elapse(3)

    assert "error.action.endless: x -> x" in watch.seen
    endless = next(e for e in watch.effects if e.name == "endless")
    assert (endless.outcome, round(endless.ended - began, 3)) == ("timed_out", 2.0)
    await ended(session)


async def test_deadlines_of_actions_that_follow_each_other_are_each_kept() -> None:
    watch = notes()
    session = a_session(a_machine(FLAT.replace("[slow, b]", "[slow, slow, endless]")), observers=(watch,))

    session.post(UserSilent())
    await elapse(6)

    assert [(e.name, e.outcome, round(e.ended - e.began, 3)) for e in watch.effects if e.block == "transition"][:3] == [
        ("slow", "done", 1.0),
        ("slow", "done", 1.0),
        ("endless", "timed_out", 2.0),
    ]
    await ended(session)


async def test_a_failing_asynchronous_action_becomes_a_trigger() -> None:
    watch = notes()
    session = a_session(a_machine(FLAT.replace("[slow, b]", "[boom_later, b]")), observers=(watch,))

    session.post(UserSilent())
    await elapse(1)

    assert watch.seen[-1] == "error.action.boom_later: x -> x"
    await ended(session)


async def test_an_action_that_cancels_itself_fails_and_the_call_goes_on() -> None:
    for action in ("gives_up", "cancelled"):
        watch = notes()
        session = a_session(a_machine(FLAT.replace("[slow, b]", f"[{action}, b]")), observers=(watch,))

        session.post(UserSilent())
        await elapse(1)

        assert watch.seen[-1] == f"error.action.{action}: x -> x"
        assert watch.effects[-2].error == "CancelledError" or watch.effects[-3].error == "CancelledError"
        await ended(session)


async def test_an_action_that_swallows_its_cancellation_is_abandoned_and_its_handle_revoked() -> None:
    watch = notes()
    session = a_session(
        a_machine(FLAT.replace("[slow, b]", "[{type: swallows, params: {times: 2}}, b]")), observers=(watch,)
    )
    session.post(UserSilent())
    await elapse(0.5)

    session.post(END)
    await session.wait_settled()

    assert LOG.count("swallowed") == 2
    assert "HandleRevokedError" in LOG
    assert "posted" not in LOG
    assert session.abandoned == 1
    swallows = next(e for e in watch.effects if e.name == "swallows")
    assert (swallows.outcome, round(swallows.ended - swallows.began, 3)) == ("preempted", 0.75)


async def test_an_action_abandoned_after_its_deadline_fails() -> None:
    watch = notes()
    session = a_session(
        a_machine(FLAT.replace("[slow, b]", "[{type: swallows, params: {times: 2}}, b]")), observers=(watch,)
    )

    session.post(UserSilent())
    await elapse(5)

    assert next(e.outcome for e in watch.effects if e.name == "swallows") == "abandoned"
    assert "error.action.swallows: x -> x" in watch.seen
    await ended(session)


async def test_one_that_gives_in_within_its_grace_is_not_abandoned() -> None:
    session = a_session(a_machine(FLAT.replace("[slow, b]", "[swallows, b]")))
    session.post(UserSilent())
    await elapse(0.5)

    session.post(SessionShutdown())
    await session.wait_settled()

    assert session.abandoned == 0


async def test_a_task_that_can_not_be_ended_is_counted_and_does_not_hold_the_call() -> None:
    session = a_session(a_machine(FLAT.replace("[slow, b]", "[{type: swallows, params: {times: 12}}, b]")))
    session.post(UserSilent())
    await elapse(0.5)

    session.post(END)
    await session.wait_settled()

    assert session.leftovers()["lost_tasks"] == 1
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        while not task.done():
            task.cancel()
            await elapse(0)


async def test_an_action_that_declares_no_deadline_has_two_seconds() -> None:
    watch = notes()
    session = a_session(a_machine(FLAT.replace("[slow, b]", "[swallows, b]")), observers=(watch,))

    session.post(UserSilent())
    await elapse(3)

    swallows = next(e for e in watch.effects if e.name == "swallows")
    assert (swallows.outcome, round(swallows.ended - swallows.began, 3)) == ("timed_out", 2.0)
    await ended(session)


async def opens_later(session: Session, trigger: Trigger) -> None:
    await elapse(0.1)
    session.on_leave(lambda: LOG.append("undo"))


async def test_what_an_asynchronous_action_opens_is_closed_when_its_node_is_left() -> None:
    session = a_session(
        a_machine(FLAT.replace("[slow, b]", "[opens_later, b]"), REGISTRY.extend(actions=(opens_later,)))
    )
    session.post(UserSilent())
    await elapse(0.5)
    assert LOG == ["in_root", "in_x", "b"]

    session.post(UserSpeaking())
    await elapse(0.1)

    assert LOG[3:5] == ["out_x", "undo"]
    await ended(session)
