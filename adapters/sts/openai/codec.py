"""OpenAI Realtime's JSON, GA shape: messages to events, commands to messages. No socket, no clock, no log.

Audio is most of what passes: its payload is cut out of the message by a pattern of the very shape the server writes,
and only a message of another shape is parsed as a tree.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, assert_never

import orjson

from adapters.sts.openai import events as e
from fsm.errors import ProtocolError
from fsm.triggers import Usage

__all__ = ["RealtimeCodec"]

_AUDIO_HEAD = re.compile(
    r'\{"type": ?"response\.output_audio\.delta", ?"event_id": ?"[^"\\]*", ?"response_id": ?"([^"\\]+)",'
    r' ?"item_id": ?"([^"\\]+)", ?"output_index": ?\d+, ?"content_index": ?\d+, ?"delta": ?"'
)
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_NOTHING: Mapping[str, Any] = {}


class RealtimeCodec:
    """The client's side of one Realtime conversation. Stateless: one may serve many sockets."""

    __slots__ = ()

    def receive(self, message: str) -> e.Event:
        """Return what `message` tells.

        Raises:
            ProtocolError: it is not JSON, or lacks a field without which it means nothing.
        """
        head = _AUDIO_HEAD.match(message)
        if head is not None and message.endswith('"}'):
            payload = message[head.end() : -2]
            if _is_base64(payload):
                return e.AudioDelta(head[1], head[2], payload)
        return _parsed(message)

    def send(self, command: e.Command, event_id: str) -> str:
        """Return the message for `command`; the server names `event_id` in an error about it."""
        body: dict[str, Any]
        match command:
            case e.Append(payload=payload):
                return self.append(payload)
            case e.UpdateSession(session=session):
                body = {"type": "session.update", "session": session}
            case e.CreateItem(item=item):
                body = {"type": "conversation.item.create", "item": item}
            case e.CreateResponse(instructions=instructions, metadata=metadata):
                response = {"metadata": metadata, **_given(instructions=instructions)}
                body = {"type": "response.create", "response": response}
            case e.CancelResponse(response_id=response_id):
                body = {"type": "response.cancel", **_given(response_id=response_id)}
            case e.TruncateItem(item_id=item_id, audio_end_ms=audio_end_ms):
                body = {"type": "conversation.item.truncate", "item_id": item_id, "content_index": 0}
                body["audio_end_ms"] = audio_end_ms
            case _:
                assert_never(command)
        return _written({**body, "event_id": event_id})

    def append(self, payload: str) -> str:
        """Return the message that carries the caller's audio, base64. It has no id: nothing ever answers it."""
        if '"' in payload or "\\" in payload:
            return _written({"type": "input_audio_buffer.append", "audio": payload})
        return f'{{"type":"input_audio_buffer.append","audio":"{payload}"}}'


def _given(**fields: str) -> dict[str, str]:
    return {name: text for name, text in fields.items() if text}


def _written(body: Mapping[str, Any]) -> str:
    return orjson.dumps(body, default=dict).decode()


def _parsed(message: str) -> e.Event:
    try:
        body = orjson.loads(message)
    except orjson.JSONDecodeError as error:
        raise ProtocolError("not JSON", peer="openai") from error
    if not isinstance(body, dict):
        raise ProtocolError("an event must be an object", peer="openai")
    kind = _text(body, "type")
    parse = _PARSERS.get(kind)
    return parse(body) if parse is not None else e.Unknown(kind, _text_or_nothing(body, "response_id"))


# -- fields ---------------------------------------------------------------------------------------


def _text(body: Mapping[str, Any], name: str) -> str:
    found = body.get(name)
    if isinstance(found, str):
        return found
    raise ProtocolError(f"{name} must be a string", peer="openai")


def _audio(body: Mapping[str, Any], name: str) -> str:
    found = _text(body, name)
    if _is_base64(found):
        return found
    raise ProtocolError(f"{name} must be base64", peer="openai")


def _is_base64(payload: str) -> bool:
    """Tell without decoding. Carriers splice the payload: it must not break their envelope."""
    padding = payload.encode("ascii", "replace").translate(None, _BASE64)
    return len(payload) % 4 == 0 and padding in (b"", b"=", b"==") and payload.endswith(padding.decode())


def _text_or_nothing(body: Mapping[str, Any], name: str) -> str:
    found = body.get(name)
    return found if isinstance(found, str) else ""


def _count(body: Mapping[str, Any], name: str) -> int:
    found = body.get(name)
    return found if isinstance(found, int) else 0


def _object(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = body.get(name)
    if isinstance(found, dict):
        return found
    raise ProtocolError(f"{name} must be an object", peer="openai")


def _object_or_nothing(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = body.get(name)
    return found if isinstance(found, dict) else _NOTHING


# -- events ---------------------------------------------------------------------------------------


def _session_created(body: Mapping[str, Any]) -> e.Event:
    session = _object(body, "session")
    expires_at = session.get("expires_at")
    return e.SessionCreated(
        _text_or_nothing(session, "id"), float(expires_at) if isinstance(expires_at, int | float) else None
    )


def _session_updated(body: Mapping[str, Any]) -> e.Event:
    audio = _object_or_nothing(_object(body, "session"), "audio")
    heard = _object_or_nothing(audio, "input")
    spoken = _object_or_nothing(audio, "output")
    return e.SessionUpdated(_object_or_nothing(heard, "format") or None, _object_or_nothing(spoken, "format") or None)


def _transcription_failed(body: Mapping[str, Any]) -> e.Event:
    return e.TranscriptionFailed(_text(body, "item_id"), _text_or_nothing(_object_or_nothing(body, "error"), "code"))


def _response_created(body: Mapping[str, Any]) -> e.Event:
    response = _object(body, "response")
    return e.ResponseCreated(
        _text(response, "id"), _object_or_nothing(response, "metadata"), _text_or_nothing(response, "conversation_id")
    )


def _item_done(body: Mapping[str, Any]) -> e.Event:
    return e.ItemDone(_text(body, "response_id"), _output_item(_object(body, "item")))


def _response_done(body: Mapping[str, Any]) -> e.Event:
    response = _object(body, "response")
    output = response.get("output")
    return e.ResponseDone(
        response_id=_text(response, "id"),
        status=_text(response, "status"),
        reason=_reason(_object_or_nothing(response, "status_details")),
        items=tuple(_output_item(i) for i in output if isinstance(i, dict)) if isinstance(output, list) else (),
        usage=_usage(response.get("usage")),
    )


def _output_item(item: Mapping[str, Any]) -> e.OutputItem:
    return e.OutputItem(
        item_id=_text_or_nothing(item, "id"),
        kind=_text_or_nothing(item, "type"),
        status=_text_or_nothing(item, "status"),
        call_id=_text_or_nothing(item, "call_id"),
        tool=_text_or_nothing(item, "name"),
        arguments=_text_or_nothing(item, "arguments"),
    )


def _reason(details: Mapping[str, Any]) -> str:
    """A failure has `error.code` or at least `error.type`; a cut response has `reason`."""
    error = _object_or_nothing(details, "error")
    return _text_or_nothing(error, "code") or _text_or_nothing(error, "type") or _text_or_nothing(details, "reason")


def _usage(usage: object) -> Usage | None:
    if not isinstance(usage, dict):
        return None
    heard = _object_or_nothing(usage, "input_token_details")
    spoken = _object_or_nothing(usage, "output_token_details")
    return Usage(
        input_tokens=_count(usage, "input_tokens"),
        output_tokens=_count(usage, "output_tokens"),
        cached_tokens=_count(heard, "cached_tokens"),
        input_audio_tokens=_count(heard, "audio_tokens"),
        output_audio_tokens=_count(spoken, "audio_tokens"),
    )


def _error(body: Mapping[str, Any]) -> e.Event:
    error = _object(body, "error")
    return e.PeerError(
        _text_or_nothing(error, "type"), _text_or_nothing(error, "code"), _text_or_nothing(error, "event_id")
    )


_PARSERS: dict[str, Callable[[Mapping[str, Any]], e.Event]] = {
    "session.created": _session_created,
    "session.updated": _session_updated,
    "input_audio_buffer.speech_started": lambda b: e.SpeechStarted(_text(b, "item_id")),
    "input_audio_buffer.speech_stopped": lambda b: e.SpeechStopped(_text(b, "item_id")),
    "input_audio_buffer.committed": lambda b: e.Committed(_text(b, "item_id")),
    "conversation.item.input_audio_transcription.completed": lambda b: e.Transcribed(
        _text(b, "item_id"), _text(b, "transcript")
    ),
    "conversation.item.input_audio_transcription.failed": _transcription_failed,
    "response.created": _response_created,
    "response.output_audio.delta": lambda b: e.AudioDelta(
        _text(b, "response_id"), _text(b, "item_id"), _audio(b, "delta")
    ),
    "response.output_audio_transcript.delta": lambda b: e.TextDelta(
        _text(b, "response_id"), _text(b, "item_id"), _text(b, "delta")
    ),
    "response.output_item.done": _item_done,
    "response.done": _response_done,
    "error": _error,
}
