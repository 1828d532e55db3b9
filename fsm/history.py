"""The working history of a call: what the next turn needs to know. Bounded; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Message", "Role", "append", "newest"]

Role = Literal["caller", "assistant", "agent", "tool_call", "tool_result"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One thing said, or one tool call or its result.

    `item_id` is the model's id of the item, or the tool call's `call_id` for the two tool roles: a call and its
    result share it.
    """

    role: Role
    text: str
    item_id: str = ""
    interrupted: bool = False
    tool: str = ""


def append(history: tuple[Message, ...], message: Message) -> tuple[Message, ...]:
    """Add `message`; one of the same role and item replaces what it repeats, in its place."""
    if message.item_id:
        for index, known in enumerate(history):
            if known.item_id == message.item_id and known.role == message.role:
                return (*history[:index], message, *history[index + 1 :])
    return (*history, message)


def newest(history: tuple[Message, ...], keep: int) -> tuple[Message, ...]:
    """Return the newest `keep` messages, or fewer: a tool call is never kept without its result, nor the reverse."""
    if len(history) <= keep:
        return history
    kept = history[len(history) - keep :] if keep > 0 else ()
    dropped_calls = {m.item_id for m in history[: len(history) - len(kept)] if m.role == "tool_call"}
    return tuple(m for m in kept if not (m.role == "tool_result" and m.item_id in dropped_calls))
