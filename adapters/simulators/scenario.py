"""A whole call, described: what the caller does, and what the model understands and says.

    turns:
      - silence: 700                # wait until something was heard, then nothing for so many ms
      - say: What are your opening hours?
      - heard: 2500                 # wait until so many ms more were heard, then go on: an interruption
      - press: "12#"
      - play: question.wav          # a WAV file beside this one; `text` is what the model understands
        text: Where is my order?
      - pause: 1000
      - end: true                   # wait until the other side ends the call; or `hang_up: true`, `abort: true`
    model:
      rules: [{purpose: greeting, say: Hello.}]
      replies: [We are open from nine to five.]

What the model understands are the caller's texts, in order, unless `model.utterances` says otherwise. The bundled
`demo` is a call to the bundled bot.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from adapters.simulators.playback import Heard, MarkLog
from adapters.simulators.realtime.script import DEFAULT_REPLY, FunctionCall, Reply, Rule, Script, Utterance
from adapters.simulators.twilio import CallEvent, CallOver, Outcome, TwilioCaller

__all__ = ["Result", "Scenario", "ScenarioError", "Turn", "load_scenario", "run_scenario"]

_DEEDS = ("say", "play", "press", "silence", "heard", "pause", "go_dark", "hang_up", "abort", "end")


class ScenarioError(Exception):
    """A scenario cannot be used; the message says where and why."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class Turn(_Part):
    """One thing that the caller does. Times are milliseconds of the call."""

    say: str | None = None
    play: Path | None = None
    press: str | None = None
    silence: float | None = None
    heard: float | None = None
    pause: float | None = None
    go_dark: float | None = None
    hang_up: Literal[True] | None = None
    abort: Literal[True] | None = None
    end: Literal[True] | None = None
    text: str = ""
    """What the model understands of what is played."""
    within: float = 60_000.0
    """How long is waited at most."""

    @model_validator(mode="after")
    def _one_deed(self) -> Turn:
        if len(self._deeds) != 1:
            raise ValueError(f"a turn is exactly one of {', '.join(_DEEDS)}")
        return self

    @property
    def deed(self) -> str:
        """What is done, e.g. `say`."""
        return self._deeds[0]

    @property
    def _deeds(self) -> list[str]:
        return [name for name in _DEEDS if getattr(self, name) is not None]


class _Call(_Part):
    name: str
    arguments: dict[str, Any] = {}


class _Reply(_Part):
    say: str = ""
    calls: tuple[_Call, ...] = ()

    def reply(self) -> Reply:
        return Reply(text=self.say, calls=tuple(FunctionCall(name=c.name, arguments=c.arguments) for c in self.calls))


class _Rule(_Reply):
    purpose: str = ""
    asks: str = ""
    heard: str = ""


class _Model(_Part):
    utterances: tuple[str, ...] | None = None
    rules: tuple[_Rule, ...] = ()
    replies: tuple[str | _Reply, ...] = ()
    default_reply: str = DEFAULT_REPLY
    transcription_s: float = 0.3
    think_s: float = 0.2


class Scenario(_Part):
    """A call."""

    name: str = "call"
    description: str = ""
    caller: str = "+15550100"
    called: str = "+15550101"
    turns: tuple[Turn, ...]
    model: _Model = _Model()

    def script(self, *, speed: float = 1.0) -> Script:
        """Return the model's part, for a `RealtimePeer`; its delays are as much shorter as the call is faster."""
        said = tuple(turn.say or turn.text for turn in self.turns if turn.deed in ("say", "play"))
        understood = said if self.model.utterances is None else self.model.utterances
        rules = [Rule(purpose=r.purpose, asks=r.asks, heard=r.heard, answer=r.reply()) for r in self.model.rules]
        return Script(
            utterances=[Utterance(text=text) for text in understood],
            default_utterance=Utterance(text=""),
            rules=rules,
            replies=[reply if isinstance(reply, str) else reply.reply() for reply in self.model.replies],
            default_reply=self.model.default_reply,
            transcription_s=self.model.transcription_s / speed,
            think_s=self.model.think_s / speed,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a scenario. Times are milliseconds of the call."""

    outcome: Outcome
    call_sid: str
    duration_ms: float
    heard_ms: float
    transferred_to: str | None = None
    problems: tuple[str, ...] = ()
    """What went otherwise than described; empty: the scenario was played to its end."""
    events: tuple[CallEvent, ...] = ()
    marks: tuple[MarkLog, ...] = ()
    heard: tuple[Heard, ...] = field(default=(), repr=False)
    recording: Path | None = None

    @property
    def completed(self) -> bool:
        return not self.problems


def load_scenario(source: str | Path) -> Scenario:
    """Load a YAML file, or the bundled scenario of that name.

    Raises:
        ScenarioError: it does not exist, or is not a scenario.
    """
    path = source if isinstance(source, Path) or "." in source else None
    try:
        text = (Path(path) if path else files(__package__) / f"scenarios/{source}.yaml").read_text("utf-8")
        scenario = Scenario.model_validate(YAML(typ="safe", pure=True).load(text))
    except OSError as missing:
        raise ScenarioError(f"{source}: {missing.strerror}") from missing
    except YAMLError as broken:
        raise ScenarioError(f"{source}: {broken}") from broken
    except ValidationError as wrong:
        lines = [f"{source}: {'.'.join(map(str, one['loc']))}: {one['msg']}" for one in wrong.errors()]
        raise ScenarioError("\n".join(lines)) from wrong
    if path is None:
        return scenario
    beside = [t.model_copy(update={"play": Path(path).parent / t.play}) if t.play else t for t in scenario.turns]
    return scenario.model_copy(update={"turns": tuple(beside)})


async def run_scenario(
    scenario: Scenario, url: str, *, speed: float = 1.0, recording: Path | None = None, **options: Any
) -> Result:
    """Play the caller's part against the server at `url`, with `recording` as a stereo WAV file.

    What goes otherwise than described ends the call and is told in the result; nothing is raised for it.

    Args:
        options: more of `TwilioCaller`: `auth_token`, `public_url`, `call_sid`, `status_path`, `misbehaviour` …
    """
    caller = TwilioCaller(url, caller=scenario.caller, called=scenario.called, speed=speed, **options)
    problems: list[str] = []
    async with caller:
        for number, turn in enumerate(scenario.turns, 1):
            try:
                await _act(caller, turn)
            except (TimeoutError, CallOver) as failed:
                why = str(failed) or f"it did not happen within {turn.within:.0f} ms"
                problems.append(f"turn {number} ({turn.deed}): {why}")
                break
    if recording is not None:
        caller.record(recording)
    return Result(
        outcome=caller.outcome,
        call_sid=caller.call_sid,
        duration_ms=caller.now_ms,
        heard_ms=caller.heard_ms,
        transferred_to=caller.transferred_to,
        problems=(*problems, *caller.problems, *(one for stream in caller.streams for one in stream.problems)),
        events=tuple(caller.events),
        marks=tuple(caller.marks),
        heard=tuple(caller.heard),
        recording=recording,
    )


async def _act(caller: TwilioCaller, turn: Turn) -> None:
    match turn:
        case Turn(say=str(text)):
            await caller.say(text)
        case Turn(play=Path() as sound):
            await caller.say(sound)
        case Turn(press=str(digits)):
            await caller.press(digits)
        case Turn(hang_up=True):
            await caller.hang_up()
        case Turn(abort=True):
            caller.abort()
        case _:
            await _wait(caller, turn)


async def _wait(caller: TwilioCaller, turn: Turn) -> None:
    match turn:
        case Turn(silence=float(duration)):
            await caller.heard_silence(duration, within_ms=turn.within)
        case Turn(heard=float(duration)):
            await caller.heard_more(duration, within_ms=turn.within)
        case Turn(pause=float(duration)):
            await caller.elapse(duration)
        case Turn(go_dark=float(duration)):
            caller.go_dark(duration)
        case _:
            await caller.wait_for_end(within_ms=turn.within)
