"""The JSON Schema: what an editor accepts, refuses and explains."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest
from jsonschema import Draft7Validator

from fsm.registry import Registry
from fsm.schema import chart_schema, schema_text
from fsm.sources import BUNDLED
from fsm.yaml_source import read_yaml
from handlers import REGISTRY as REAL
from tests.fsm.charting import REGISTRY

SCHEMA = chart_schema(REGISTRY)


def chart(state: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": "t", "initial": "a", "states": {"a": state, "b": {"type": "final"}}, **more}


def accepted(value: Any) -> bool:
    return bool(Draft7Validator(SCHEMA).is_valid(value))


def test_it_is_a_schema() -> None:
    Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", ["voice_call", "eager", "listen"])
def test_the_bundled_charts_validate_and_name_the_schema(name: str) -> None:
    raw = (BUNDLED / f"{name}.yaml").read_bytes()

    errors = list(Draft7Validator(chart_schema(REAL)).iter_errors(read_yaml(raw, name).plain()))

    assert errors == []
    assert raw.splitlines()[0] == b"# yaml-language-server: $schema=voice_call.schema.json"


def test_the_committed_schema_is_in_step() -> None:
    committed = (BUNDLED / "voice_call.schema.json").read_text(encoding="utf-8")

    assert committed == schema_text(REAL), "run `callchart schema`"


@pytest.mark.parametrize(
    "value",
    [
        chart(
            {
                "on": {
                    "call.ended": "b",
                    "call.lost": [{"guard": {"not": "is_blank"}, "target": "#t.b"}],
                    "user.idle": None,
                }
            }
        ),
        chart({"on": {"error.action.*": {}, "*": {}, "done.invoke.x": "b", "error.action.speak": "b"}}),
        chart({"entry": ["speak", {"type": "truncate_history", "params": {"keep": 3}}], "exit": "speak"}),
        chart({"entry": {"type": "truncate_history"}}),
        chart({"on": {"user.idle": {"guard": {"type": "retries_left", "params": {"counter": "silence"}}}}}),
        chart({"invoke": {"id": "x", "src": "run_agent", "onDone": "b", "onError": ["b"]}}),
        chart({"invoke": [{"id": "x", "src": {"type": "run_agent", "params": {"deadline": 3}}}]}),
        chart({"after": {"1500": "b", "nap": [{"target": "b"}]}, "ignore": ["user.idle", "call.*"]}),
        chart({"initial": "c", "states": {"c": {}}}, delays={"nap": "15s", "rest": 3.5}, preempt=["call.ended"]),
        {"extends": "voice_call.yaml", "states": {"live": None}, "delays": {"setup": None}, "on": None},
    ],
)
def test_good_charts_are_accepted(value: Any) -> None:
    assert accepted(value)


@pytest.mark.parametrize(
    "value",
    [
        [],
        {"id": "t"},
        chart({"on": {"call.endet": "b"}}),
        chart({"on": {"calls.*": "b"}}),
        chart({"on": {"error.action.speek": "b"}}),
        chart({"entri": []}),
        chart({"always": "b"}),
        chart({"type": "parallel"}),
        chart({"entry": ["speek"]}),
        chart({"entry": "is_blank"}),
        chart({"entry": "count_retry"}),
        chart({"entry": {"type": "count_retry"}}),
        chart({"entry": {"type": "truncate_history", "params": {"keep": "x"}}}),
        chart({"entry": {"type": "truncate_history", "params": {"kep": 3}}}),
        chart({"on": {"user.idle": {"guard": {"type": "retries_left", "params": {"counter": "x"}}}}}),
        chart({"on": {"user.idle": {"targt": "b"}}}),
        chart({"on": {"user.idle": {"target": "b b"}}}),
        chart({"invoke": {"id": "x", "src": "speak"}}),
        chart({"invoke": {"src": "run_agent"}}),
        chart({"after": {"3 s": "b"}}),
        chart({"ignore": ["user.idel"]}),
        chart({}, delays={"nap": "3 days"}),
        chart({}, delays={"1x": 3}),
    ],
)
def test_wrong_charts_are_refused(value: Any) -> None:
    assert not accepted(value)


def test_names_and_parameters_carry_their_documentation() -> None:
    guards = SCHEMA["definitions"]["guardCall"]
    names = {entry["const"]: entry for entry in guards["properties"]["type"]["anyOf"]}
    (rule,) = [r["then"] for r in guards["allOf"] if r["if"]["properties"]["type"]["const"] == "retries_left"]
    params = rule["properties"]["params"]["properties"]

    assert names["retries_left"]["description"] == "Whether the caller may be asked again."
    assert "how often it may be" in names["retries_left"]["markdownDescription"]
    assert params["counter"] == {
        "enum": ["silence", "clarify"],
        "type": "string",
        "description": "what is counted.",
        "markdownDescription": "what is counted.",
    }
    assert (params["of"]["default"], params["of"]["description"]) == (2, "how often it may be.")
    assert rule["required"] == ["params"]


def test_events_and_states_are_offered_with_their_documentation() -> None:
    on = SCHEMA["definitions"]["on"]["properties"]
    targets = {entry.get("const"): entry["description"] for entry in SCHEMA["definitions"]["target"]["anyOf"]}

    assert on["call.lost"]["description"].startswith("The carrier's socket is gone without a word")
    assert on["error.action.speak"]["description"] == "The action `speak` raised or outlasted its deadline."
    assert targets["listening"] == "The caller has the floor, or hears a reply and may take it."
    assert "setup" in SCHEMA["properties"]["delays"]["anyOf"][0]["properties"]


def wave(session: Any, trigger: Any, *, hand: Literal["left", "right"], often: int = 1, why: str = "") -> None:
    """Wave.

    Args:
        hand: which
            of both.
        often (int): how often.

    Returns:
        hand: nothing.
    """


def silent(session: Any, trigger: Any) -> None:
    pass


def test_the_arguments_of_a_docstring_are_read_whatever_they_look_like() -> None:
    schema = chart_schema(Registry(actions=(wave, silent)))
    call = schema["definitions"]["actionCall"]
    params = call["allOf"][0]["then"]["properties"]["params"]["properties"]

    assert params["hand"]["description"] == "which of both."
    assert params["often"]["description"] == "how often."
    assert "description" not in params["why"]
    assert call["properties"]["type"]["anyOf"][1] == {"const": "silent"}


def test_a_registry_without_functions_refuses_every_name() -> None:
    validator = Draft7Validator(chart_schema(Registry()))

    assert validator.is_valid(chart({"on": {"user.idle": "b"}}))
    assert not validator.is_valid(chart({"entry": "speak"}))
    assert not validator.is_valid(chart({"entry": {"type": "speak"}}))


def test_the_text_is_json() -> None:
    assert json.loads(schema_text(REGISTRY)) == SCHEMA
    assert schema_text(REGISTRY).endswith("}\n")
