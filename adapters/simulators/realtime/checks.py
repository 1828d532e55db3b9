"""What a client may send to a Realtime session: the eleven events, field by field, written by hand.

Source: OpenAI, Realtime API reference, client events (GA). Formats other than `audio/pcm` take no `rate`; a session
must say its `type`; `output_modalities` is audio or text, never both.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from adapters.simulators.realtime.shapes import (
    Problem,
    Shape,
    anything,
    boolean,
    each,
    either,
    integer,
    mapping,
    nullable,
    number,
    one_of,
    record,
    tagged,
    text,
)

__all__ = ["problem_with"]

_APPEND_LIMIT = 15 * 1024 * 1024  # bytes of audio in one event


def problem_with(event: Any) -> Problem | None:
    """Return what is wrong with a client event, or None."""
    return _EVENT(event, "")


def _audio(value: Any, path: str) -> Problem | None:
    if problem := text(value, path):
        return problem
    try:
        sound = base64.b64decode(value, validate=True)
    except binascii.Error:
        return Problem("invalid_value", path, f"Invalid '{path}': it is not base64.")
    if len(sound) > _APPEND_LIMIT:
        return Problem("invalid_value", path, f"Invalid '{path}': more than 15 MiB.")
    return None


_FORMAT = tagged(
    "type",
    {
        "audio/pcm": record({"type": text}, {"rate": one_of(24000)}),
        "audio/pcmu": record({"type": text}),
        "audio/pcma": record({"type": text}),
    },
)
_TURN_DETECTION = tagged(
    "type",
    {
        "server_vad": record(
            {"type": text},
            {
                "threshold": number(0, 1),
                "prefix_padding_ms": integer(0, 10_000),
                "silence_duration_ms": integer(0, 10_000),
                "idle_timeout_ms": nullable(integer(5_000, 30_000)),
                "create_response": boolean,
                "interrupt_response": boolean,
            },
        ),
        "semantic_vad": record(
            {"type": text},
            {
                "eagerness": one_of("low", "medium", "high", "auto"),
                "create_response": boolean,
                "interrupt_response": boolean,
            },
        ),
    },
)
_TRANSCRIPTION = record(
    {},
    {
        "model": text,
        "language": text,
        "languages": each(text),
        "prompt": text,
        "keywords": each(text),
        "delay": one_of("minimal", "low", "medium", "high", "xhigh"),
    },
)
_NOISE_REDUCTION = record({"type": one_of("near_field", "far_field")}, {"strength": number(0, 1)})
_VOICE = either(text, record({"id": text}))
_MODALITIES = each(one_of("audio", "text"), least=1, most=1)
_TOKENS = either(one_of("inf"), integer(1, 4096))
_TOOL: Shape = tagged(
    "type",
    {
        "function": record({"type": text, "name": text}, {"description": text, "parameters": anything}),
        "mcp": anything,
    },
)
_TOOL_CHOICE = either(
    one_of("none", "auto", "required"), tagged("type", {"function": record({"type": text, "name": text})})
)
_COMMON = {
    "instructions": text,
    "max_output_tokens": _TOKENS,
    "output_modalities": _MODALITIES,
    "parallel_tool_calls": boolean,
    "prompt": nullable(anything),
    "reasoning": nullable(record({}, {"effort": one_of("minimal", "low", "medium", "high", "xhigh")})),
    "tools": each(_TOOL),
    "tool_choice": _TOOL_CHOICE,
}
_TRUNCATION = either(
    one_of("auto", "disabled"),
    record(
        {"type": one_of("retention_ratio"), "retention_ratio": number(0, 1)},
        {"token_limits": record({}, {"post_instructions": integer(0, 10_000_000)})},
    ),
)
_INPUT = record(
    {},
    {
        "format": _FORMAT,
        "noise_reduction": nullable(_NOISE_REDUCTION),
        "transcription": nullable(_TRANSCRIPTION),
        "turn_detection": nullable(_TURN_DETECTION),
    },
)
_OUTPUT = record({}, {"format": _FORMAT, "speed": number(0.25, 1.5), "voice": _VOICE})
_SESSION = tagged(
    "type",
    {
        "realtime": record(
            {"type": text},
            {
                **_COMMON,
                "audio": record({}, {"input": _INPUT, "output": _OUTPUT}),
                "include": nullable(each(one_of("item.input_audio_transcription.logprobs"))),
                "model": text,
                "tracing": nullable(either(one_of("auto"), record({}, {
                    "group_id": text, "metadata": anything, "workflow_name": text,
                }))),
                "truncation": _TRUNCATION,
            },
        ),
        "transcription": record({"type": text}, {
            "audio": record({}, {"input": _INPUT}), "include": nullable(each(text)),
        }),
    },
)  # fmt: skip
_STATUS = {"id": text, "object": one_of("realtime.item"), "status": one_of("completed", "incomplete", "in_progress")}
_INPUT_TEXT = record({"type": one_of("input_text"), "text": text})
_USER_PART = tagged(
    "type",
    {
        "input_text": _INPUT_TEXT,
        "input_audio": record({"type": text}, {"audio": _audio, "transcript": text}),
        "input_image": record({"type": text, "image_url": text}, {"detail": one_of("auto", "low", "high")}),
    },
)
# An assistant's audio cannot be given back to the model, only its text (reference: conversation.item.create).
_ASSISTANT_PART = record({"type": one_of("output_text"), "text": text})
_MESSAGE = tagged(
    "role",
    {
        role: record({"type": text, "role": text, "content": each(part, least=1)}, _STATUS)
        for role, part in (("user", _USER_PART), ("system", _INPUT_TEXT), ("assistant", _ASSISTANT_PART))
    },
)
_ITEMS = {
    "message": _MESSAGE,
    "function_call": record({"type": text, "name": text, "arguments": text}, {**_STATUS, "call_id": text}),
    "function_call_output": record({"type": text, "call_id": text, "output": text}, _STATUS),
}
_RESPONSE = record(
    {},
    {
        **_COMMON,
        "audio": record({}, {"output": record({}, {"format": _FORMAT, "voice": _VOICE})}),
        "conversation": one_of("auto", "none"),
        "input": each(tagged("type", {**_ITEMS, "item_reference": record({"type": text, "id": text})})),
        "metadata": nullable(mapping(most=16, longest=512)),
    },
)


def _event(required: dict[str, Shape] | None = None, optional: dict[str, Shape] | None = None) -> Shape:
    return record({"type": text, **(required or {})}, {"event_id": text, **(optional or {})})


_EVENT = tagged(
    "type",
    {
        "session.update": _event({"session": _SESSION}),
        "input_audio_buffer.append": _event({"audio": _audio}),
        "input_audio_buffer.commit": _event(),
        "input_audio_buffer.clear": _event(),
        "conversation.item.create": _event({"item": tagged("type", _ITEMS)}, {"previous_item_id": nullable(text)}),
        "conversation.item.retrieve": _event({"item_id": text}),
        "conversation.item.delete": _event({"item_id": text}),
        "conversation.item.truncate": _event(
            {"item_id": text, "content_index": one_of(0), "audio_end_ms": integer(0, 10**9)}
        ),
        "response.create": _event({}, {"response": _RESPONSE}),
        "response.cancel": _event({}, {"response_id": text}),
        "output_audio_buffer.clear": _event(),
    },
)
