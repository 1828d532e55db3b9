"""All calls of a process: admitted, counted, ended, drained."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from fsm.clock import LoopClock
from fsm.context import CallContext
from fsm.errors import CallchartError
from fsm.manager import SessionManager, Slot
from fsm.options import Options
from fsm.ports import CallPorts
from fsm.session import Session
from fsm.stored import store
from fsm.triggers import CallLost, UserSpeaking
from tests.fakes import elapse, fake_ports
from tests.fsm.running import END, LOG, a_machine

CHART = """
    id: calls
    initial: x
    preempt: [call.ended, session.shutdown]
    on:
      call.ended: {target: end}
      session.shutdown: {target: end, actions: [a]}
      session.end_requested: {target: end, actions: [b]}
      error.action.*: {}
    states:
      x: {}
      end: {type: final, entry: [SLOW]}
"""
KEPT = a_machine("""
    id: kept
    initial: x
    on: {call.ended: {target: end}}
    states:
      x: {on: {user.speaking: {target: y}}}
      y: {on: {call.lost: {target: z}}}
      z: {}
      end: {type: final}
""")
QUICK = a_machine(CHART.replace("SLOW", "c"))
SLOW = a_machine(CHART.replace("SLOW", "slow"))


def ports(session: Session, slot: Slot) -> CallPorts:
    return fake_ports([])


def a_manager(max_calls: int = 1000) -> SessionManager:
    LOG.clear()
    return SessionManager(clock=LoopClock(), max_calls=max_calls)


async def test_a_call_is_found_until_it_has_settled() -> None:
    manager = a_manager()
    session = manager.open(SLOW, CallContext(call_id="CA1"), ports)
    assert manager.get("CA1") is session
    assert manager.call_ids() == ["CA1"]
    assert len(manager) == 1

    session.post(END)
    await session.wait_closed()
    assert manager.get("CA1") is session
    await session.wait_settled()

    assert manager.get("CA1") is None
    assert (len(manager), manager.slots_taken) == (0, 0)


async def test_there_is_never_a_second_session_of_one_call() -> None:
    manager = a_manager()
    session = manager.open(QUICK, CallContext(call_id="CA1"), ports)

    with pytest.raises(ValueError, match="CA1"):
        manager.open(QUICK, CallContext(call_id="CA1"), ports)

    session.post(END)
    await session.wait_settled()


async def test_calls_are_admitted_while_there_are_slots() -> None:
    manager = a_manager(max_calls=1)
    first = manager.open(QUICK, CallContext(call_id="CA1"), ports)
    assert not manager.has_room()

    told_busy = manager.open(QUICK, CallContext(call_id="CA2"), ports, admitted=False)
    assert manager.slots_taken == 1
    for session in (first, told_busy):
        session.post(END)
        await session.wait_settled()

    assert manager.has_room()


async def test_a_slot_may_be_released_twice() -> None:
    manager, slots = a_manager(max_calls=1), []

    def keeping(session: Session, slot: Slot) -> CallPorts:
        slots.append(slot)
        return fake_ports([])

    session = manager.open(QUICK, CallContext(call_id="CA1"), keeping)
    slots[0].release()
    slots[0].release()

    assert manager.has_room()
    session.post(END)
    await session.wait_settled()


async def test_one_call_is_ended_or_all() -> None:
    manager = a_manager()
    for number in range(3):
        manager.open(SLOW, CallContext(call_id=f"CA{number}"), ports)

    assert manager.end("CA1", "operator")
    assert not manager.end("CA9")
    await elapse(0.1)
    assert not manager.end("CA1")
    assert manager.end_all() == 2
    assert await manager.idle(timeout=10)

    assert LOG.count("b") == 3


async def test_waiting_for_calls_has_a_limit() -> None:
    manager = a_manager()
    session = manager.open(QUICK, CallContext(call_id="CA1"), ports)

    assert not await manager.idle(timeout=5)

    session.post(END)
    await session.wait_settled()
    assert await manager.idle(timeout=0)


async def test_draining_refuses_new_calls_and_lets_live_ones_finish() -> None:
    manager = a_manager()
    session = manager.open(QUICK, CallContext(call_id="CA1"), ports)
    began = manager.clock.now()
    asyncio.get_running_loop().call_later(5, session.post, END)

    await manager.drain(grace=30)

    assert not manager.has_room()
    assert manager.clock.now() - began == 5
    assert "a" not in LOG


async def test_after_the_grace_calls_are_shut_down_properly() -> None:
    manager = a_manager()
    manager.open(QUICK, CallContext(call_id="CA1"), ports)
    began = manager.clock.now()

    await manager.drain(grace=30)

    assert manager.clock.now() - began == 30
    assert LOG == ["a", "c"]
    assert list(manager) == []


async def test_a_call_that_has_too_much_to_do_is_ended_and_shut_down_all_the_same() -> None:
    busy = CHART.replace("SLOW", "c").replace("ended, session.shutdown]", "ended]")
    machine = a_machine(busy.replace("x: {}", "x: {on: {user.speaking: {actions: [slow]}}}"))
    manager = SessionManager(clock=LoopClock(), options=Options(inbox_limit=1))
    LOG.clear()
    for call_id in ("CA1", "CA2"):
        session = manager.open(machine, CallContext(call_id=call_id), ports)
        await elapse(0)
        session.post(UserSpeaking())
        await elapse(0)
        session.post(UserSpeaking())
    assert manager.end("CA1")

    await manager.drain(grace=0.0)

    assert list(manager) == []
    assert {"a", "b"} < set(LOG)


async def test_a_call_that_cannot_be_made_leaves_no_slot() -> None:
    def no_line(session: Session, slot: Slot) -> CallPorts:
        raise OSError("no place for its recording")

    manager = a_manager(max_calls=1)

    with pytest.raises(OSError, match="no place"):
        manager.open(QUICK, CallContext(call_id="CA1"), no_line)

    assert (manager.slots_taken, manager.call_ids(), manager.has_room()) == (0, [], True)


async def test_a_kept_call_that_cannot_go_on_leaves_nothing() -> None:
    manager = a_manager(max_calls=1)
    first = manager.open(KEPT, CallContext(call_id="CA1"), ports)
    await elapse(1)
    kept = replace(store(first), timers=(("x", "y"),))  # type: ignore[arg-type]
    first.give_up()
    await first.wait_settled()

    with pytest.raises(ValueError, match="unpack"):
        manager.open(KEPT, kept.context, ports, kept=(kept, CallLost()))

    assert (manager.slots_taken, manager.call_ids(), manager.get("CA1")) == (0, [], None)


async def test_a_kept_call_goes_on_and_is_told_first_that_it_was_lost() -> None:
    manager = a_manager()
    first = manager.open(KEPT, CallContext(call_id="CA1"), ports)
    first.post(UserSpeaking())
    await elapse(1)
    kept = store(first)
    first.give_up()
    await first.wait_settled()

    session = manager.open(KEPT, kept.context, ports, kept=(kept, CallLost()))
    await elapse(0.1)

    assert (session.state, session.snapshot.seq) == ("z", 3)
    assert manager.slots_taken == 1
    session.post(END)
    await session.wait_settled()


async def test_a_kept_call_whose_state_is_gone_is_not_opened_and_leaves_nothing() -> None:
    manager = a_manager()
    first = manager.open(KEPT, CallContext(call_id="CA1"), ports)
    await elapse(0.1)
    kept = replace(store(first), state="elsewhere")
    first.give_up()
    await first.wait_settled()

    with pytest.raises(CallchartError, match="no state 'elsewhere' any more"):
        manager.open(KEPT, kept.context, ports, kept=(kept, CallLost()))

    assert (manager.slots_taken, manager.call_ids()) == (0, [])
