"""A call between two processes."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fsm.context import BotSettings, CallContext
from fsm.document import Facts, document, iso, read_document, timestamp
from fsm.errors import CallchartError
from fsm.history import Message
from fsm.journal import step_record
from fsm.observe import Observer
from fsm.session import Session
from fsm.step import Step
from fsm.stored import StoredCall, rebuild, resume, store
from fsm.triggers import CallLost, ToolCall, UserSpeaking
from tests.fakes import elapse
from tests.fsm.running import END, LOG, REGISTRY, a_machine, a_session, notes

CHART = """
    id: kept
    initial: x
    preempt: [call.ended]
    delays: {patience: 10s, longest: 60s}
    on:
      call.ended: {target: end}
      call.lost: {target: y, actions: [a]}
    after:
      longest: {target: end}
    states:
      x:
        entry: [in_x]
        exit: [out_x]
        on: {user.speaking: {target: x, reenter: true}}
        after: {patience: {target: end}}
      y: {entry: [in_y]}
      end: {type: final, entry: [in_end]}
"""


def written(session: Session) -> dict[str, Any]:
    """What a store has of a call: JSON."""
    said = document(store(session), Facts(), closed=session.closed)
    parsed: dict[str, Any] = json.loads(json.dumps(said, default=asdict))
    return parsed


def read_again(session: Session, bot: BotSettings | None = None) -> StoredCall:
    return read_document(written(session), lambda name, called: bot or BotSettings())


async def kept_after(seconds: float) -> StoredCall:
    session = a_session(a_machine(CHART))
    session.post(UserSpeaking())
    await elapse(seconds)
    kept = read_again(session)
    session.post(END)
    await session.wait_settled()
    return kept


async def test_what_is_kept_is_readable_json() -> None:
    session = a_session(a_machine(CHART))
    session.post(UserSpeaking())
    await elapse(4)

    kept = written(session)

    assert (kept["chart"]["id"], kept["state"], kept["seq"]) == ("kept", "x", 2)
    assert kept["visits"] == {"kept": 1, "x": 2, "y": 0, "end": 0}
    assert kept["timers"] == [["x", "patience", 6.0], ["kept", "longest", 56.0]]
    assert kept["call_id"] == "CA1"
    session.post(END)
    await session.wait_settled()


async def test_a_call_loaded_after_a_crash_is_lost_first() -> None:
    kept = await kept_after(4)
    session = a_session(a_machine(CHART), start=False)

    resume(session, kept, CallLost())
    await elapse(0)

    assert LOG == ["out_x", "a", "in_y"]
    assert session.snapshot.seq == 3
    session.post(END)
    await session.wait_settled()


async def test_timers_go_on_where_the_crash_left_them() -> None:
    kept = await kept_after(4)
    session = a_session(
        a_machine(CHART.replace("      call.lost: {target: y, actions: [a]}", "      call.lost: {}")), start=False
    )
    began = session.clock.now()
    await elapse(0)

    resume(session, kept, CallLost())
    await session.wait_settled()

    assert session.clock.now() - began == 6.0


async def test_another_chart_is_recorded_and_accepted_if_the_state_still_exists() -> None:
    kept = await kept_after(4)
    session = a_session(a_machine(CHART.replace("      y: {", "      z: {}\n      y: {")), start=False)

    resume(session, kept, CallLost())
    await elapse(0)

    assert session.state == "y"
    assert session.faults == (f"chart changed: {kept.chart_hash} -> {session.machine.hash}",)
    session.post(END)
    await session.wait_settled()


async def test_a_call_whose_state_is_gone_is_refused_and_says_what_to_do() -> None:
    kept = await kept_after(4)
    session = a_session(
        a_machine(CHART.replace("x:", "x2:").replace("x, ", "x2, ").replace("initial: x", "initial: x2")), start=False
    )

    with pytest.raises(
        CallchartError, match=r"CA1: the chart 'kept' has no state 'x' any more; run the chart it was on"
    ):
        resume(session, kept, CallLost())


async def test_a_document_that_is_damaged_anywhere_is_refused_or_goes_on() -> None:
    machine = a_machine(CHART)
    session = a_session(machine)
    session.post(UserSpeaking())
    await elapse(4)
    whole = written(session)
    session.post(END)
    await session.wait_settled()
    refused = set()

    for key in whole:
        for junk in (None, 7, "x", [], [7], {}, {"x": None}, {"x": [7]}):
            again = a_session(machine, start=False)
            try:
                resume(again, read_document({**whole, key: junk}, lambda name, called: BotSettings()), CallLost())
            except CallchartError:
                refused.add(key)
                continue
            again.post(END)
            await again.wait_settled()

    assert refused > {"schema", "state", "seq", "visits", "timers", "chart", "history", "created_at", "call_id"}


async def test_a_call_that_was_closed_but_not_settled_runs_its_closing_actions_again() -> None:
    watch = notes()
    first = a_session(a_machine(CHART))
    first.post(END)
    await first.wait_settled()
    kept = store(first)
    session = a_session(a_machine(CHART), start=False, observers=(watch,))

    resume(session, kept, CallLost())
    await session.wait_settled()

    assert LOG == ["in_end"]
    assert session.closed
    assert watch.seen == ["call.lost: end -> end", "settled"]


async def test_the_whole_context_survives() -> None:
    context = CallContext(
        call_id="CA1",
        bot=BotSettings(name="shop", tools=({"name": "look_up"},), turn_detection={"type": "server_vad"}),
        history=(
            Message(role="caller", text="नमस्ते", item_id="i1"),
            Message(role="tool_result", text="{}", item_id="i2", interrupted=True, tool="look_up"),
        ),
        counters={"silence": 1},
        tool_calls=(ToolCall(call_id="c1", tool="look_up"),),
        metadata={"front": [1, {"two": None}]},
    )
    session = a_session(a_machine(CHART), start=False)
    session.snapshot = session.snapshot._replace(context=context)
    session.start()
    kept = read_again(session, context.bot)
    again = a_session(a_machine(CHART), start=False)

    resume(again, kept, CallLost())

    assert again.context == context
    for call in (session, again):
        call.post(END)
        await call.wait_settled()


@given(st.floats(min_value=0.001, max_value=4e9))
@example(1763739000.0)
@example(1763739000.9999998)
def test_a_time_is_told_as_its_millisecond_in_utc(at: float) -> None:
    told = iso(at)

    assert told is not None
    assert told == datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert abs(timestamp(told) - at) <= 0.0011


class Keeper(Observer):
    """Keeps a call with every commit, as a store does."""

    def __init__(self) -> None:
        self.kept: list[StoredCall] = []

    def on_commit(self, session: Session, step: Step) -> None:
        self.kept.append(store(session))


async def test_a_commit_is_kept_with_the_timers_of_what_it_enters_and_of_nothing_that_it_leaves() -> None:
    keeper = Keeper()
    slow_entry = CHART.replace("y: {entry: [in_y]}", "y: {entry: [slow], after: {patience: {target: end}}}")
    session = a_session(a_machine(slow_entry), observers=(keeper,))
    await elapse(4)

    session.post(CallLost())
    await elapse(0.5)
    during = store(session)
    session.post(END)
    await session.wait_settled()

    assert keeper.kept[0].timers == (("x", "patience", 10.0), ("kept", "longest", 60.0))
    assert keeper.kept[1].timers == (("y", "patience", 10.0), ("kept", "longest", 56.0))
    assert during.timers == (("y", "patience", 9.5), ("kept", "longest", 55.5))


class Records(Observer):
    """The journal of a call."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []

    def on_commit(self, session: Session, step: Step) -> None:
        self.records.append(json.loads(json.dumps(step_record(session.machine, step, 0.0))))


async def test_a_call_of_which_only_its_journal_is_left_stands_where_it_stood_and_its_timers_begin_anew() -> None:
    records, machine = Records(), a_machine(CHART)
    session = a_session(machine, observers=(records,))
    session.post(UserSpeaking())
    await elapse(4)
    kept = store(session)

    again = rebuild(machine, REGISTRY, CallContext(call_id="CA1"), records.records)

    assert (again.state, again.seq, again.visits) == (kept.state, kept.seq, kept.visits)
    assert again.context == kept.context
    assert set(again.timers) == {("x", "patience", 10.0), ("kept", "longest", 60.0)}
    session.post(END)
    await session.wait_settled()


def test_a_journal_without_a_step_rebuilds_nothing() -> None:
    with pytest.raises(CallchartError, match="CA1: its journal has no step"):
        rebuild(a_machine(CHART), REGISTRY, CallContext(call_id="CA1"), [{"seq": 1, "effects": []}])


def test_a_step_that_the_chart_refuses_now_leaves_the_call_where_it_was() -> None:
    records = [
        {"event": "init", "data": {}},
        {"event": "agent.said", "data": {"text": "x"}},
    ]

    assert rebuild(a_machine(CHART), REGISTRY, CallContext(call_id="CA1"), records).state == "x"
