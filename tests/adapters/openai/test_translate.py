"""A call in the model's words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from adapters.carriers.contract import MediaFormat
from adapters.sts.openai import events as e
from adapters.sts.openai import translate
from adapters.sts.openai.codec import RealtimeCodec
from fsm.context import BotSettings, CallContext
from fsm.history import Message
from tests.adapters.openai.judge import judge_client_event

PCMU = MediaFormat("pcmu", 8000)
BOT = BotSettings(
    instructions="Be kind.",
    tools=({"name": "bill", "description": "d", "parameters": {"type": "object"}, "handler": "x"}, {"name": "bare"}),
)


def judged(settings: translate.Body) -> translate.Body:
    judge_client_event(RealtimeCodec().send(e.UpdateSession(settings), "c1"))
    return settings


def test_the_settings_are_those_of_the_bot_and_the_call() -> None:
    call = CallContext(bot=BOT, language="de_AT")

    settings = judged(translate.session_settings(call, PCMU))

    assert settings == {
        "type": "realtime",
        "output_modalities": ["audio"],
        "instructions": "Be kind.",
        "audio": {
            "input": {
                "format": {"type": "audio/pcmu"},
                "transcription": {"model": "gpt-transcribe", "language": "de"},
                "turn_detection": {"type": "server_vad", "create_response": False, "interrupt_response": False},
            },
            "output": {"format": {"type": "audio/pcmu"}, "voice": "marin"},
        },
        "tools": [
            {"type": "function", "name": "bill", "description": "d", "parameters": {"type": "object"}},
            {"type": "function", "name": "bare"},
        ],
        "tool_choice": "auto",
        "truncation": {"type": "retention_ratio", "retention_ratio": 0.8},
    }


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({}, {"type": "server_vad"}),
        (
            {"threshold": 0.6, "silence_duration_ms": 700, "idle_timeout_ms": 5000, "create_response": True},
            {"type": "server_vad", "threshold": 0.6, "silence_duration_ms": 700},
        ),
        (
            {"type": "semantic_vad", "eagerness": "low", "threshold": 1, "interrupt_response": True},
            {"type": "semantic_vad", "eagerness": "low"},
        ),
        ({"type": "clairvoyance"}, {"type": "server_vad"}),
    ],
)
def test_the_model_never_speaks_by_itself_whatever_the_bot_says(wanted: dict[str, Any], told: dict[str, Any]) -> None:
    call = CallContext(bot=replace(BOT, turn_detection=wanted))

    settings = judged(translate.session_settings(call, PCMU))

    assert settings["audio"]["input"]["turn_detection"] == {
        **told, "create_response": False, "interrupt_response": False
    }  # fmt: skip


@pytest.mark.parametrize(
    ("media_format", "told"),
    [
        (PCMU, {"type": "audio/pcmu"}),
        (MediaFormat("pcma", 8000), {"type": "audio/pcma"}),
        (MediaFormat("pcm16", 24000), {"type": "audio/pcm", "rate": 24000}),
    ],
    ids=str,
)
def test_a_format_has_a_rate_only_if_it_is_pcm(media_format: MediaFormat, told: dict[str, Any]) -> None:
    settings = judged(translate.session_settings(CallContext(), media_format))

    assert settings["audio"]["input"]["format"] == settings["audio"]["output"]["format"] == told


@pytest.mark.parametrize("media_format", [MediaFormat("pcm16", 8000), MediaFormat("opus", 48000)], ids=str)
def test_a_format_that_the_model_cannot_take_is_refused(media_format: MediaFormat) -> None:
    with pytest.raises(ValueError, match="pcmu"):
        translate.wire_format(media_format)


@pytest.mark.parametrize(
    ("theirs", "ours", "confirmed"),
    [
        ({"type": "audio/pcmu"}, {"type": "audio/pcmu"}, True),
        ({"type": "audio/pcm", "rate": 24000}, {"type": "audio/pcmu"}, False),
        ({"type": "audio/pcm"}, {"type": "audio/pcm", "rate": 24000}, True),
        ({"type": "audio/pcm", "rate": 16000}, {"type": "audio/pcm", "rate": 24000}, False),
        (None, {"type": "audio/pcmu"}, True),
    ],
)
def test_formats_are_compared(theirs: dict[str, Any] | None, ours: dict[str, Any], confirmed: bool) -> None:
    assert translate.confirms(theirs, ours) is confirmed


@pytest.mark.parametrize(
    ("change", "fixed", "told"),
    [
        ({}, False, []),
        ({"instructions": ""}, False, [{"instructions": ""}]),
        ({"voice": "ash"}, False, [{"audio": {"output": {"voice": "ash"}}}]),
        ({"voice": "ash"}, True, []),
        (
            {"language": "fr"},
            True,
            [{"audio": {"input": {"transcription": {"model": "gpt-transcribe", "language": "fr"}}}}],
        ),
        (  # a refused voice takes nothing else with it
            {"voice": "ash", "instructions": "Be brief."},
            False,
            [{"instructions": "Be brief."}, {"audio": {"output": {"voice": "ash"}}}],
        ),
    ],
)
def test_only_changes_are_told(change: dict[str, Any], fixed: bool, told: list[dict[str, Any]]) -> None:
    before = CallContext(bot=BOT)
    after = replace(before, **change)

    changes = translate.session_changes(
        translate.session_settings(before, PCMU), translate.session_settings(after, PCMU), voice_is_fixed=fixed
    )

    assert changes == [{"type": "realtime", **each} for each in told]


@pytest.mark.parametrize(
    ("own", "asked", "told"),
    [(None, "Greet.", "Be kind.\n\nGreet."), ("Be brief.", "Greet.", "Be brief.\n\nGreet."), ("", " ", "")],
)
def test_instructions_of_a_reply_add_to_those_of_the_call(own: str | None, asked: str, told: str) -> None:
    assert translate.reply_instructions(CallContext(bot=BOT, instructions=own), asked) == told


def test_a_history_is_told_as_text_and_calls_only_with_their_results() -> None:
    history = (
        Message(role="tool_result", text="of a call long gone", item_id="call_0"),
        Message(role="caller", text="Hello", item_id="u1"),
        Message(role="tool_call", tool="bill", text="", item_id="call_1"),
        Message(role="tool_call", tool="bill", text="{}", item_id="call_2"),
        Message(role="tool_result", text="12", item_id="call_1"),
        Message(role="assistant", text="", item_id="a0"),
        Message(role="assistant", text="Twelve.", item_id="a1"),
        Message(role="agent", text="Paid."),
    )

    items = list(translate.history_items(history))

    for _, item in items:
        judge_client_event(RealtimeCodec().send(e.CreateItem(item), "c1"))
    assert items == [
        ("u1", {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]}),
        ("call_1", {"type": "function_call", "call_id": "call_1", "name": "bill", "arguments": "{}"}),
        ("call_1", {"type": "function_call_output", "call_id": "call_1", "output": "12"}),
        ("a1", {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Twelve."}]}),
        ("", {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "Paid."}]}),
    ]
