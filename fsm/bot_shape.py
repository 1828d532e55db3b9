"""A tree of values to one bot: the words a bots file is written in. Everything wrong is noted and left out."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fsm.context import BotSettings
from fsm.errors import Position
from fsm.findings import Findings, join
from fsm.names import did_you_mean, seconds
from fsm.yaml_source import Node

__all__ = ["BotDraft", "shape_bot"]

_TEXTS = ("instructions", "greeting", "voice", "language", "model", "transcription_model")
_LENGTHS = ("idle_after", "longest_call")
_BOT = ("description", "chart", "numbers", "delays", "turn_detection", "tools", "intents", "largest_cost", *_TEXTS,
    *_LENGTHS)  # fmt: skip
_TOOL = ("type", "name", "description", "parameters")
_INTENT = ("name", "description", "examples", "goodbye", "agent", "deadline", "entities", "reply")
_ENTITY = ("question", "pattern", "description")
_TOOL_NAME = re.compile(r"[A-Za-z0-9_\-]{1,64}")
_LANGUAGE = re.compile(r"[a-z]{2,3}([-_][A-Za-z0-9]{2,8})*")
_MILLISECONDS = (lambda value: type(value) is int and 0 <= value <= 60_000, "whole milliseconds, at most 60000")
_EAGERNESS = ("low", "medium", "high", "auto")
_DETECTION: Mapping[str, Mapping[str, tuple[Callable[[Any], bool], str]]] = {
    "server_vad": {
        "threshold": (lambda value: type(value) in (int, float) and 0 <= value <= 1, "a number from 0 to 1"),
        "prefix_padding_ms": _MILLISECONDS,
        "silence_duration_ms": _MILLISECONDS,
    },
    "semantic_vad": {"eagerness": (lambda value: value in _EAGERNESS, f"one of {', '.join(_EAGERNESS)}")},
}
"""What either kind takes (OpenAI, Realtime API reference, `session.audio.input.turn_detection`)."""
_DECIDED = ("create_response", "interrupt_response", "idle_timeout_ms")
"""OpenAI's fields of turn detection that would let the model speak or fall silent past the chart."""


@dataclass(frozen=True)
class BotDraft:
    """A bot whose chart is still a name."""

    settings: BotSettings
    chart: Node | None = None
    numbers: Sequence[Node] = ()
    delays: Mapping[str, tuple[float, Position]] = field(default_factory=dict)


def shape_bot(name: str, node: Node, findings: Findings, agents: Iterable[str] | None) -> BotDraft:
    """Return the bot that `node` describes; what is wrong is noted in `findings`."""
    if node.value is not None and not findings.mapping(node, name, "a bot"):
        return BotDraft(BotSettings(name=name))
    return _Shape(name, node, findings, agents).draft()


class _Shape:
    def __init__(self, name: str, node: Node, findings: Findings, agents: Iterable[str] | None) -> None:
        self._name = name
        self._fields = node.fields
        self._findings = findings
        self._agents = None if agents is None else list(agents)
        findings.keys(node, name, "a bot", _BOT, {})

    def draft(self) -> BotDraft:
        chart = self._fields.get("chart")
        if chart is not None and not self._findings.text(chart, join(self._name, "chart"), "`chart`"):
            chart = None
        numbers = self._fields.get("numbers")
        self._given("description", self._findings.text)
        return BotDraft(
            BotSettings(name=self._name, **self._texts(), **self._limits(), **self._parts()),
            chart=chart,
            numbers=numbers.items if numbers else (),
            delays=self._delays(),
        )

    def _given(self, key: str, read: Callable[[Node, str, str], Any]) -> Any:
        """Return what `read` makes of the field `key`; None if it is not there."""
        node = self._fields.get(key)
        return None if node is None else read(node, join(self._name, key), f"`{key}`")

    def _texts(self) -> dict[str, Any]:
        found = {key: text for key in _TEXTS if (text := self._given(key, self._findings.text))}
        language = found.get("language", "en")
        if _LANGUAGE.fullmatch(language) is None:
            node, message = self._fields["language"], f"a language is a code such as en or de-AT, not {language!r}"
            self._findings.error("bad-language", message, node.at, join(self._name, "language"))
        return found

    def _limits(self) -> dict[str, Any]:
        found = {key: value for key in _LENGTHS if (value := self._given(key, self._length)) is not None}
        if found.get("idle_after") == 0.0:
            message = "`idle_after` is longer than nothing: without it a silent caller is never asked"
            self._findings.error("bad-duration", message, self._fields["idle_after"].at, join(self._name, "idle_after"))
        cost = self._given("largest_cost", self._cost)
        return found if cost is None else {**found, "largest_cost": cost}

    def _length(self, node: Node, path: str, what: str) -> float | None:
        length = seconds(node.value)
        if length is None:
            message = f"{what} is a duration such as 15s, 500ms, 10m or 2h, not {node.kind}"
            self._findings.error("bad-duration", message, node.at, path)
        return length

    def _cost(self, node: Node, path: str, what: str) -> float | None:
        cost = node.value
        if isinstance(cost, int | float) and not isinstance(cost, bool) and math.isfinite(cost) and cost >= 0:
            return float(cost)
        self._findings.error("shape", f"{what} is an amount in US dollars, not {node.kind}", node.at, path)
        return None

    def _delays(self) -> dict[str, tuple[float, Position]]:
        node, path = self._fields.get("delays"), join(self._name, "delays")
        found = {}
        if node is not None and self._findings.mapping(node, path, "`delays`"):
            for name, child in node.fields.items():
                if (length := self._length(child, join(path, name), f"the delay {name!r}")) is not None:
                    found[name] = (length, child.key_at)
        return found

    # -- turn detection, tools, intents ------------------------------------------------------------

    def _parts(self) -> dict[str, Any]:
        return {
            "turn_detection": self._given("turn_detection", self._detection) or {},
            "tools": self._each("tools", "a tool", _TOOL, self._tool),
            "intents": self._each("intents", "an intent", _INTENT, self._intent),
        }

    def _detection(self, node: Node, path: str, what: str) -> dict[str, Any]:
        if not self._findings.mapping(node, path, what):
            return {}
        kind = node.fields.get("type")
        name = str(kind.value) if kind else "server_vad"
        if name not in _DETECTION:
            message = f"there is no turn detection {name!r}{did_you_mean(name, _DETECTION)}"
            self._findings.error("shape", message, (kind or node).at, join(path, "type"))
            return {}
        for key in _DECIDED:
            if key in node.fields:
                message = f"`{key}` changes nothing: when the model speaks is the chart's business"
                self._findings.warning("decided-by-chart", message, node.fields[key].key_at, join(path, key))
        self._findings.keys(node, path, f"{name} turn detection", ("type", *_DETECTION[name], *_DECIDED), {})
        for key, (fits, takes) in _DETECTION[name].items():
            if key in node.fields and not fits(node.fields[key].value):
                message = f"`{key}` is {takes}, not {node.fields[key].kind}"
                self._findings.error("shape", message, node.fields[key].at, join(path, key))
        return {key: value for key, value in node.plain().items() if key not in _DECIDED}

    def _each(
        self, key: str, what: str, known: Sequence[str], read: Callable[[Node, str], dict[str, Any]]
    ) -> tuple[dict[str, Any], ...]:
        """Return a list of mappings, each with a name of its own."""
        node, path = self._fields.get(key), join(self._name, key)
        names: dict[str, Position] = {}
        found = []
        for index, item in enumerate(node.items if node else ()):
            below = join(path, index)
            if not self._findings.mapping(item, below, what):
                continue
            self._findings.keys(item, below, what, known, {})
            named = item.fields.get("name")
            if named is None:
                self._findings.error("missing", f"{what} needs a `name`", item.at, below)
                continue
            name = self._findings.text(named, join(below, "name"), "`name`")
            if name in names:
                message = f"{what} called {name!r} stands in line {names[name].line} already"
                self._findings.error("duplicate-name", message, named.at, join(below, "name"))
            names[name] = named.at
            found.append(read(item, below))
        return tuple(found)

    def _optional_texts(self, node: Node, path: str, keys: Iterable[str]) -> None:
        for key in keys:
            if key in node.fields:
                self._findings.text(node.fields[key], join(path, key), f"`{key}`")

    def _tool(self, node: Node, path: str) -> dict[str, Any]:
        named = node.fields["name"]
        if isinstance(named.value, str) and _TOOL_NAME.fullmatch(named.value) is None:
            message = f"{named.value!r} is no name for a tool: at most 64 letters, digits, `_` and `-`"
            self._findings.error("bad-name", message, named.at, join(path, "name"))
        self._optional_texts(node, path, ("description",))
        if (kind := node.fields.get("type")) is not None and kind.value != "function":
            self._findings.error("shape", f"`type` is function, not {kind.kind}", kind.at, join(path, "type"))
        parameters = node.fields.get("parameters")
        if parameters is not None and not ("type" in parameters.fields and parameters.fields["type"].value == "object"):
            message = "`parameters` is a JSON Schema with `type: object`"
            self._findings.error("shape", message, parameters.at, join(path, "parameters"))
        return {"parameters": {"type": "object", "properties": {}}, **node.plain()}

    def _intent(self, node: Node, path: str) -> dict[str, Any]:
        fields, intent = node.fields, node.plain()
        self._optional_texts(node, path, ("description", "agent", "reply"))
        if "goodbye" in fields:
            self._findings.flag(fields["goodbye"], join(path, "goodbye"), "`goodbye`")
        if "deadline" in fields:
            intent["deadline"] = self._length(fields["deadline"], join(path, "deadline"), "`deadline`")
        examples = fields.get("examples")
        for index, item in enumerate(examples.items if examples else ()):
            self._findings.text(item, join(join(path, "examples"), index), "an example")
        intent["examples"] = [item.plain() for item in examples.items] if examples else []
        self._agent(fields.get("agent"), join(path, "agent"))
        if "entities" in fields:
            intent["entities"] = self._entities(fields["entities"], join(path, "entities"))
        return dict(intent)

    def _agent(self, node: Node | None, path: str) -> None:
        if node is not None and self._agents is not None and (name := str(node.value)) not in self._agents:
            message = f"there is no agent {name!r}{did_you_mean(name, self._agents)}"
            self._findings.error("unknown-agent", message, node.at, path)

    def _entities(self, node: Node, path: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if not self._findings.mapping(node, path, "`entities`"):
            return found
        for slot, about in node.fields.items():
            below = join(path, slot)
            found[slot] = about.plain() or {}
            if about.value is None or not self._findings.mapping(about, below, "an entity"):
                continue
            self._findings.keys(about, below, "an entity", _ENTITY, {})
            self._optional_texts(about, below, _ENTITY)
            self._pattern(about.fields.get("pattern"), join(below, "pattern"))
        return found

    def _pattern(self, node: Node | None, path: str) -> None:
        if node is None or not isinstance(node.value, str):
            return
        try:
            re.compile(node.value)
        except (re.error, RecursionError, OverflowError) as error:
            self._findings.error("bad-pattern", f"`pattern` is no regular expression: {error}", node.at, path)
