"""One response of the simulated model, event by event, from `response.created` to `response.done`.

Source: OpenAI, Realtime API reference, server events `response.*` (GA); the order is that of the guide "Realtime
conversations". All `*.done` events are sent for a response that was cut, too.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from adapters.simulators.line import to_mulaw
from adapters.simulators.realtime.listening import encoded
from adapters.simulators.realtime.script import FunctionCall, Reply
from adapters.simulators.voices import spoken

__all__ = ["Emit", "Item", "Turn", "Voicing"]

Emit: TypeAlias = Callable[..., None]
"""`emit(type, **fields)` sends one event."""


@dataclass(slots=True)
class Item:
    """An item of the conversation as the model's side knows it."""

    body: dict[str, Any]
    audio_ms: float = 0.0
    """How much audio of it was made; a truncation shortens it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Voicing:
    """How a response is to be given."""

    audio_format: str
    voice: Any
    modality: str
    metadata: dict[str, str] | None
    conversation_id: str | None
    """None: the response is out of band, its items belong to no conversation."""
    think_s: float
    input_tokens: int


@dataclass(slots=True)
class _Open:
    """What has been begun and must be finished, also when the response is cut."""

    item: Item
    index: int
    said: str = ""
    arguments: str = ""


@dataclass(slots=True)
class Turn:
    """A response being given. `steps` yields how many seconds to wait; None: for ever."""

    response_id: str
    reply: Reply
    voicing: Voicing
    emit: Emit
    new_item: Callable[[str, dict[str, Any], bool], Item]
    """`new_item(prefix, body, in_conversation)` makes an item and, in a conversation, adds it."""
    _output: list[Item] = field(default_factory=list)
    _open: _Open | None = None
    _late: list[bytes] = field(default_factory=list)

    def begin(self) -> None:
        """Send `response.created`."""
        self.emit("response.created", response=self._resource("in_progress", None))

    def steps(self) -> Iterator[float | None]:
        """Give the response."""
        yield self.voicing.think_s
        self.emit("rate_limits.updated", rate_limits=[
            {"name": "requests", "limit": 1000, "remaining": 999, "reset_seconds": 0.06},
            {"name": "tokens", "limit": 100_000, "remaining": 99_000, "reset_seconds": 0.6},
        ])  # fmt: skip
        if self.reply.text or self.reply.sound is not None:
            yield from self._speak()
        for call in self.reply.calls:
            yield from self._call(call)
        cut_off = any(call.cut_off for call in self.reply.calls)
        self._done("incomplete" if cut_off else self.reply.status, self.reply.code)

    def cut(self, reason: str) -> None:
        """End the response now: `client_cancelled` or `turn_detected`."""
        self._close_item("incomplete")
        self._done("cancelled", reason)
        for sound in self._late[: self.reply.late_deltas]:
            self.emit("response.output_audio.delta", **self._place(self._output[-1]), delta=_base64(sound))

    def _speak(self) -> Iterator[float | None]:
        reply, in_words = self.reply, self.voicing.modality == "text"
        part = "output_text" if in_words else "output_audio"
        begun = self._open_item("msg", {"type": "message", "role": "assistant", "content": []})
        self.emit("response.content_part.added", **self._place(begun.item), part=_part(in_words, ""))
        begun.item.body["content"] = [{"type": part, "text" if in_words else "transcript": ""}]
        for sound, words in self._pieces():
            if reply.stall_after_ms is not None and begun.item.audio_ms >= reply.stall_after_ms:
                yield None
            self._say(begun, sound, words, in_words)
            yield len(sound) / 8000 / reply.pace
        self._close_item("incomplete" if reply.status != "completed" else "completed")

    def _say(self, begun: _Open, sound: bytes, words: str, in_words: bool) -> None:
        place = self._place(begun.item)
        begun.said += words
        name = "response.output_text.delta" if in_words else "response.output_audio_transcript.delta"
        if words:
            self.emit(name, **place, delta=words)
        if sound and not in_words and not self.reply.silent:
            begun.item.audio_ms += len(sound) / 8
            self._late = self._late[1:]
            self.emit("response.output_audio.delta", **place, delta=_base64(encoded(sound, self.voicing.audio_format)))

    def _pieces(self) -> list[tuple[bytes, str]]:
        """Return the reply in pieces of sound, each with the words that belong to it."""
        reply = self.reply
        sound = spoken(reply.text, "model") if reply.sound is None else to_mulaw(reply.sound)
        size = reply.delta_ms * 8
        sounds = [sound[start : start + size] for start in range(0, len(sound), size)] or [b""]
        self._late = [encoded(piece, self.voicing.audio_format) for piece in sounds] if reply.late_deltas else []
        words, count = reply.text.split(" "), len(sounds)
        cuts = [-(-index * len(words) // count) for index in range(count + 1)]  # words come before their sound
        spaced = [word if index == 0 else f" {word}" for index, word in enumerate(words)]
        return [(sounds[i], "".join(spaced[cuts[i] : cuts[i + 1]])) for i in range(count)]

    def _call(self, call: FunctionCall) -> Iterator[float | None]:
        whole = call.arguments if isinstance(call.arguments, str) else json.dumps(dict(call.arguments))
        arguments = whole[: len(whole) // 2] if call.cut_off else whole
        call_id = f"call_{self.response_id.removeprefix('resp_')}_{len(self._output)}"
        body = {"type": "function_call", "name": call.name, "call_id": call_id, "arguments": ""}
        begun = self._open_item("fc", body)
        half = len(arguments) // 2
        for piece in filter(None, (arguments[:half], arguments[half:])):
            begun.arguments += piece
            place = self._place(begun.item)
            del place["content_index"]
            self.emit("response.function_call_arguments.delta", **place, call_id=call_id, delta=piece)
            yield 0.02
        for _ in range(call.reports):
            self._open = begun
            self._close_item("incomplete" if call.cut_off else "completed")

    def _open_item(self, prefix: str, body: dict[str, Any]) -> _Open:
        item = self.new_item(prefix, body | {"status": "in_progress"}, self.voicing.conversation_id is not None)
        self._output.append(item)
        self._open = _Open(item, len(self._output) - 1)
        self.emit("response.output_item.added", response_id=self.response_id, output_index=self._open.index,
                  item=item.body)  # fmt: skip
        self._tell_conversation("conversation.item.added", item)
        return self._open

    def _close_item(self, status: str) -> None:
        """Finish the item that is open, if any, with all its events."""
        begun, self._open = self._open, None
        if begun is None:
            return
        place = self._place(begun.item)
        if begun.item.body["type"] == "function_call":
            begun.item.body |= {"arguments": begun.arguments, "status": status}
            del place["content_index"]
            self.emit("response.function_call_arguments.done", **place, call_id=begun.item.body["call_id"],
                      name=begun.item.body["name"], arguments=begun.arguments)  # fmt: skip
        else:
            self._close_message(begun, place, status)
        self._tell_conversation("conversation.item.done", begun.item)
        self.emit("response.output_item.done", response_id=self.response_id, output_index=begun.index,
                  item=begun.item.body)  # fmt: skip

    def _close_message(self, begun: _Open, place: dict[str, Any], status: str) -> None:
        in_words = self.voicing.modality == "text"
        if in_words:
            self.emit("response.output_text.done", **place, text=begun.said)
            content = {"type": "output_text", "text": begun.said}
        else:
            self.emit("response.output_audio.done", **place)
            self.emit("response.output_audio_transcript.done", **place, transcript=begun.said)
            content = {"type": "output_audio", "transcript": begun.said}
        self.emit("response.content_part.done", **place, part=_part(in_words, begun.said))
        begun.item.body |= {"content": [content], "status": status}

    def _done(self, status: str, why: str) -> None:
        details: dict[str, Any] | None = {"type": status}
        match status:
            case "cancelled" | "incomplete":
                details = {"type": status, "reason": why or "max_output_tokens"}
            case "failed":
                code = why or "server_error"
                details = {
                    "type": status,
                    "error": {"type": code, "code": code, "message": f"The response failed: {code}."},
                }
            case _:
                details = None
        self.emit("response.done", response=self._resource(status, details))

    def _resource(self, status: str, details: dict[str, Any] | None) -> dict[str, Any]:
        voicing = self.voicing
        audio = {"format": _format(voicing.audio_format), "voice": voicing.voice}
        return {
            "object": "realtime.response",
            "id": self.response_id,
            "status": status,
            "status_details": details,
            "output": [item.body for item in self._output],
            "conversation_id": voicing.conversation_id,
            "output_modalities": [voicing.modality],
            "max_output_tokens": "inf",
            "audio": {"output": audio},
            "usage": None if status == "in_progress" else self._usage(),
            "metadata": voicing.metadata,
        }

    def _usage(self) -> dict[str, Any]:
        audio = round(sum(item.audio_ms for item in self._output) / 50)
        words = len(self.reply.text.split())
        taken = self.voicing.input_tokens
        return {
            "total_tokens": taken + audio + words,
            "input_tokens": taken,
            "output_tokens": audio + words,
            "input_token_details": {
                "text_tokens": taken, "audio_tokens": 0, "image_tokens": 0, "cached_tokens": 0,
                "cached_tokens_details": {"text_tokens": 0, "audio_tokens": 0, "image_tokens": 0},
            },
            "output_token_details": {"text_tokens": words, "audio_tokens": audio},
        }  # fmt: skip

    def _place(self, item: Item) -> dict[str, Any]:
        return {
            "response_id": self.response_id,
            "item_id": item.body["id"],
            "output_index": self._output.index(item),
            "content_index": 0,
        }

    def _tell_conversation(self, name: str, item: Item) -> None:
        if self.voicing.conversation_id is not None:
            self.emit(name, item=item.body)


def _part(in_words: bool, said: str) -> dict[str, str]:
    return {"type": "text", "text": said} if in_words else {"type": "audio", "transcript": said}


def _format(name: str) -> dict[str, Any]:
    return {"type": name, "rate": 24000} if name == "audio/pcm" else {"type": name}


def _base64(sound: bytes) -> str:
    return base64.b64encode(sound).decode()
