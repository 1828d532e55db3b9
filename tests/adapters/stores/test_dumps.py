"""JSON of anything: what JSON can say is said as it is, and the rest costs no commit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
import pytest

from adapters.stores.dumps import dumps
from fsm.history import Message
from fsm.triggers import ToolCall


@dataclass
class Odd:
    inner: Any


def nested(levels: int) -> Any:
    value: Any = "deep"
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"a": [1, 2.5, None, True, "ü"]}, {"a": [1, 2.5, None, True, "ü"]}),
        ({"tuple": (1, 2)}, {"tuple": [1, 2]}),
        ({7: {None: 1}}, {"7": {"null": 1}}),
        ({"half": "a\ud800b"}, {"half": "a?b"}),
        ({"half \ud800": 1}, {"half ?": 1}),
        ({"large": 2**70, "small": -(2**63)}, {"large": str(2**70), "small": -(2**63)}),
        ({"not a number": float("nan")}, {"not a number": None}),
        ({"bytes": b"\xffa"}, {"bytes": "\ufffda"}),
        ({"set": {1}, "large": 2**70}, {"set": [1], "large": str(2**70)}),
        ({"set": frozenset({1})}, {"set": [1]}),
        (Odd(Odd("\ud800")), {"inner": {"inner": "?"}}),
        ({"type": int}, {"type": "<class 'int'>"}),
    ],
)
def test_value_is_written_as_near_as_json_can(value: Any, said: Any) -> None:
    assert orjson.loads(dumps(value)) == said


def test_facts_of_a_call_are_written_without_a_fall_back() -> None:
    said = orjson.loads(dumps([Message(role="caller", text="hi"), ToolCall(call_id="c1", tool="t")]))

    assert [(said[0]["role"], said[0]["text"]), said[1]["tool"]] == [("caller", "hi"), "t"]


@pytest.mark.parametrize("levels", [100, 300, 5000])
def test_what_is_too_deep_is_cut(levels: int) -> None:
    written = dumps(nested(levels))

    assert orjson.loads(written)
    assert written.startswith(b"[[[[")
