"""Journals on disk: in order, in their folder, no danger to calls, and enough to replay one."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import orjson
import pytest

from adapters.telemetry.journal_files import JournalFiles, call_folder
from fsm.journal import replay
from fsm.triggers import SessionConfigured
from handlers import REGISTRY
from tests.calls.world import GOODBYE, HOURS, a_script, a_world
from tests.fsm.running import END, a_machine, a_session

_MACHINE = """
    id: small
    initial: a
    states:
      a: {on: {session.configured: {actions: [quick]}, call.ended: {target: z}}}
      z: {type: final, entry: [a]}
"""


def records(folder: Path, call_id: str = "CA1") -> list[dict[str, Any]]:
    text = (call_folder(folder, call_id) / "journal.jsonl").read_bytes()
    return [orjson.loads(line) for line in text.splitlines()]


async def test_steps_and_how_their_actions_ended_are_written_in_order(tmp_path: Path) -> None:
    journal = JournalFiles(tmp_path)
    session = a_session(a_machine(_MACHINE), observers=(journal,))
    for _ in range(3):
        session.post(SessionConfigured(voice="cedar"))
    session.post(END)
    await session.wait_settled()
    journal.close()

    kept = [(record["seq"], record.get("event", "effects")) for record in records(tmp_path)]
    assert kept == [
        (1, "init"),
        (2, "session.configured"), (2, "effects"),
        (3, "session.configured"), (3, "effects"),
        (4, "session.configured"), (4, "effects"),
        (5, "call.ended"), (5, "effects"),
    ]  # fmt: skip


async def test_durable_returns_once_the_step_is_in_the_file(tmp_path: Path) -> None:
    journal = JournalFiles(tmp_path)
    session = a_session(a_machine(_MACHINE), observers=(journal,))
    session.post(SessionConfigured(voice="cedar"))
    session.post(END)
    await session.wait_settled()

    await journal.durable("CA1", session.snapshot.seq)
    assert [record["event"] for record in records(tmp_path) if "event" in record][-1] == "call.ended"
    journal.close()


@pytest.mark.parametrize(
    "call_id",
    ["../../etc/passwd", "/etc/passwd", "..", ".", "", "a/b\\c", "x" * 5000, "\0", "ünï", "CON ", "%2E%2E"],
    ids=["up", "root", "dots", "dot", "nothing", "slashes", "long", "nul", "letters", "blank", "escaped"],
)
def test_call_id_never_leads_out_of_the_folder(call_id: str, tmp_path: Path) -> None:
    folder = call_folder(tmp_path, call_id)
    folder.mkdir(parents=True)

    assert folder.resolve().parent == tmp_path.resolve()
    assert folder.resolve() != tmp_path.resolve()


def test_different_calls_have_different_folders(tmp_path: Path) -> None:
    ids = ["a.b", "a/b", "a%2Fb", "a%2Eb", "_", "x" * 200, "x" * 201]

    assert len({call_folder(tmp_path, call_id) for call_id in ids}) == len(ids)


async def test_disk_that_takes_nothing_does_not_hurt_the_call(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "CA1").write_text("a file where the folder should be", encoding="utf-8")
    journal = JournalFiles(tmp_path)
    session = a_session(a_machine(_MACHINE), observers=(journal,))
    session.post(END)
    await session.wait_settled()
    await journal.durable("CA1", 1)
    journal.close()

    assert session.faults == ()
    assert {record.message for record in caplog.records} == {"journal_not_written"}


async def test_value_that_cannot_be_written_costs_its_own_record_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = JournalFiles(tmp_path)
    session = a_session(a_machine(_MACHINE), observers=(journal,))
    session.post(SessionConfigured(metadata={"more than 64 bits": 2**70}))
    session.post(SessionConfigured(metadata={"nested": {7: "a key that is no text"}}))
    session.post(END)
    await session.wait_settled()
    journal.close()

    assert [(r["seq"], r["event"]) for r in records(tmp_path) if "event" in r] == [
        (1, "init"),
        (3, "session.configured"),
        (4, "call.ended"),
    ]
    assert [record.message for record in caplog.records] == ["journal_not_written"]
    assert session.faults == ()


async def test_waiting_for_the_disk_may_be_given_up(tmp_path: Path) -> None:
    journal = JournalFiles(tmp_path)
    waiting = asyncio.create_task(journal.durable("CA1", 1))
    await asyncio.sleep(0)
    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    await journal.durable("CA1", 1)
    journal.close()


def test_loop_that_has_closed_meanwhile_ends_no_journal(tmp_path: Path) -> None:
    journal = JournalFiles(tmp_path)
    disk_is_free = threading.Event()
    journal._work.put(disk_is_free.wait)

    async def give_up_waiting() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(journal.durable("CA1", 1), 0.01)

    asyncio.run(give_up_waiting())
    disk_is_free.set()
    written: list[str] = []
    journal._work.put(lambda: written.append("still writing"))
    journal.close()

    assert written == ["still writing"]


async def test_journal_of_a_real_call_replays_to_the_same_states() -> None:
    async with a_world(a_script(HOURS, GOODBYE)) as world:
        call = await world.call()
        await call.heard_more(500)
        await call.heard_silence()
        await call.say(HOURS)
        await call.heard_more(500)
        await call.heard_silence()
        await call.say(GOODBYE)
        await world.over(call)
        await call.over()
        journal = world.application.journal
        assert journal is not None
        await journal.durable(call.call_sid, 0)
        kept = records(world.application.settings.data_dir / "calls", call.call_sid)
        first = world.steps[call.call_sid][0]
        machine = world.session(call).machine
        states = [step.after.state for step in world.steps[call.call_sid]]

    replayed = list(replay(machine, REGISTRY, first.before.context, kept))
    assert all(one.same for one in replayed)
    assert [record["to"] for record in kept if "event" in record] == states
    assert len(replayed) == len(states)
    assert states[-1] == "closed"


async def test_journal_holds_what_was_said_and_no_audio() -> None:
    async with a_world(a_script(HOURS)) as world:
        call = await world.call()
        await call.heard_more(500)
        await call.heard_silence()
        await call.say(HOURS)
        await world.until_happened(call, "user.transcript")
        await call.hang_up()
        await world.over(call)
        journal = world.application.journal
        assert journal is not None
        await journal.durable(call.call_sid, 0)
        kept = records(world.application.settings.data_dir / "calls", call.call_sid)

    assert HOURS in [record["data"]["text"] for record in kept if record.get("event") == "user.transcript"]
    assert max(len(orjson.dumps(record)) for record in kept) < 2000
