"""What the simulated model understands and says: a script, and what goes wrong with it.

A request for a reply (`response.create`) is answered by the first of these that applies:
1. the first `Rule` whose conditions all hold;
2. what the request's instructions dictate, said word for word: a text in quotation marks, or what follows the colon
   in the last paragraph's last line with "say …:", "tell …:", "ask …:" or "answer …:";
3. the next of `replies`;
4. `default_reply`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

__all__ = ["DEFAULT_REPLY", "Answer", "FunctionCall", "Progress", "Reply", "Request", "Rule", "Script", "Utterance"]

DEFAULT_REPLY = "Is there anything else I can do for you?"
_QUOTED = re.compile(r"[\"“]([^\"”]{2,})[\"”]")
_DICTATED = re.compile(r"^.*?\b(?:say|tell|ask|answer)\b[^:\n]*:[ \t]*(\S.*)$", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """What the model makes of one turn of the caller."""

    text: str
    transcription: Literal["completed", "failed", "never"] = "completed"
    delay_s: float | None = None
    """How long after the end of speech its text comes; None: the script's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionCall:
    """A function that the model calls."""

    name: str
    arguments: Mapping[str, Any] | str = field(default_factory=dict)
    cut_off: bool = False
    """The arguments end in the middle and the response is incomplete."""
    reports: int = 1
    """How many times the finished call is reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One response: a text, spoken; functions called after it; and its faults."""

    text: str = ""
    """Empty: nothing is said."""
    sound: bytes | Path | None = None
    """mu-law at 8 kHz, or a WAV file, instead of the spoken text."""
    calls: tuple[FunctionCall, ...] = ()
    status: Literal["completed", "failed", "incomplete"] = "completed"
    code: str = ""
    """Why: `rate_limit_exceeded` … (failed), `content_filter` or `max_output_tokens` (incomplete)."""
    delta_ms: int = 200
    """How much audio one delta has; a large value gives a single one."""
    pace: float = 10.0
    """How much faster than real time the audio is made."""
    stall_after_ms: float | None = None
    """After so much audio no event follows, until the response is cancelled."""
    late_deltas: int = 0
    """So many deltas still follow after the response was cancelled and done."""
    silent: bool = False
    """The text is said, but not one byte of audio is made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the model is asked to reply to."""

    purpose: str
    """`metadata.purpose` of the request."""
    instructions: str
    heard: tuple[str, ...]
    """The caller's turns so far."""
    outputs: Mapping[str, str]
    """Function outputs by call id."""


Answer: TypeAlias = Reply | str | Callable[[Request], Reply | str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Conditions, compared without regard to case; those that are empty hold."""

    answer: Answer
    purpose: str = ""
    asks: str = ""
    """Words of the request's instructions."""
    heard: str = ""
    """Words of the caller's last turn."""

    def holds(self, request: Request) -> bool:
        last = request.heard[-1] if request.heard else ""
        return (
            self.purpose in ("", request.purpose)
            and self.asks.lower() in request.instructions.lower()
            and self.heard.lower() in last.lower()
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """Everything that the model will understand and say. Delays are in seconds."""

    utterances: Sequence[Utterance | str] = ()
    default_utterance: Utterance | str = "Hello."
    rules: Sequence[Rule] = ()
    replies: Sequence[Answer] = ()
    default_reply: Answer = DEFAULT_REPLY
    transcription_s: float = 0.3
    think_s: float = 0.2
    """How long the model thinks before the first audio of a reply."""


class Progress:
    """How far a script has been played; a conversation that is rolled over goes on with it."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.heard: list[str] = []
        self._replies = 0

    def next_utterance(self) -> Utterance:
        """Return what the caller said now."""
        nth, known = len(self.heard), self.script.utterances
        utterance = known[nth] if nth < len(known) else self.script.default_utterance
        if isinstance(utterance, str):
            utterance = Utterance(text=utterance)
        self.heard.append(utterance.text)
        return utterance

    def reply_to(self, request: Request) -> Reply:
        """Return what the model answers."""
        answer = self._answer(request)
        if callable(answer):
            answer = answer(request)
        return Reply(text=answer) if isinstance(answer, str) else answer

    def _answer(self, request: Request) -> Answer:
        for rule in self.script.rules:
            if rule.holds(request):
                return rule.answer
        if dictated := _dictated(request.instructions):
            return dictated
        if self._replies < len(self.script.replies):
            self._replies += 1
            return self.script.replies[self._replies - 1]
        return self.script.default_reply


def _dictated(instructions: str) -> str:
    """Return what the model is told to say word for word, if anything."""
    if quoted := _QUOTED.search(instructions):
        return quoted[1]
    task = instructions.strip().rpartition("\n\n")[2]  # what comes before is what the model is told in every request
    lines = _DICTATED.findall(task)
    return str(lines[-1]).strip() if lines else ""
