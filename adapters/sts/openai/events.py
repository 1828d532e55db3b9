"""What OpenAI Realtime tells and is told, as values: those of its GA events that a phone call needs.

Sources: the server and client events of PyPI `openai` 3.51, `openai.types.realtime`, and OpenAI's guide "Realtime
conversations". Names follow the wire.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from fsm.triggers import Usage

__all__ = [
    "Append",
    "AudioDelta",
    "CancelResponse",
    "Command",
    "Committed",
    "CreateItem",
    "CreateResponse",
    "Event",
    "ItemDone",
    "OutputItem",
    "PeerError",
    "ResponseCreated",
    "ResponseDone",
    "SessionCreated",
    "SessionUpdated",
    "SpeechStarted",
    "SpeechStopped",
    "TextDelta",
    "Transcribed",
    "TranscriptionFailed",
    "TruncateItem",
    "Unknown",
    "UpdateSession",
    "UtteranceEvent",
]


# -- what the model tells -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SessionCreated:
    """The first event of a socket. `expires_at` is seconds since the epoch, where the server tells it."""

    session_id: str
    expires_at: float | None


@dataclass(frozen=True, slots=True)
class SessionUpdated:
    """A `session.update` was accepted. A format is None where the server does not repeat it."""

    input_format: Mapping[str, Any] | None
    output_format: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """The caller's utterance `item_id` begins."""

    item_id: str


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """The caller's utterance `item_id` is over."""

    item_id: str


@dataclass(frozen=True, slots=True)
class Committed:
    """The audio of `item_id` has become an item of the conversation."""

    item_id: str


@dataclass(frozen=True, slots=True)
class Transcribed:
    """The words of the utterance `item_id`."""

    item_id: str
    text: str


@dataclass(frozen=True, slots=True)
class TranscriptionFailed:
    """The utterance `item_id` could not be transcribed."""

    item_id: str
    code: str


@dataclass(frozen=True, slots=True)
class ResponseCreated:
    """A response begins. `metadata` is the request's, where the server repeats it."""

    response_id: str
    metadata: Mapping[str, Any]
    conversation_id: str = ""


@dataclass(frozen=True, slots=True)
class AudioDelta:
    """More audio of a reply, base64."""

    response_id: str
    item_id: str
    payload: str


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More words of a reply's audio."""

    response_id: str
    item_id: str
    delta: str


@dataclass(frozen=True, slots=True)
class OutputItem:
    """One item that a response made; the last three are those of a function call."""

    item_id: str
    kind: str
    status: str
    call_id: str = ""
    tool: str = ""
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class ItemDone:
    """An item of a response is over: `item.status` says whether it is whole."""

    response_id: str
    item: OutputItem


@dataclass(frozen=True, slots=True)
class ResponseDone:
    """A response is over. `reason` is the code of a failure, or why it was cut."""

    response_id: str
    status: str
    reason: str
    items: tuple[OutputItem, ...]
    usage: Usage | None


@dataclass(frozen=True, slots=True)
class PeerError:
    """The server refuses something; `event_id` is that of our event, where it is known."""

    kind: str
    code: str
    event_id: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """An event that we do not use; of a response, if it has an id."""

    kind: str
    response_id: str


UtteranceEvent: TypeAlias = SpeechStarted | SpeechStopped | Committed | Transcribed | TranscriptionFailed
Event: TypeAlias = (
    SessionCreated
    | SessionUpdated
    | UtteranceEvent
    | ResponseCreated
    | AudioDelta
    | TextDelta
    | ItemDone
    | ResponseDone
    | PeerError
    | Unknown
)


# -- what the model is told -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class UpdateSession:
    """`session.update`; only the fields of `session` change."""

    session: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Append:
    """`input_audio_buffer.append`; is not acknowledged. `payload` is base64."""

    payload: str


@dataclass(frozen=True, slots=True)
class CreateItem:
    """`conversation.item.create`, at the end of the conversation."""

    item: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CreateResponse:
    """`response.create` in the conversation. `metadata` comes back with the response."""

    instructions: str
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CancelResponse:
    """`response.cancel`; without an id, whatever is active."""

    response_id: str = ""


@dataclass(frozen=True, slots=True)
class TruncateItem:
    """`conversation.item.truncate`: the caller heard `audio_end_ms` of the reply `item_id`."""

    item_id: str
    audio_end_ms: int


Command: TypeAlias = UpdateSession | Append | CreateItem | CreateResponse | CancelResponse | TruncateItem
