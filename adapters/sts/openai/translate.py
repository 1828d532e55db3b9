"""What a call says about itself, in the model's words: settings, history, instructions. Pure.

Sources: PyPI `openai` 3.51, `openai.types.realtime` (`RealtimeSessionCreateRequest`, `ConversationItem`), and OpenAI's
guide "Realtime conversations". Only fields that those types know are ever sent: the server refuses a whole
`session.update` for one that it does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from adapters.carriers.contract import MediaFormat
from fsm.context import BotSettings, CallContext
from fsm.history import Message
from fsm.triggers import ToolCall

__all__ = [
    "Body",
    "confirms",
    "function_call",
    "function_output",
    "history_items",
    "message_item",
    "reply_instructions",
    "session_changes",
    "session_settings",
    "spoken_item",
    "system_line",
    "tool_call",
    "wire_format",
]

Body: TypeAlias = dict[str, Any]

_PCM_RATE = 24_000  # the only one the server takes
_DETECTION_FIELDS = {
    "server_vad": ("threshold", "prefix_padding_ms", "silence_duration_ms"),
    "semantic_vad": ("eagerness",),
}
_TOOL_FIELDS = ("name", "description", "parameters")
_ROLES = {"caller": "user", "assistant": "assistant", "agent": "system"}


def wire_format(media_format: MediaFormat) -> Body:
    """Return the session's audio format. Companded audio has no `rate`: the server refuses one.

    Raises:
        ValueError: the model cannot take that format.
    """
    match media_format:
        case MediaFormat(encoding="pcmu", rate=8000):
            return {"type": "audio/pcmu"}
        case MediaFormat(encoding="pcma", rate=8000):
            return {"type": "audio/pcma"}
        case MediaFormat(encoding="pcm16", rate=24_000):
            return {"type": "audio/pcm", "rate": _PCM_RATE}
        case _:
            raise ValueError(f"the model takes pcmu and pcma at 8000 Hz, pcm16 at 24000 Hz, not {media_format}")


def confirms(theirs: Mapping[str, Any] | None, ours: Mapping[str, Any]) -> bool:
    """Whether the server's format is the one asked for. One that it does not repeat is taken as asked for."""
    if theirs is None:
        return True
    rate = ours.get("rate")
    return bool(theirs.get("type") == ours["type"] and theirs.get("rate", rate) == rate)


def session_settings(call: CallContext, media_format: MediaFormat) -> Body:
    """Return the whole `session` of the first `session.update`.

    The model never speaks by itself, whatever the bot says: replies are asked for, and interrupted, by the chart.
    """
    bot = call.bot
    audio_format = wire_format(media_format)
    return {
        "type": "realtime",
        "output_modalities": ["audio"],
        "instructions": _instructions(call),
        "audio": {
            "input": {
                "format": audio_format,
                "transcription": {"model": bot.transcription_model, "language": _language(call)},
                "turn_detection": _turn_detection(bot),
            },
            "output": {"format": audio_format, "voice": _voice(call)},
        },
        "tools": [_tool(tool) for tool in bot.tools],
        "tool_choice": "auto",
        "truncation": {"type": "retention_ratio", "retention_ratio": 0.8},
    }


def session_changes(before: Body, after: Body, *, voice_is_fixed: bool) -> list[Body]:
    """Return each `session` to send, that leads from one set of settings to another.

    A voice goes alone: the first audio may be on its way already, and a server that refuses the voice because of it
    refuses everything that stands beside.
    """
    changes: Body = {}
    if before["instructions"] != after["instructions"]:
        changes["instructions"] = after["instructions"]
    transcription = after["audio"]["input"]["transcription"]
    if before["audio"]["input"]["transcription"] != transcription:
        changes["audio"] = {"input": {"transcription": transcription}}
    sessions = [{"type": "realtime", **changes}] if changes else []
    voice = after["audio"]["output"]["voice"]
    if not voice_is_fixed and before["audio"]["output"]["voice"] != voice:
        sessions.append({"type": "realtime", "audio": {"output": {"voice": voice}}})
    return sessions


def reply_instructions(call: CallContext, instructions: str) -> str:
    """Return the instructions of one reply. The server lets them *replace* the session's, so both are sent."""
    return f"{_instructions(call)}\n\n{instructions}".strip() if instructions.strip() else ""


def _instructions(call: CallContext) -> str:
    return call.bot.instructions if call.instructions is None else call.instructions


def _voice(call: CallContext) -> str:
    return call.voice or call.bot.voice


def _language(call: CallContext) -> str:
    """ISO 639-1: `de-AT` is `de`."""
    return (call.language or call.bot.language).split("-")[0].split("_")[0].lower()


def _turn_detection(bot: BotSettings) -> Body:
    kind = bot.turn_detection.get("type")
    kind = kind if kind in _DETECTION_FIELDS else "server_vad"
    wanted = {name: bot.turn_detection[name] for name in _DETECTION_FIELDS[kind] if name in bot.turn_detection}
    return {"type": kind, **wanted, "create_response": False, "interrupt_response": False}


def _tool(tool: Mapping[str, Any]) -> Body:
    return {"type": "function", **{name: tool[name] for name in _TOOL_FIELDS if name in tool}}


# -- items of the conversation --------------------------------------------------------------------


def spoken_item(message: Message) -> Body | None:
    """Return the text item for something said, or None: it is blank, or no words at all.

    What an agent said is told as the system's, so that the model does not take it for its own words.
    """
    role = _ROLES.get(message.role)
    return None if role is None or not message.text.strip() else message_item(role, message.text)


def message_item(role: str, text: str) -> Body:
    """Return a message with one text part; the assistant's is output, everybody else's input."""
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


def system_line(text: str) -> Body:
    """Return a line that the model is told and that nobody said."""
    return message_item("system", text)


def function_call(call: ToolCall) -> Body:
    """Return a function call that the model made in an earlier session."""
    return {"type": "function_call", "call_id": call.call_id, "name": call.tool, "arguments": call.arguments or "{}"}


def function_output(call_id: str, output: str) -> Body:
    """Return the answer to a function call."""
    return {"type": "function_call_output", "call_id": call_id, "output": output}


def history_items(history: tuple[Message, ...]) -> Iterator[tuple[str, Body]]:
    """Yield (item id, item) for all that a new session is told; a tool call only together with its result."""
    results = {m.item_id for m in history if m.role == "tool_result"}
    calls = {m.item_id for m in history if m.role == "tool_call"}
    for message in history:
        if message.role == "tool_call":
            if message.item_id in results:
                yield message.item_id, function_call(tool_call(message))
        elif message.role == "tool_result":
            if message.item_id in calls:
                yield message.item_id, function_output(message.item_id, message.text)
        elif item := spoken_item(message):
            yield message.item_id, item


def tool_call(message: Message) -> ToolCall:
    """Return the call that a message of the history keeps."""
    return ToolCall(call_id=message.item_id, tool=message.tool, arguments=message.text or "{}")
