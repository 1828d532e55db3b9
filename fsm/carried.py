"""What triggers carry beside plain values. Import these from `fsm.triggers`."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["HeardReply", "ToolCall", "Usage"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeardReply:
    """One reply of the model as far as the caller heard it."""

    item_id: str
    text: str = ""
    heard_ms: int = 0
    interrupted: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """The model asks for a function. `arguments` is the JSON text it wrote, complete."""

    call_id: str
    tool: str
    arguments: str = "{}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one response, as the model's vendor counts them (`response.done.usage`)."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    input_audio_tokens: int = 0
    output_audio_tokens: int = 0
