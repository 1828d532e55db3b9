"""What was said, whole and in order, though a call remembers only its newest messages."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from adapters.call_folder import call_folder
from adapters.conversation.transcripts import TranscriptFiles
from fsm.clock import LoopClock
from fsm.context import CallContext
from fsm.history import Message
from fsm.session import Session
from fsm.step import Step, begin, step
from fsm.triggers import ReplyFinished, Trigger, UserTranscript
from handlers import REGISTRY
from tests.fakes import fake_ports
from tests.fsm.running import END, a_machine, a_session

_CHART = """
    id: talk
    initial: a
    states:
      a:
        on:
          user.transcript: {actions: [append_history, {type: truncate_history, params: {keep: 20}}]}
          reply.finished: {actions: [append_history, {type: truncate_history, params: {keep: 20}}]}
          call.ended: {target: z}
      z: {type: final, entry: [save_transcript]}
"""


def talk(transcripts: TranscriptFiles, *triggers: Trigger) -> Session:
    session = a_session(a_machine(_CHART, REGISTRY), observers=(transcripts,), inbox_limit=2000)
    for trigger in triggers:
        session.post(trigger)
    return session


def saved(folder: Path) -> list[dict[str, object]]:
    kept = orjson.loads((call_folder(folder, "CA1") / "transcript.json").read_bytes())
    assert kept["call_id"] == "CA1"
    messages: list[dict[str, object]] = kept["messages"]
    return messages


async def test_transcript_is_whole_though_the_history_is_bounded(tmp_path: Path) -> None:
    transcripts = TranscriptFiles(tmp_path)
    session = talk(transcripts, *(UserTranscript(item_id=f"u{n}", text=f"line {n}") for n in range(450)), END)
    await session.wait_closed()
    said = transcripts.messages("CA1")
    transcripts.save(session.context)
    await session.wait_settled()
    transcripts.close()

    assert len(session.context.history) == 20
    assert [message.text for message in said] == [f"line {n}" for n in range(450)]
    assert [message["text"] for message in saved(tmp_path)] == [f"line {n}" for n in range(450)]
    assert transcripts.messages("CA1") == ()


async def test_late_text_amends_the_message_in_its_place(tmp_path: Path) -> None:
    transcripts = TranscriptFiles(tmp_path)
    session = talk(
        transcripts,
        UserTranscript(item_id="u1", reason="failed"),
        ReplyFinished(item_id="a1", text="Pardon?"),
        UserTranscript(item_id="u1", text="where is my order"),
        END,
    )
    await session.wait_closed()
    said = transcripts.messages("CA1")
    await session.wait_settled()

    assert [(message.role, message.text) for message in said] == [
        ("caller", "where is my order"),
        ("assistant", "Pardon?"),
    ]


async def test_same_words_said_twice_stand_there_twice(tmp_path: Path) -> None:
    transcripts = TranscriptFiles(tmp_path)
    session = talk(transcripts, UserTranscript(text="yes"), UserTranscript(text="yes"), END)
    await session.wait_closed()
    said = transcripts.messages("CA1")
    await session.wait_settled()

    assert [message.text for message in said] == ["yes", "yes"]


async def test_call_that_goes_on_in_another_process_keeps_what_it_remembers(tmp_path: Path) -> None:
    machine = a_machine(_CHART, REGISTRY)
    known = CallContext(call_id="CA1", history=(Message(role="caller", text="before", item_id="u1"),))
    session = Session(machine, known, fake_ports(), clock=LoopClock())
    transcripts = TranscriptFiles(tmp_path)

    taken = step(machine, begin(machine, known).after, UserTranscript(item_id="u2", text="after"))
    assert isinstance(taken, Step)
    transcripts.on_commit(session, taken)

    assert [message.text for message in transcripts.messages("CA1")] == ["before", "after"]


async def test_silent_call_leaves_no_file(tmp_path: Path) -> None:
    transcripts = TranscriptFiles(tmp_path)
    session = talk(transcripts, END)
    await session.wait_settled()
    transcripts.save(session.context)
    transcripts.close()

    assert not call_folder(tmp_path, "CA1").exists()


async def test_disk_that_takes_nothing_is_logged_and_hurts_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "CA1").write_text("a file where the folder should be", encoding="utf-8")
    transcripts = TranscriptFiles(tmp_path)
    session = talk(transcripts, UserTranscript(item_id="u1", text="hello"), END)
    await session.wait_closed()
    transcripts.save(session.context)
    await session.wait_settled()
    transcripts.close()

    assert [record.message for record in caplog.records] == ["transcript_not_written"]
    assert "hello" not in caplog.text
