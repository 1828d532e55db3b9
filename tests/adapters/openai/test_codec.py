"""Messages to events and back; audio takes a short cut that must not change what it means."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.sts.openai import events as e
from adapters.sts.openai.codec import RealtimeCodec
from fsm.errors import ProtocolError
from fsm.triggers import Usage
from tests.adapters.openai.judge import judge_client_event

CODEC = RealtimeCodec()
DELTA = {
    "type": "response.output_audio.delta", "event_id": "event_17", "response_id": "resp_2", "item_id": "item_a2",
    "output_index": 0, "content_index": 0, "delta": "f39/fw==",
}  # fmt: skip


def received(body: dict[str, Any]) -> e.Event:
    return CODEC.receive(json.dumps({"event_id": "event_1", **body}))


# -- what the model tells -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "event"),
    [
        (
            {"type": "session.created", "session": {"type": "realtime", "id": "sess_1", "expires_at": 1795159000}},
            e.SessionCreated("sess_1", 1795159000.0),
        ),
        ({"type": "session.created", "session": {}}, e.SessionCreated("", None)),
        (
            {
                "type": "session.updated",
                "session": {
                    "audio": {
                        "input": {"format": {"type": "audio/pcmu"}},
                        "output": {"format": {"type": "audio/pcma"}},
                    }
                },
            },
            e.SessionUpdated({"type": "audio/pcmu"}, {"type": "audio/pcma"}),
        ),
        ({"type": "session.updated", "session": {}}, e.SessionUpdated(None, None)),
        ({"type": "input_audio_buffer.speech_started", "item_id": "u1"}, e.SpeechStarted("u1")),
        ({"type": "input_audio_buffer.speech_stopped", "item_id": "u1", "new": 1}, e.SpeechStopped("u1")),
        ({"type": "input_audio_buffer.committed", "item_id": "u1"}, e.Committed("u1")),
        (
            {
                "type": "conversation.item.input_audio_transcription.completed",
                "item_id": "u1",
                "transcript": "Grüß Gott",
            },
            e.Transcribed("u1", "Grüß Gott"),
        ),
        (
            {"type": "conversation.item.input_audio_transcription.failed", "item_id": "u1", "error": {"code": "x"}},
            e.TranscriptionFailed("u1", "x"),
        ),
        (
            {"type": "response.created", "response": {"id": "resp_1", "metadata": {"purpose": "greeting"}}},
            e.ResponseCreated("resp_1", {"purpose": "greeting"}),
        ),
        ({"type": "response.created", "response": {"id": "r", "metadata": None}}, e.ResponseCreated("r", {})),
        (
            {"type": "response.created", "response": {"id": "r", "conversation_id": "conv_1"}},
            e.ResponseCreated("r", {}, "conv_1"),
        ),
        ({"type": "response.created", "response": {"id": "r", "conversation_id": None}}, e.ResponseCreated("r", {})),
        (DELTA, e.AudioDelta("resp_2", "item_a2", "f39/fw==")),
        (
            {"type": "response.output_audio_transcript.delta", "response_id": "r", "item_id": "i", "delta": "Hi"},
            e.TextDelta("r", "i", "Hi"),
        ),
        (
            {
                "type": "response.output_item.done",
                "response_id": "r",
                "item": {"id": "i", "type": "message", "status": "completed"},
            },
            e.ItemDone("r", e.OutputItem("i", "message", "completed")),
        ),
        (
            {"type": "error", "error": {"type": "invalid_request_error", "code": "c", "event_id": "c7", "param": None}},
            e.PeerError("invalid_request_error", "c", "c7"),
        ),
        ({"type": "error", "error": {"code": None}}, e.PeerError("", "", "")),
        ({"type": "rate_limits.updated", "rate_limits": []}, e.Unknown("rate_limits.updated", "")),
        (
            {"type": "response.content_part.added", "response_id": "r"},
            e.Unknown("response.content_part.added", "r"),
        ),
    ],
    ids=lambda value: value["type"] if isinstance(value, dict) else "",
)
def test_an_event_is_understood(body: dict[str, Any], event: e.Event) -> None:
    assert received(body) == event


def test_the_end_of_a_response_brings_its_calls_and_its_cost() -> None:
    call = {
        "id": "fc_1", "type": "function_call", "status": "completed", "call_id": "call_1", "name": "bill",
        "arguments": "{}",
    }  # fmt: skip
    usage = {
        "input_tokens": 1, "output_tokens": 2, "input_token_details": {"cached_tokens": 3, "audio_tokens": 4},
        "output_token_details": {"audio_tokens": 5},
    }  # fmt: skip
    done = {"id": "r", "status": "completed", "output": [call, "?"], "usage": usage}

    assert received({"type": "response.done", "response": done}) == e.ResponseDone(
        response_id="r",
        status="completed",
        reason="",
        items=(e.OutputItem("fc_1", "function_call", "completed", "call_1", "bill", "{}"),),
        usage=Usage(input_tokens=1, output_tokens=2, cached_tokens=3, input_audio_tokens=4, output_audio_tokens=5),
    )


@pytest.mark.parametrize(
    ("details", "reason"),
    [
        ({"type": "failed", "error": {"type": "server_error", "code": "overloaded"}}, "overloaded"),
        ({"type": "failed", "error": {"type": "server_error"}}, "server_error"),
        ({"type": "cancelled", "reason": "client_cancelled"}, "client_cancelled"),
        (None, ""),
    ],
)
def test_the_end_of_a_response_says_why(details: dict[str, Any] | None, reason: str) -> None:
    done = {"id": "r", "status": "failed", "status_details": details, "output": None, "usage": None}

    event = received({"type": "response.done", "response": done})

    assert event == e.ResponseDone("r", "failed", reason, (), None)


@pytest.mark.parametrize(
    "message",
    [
        "",
        "{",
        "[]",
        "7",
        "{}",
        '{"type":3}',
        '{"type":"response.created"}',
        '{"type":"response.created","response":{}}',
        '{"type":"response.output_audio.delta","response_id":"r","item_id":"i"}',
        '{"type":"response.output_audio.delta","event_id":"e","response_id":"r","item_id":"i","output_index":0,'
        '"content_index":0,"delta":"AA"B"}',
        '{"type":"response.output_audio.delta","event_id":"e","response_id":"r","item_id":"i","output_index":0,'
        '"content_index":0,"delta":"AA!A"}',
        '{"type":"response.output_audio.delta","response_id":"r","item_id":"i","delta":"AA\\"}}"}',
        '{"type":"response.output_audio.delta","response_id":"r","item_id":"i","delta":"AAA"}',
        '{"type":"response.output_audio.delta","response_id":"r","item_id":"i","delta":"A=AA"}',
        '{"type":"input_audio_buffer.speech_started","item_id":null}',
        '{"type":"error","error":"boom"}',
    ],
)
def test_a_message_that_means_nothing_is_an_error(message: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        CODEC.receive(message)

    assert caught.value.peer == "openai"


@given(
    payload=st.binary(max_size=400),
    order=st.permutations(list(DELTA)),
    spaces=st.booleans(),
    escaped=st.booleans(),
    extra=st.booleans(),
)
def test_the_short_cut_for_audio_means_what_the_message_says(
    payload: bytes, order: list[str], spaces: bool, escaped: bool, extra: bool
) -> None:
    body: dict[str, Any] = {name: DELTA[name] for name in order}
    body["delta"] = base64.b64encode(payload).decode()
    if extra:
        body["more"] = {"delta": "AAAA"}
    message = json.dumps(body, separators=None if spaces else (",", ":"))
    message = message.replace("/", "\\/") if escaped else message

    assert CODEC.receive(message) == e.AudioDelta("resp_2", "item_a2", body["delta"])


# -- what the model is told -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "body"),
    [
        (
            e.UpdateSession({"type": "realtime", "instructions": "Hi"}),
            {"type": "session.update", "session": {"type": "realtime", "instructions": "Hi"}},
        ),
        (
            e.CreateItem({"type": "function_call_output", "call_id": "c", "output": "1"}),
            {
                "type": "conversation.item.create",
                "item": {"type": "function_call_output", "call_id": "c", "output": "1"},
            },
        ),
        (
            e.CreateResponse("Greet.", {"purpose": "greeting"}),
            {"type": "response.create", "response": {"instructions": "Greet.", "metadata": {"purpose": "greeting"}}},
        ),
        (e.CreateResponse("", {}), {"type": "response.create", "response": {"metadata": {}}}),
        (e.CancelResponse("resp_4"), {"type": "response.cancel", "response_id": "resp_4"}),
        (e.CancelResponse(), {"type": "response.cancel"}),
        (
            e.TruncateItem("item_a1", 2850),
            {"type": "conversation.item.truncate", "item_id": "item_a1", "content_index": 0, "audio_end_ms": 2850},
        ),
    ],
    ids=lambda value: value["type"] if isinstance(value, dict) else "",
)
def test_a_command_is_written(command: e.Command, body: dict[str, Any]) -> None:
    message = CODEC.send(command, "c1")

    judge_client_event(message)
    assert json.loads(message) == {**body, "event_id": "c1"}


@pytest.mark.parametrize("payload", ["//////8=", 'A"B', "A\\B"])
def test_audio_of_the_caller_is_written_as_one_json_string(payload: str) -> None:
    message = CODEC.send(e.Append(payload), "c1")

    judge_client_event(message)
    assert json.loads(message) == {"type": "input_audio_buffer.append", "audio": payload}


@pytest.mark.parametrize(
    "message",
    [
        '{"type":"input_audio_buffer.append","audio":"","rate":8000}',
        '{"type":"session.update","session":{"type":"realtime","audio":{"input":{"format":{"type":"audio/pcmu",'
        '"rate":8000}}}}}',
        '{"type":"conversation.item.truncate","item_id":"i","content_index":"0","audio_end_ms":1}',
        '{"type":"response.audio.cancel"}',
    ],
)
def test_the_judge_refuses_what_the_types_do_not_know(message: str) -> None:
    with pytest.raises(ValueError, match="unknown fields|validation error"):
        judge_client_event(message)
