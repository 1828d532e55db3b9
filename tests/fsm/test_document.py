"""What a call's document says, name by name, and which documents are read again."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import pytest

from fsm.context import END_REASONS, BotSettings, CallContext
from fsm.document import SCHEMA, Facts, document, iso, read_document, status_of, timestamp
from fsm.errors import CallchartError
from fsm.history import Message
from fsm.stored import StoredCall
from fsm.triggers import ToolCall

AT = 1_772_000_000.25
CALL = CallContext(
    call_id="CA1",
    carrier="twilio",
    caller="+15550100",
    called="+15550101",
    stream_id="MZ1",
    media_format="audio/x-mulaw",
    bot=BotSettings(name="shop"),
    language="de",
    answered=True,
    history=(Message(role="caller", text="hello", item_id="i1"),),
    turn=3,
    intent="order_status",
    confidence=0.9,
    entities={"order": "17"},
    intents=({"intent": "order_status", "confidence": 0.9, "item_id": "i1"},),
    question="Which order?",
    tool_calls=(ToolCall(call_id="c1", tool="look_up", arguments="{}"),),
    instructions="Be brief.",
    voice="cedar",
    metadata={"user_id": "u1", "tier": "gold"},
    metadata_version=2,
    sts_session_id="sess_1",
    conversation_id="conv_1",
    response_id="resp_1",
    resumed_count=1,
    errors=2,
    last_error="error.action.greet: TimeoutError",
    end_reason="goodbye",
    created_at=AT,
)
KEPT = StoredCall(
    chart_id="voice_call",
    chart_version=1,
    chart_hash="abc",
    state="closed",
    seq=9,
    visits={"voice_call": 1},
    timers=(("voice_call", "last_resort", 7100.5),),
    context=CALL,
)
FACTS = Facts(active_at=AT + 60, ended_at=AT + 61.5, settled=True, audio={"received_seconds": 61.0})


def written(**changes: Any) -> dict[str, Any]:
    """The document of a call that has ended, as JSON has it."""
    said = document(replace(KEPT, **changes), FACTS, closed=True)
    parsed: dict[str, Any] = json.loads(json.dumps(said, default=asdict))
    return parsed


def bot(name: str, called: str) -> BotSettings:
    return BotSettings(name=name)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("call_id", "CA1"),
        ("stream_id", "MZ1"),
        ("carrier", "twilio"),
        ("bot", "shop"),
        ("caller", "+15550100"),
        ("called", "+15550101"),
        ("media_format", "audio/x-mulaw"),
        ("status", "ended"),
        ("state", "closed"),
        ("created_at", "2026-02-25T06:13:20.250Z"),
        ("last_activity", "2026-02-25T06:14:20.250Z"),
        ("ended_at", "2026-02-25T06:14:21.750Z"),
        ("duration", 61.5),
        ("end_reason", "goodbye"),
        ("resumed_count", 1),
        ("turn", 3),
        ("audio", {"received_seconds": 61.0}),
        ("sts_session_id", "sess_1"),
        ("conversation_id", "conv_1"),
        ("response_id", "resp_1"),
        ("errors", 2),
        ("last_error", "error.action.greet: TimeoutError"),
        ("metadata", {"user_id": "u1", "tier": "gold"}),
        ("metadata_version", 2),
        ("user_id", "u1"),
        ("job_configuration", {"instructions": "Be brief.", "voice": "cedar", "language": "de"}),
        ("intent", "order_status"),
        ("confidence", 0.9),
        ("entities", {"order": "17"}),
        ("intents", [{"intent": "order_status", "confidence": 0.9, "item_id": "i1"}]),
        ("question", "Which order?"),
        ("settled", True),
        ("seq", 9),
        ("schema", SCHEMA),
        ("chart", {"id": "voice_call", "version": 1, "hash": "abc"}),
        ("timers", [["voice_call", "last_resort", 7100.5]]),
    ],
)
def test_every_fact_stands_under_its_name(name: str, value: object) -> None:
    assert written()[name] == value


def test_history_and_function_calls_are_objects_with_names() -> None:
    said = written()

    assert [(m["role"], m["text"], m["item_id"]) for m in said["history"]] == [("caller", "hello", "i1")]
    assert [(c["call_id"], c["tool"], c["arguments"]) for c in said["function_calls"]] == [("c1", "look_up", "{}")]


def test_what_is_not_known_yet_is_null_and_no_time() -> None:
    said = document(replace(KEPT, context=CallContext(call_id="CA1", created_at=AT)), Facts(), closed=False)

    assert (said["ended_at"], said["duration"], said["user_id"], said["end_reason"]) == (None, 0.0, None, "")
    assert said["last_activity"] == said["created_at"]


def test_time_is_read_as_it_was_written() -> None:
    assert timestamp(iso(AT)) == AT
    assert (iso(0.0), timestamp(None)) == (None, 0.0)


# -- what a call counts as ----------------------------------------------------------------------------


@pytest.mark.parametrize(("answered", "status"), [(False, "initiated"), (True, "active")])
def test_call_that_is_not_over_is_initiated_until_it_is_answered(answered: bool, status: str) -> None:
    assert status_of(replace(CALL, answered=answered, end_reason=""), closed=False) == status


@pytest.mark.parametrize("reason", sorted(END_REASONS))
def test_call_that_is_over_has_ended_or_failed_by_its_reason(reason: Any) -> None:
    call = replace(CALL, end_reason=reason)

    assert status_of(call, closed=True) == ("error" if reason in ("error", "sts_failed") else "ended")
    assert status_of(call, closed=False) == "active"  # it says good-bye


# -- which documents are read -------------------------------------------------------------------------


def test_call_is_read_as_it_was_written() -> None:
    assert read_document(written(), bot) == KEPT


@pytest.mark.parametrize("name", ["intents", "question", "interrupted", "metadata_version", "tool_outputs"])
def test_document_of_an_earlier_version_lacks_what_that_did_not_know(name: str) -> None:
    said = {key: value for key, value in written().items() if key != name}

    again = read_document(said, bot).context

    assert getattr(again, name) == getattr(CallContext(), name)
    assert again.history == CALL.history


@pytest.mark.parametrize("schema", [SCHEMA + 1, 0, -1, None, "1"])
def test_document_of_a_schema_that_is_not_ours_is_refused_and_says_what_to_do(schema: object) -> None:
    with pytest.raises(CallchartError, match=f"CA1: .* schema {schema!r}.* reads 1 to {SCHEMA}; run the version"):
        read_document({**written(), "schema": schema}, bot)


@pytest.mark.parametrize("name", ["state", "chart", "visits", "timers", "seq", "bot", "job_configuration"])
def test_document_without_what_a_call_goes_on_from_is_refused_and_names_it(name: str) -> None:
    said = {key: value for key, value in written().items() if key != name}

    with pytest.raises(CallchartError, match=f"CA1: its document cannot be read: KeyError: '{name}'"):
        read_document(said, bot)
