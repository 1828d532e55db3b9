"""What a trigger means: the first row whose guards hold, child before parent; nothing outside is touched."""

from __future__ import annotations

import asyncio

from fsm.context import CallContext
from fsm.registry import Registry
from fsm.step import Finding, Refusal, Step, begin, step
from fsm.triggers import (
    CallDtmf,
    CallEnded,
    CallStarted,
    StsReady,
    StsRenewed,
    Trigger,
    UserIdle,
    UserSilent,
    UserSpeaking,
)
from tests.fsm.running import LOG, REGISTRY, a_machine

CHART = """
    id: rows
    initial: x
    on:
      user.silent: {actions: [c]}
      user.idle: {actions: [c]}
      call.ended: {target: end}
      error.action.*: {}
    states:
      x:
        on:
          user.speaking:
            - {guard: no, target: end}
            - {guard: [yes, {not: no}], target: y, actions: [{type: add, params: {by: 2}}, add]}
            - {target: end}
          user.silent: {guard: no, target: end}
          user.idle: {}
          call.dtmf: {guard: raises, target: end}
          call.started: {guard: {not: raises}, target: y}
          sts.ready: {target: y, actions: [spoil, add]}
      y: {}
      end: {type: final}
"""
MACHINE = a_machine(CHART)


def take(trigger: object) -> Step | Refusal:
    first = begin(MACHINE, CallContext(call_id="CA1"))
    return step(MACHINE, first.after, trigger)  # type: ignore[arg-type]


def test_the_first_row_whose_guards_all_hold_is_taken() -> None:
    done = take(UserSpeaking())

    assert isinstance(done, Step)
    assert done.after.state == "y"
    assert done.row.id == "x/user.speaking/1"
    assert done.findings == (
        Finding("x/user.speaking/0", "no", False, "never"),
        Finding("x/user.speaking/1", "yes", True, ""),
        Finding("x/user.speaking/1", "not no", True, "never"),
    )


def test_where_no_guard_of_the_child_holds_the_parent_decides() -> None:
    done = take(UserSilent())

    assert isinstance(done, Step)
    assert (done.after.state, done.row.names) == ("x", ("c",))


def test_a_row_with_nothing_stops_the_parents() -> None:
    done = take(UserIdle())

    assert isinstance(done, Step)
    assert done.row.names == ()
    assert done.row.quiet


def test_reducers_run_in_action_order_and_the_old_snapshot_stays_as_it_was() -> None:
    LOG.clear()
    first = begin(MACHINE, CallContext(call_id="CA1"))

    done = step(MACHINE, first.after, UserSpeaking())

    assert isinstance(done, Step)
    assert LOG == ["add 2", "add 1"]
    assert (first.after.context.turn, done.after.context.turn) == (0, 3)


def test_a_guard_that_raises_is_false_and_recorded() -> None:
    refused = take(CallDtmf(digits="1"))
    passed = take(CallStarted())

    assert isinstance(refused, Refusal)
    assert refused.faults == ("guard raises: ZeroDivisionError",)
    assert isinstance(passed, Step)
    assert passed.after.state == "y"


def test_a_reducer_that_raises_changes_nothing_and_the_next_one_runs() -> None:
    done = take(StsReady(session_id="s1"))

    assert isinstance(done, Step)
    assert done.faults == ("reducer spoil: ZeroDivisionError",)
    assert done.after.context.turn == 1
    assert done.after.context.sts_session_id == "s1"


def test_what_nobody_expects_is_refused_and_changes_nothing() -> None:
    refused = take(StsRenewed())

    assert isinstance(refused, Refusal)
    assert refused.findings == ()


def test_each_entry_counts_a_visit_of_its_node() -> None:
    first = begin(MACHINE, CallContext())

    done = step(MACHINE, first.after, UserSpeaking())

    assert first.after.visits == (1, 1, 0, 0)
    assert isinstance(done, Step)
    assert done.after.visits == (1, 1, 1, 0)
    assert (first.after.seq, done.after.seq) == (1, 2)


def test_a_reducer_that_returns_no_context_changes_nothing() -> None:
    machine = a_machine(CHART.replace("actions: [spoil, add]", "actions: [forgetful, add]"), FORGETFUL)

    done = step(machine, begin(machine, CallContext()).after, StsReady())

    assert isinstance(done, Step)
    assert done.faults == ("reducer forgetful: returned NoneType, not a CallContext",)
    assert done.after.context.turn == 1


def test_odd_facts_of_a_trigger_do_not_keep_a_call_open() -> None:
    done = take(StsReady(session_id="s1"))
    broken = step(MACHINE, begin(MACHINE, None).after, StsReady())  # type: ignore[arg-type]

    assert isinstance(done, Step)
    assert isinstance(broken, Step)
    assert broken.faults[0].startswith("remember sts.ready: ")


def forgetful(call: CallContext, trigger: Trigger) -> CallContext:
    return None  # type: ignore[return-value]


FORGETFUL = REGISTRY.extend(reducers=(forgetful,))


def test_a_guard_or_reducer_that_is_cancelled_is_one_that_raises() -> None:
    def asks(call: CallContext, trigger: Trigger) -> bool:
        raise asyncio.CancelledError

    def folds(call: CallContext, trigger: Trigger) -> CallContext:
        raise asyncio.CancelledError

    machine = a_machine(
        "{id: c, initial: x, states: {x: {on: {call.ended: [{guard: asks, target: x}, {target: y, actions: folds}]}}, "
        "y: {type: final}}}",
        Registry(guards=(asks,), reducers=(folds,)),
    )
    done = step(machine, begin(machine, CallContext()).after, CallEnded())

    assert isinstance(done, Step)
    assert done.after.state == "y"
    assert done.faults == ("guard asks: CancelledError", "reducer folds: CancelledError")
