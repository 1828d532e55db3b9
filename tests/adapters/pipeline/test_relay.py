"""What an outbox says is handed to the post-call work at least once, whoever has crashed meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from adapters.pipeline.relay import Relay
from adapters.pipeline.results import Results
from adapters.pipeline.runner import LocalRunner
from adapters.stores.queues import CallGone
from fsm.clock import LoopClock
from fsm.compile import Machine
from fsm.context import CallContext
from fsm.history import Message
from fsm.observe import Journal
from fsm.options import Options
from fsm.session import Session
from fsm.triggers import Trigger, UserTranscript
from handlers import REGISTRY
from tests.adapters.pipeline.kept import Counting, Shelf, a_shelf
from tests.fakes import elapse, fake_ports
from tests.fsm.running import END, a_machine

_CHART = """
    id: talk
    initial: a
    states:
      a:
        on:
          user.transcript: {actions: [append_history]}
          call.ended: {target: z}
      z: {type: final, entry: %s}
"""


class Gate(Journal):
    """Steps are durable once it is opened."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.asked: list[tuple[str, int]] = []
        self.gone = False

    async def durable(self, call_id: str, seq: int) -> None:
        self.asked.append((call_id, seq))
        await self.open.wait()
        if self.gone:
            raise CallGone("another node has the call")


class Desk:
    """A relay with its store, journal and one stage."""

    def __init__(self, folder: Path, shelf: Shelf, stage: Counting, interval: float) -> None:
        self.shelf, self.stage, self.journal = shelf, stage, Gate()
        self.runner = LocalRunner(shelf, [stage], Results(folder), clock=LoopClock())
        self.relay = Relay(shelf, self.runner, self.journal, interval=interval)

    async def call(self, *triggers: Trigger, entry: str = "[hand_over]", answered: bool = True) -> Session:
        """Let a call of these triggers end here."""
        machine = a_machine(_CHART % entry, REGISTRY)
        context = CallContext(call_id="CA1", answered=answered)
        session = a_call(self.relay, machine, context)
        for trigger in (*triggers, END):
            session.post(trigger)
        await session.wait_settled()
        return session


def a_call(relay: Relay, machine: Machine, context: CallContext) -> Session:
    """Begin a call whose end the relay watches."""
    ports = fake_ports([])
    ports.transcripts = relay
    session = Session(machine, context, ports, clock=LoopClock(), options=Options(observers=(relay,)))
    session.start()
    return session


@asynccontextmanager
async def a_desk(
    folder: Path, shelf: Shelf | None = None, stage: Counting | None = None, *, interval: float = 30.0
) -> AsyncIterator[Desk]:
    desk = Desk(folder, shelf or a_shelf(), stage or Counting(), interval)
    try:
        yield desk
    finally:
        await desk.relay.aclose()


def calls(stage: Counting) -> list[str]:
    return [call.call_id for call in stage.calls]


async def test_call_that_ends_is_handed_over_once_its_end_is_durable(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as desk:
        desk.journal.open.clear()
        session = await desk.call()
        await elapse(60.0)
        assert desk.stage.calls == []

        desk.shelf.add("CA1", "hello")
        desk.journal.open.set()
        await desk.shelf.until_handed_over("CA1")

        assert desk.journal.asked == [("CA1", session.snapshot.seq)]
        assert calls(desk.stage) == ["CA1"]
        assert desk.shelf.waiting == {}


async def test_call_that_was_never_answered_needs_no_work(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as desk:
        await desk.call(entry="[hand_over, save_transcript]", answered=False)
        await elapse(1.0)

        assert desk.journal.asked == []


async def test_chart_that_only_keeps_the_transcript_gets_its_work_done(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as desk:
        desk.shelf.add("CA1", "hello")
        await desk.call(UserTranscript(item_id="u1", text="hello"), entry="[save_transcript]")
        await desk.shelf.until_handed_over("CA1")

        assert calls(desk.stage) == ["CA1"]


async def test_call_that_another_node_has_is_its_business(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as desk:
        machine = a_machine(_CHART % "[hand_over, save_transcript]", REGISTRY)
        entry: Mapping[str, Any] = {"kind": "call.over"}
        said = (Message(role="caller", text="hello"),)
        context = CallContext(call_id="CA1", answered=True, outbox=(entry,), history=said)
        session = a_call(desk.relay, machine, context)
        desk.relay.save(session.context)
        session.give_up()
        await session.wait_settled()
        await elapse(1.0)

        assert desk.journal.asked == []


async def test_what_a_crashed_node_left_is_found_at_the_start(tmp_path: Path) -> None:
    shelf = a_shelf()
    for number in range(250):
        shelf.add(f"CA{number}", "hello")
    async with a_desk(tmp_path, shelf) as desk:
        await desk.relay.start()
        await shelf.until_handed_over(*(f"CA{number}" for number in range(250)))

        assert sorted(calls(desk.stage)) == sorted(f"CA{number}" for number in range(250))


async def test_what_is_left_later_is_taken_at_the_second_look(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as desk:
        await desk.relay.start()
        await elapse(1.0)
        desk.shelf.add("CA1", "hello")

        await elapse(30.0)
        assert desk.stage.calls == []
        await desk.shelf.until_handed_over("CA1")
        assert calls(desk.stage) == ["CA1"]


async def test_crash_before_it_was_noted_repeats_nothing(tmp_path: Path) -> None:
    shelf, stage = a_shelf(), Counting()
    shelf.add("CA1", "hello")
    async with a_desk(tmp_path, shelf, stage) as desk:
        await desk.relay.start()
        await shelf.until_handed_over("CA1")
    shelf.waiting["CA1"] = None  # the store has never heard of it

    async with a_desk(tmp_path, shelf, stage) as desk:
        shelf.handed.clear()
        await desk.relay.start()
        await shelf.until_handed_over("CA1")

    assert calls(stage) == ["CA1"]


async def test_two_nodes_that_find_the_same_call_leave_one_result(tmp_path: Path) -> None:
    shelf, stage = a_shelf(), Counting()
    shelf.add("CA1", "hello")
    async with a_desk(tmp_path, shelf, stage) as one, a_desk(tmp_path, shelf, stage) as other:
        await one.relay.start()
        await other.relay.start()
        await shelf.until_handed_over("CA1")

    assert [(r.stage, r.status) for r in Results(tmp_path).all("CA1")] == [("count", "done")]


async def test_store_that_is_away_delays_the_work(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    shelf = a_shelf()
    shelf.add("CA1", "hello")
    shelf.away = True
    async with a_desk(tmp_path, shelf) as desk:
        await desk.relay.start()
        await desk.call()
        await elapse(1.0)
        shelf.away = False
        await shelf.until_handed_over("CA1")

        assert calls(desk.stage) == ["CA1"]
    assert [record.message for record in caplog.records] == ["outbox_not_read", "post_call_work_waits"]


async def test_store_that_is_back_in_a_moment_is_asked_again_within_seconds(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as desk:
        desk.shelf.add("CA1", "hello")
        desk.shelf.away = True
        await desk.call()
        await elapse(0.5)
        desk.shelf.away = False
        await elapse(1.0)

        assert desk.shelf.handed == ["CA1"]


async def test_store_that_goes_away_before_it_is_told_is_told_later(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as desk:
        desk.shelf.add("CA1", "hello")
        desk.stage.gate.clear()
        await desk.call()
        await desk.stage.begun.wait()
        desk.shelf.away = True
        desk.stage.gate.set()
        await elapse(1.0)
        assert desk.shelf.handed == []

        desk.shelf.away = False
        await desk.relay.start()
        await desk.shelf.until_handed_over("CA1")
        assert calls(desk.stage) == ["CA1"]


async def test_end_of_the_process_waits_for_work_for_seconds_only(tmp_path: Path) -> None:
    shelf, stage = a_shelf(), Counting()
    shelf.add("CA1", "hello")
    stage.gate.clear()
    clock = LoopClock()
    async with a_desk(tmp_path, shelf, stage) as desk:
        await desk.relay.start()
        await stage.begun.wait()
        began = clock.now()
        await desk.relay.aclose()

        assert clock.now() - began <= 10.0
        assert shelf.handed == []
        assert "CA1" in shelf.waiting


async def test_work_under_way_is_finished_before_the_process_ends(tmp_path: Path) -> None:
    shelf, stage = a_shelf(), Counting()
    shelf.add("CA1", "hello")
    stage.gate.clear()
    async with a_desk(tmp_path, shelf, stage) as desk:
        await desk.relay.start()
        await stage.begun.wait()
        asyncio.get_running_loop().call_later(3.0, stage.gate.set)

    assert shelf.handed == ["CA1"]


async def test_end_that_the_store_refuses_is_the_business_of_who_has_the_call(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as desk:
        desk.shelf.add("CA1", "hello")
        desk.journal.gone = True
        await desk.call()
        await elapse(1.0)

        assert desk.stage.calls == []


async def test_call_whose_end_waits_in_the_spool_is_taken_at_the_next_look(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as desk:
        await desk.relay.start()
        desk.shelf.over = False
        await desk.call()
        desk.shelf.add("CA1", "hello")
        await elapse(1.0)
        assert desk.stage.calls == []

        desk.shelf.over = True
        await elapse(30.0)
        assert calls(desk.stage) == ["CA1"]


async def test_end_that_never_becomes_durable_does_not_keep_the_process(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as desk:
        desk.journal.open.clear()
        await desk.call()
        await elapse(0)

        await desk.relay.aclose()

        assert desk.stage.calls == []
