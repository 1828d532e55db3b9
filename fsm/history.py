"""The working history of a call: what the next turn needs to know. Bounded; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["LONGEST", "Message", "Role", "append", "newest", "plain"]

Role = Literal["caller", "assistant", "agent", "tool_call", "tool_result"]
LONGEST = 200
"""Messages that a history has at most, even in a chart that never truncates it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One thing said, or one tool call or its result.

    `item_id` is the model's id of the item, or the tool call's `call_id` for the two tool roles: a call and its
    result share it. The text of a tool call is its arguments. A caller's message without text is an utterance that
    was not transcribed (yet).
    """

    role: Role
    text: str
    item_id: str = ""
    interrupted: bool = False
    tool: str = ""


def plain(message: Message) -> dict[str, Any]:
    """Return its fields. `asdict` takes ten times as long, and so does JSON of the message itself."""
    return {
        "role": message.role,
        "text": message.text,
        "item_id": message.item_id,
        "interrupted": message.interrupted,
        "tool": message.tool,
    }


def append(history: tuple[Message, ...], message: Message) -> tuple[Message, ...]:
    """Add `message`; one of the same role and item replaces what it repeats, in its place."""
    if message.item_id:
        for index, known in enumerate(history):
            if known.item_id == message.item_id and known.role == message.role:
                return (*history[:index], message, *history[index + 1 :])
    return newest((*history, message), LONGEST)


def newest(history: tuple[Message, ...], keep: int) -> tuple[Message, ...]:
    """Return the newest `keep` messages, or fewer: a result is never kept without its tool call.

    A kept call has its result, if there is one: results follow their calls.
    """
    if len(history) <= keep:
        return history
    first = len(history) - max(keep, 0)
    dropped = {message.item_id for message in history[:first] if message.role == "tool_call"}
    return tuple(m for m in history[first:] if m.role != "tool_result" or m.item_id not in dropped)
