"""A JSON Schema made from a registry, so that an editor completes and checks a chart while it is typed.

Draft 7, which the YAML language server reads best: every name is a `const` with its documentation, parameters follow
the function (`if`/`then`), and what an extending chart takes away may be `null`. It is looser than the loader: who
may stand where by trigger type, and what targets mean, only the loader knows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from fsm.chart import Chart
from fsm.load import load_chart
from fsm.registry import Handler, Registry
from fsm.triggers import Trigger

__all__ = ["chart_schema", "schema_text"]

_NAME = "[A-Za-z_][A-Za-z0-9_]*"
_INVOKES = rf"^(done|error)\.invoke\.{_NAME}$"
_DURATION = r"^[0-9]{1,9}(\.[0-9]{1,6})? ?(ms|s|m|h|d)?$"
_SECTION = re.compile(r"^[A-Z][a-z]+:$")


def schema_text(registry: Registry) -> str:
    """Return the schema as the file beside the charts holds it."""
    return json.dumps(chart_schema(registry), indent=2, ensure_ascii=False) + "\n"


def chart_schema(registry: Registry) -> dict[str, Any]:
    """Return the JSON Schema (draft 7) of the charts that may name what `registry` holds."""
    example = load_chart("voice_call", loose=True)
    shared: dict[str, Any] = {}
    definitions = {
        "duration": _duration(),
        "target": _target(example),
        "event": _event(registry),
        "guardName": _names(registry.all("guard")),
        "guardCall": _call(registry.all("guard"), shared),
        "guard": _guard(),
        "actionName": _names(registry.all("action", "reducer")),
        "actionCall": _call(registry.all("action", "reducer"), shared),
        "actions": _one_or_more({"anyOf": [_ref("actionName"), _ref("actionCall")]}, "What is done, in this order."),
        "row": _row(),
        "rows": _one_or_more(_ref("row"), "The first row whose guard holds is taken; none: the parent decides."),
        "on": _on(registry),
        "after": _after(example),
        "service": {"anyOf": [_names(registry.all("service")), _call(registry.all("service"), shared)]},
        "invoke": _invoke(),
        "state": _state(example),
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A call's chart",
        "description": "The life of a phone call as a state chart, in the shape of an XState v5 machine config.",
        "type": "object",
        "properties": {**_root(example), **_state_properties(example)},
        "additionalProperties": False,
        "anyOf": [{"required": ["extends"]}, {"required": ["id", "initial", "states"]}],
        "definitions": {**definitions, **shared},
    }


# -- small parts ---------------------------------------------------------------------------------------


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/definitions/{name}"}


def _text(description: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "description": description, **more}


def _documented(text: str) -> dict[str, str]:
    """Return the two forms of documentation that editors read: plain for a list, Markdown for a hover."""
    return {"description": text.partition("\n")[0], "markdownDescription": text} if text else {}


def _removable(schema: dict[str, Any]) -> dict[str, Any]:
    """Return `schema`, or null: a chart that extends another takes the thing away."""
    description = {"description": schema["description"]} if "description" in schema else {}
    return {**description, "anyOf": [schema, {"type": "null"}]}


def _one_or_more(schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"description": description, "anyOf": [schema, {"type": "array", "items": schema}]}


def _duration() -> dict[str, Any]:
    return {
        "description": "A duration: 15s, 500ms, 10m, 2h, 30d, or bare seconds.",
        "anyOf": [{"type": "string", "pattern": _DURATION}, {"type": "number", "minimum": 0}],
        "examples": ["15s", "500ms", "10m"],
    }


def _target(example: Chart) -> dict[str, Any]:
    known = [{"const": s.name, "description": s.description or s.name} for s in example.root.walk() if s.path]
    other = _text(
        "A state of this chart: its name, `.child`, `a.b` or `#id`.", pattern=rf"^[.#]?{_NAME}([.-]{_NAME})*$"
    )
    return {"description": "Where the call goes.", "anyOf": [*known, other]}


# -- events --------------------------------------------------------------------------------------------


def _events(registry: Registry) -> dict[str, str]:
    """Return every event with its documentation."""
    events = {name: _doc(trigger) for name, trigger in registry.triggers.items()}
    for action in registry.all("action"):
        events[f"error.action.{action.name}"] = f"The action `{action.name}` raised or outlasted its deadline."
    return events


def _doc(trigger: type[Trigger]) -> str:
    return " ".join(line.strip() for line in (trigger.__doc__ or "").splitlines())


def _wildcards(events: Iterable[str]) -> str:
    """Return the pattern of the wildcards that match one of `events`, or the end of a service."""
    heads = {event.rsplit(".", depth)[0] for event in events for depth in range(1, event.count(".") + 1)}
    heads |= {"done", "done.invoke", "error.invoke"}
    return r"^(\*|(" + "|".join(re.escape(head) for head in sorted(heads)) + r")\.\*)$"


def _event(registry: Registry) -> dict[str, Any]:
    events = _events(registry)
    consts = [{"const": name, **_documented(doc)} for name, doc in events.items()]
    patterns = [{"type": "string", "pattern": pattern} for pattern in (_INVOKES, _wildcards(events))]
    return {"description": "Something that happens to a call.", "anyOf": [*consts, *patterns]}


def _on(registry: Registry) -> dict[str, Any]:
    events = _events(registry)
    rows = {"anyOf": [_ref("rows"), {"type": "null"}]}
    return {
        "description": "What may happen here, and what is done then.",
        "type": "object",
        "properties": {name: {**_documented(doc), **rows} for name, doc in events.items()},
        "patternProperties": {_INVOKES: rows, _wildcards(events): rows},
        "additionalProperties": False,
    }


def _after(example: Chart) -> dict[str, Any]:
    rows = _removable(_ref("rows"))
    named = {name: {"description": f"When the delay `{name}` has passed.", **rows} for name in example.delays}
    return {
        "description": "What is done when nothing else happened for so long: a name of `delays`, or milliseconds.",
        "type": "object",
        "properties": named,
        "patternProperties": {rf"^({_NAME}|[0-9]{{1,12}})$": rows},
        "additionalProperties": False,
    }


# -- functions -----------------------------------------------------------------------------------------


def _names(handlers: list[Handler]) -> dict[str, Any]:
    """Return the schema of a bare name: of a function that needs no parameter."""
    free = [h for h in handlers if not any(f.is_required() for f in h.params.model_fields.values())]
    consts = [{"const": handler.name, **_documented(handler.doc)} for handler in free]
    return {"type": "string", "anyOf": consts} if consts else {"not": {}}


def _call(handlers: list[Handler], shared: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of `{type, params}`. Models that parameters refer to are added to `shared`."""
    if not handlers:
        return {"not": {}}
    consts = [{"const": handler.name, **_documented(handler.doc)} for handler in handlers]
    return {
        "type": "object",
        "required": ["type"],
        "properties": {"type": {"anyOf": consts}, "params": {"type": "object"}},
        "additionalProperties": False,
        "allOf": [_parameters(handler, shared) for handler in handlers],
    }


def _parameters(handler: Handler, shared: dict[str, Any]) -> dict[str, Any]:
    """Return what follows if a function is `handler`."""
    params = handler.params.model_json_schema(ref_template="#/definitions/{model}")
    shared.update(params.pop("$defs", {}))
    params.pop("title", None)
    for name, schema in params.get("properties", {}).items():
        schema.pop("title", None)
        schema.update(_documented(_argument_docs(handler.doc).get(name, "")))
    then: dict[str, Any] = {"properties": {"params": params}}
    if params.get("required"):
        then["required"] = ["params"]
    return {"if": {"properties": {"type": {"const": handler.name}}}, "then": then}


def _argument_docs(doc: str) -> dict[str, str]:
    """Return what a docstring's `Args` say of each parameter."""
    found: dict[str, str] = {}
    section, name = "", ""
    for line in doc.splitlines():
        if _SECTION.match(line):
            section = line[:-1]
        elif section == "Args" and (entry := re.match(r" {4}(\w+)(?: \([^)]*\))?: (.*)", line)):
            name = entry[1]
            found[name] = entry[2]
        elif section == "Args" and name and line.strip():
            found[name] += f" {line.strip()}"
    return found


def _guard() -> dict[str, Any]:
    one = [_ref("guardName"), _ref("guardCall")]
    negated = {
        "type": "object",
        "description": "Holds when the guard does not.",
        "required": ["not"],
        "properties": {"not": {"anyOf": one}},
        "additionalProperties": False,
    }
    return {"anyOf": [*one, negated]}


# -- rows and states -----------------------------------------------------------------------------------


def _row() -> dict[str, Any]:
    return {
        "anyOf": [
            _ref("target"),
            {
                "type": "object",
                "properties": {
                    "guard": _one_or_more(_ref("guard"), "When; of a list all must hold."),
                    "target": _ref("target"),
                    "actions": _ref("actions"),
                    "reenter": {"type": "boolean", "description": "Leave the state and enter it again."},
                    "description": _text("Why."),
                    "meta": {"type": "object"},
                },
                "additionalProperties": False,
            },
        ]
    }


def _invoke() -> dict[str, Any]:
    return {
        "description": "Work that belongs to the state: it starts after the entry actions and ends with the state.",
        "type": "object",
        "required": ["id", "src"],
        "properties": {
            "id": _text("Its name in `done.invoke.<id>` and `error.invoke.<id>`.", pattern=f"^{_NAME}$"),
            "src": {"description": "The service.", **_ref("service")},
            "params": {"type": "object", "description": "The service's parameters."},
            "onDone": {"description": "When it ends without a trigger of its own.", **_ref("rows")},
            "onError": {"description": "When it fails.", **_ref("rows")},
            "description": _text("Why."),
            "meta": {"type": "object"},
        },
        "additionalProperties": False,
    }


def _root(example: Chart) -> dict[str, Any]:
    delays = {name: _removable(_ref("duration")) for name in example.delays}
    return {
        "$schema": _text("This schema."),
        "extends": _text("The chart this one changes: beside this file, or bundled.", examples=["voice_call.yaml"]),
        "version": {"type": ["integer", "string"], "description": "Told with every call that ran by the chart."},
        "preempt": _removable(
            _one_or_more(_ref("event"), "Events that jump the queue and stop an action that is still busy.")
        ),
        "delays": _removable(
            {
                "type": "object",
                "description": "Every time-out of a call, by name.",
                "properties": delays,
                "patternProperties": {f"^{_NAME}$": _removable(_ref("duration"))},
                "additionalProperties": False,
            }
        ),
    }


def _state_properties(example: Chart) -> dict[str, Any]:
    known = {state.name: _removable(_ref("state")) for state in example.root.walk() if state.path}
    properties: dict[str, dict[str, Any]] = {
        "id": _text("The chart's name; on a state, what `#id` means."),
        "type": {"enum": ["atomic", "compound", "final"], "description": "final: the call is over."},
        "initial": _text("The state it starts in.", pattern=rf"^\.?{_NAME}$"),
        "description": _text("What it means to the caller."),
        "meta": {"type": "object", "description": "Anything; kept, and not looked at."},
        "on": _ref("on"),
        "ignore": _one_or_more(_ref("event"), "Events that are known, and nothing is to do."),
        "after": _ref("after"),
        "entry": _ref("actions"),
        "exit": _ref("actions"),
        "invoke": _one_or_more(_ref("invoke"), "Services that run while a call is here."),
        "states": {
            "type": "object",
            "description": "The states in it.",
            "properties": known,
            "patternProperties": {f"^{_NAME}$": _removable(_ref("state"))},
            "additionalProperties": False,
        },
    }
    return {key: _removable(schema) for key, schema in properties.items()}


def _state(example: Chart) -> dict[str, Any]:
    return {"type": "object", "properties": _state_properties(example), "additionalProperties": False}
