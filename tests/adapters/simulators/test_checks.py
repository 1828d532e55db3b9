"""The hand-written rules for client events, beside the types of the `openai` package."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.simulators.realtime.checks import problem_with
from tests.adapters.simulators.judge import faults_of_client_event


def update(**session: Any) -> dict[str, Any]:
    return {"type": "session.update", "session": {"type": "realtime", **session}}


def listening(**settings: Any) -> dict[str, Any]:
    return update(audio={"input": settings})


def message(role: str, part: dict[str, Any]) -> dict[str, Any]:
    return {"type": "conversation.item.create", "item": {"type": "message", "role": role, "content": [part]}}


GOOD: list[dict[str, Any]] = [
    update(
        output_modalities=["audio"],
        instructions="x",
        max_output_tokens=1024,
        tools=[{"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}}],
        tool_choice={"type": "function", "name": "f"},
        truncation={"type": "retention_ratio", "retention_ratio": 0.8, "token_limits": {"post_instructions": 8000}},
        tracing={"workflow_name": "calls"},
        audio={"output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": {"id": "v"}, "speed": 1.0}},
    ),
    update(max_output_tokens="inf", truncation="auto", tracing=None, tool_choice="none"),
    listening(
        format={"type": "audio/pcma"},
        noise_reduction={"type": "near_field"},
        transcription={"model": "gpt-transcribe", "language": "en", "prompt": "p"},
        turn_detection={"type": "server_vad", "threshold": 0.5, "idle_timeout_ms": None, "create_response": False},
    ),
    listening(noise_reduction=None, transcription=None, turn_detection=None),
    listening(turn_detection={"type": "semantic_vad", "eagerness": "low", "interrupt_response": False}),
    {"type": "session.update", "session": {"type": "transcription", "audio": {"input": {}}}},
    {"type": "input_audio_buffer.append", "audio": "//8="},
    message("user", {"type": "input_text", "text": "Hi"}),
    message("user", {"type": "input_audio", "audio": "//8=", "transcript": "Hi"}),
    message("system", {"type": "input_text", "text": "Hi"}),
    message("assistant", {"type": "output_text", "text": "Hi"}),
    {
        "type": "response.create",
        "event_id": "e",
        "response": {"conversation": "none", "input": [{"type": "message", "role": "user", "content": [
            {"type": "input_text", "text": "Hi"}]}], "metadata": {"purpose": "greeting"}},
    },
    {"type": "response.create"},
    {"type": "response.cancel", "response_id": "r"},
    {"type": "conversation.item.truncate", "item_id": "i", "content_index": 0, "audio_end_ms": 0},
]  # fmt: skip

BAD: list[tuple[dict[str, Any], str, str]] = [
    (update(temperature=0.8), "unknown_parameter", "session.temperature"),
    (update(modalities=["audio", "text"]), "unknown_parameter", "session.modalities"),
    (update(output_modalities=["audio", "text"]), "invalid_value", "session.output_modalities"),
    (update(output_modalities="audio"), "invalid_type", "session.output_modalities"),
    (update(max_output_tokens=0), "invalid_value", "session.max_output_tokens"),
    (update(max_output_tokens=True), "invalid_type", "session.max_output_tokens"),
    (update(instructions=None), "invalid_type", "session.instructions"),
    (update(audio={"output": {"speed": 3}}), "invalid_value", "session.audio.output.speed"),
    (update(audio={"output": {"speed": "1"}}), "invalid_type", "session.audio.output.speed"),
    (update(audio=[]), "invalid_type", "session.audio"),
    (listening(format="g711_ulaw"), "invalid_type", "session.audio.input.format"),
    (listening(format={"type": "g711_ulaw"}), "invalid_value", "session.audio.input.format.type"),
    (listening(format={"type": "audio/pcm", "rate": 16000}), "invalid_value", "session.audio.input.format.rate"),
    (listening(format={"type": "audio/pcmu", "rate": 8000}), "unknown_parameter", "session.audio.input.format.rate"),
    (
        listening(turn_detection={"type": "server_vad", "create_response": 0}),
        "invalid_type",
        "session.audio.input.turn_detection.create_response",
    ),
    (
        listening(turn_detection={"type": "server_vad", "eagerness": "low"}),
        "unknown_parameter",
        "session.audio.input.turn_detection.eagerness",
    ),
    ({"type": "session.update"}, "missing_required_parameter", "session"),
    ({"type": "session.update", "session": {}}, "missing_required_parameter", "session.type"),
    ({"type": "input_audio_buffer.append", "audio": "?"}, "invalid_value", "audio"),
    ({"type": "input_audio_buffer.append", "audio": 7}, "invalid_type", "audio"),
    ({"type": "input_audio_buffer.append", "audio": "AAAA" * 5_300_000}, "invalid_value", "audio"),
    (message("assistant", {"type": "output_audio", "audio": "//8="}), "unknown_parameter", "item.content[0].audio"),
    (message("user", {"type": "text", "text": "Hi"}), "invalid_value", "item.content[0].type"),
    (message("caller", {"type": "input_text", "text": "Hi"}), "invalid_value", "item.role"),
    ({"type": "response.create", "response": {"metadata": {"n": 1}}}, "invalid_type", "response.metadata.n"),
    ({"type": "response.create", "response": {"metadata": []}}, "invalid_type", "response.metadata"),
    ({"type": "response.create", "response": {"metadata": {"n": "x" * 513}}}, "invalid_value", "response.metadata.n"),
    (
        {"type": "response.create", "response": {"metadata": {str(n): "" for n in range(17)}}},
        "invalid_value",
        "response.metadata",
    ),
    ({"type": "response.create", "response": {"modalities": []}}, "unknown_parameter", "response.modalities"),
    (
        {"type": "conversation.item.truncate", "item_id": "i", "content_index": 0, "audio_end_ms": 1.5},
        "invalid_type",
        "audio_end_ms",
    ),
    (
        {"type": "conversation.item.truncate", "item_id": "i", "content_index": 0, "audio_end_ms": -1},
        "invalid_value",
        "audio_end_ms",
    ),
    ({"type": "session.created"}, "invalid_value", "type"),
]


@pytest.mark.parametrize("event", GOOD)
def test_a_good_event_passes_both_judges(event: dict[str, Any]) -> None:
    assert problem_with(event) is None
    assert faults_of_client_event(event) == []


@pytest.mark.parametrize(("event", "code", "param"), BAD, ids=[f"{code}-{param}" for _, code, param in BAD])
def test_a_bad_event_is_refused_with_the_fields_name(event: dict[str, Any], code: str, param: str) -> None:
    problem = problem_with(event)

    assert problem is not None
    assert (problem.code, problem.param) == (code, param)
