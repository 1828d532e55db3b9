"""One session of the simulated model without its socket: events in, events out, on the loop's clock.

Source: OpenAI, Realtime API reference (GA), client and server events; guide "Realtime conversations".
"""

from __future__ import annotations

import asyncio
import base64
import itertools
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from adapters.simulators.realtime.checks import problem_with
from adapters.simulators.realtime.faults import Faults
from adapters.simulators.realtime.listening import Detector, bytes_per_ms
from adapters.simulators.realtime.script import Progress, Request, Utterance
from adapters.simulators.realtime.session import Session, merged
from adapters.simulators.realtime.shapes import Problem
from adapters.simulators.realtime.speaking import Item, Turn, Voicing

__all__ = ["Conversation", "Truncation", "Violation"]

_RACES = {"conversation_already_has_active_response", "response_cancel_not_active", "input_audio_buffer_commit_empty"}
"""Errors that a client which makes no mistake may get: the two sides act at the same time."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A client event that was refused, and not because of a race."""

    code: str
    message: str
    event: Any


@dataclass(frozen=True, slots=True)
class Truncation:
    """What the client told about a reply that was cut: it was heard for `audio_end_ms` of `audio_ms`."""

    item_id: str
    audio_end_ms: int
    audio_ms: float


class Conversation:
    """A session, its items and its responses.

    Attributes:
        session: what `session.updated` last confirmed.
        items: by id, in order.
        violations, truncations: what the client did.
        requests: the `response` object of each `response.create` that was accepted.
        heard_ms: how much audio the client appended.
    """

    def __init__(
        self, send: Callable[[dict[str, Any]], None], progress: Progress, session: Session, speed: float, faults: Faults
    ) -> None:
        self.session = session
        self.items: dict[str, Item] = {}
        self.violations: list[Violation] = []
        self.truncations: list[Truncation] = []
        self.requests: list[dict[str, Any]] = []
        self.detector = Detector()
        self._send = send
        self._progress = progress
        self._speed = speed
        self._faults = faults
        self._numbers = itertools.count(1)
        self._outputs: dict[str, str] = {}
        self._turns: dict[str, tuple[Turn, asyncio.Task[None]]] = {}
        self._active: Turn | None = None
        self._speaking_item = ""
        self._uncommitted_ms = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self._handlers: dict[str, Callable[[dict[str, Any]], Problem | None]] = {
            "session.update": self._update_session,
            "input_audio_buffer.append": self._append,
            "input_audio_buffer.commit": self._commit_by_hand,
            "input_audio_buffer.clear": self._clear_buffer,
            "conversation.item.create": self._create_item,
            "conversation.item.retrieve": self._retrieve_item,
            "conversation.item.delete": self._delete_item,
            "conversation.item.truncate": self._truncate,
            "response.create": self._create_response,
            "response.cancel": self._cancel_response,
            "output_audio_buffer.clear": self._no_output_buffer,
        }

    def open(self) -> None:
        """Send what a session begins with."""
        self.emit("session.created", session=self.session.body)
        self.emit("conversation.created", conversation={"id": self.session.conversation_id,
                                                        "object": "realtime.conversation"})  # fmt: skip

    def receive(self, event: Any) -> None:
        """Carry out a client event, or refuse it with an `error` event."""
        problem = problem_with(event) or self._handlers[event["type"]](event)
        if problem is not None:
            self._refuse(event, problem)

    def emit(self, kind: str, /, **fields: Any) -> None:
        """Send one event."""
        self._send({"type": kind, "event_id": f"event_{next(self._numbers)}", **fields})

    def fail(self, kind: str, code: str | None, message: str, event: Any = None, param: str | None = None) -> None:
        """Send an `error` event."""
        cause = event.get("event_id") if isinstance(event, dict) else None
        self.emit("error", error={"type": kind, "code": code, "message": message, "param": param,
                                  "event_id": cause if isinstance(cause, str) else None})  # fmt: skip

    def pretend_speech(self) -> None:
        """Report speech that nobody spoke; its transcript is blank."""
        item_id = self._new_id("item")
        self.emit("input_audio_buffer.speech_started", audio_start_ms=self.detector.heard_ms, item_id=item_id)

        async def end() -> None:
            await self._wait(0.6)
            self.emit("input_audio_buffer.speech_stopped", audio_end_ms=self.detector.heard_ms, item_id=item_id)
            self._commit(item_id, Utterance(text=""))

        self._spawn(end())

    async def aclose(self) -> None:
        """Stop everything that is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- the session and what is heard

    def _update_session(self, event: dict[str, Any]) -> Problem | None:
        if self._faults.refuse_update:
            return Problem("unknown_parameter", "session.audio", "Unknown parameter: 'session.audio'.")
        asked = event["session"]
        if problem := self.session.refuses(asked):
            return problem
        self.session.body = merged(self.session.body, asked)
        if not self._faults.no_updated:
            self.emit("session.updated", session=self._wrong() if self._faults.wrong_formats else self.session.body)
        return None

    def _wrong(self) -> dict[str, Any]:
        pcm = {"format": {"type": "audio/pcm", "rate": 24000}}
        return merged(self.session.body, {"audio": {"input": pcm, "output": pcm}})

    def _append(self, event: dict[str, Any]) -> None:
        sound = base64.b64decode(event["audio"])
        audio_format, settings = self.session.input_format, self.session.turn_detection
        self._uncommitted_ms += len(sound) / bytes_per_ms(audio_format)
        for edge in self.detector.hear(sound, audio_format, settings):
            if edge.kind == "started":
                self._hear_start(edge.at_ms, settings or {})
            else:
                self._hear_end(edge.at_ms, settings or {})

    def _hear_start(self, at_ms: int, settings: Mapping[str, Any]) -> None:
        self._speaking_item = self._new_id("item")
        self.emit("input_audio_buffer.speech_started", audio_start_ms=at_ms, item_id=self._speaking_item)
        if self._active is not None and settings.get("interrupt_response", True):
            self._cut(self._active.response_id, "turn_detected")

    def _hear_end(self, at_ms: int, settings: Mapping[str, Any]) -> None:
        self.emit("input_audio_buffer.speech_stopped", audio_end_ms=at_ms, item_id=self._speaking_item)
        self._commit(self._speaking_item, self._progress.next_utterance())
        if settings.get("create_response", True) and self._active is None:
            self._respond({})

    def _commit_by_hand(self, event: dict[str, Any]) -> Problem | None:
        if self._uncommitted_ms < 100:
            return Problem("input_audio_buffer_commit_empty", "", "Expected at least 100ms of audio in the buffer.")
        self._commit(self._new_id("item"), self._progress.next_utterance())
        return None

    def _clear_buffer(self, event: dict[str, Any]) -> None:
        self._uncommitted_ms = 0.0
        self.detector.forget()
        self.emit("input_audio_buffer.cleared")

    def _commit(self, item_id: str, utterance: Utterance) -> None:
        before = self._last_item_id
        content = [{"type": "input_audio", "transcript": None}]
        body = {"id": item_id, "object": "realtime.item", "type": "message", "role": "user", "status": "completed",
                "content": content}  # fmt: skip
        seconds, self._uncommitted_ms = round(self._uncommitted_ms / 1000, 3), 0.0
        self.items[item_id] = Item(body)
        self.emit("input_audio_buffer.committed", item_id=item_id, previous_item_id=before)
        self.emit("conversation.item.added", item=body, previous_item_id=before)
        self.emit("conversation.item.done", item=body, previous_item_id=before)
        if self.session.transcribes and utterance.transcription != "never":
            self._spawn(self._transcribe(item_id, utterance, seconds))

    async def _transcribe(self, item_id: str, utterance: Utterance, seconds: float) -> None:
        delay = self._progress.script.transcription_s if utterance.delay_s is None else utterance.delay_s
        await self._wait(delay)
        prefix = "conversation.item.input_audio_transcription"
        if utterance.transcription == "failed":
            error = {"type": "transcription_error", "code": "audio_unintelligible", "message": "Not understood."}
            self.emit(f"{prefix}.failed", item_id=item_id, content_index=0, error=error)
            return
        if item := self.items.get(item_id):
            item.body["content"][0]["transcript"] = utterance.text
        if utterance.text:
            self.emit(f"{prefix}.delta", item_id=item_id, content_index=0, delta=utterance.text)
        usage = {"type": "duration", "seconds": seconds}
        self.emit(f"{prefix}.completed", item_id=item_id, content_index=0, transcript=utterance.text, usage=usage)

    # -- items

    def _create_item(self, event: dict[str, Any]) -> Problem | None:
        body: dict[str, Any] = dict(event["item"])
        before = event.get("previous_item_id", self._last_item_id)
        if before is not None and before != "root" and before not in self.items:
            return _unknown(before, "previous_item_id")
        if body.get("id") in self.items:
            return Problem("item_create_duplicate_id", "item.id", "An item with this id exists.")
        if body["type"] == "function_call_output":
            if not any(item.body.get("call_id") == body["call_id"] for item in self.items.values()):
                return Problem("invalid_tool_call_id", "item.call_id", f"Tool call ID '{body['call_id']}' not found.")
            self._outputs[body["call_id"]] = body["output"]
        body = {"id": self._new_id("item"), "object": "realtime.item", "status": "completed"} | body
        self._insert(Item(body), before)
        shown = None if before == "root" else before
        self.emit("conversation.item.added", item=body, previous_item_id=shown)
        self.emit("conversation.item.done", item=body, previous_item_id=shown)
        return None

    def _insert(self, item: Item, before: str | None) -> None:
        order = list(self.items.items())
        at = 0 if before == "root" else next((i + 1 for i, (key, _) in enumerate(order) if key == before), len(order))
        self.items = dict([*order[:at], (item.body["id"], item), *order[at:]])

    def _retrieve_item(self, event: dict[str, Any]) -> Problem | None:
        item = self.items.get(event["item_id"])
        if item is None:
            return Problem("item_retrieve_invalid_item_id", "item_id", f"Item '{event['item_id']}' not found.")
        self.emit("conversation.item.retrieved", item=item.body)
        return None

    def _delete_item(self, event: dict[str, Any]) -> Problem | None:
        if self.items.pop(event["item_id"], None) is None:
            return Problem("item_delete_invalid_item_id", "item_id", f"Item '{event['item_id']}' not found.")
        self.emit("conversation.item.deleted", item_id=event["item_id"])
        return None

    def _truncate(self, event: dict[str, Any]) -> Problem | None:
        item_id, end_ms = event["item_id"], event["audio_end_ms"]
        item = self.items.get(item_id)
        if item is None:
            return Problem("item_truncate_invalid_item_id", "item_id", f"Item '{item_id}' not found.")
        if item.body.get("role") != "assistant":
            return Problem("invalid_value", "item_id", "Only model output audio messages can be truncated.")
        if end_ms > item.audio_ms:
            message = f"Audio content of {int(item.audio_ms)}ms is already shorter than {end_ms}ms"
            return Problem("invalid_value", "audio_end_ms", message)
        self.truncations.append(Truncation(item_id, end_ms, item.audio_ms))
        item.audio_ms = end_ms
        item.body["content"] = [
            {"type": "output_audio"}
        ]  # the model forgets the words: it cannot tell which were heard
        self.emit("conversation.item.truncated", item_id=item_id, content_index=0, audio_end_ms=end_ms)
        return None

    def _no_output_buffer(self, event: dict[str, Any]) -> Problem:
        return Problem("invalid_value", "type", "output_audio_buffer.clear is for WebRTC and SIP only.")

    # -- responses

    def _create_response(self, event: dict[str, Any]) -> Problem | None:
        asked = event.get("response", {})
        if asked.get("conversation") != "none" and self._active is not None:
            message = f"Conversation already has an active response in progress: {self._active.response_id}"
            return Problem("conversation_already_has_active_response", "", message)
        for given in asked.get("input", []):
            if given["type"] == "item_reference" and given["id"] not in self.items:
                return _unknown(given["id"], "response.input")
        self.requests.append(asked)
        self._respond(asked)
        return None

    def _respond(self, asked: dict[str, Any]) -> None:
        metadata = asked.get("metadata") or None
        request = Request(
            purpose=(metadata or {}).get("purpose", ""),
            instructions=asked.get("instructions", ""),
            heard=tuple(self._progress.heard),
            outputs=dict(self._outputs),
        )
        out_of_band = asked.get("conversation") == "none"
        voicing = Voicing(
            audio_format=self.session.output_format(asked),
            voice=asked.get("audio", {}).get("output", {}).get("voice", self.session.voice),
            modality=asked.get("output_modalities", self.session.body["output_modalities"])[0],
            metadata=metadata,
            conversation_id=None if out_of_band else self.session.conversation_id,
            think_s=self._progress.script.think_s,
            input_tokens=50 + 10 * len(self.items),
        )
        reply = self._progress.reply_to(request)
        turn = Turn(self._new_id("resp"), reply, voicing, self.emit, self._new_item)
        if not out_of_band:
            self._active = turn
        self.session.has_spoken = True
        turn.begin()
        self._turns[turn.response_id] = (turn, self._spawn(self._give(turn)))

    async def _give(self, turn: Turn) -> None:
        for pause in turn.steps():
            if pause is None:
                await asyncio.get_running_loop().create_future()  # a stalled model: until it is cancelled
            else:
                await self._wait(pause)
        self._forget(turn)

    def _cancel_response(self, event: dict[str, Any]) -> Problem | None:
        active = self._active.response_id if self._active else ""
        if event.get("response_id", active) not in self._turns:
            return Problem("response_cancel_not_active", "", "Cancellation failed: no active response found")
        self._cut(event.get("response_id", active), "client_cancelled")
        return None

    def _cut(self, response_id: str, reason: str) -> None:
        turn, task = self._turns[response_id]
        task.cancel()
        self._forget(turn)
        turn.cut(reason)

    def _forget(self, turn: Turn) -> None:
        self._turns.pop(turn.response_id, None)
        if self._active is turn:
            self._active = None

    # -- small things

    def _new_item(self, prefix: str, body: dict[str, Any], in_conversation: bool) -> Item:
        item = Item({"id": self._new_id(prefix), "object": "realtime.item", **body})
        if in_conversation:
            self.items[item.body["id"]] = item
        return item

    def _new_id(self, prefix: str) -> str:
        return f"{prefix}_{self.session.number}_{next(self._numbers)}"

    @property
    def _last_item_id(self) -> str | None:
        return next(reversed(self.items), None)

    def _refuse(self, event: Any, problem: Problem) -> None:
        if problem.code not in _RACES:
            self.violations.append(Violation(problem.code, problem.message, event))
        self.fail("invalid_request_error", problem.code, problem.message, event, problem.param or None)

    async def _wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._speed)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _unknown(item_id: str, param: str) -> Problem:
    return Problem("invalid_value", param, f"Item '{item_id}' not found.")
