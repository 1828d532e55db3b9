"""Whatever a file holds, it loads or is refused with a place: never another exception."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsm.bots import check_bots
from fsm.errors import Problem
from fsm.lint import lint
from fsm.load import read_chart
from fsm.sources import BUNDLED
from tests.fsm.charting import REGISTRY

TEXT = (BUNDLED / "voice_call.yaml").read_text(encoding="utf-8")
pytestmark = pytest.mark.timeout(90)  # hundreds of charts are read
WORDS = ["on", "a", "b", "call.ended", "target", "guard", "actions", "not", "type", "final", "states", "initial", "id",
    "after", "nap", "delays", "invoke", "src", "params", "*", "error.action.*", "reenter", "extends", "entry", "ignore",
    "preempt", "version", "speak", "retries_left", "parallel", "onDone", ".", "#", "..", "", "3s"]  # fmt: skip
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.sampled_from(WORDS), st.text(max_size=5))
TREES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(WORDS), inner, max_size=4)),
    max_leaves=25,
)


def fate(path: Path) -> list[Problem]:
    """Load and lint; every error has a place."""
    chart, problems = read_chart(path, registry=REGISTRY, loose=True)
    if chart is not None:
        problems = [*problems, *lint(chart, REGISTRY)]
    else:
        assert any(problem.severity == "error" for problem in problems)
    assert all(problem.at.file and problem.message for problem in problems)
    return problems


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_mangled_chart_is_told(tmp_path_factory: Any, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(TEXT)))
    end = data.draw(st.integers(start, min(len(TEXT), start + 60)))
    put = data.draw(st.one_of(st.text(max_size=12), st.sampled_from([*WORDS, "[", "}", ": ", "\n", "- ", "&a ", "*a"])))
    path = tmp_path_factory.getbasetemp() / "mangled.yaml"
    path.write_bytes((TEXT[:start] + put + TEXT[end:]).encode("utf-8", "surrogatepass"))

    fate(path)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_told(tmp_path_factory: Any, raw: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes.yaml"
    path.write_bytes(raw)

    assert fate(path)


@settings(max_examples=250, deadline=None)
@given(TREES, TREES, TREES)
def test_any_tree_is_told(tmp_path_factory: Any, on: Any, state: Any, extra: Any) -> None:
    tree = {"id": "t", "initial": "a", "states": {"a": {"on": on}, "b": state}}
    tree |= {key: value for key, value in extra.items() if key != "extends"} if isinstance(extra, dict) else {}
    path = tmp_path_factory.getbasetemp() / "tree.json"
    path.write_text(json.dumps(tree), encoding="utf-8")

    fate(path)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_mangled_bots_file_is_told(tmp_path_factory: Any, data: st.DataObject) -> None:
    text = (BUNDLED / "bots.yaml").read_text(encoding="utf-8")
    start = data.draw(st.integers(0, len(text)))
    put = data.draw(
        st.one_of(st.text(max_size=12), SCALARS.map(str), st.sampled_from(["[", "}", ": ", "\n", "- ", "("]))
    )
    path = tmp_path_factory.getbasetemp() / "bots.yaml"
    path.write_bytes((text[:start] + put + text[start + len(put) * 3 :]).encode("utf-8", "surrogatepass"))

    assert all(problem.at.file and problem.message for problem in check_bots(path, loose=True))


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.sampled_from(["tools", "intents", "delays", "numbers", "turn_detection", "chart"]), TREES))
def test_any_bot_is_told(tmp_path_factory: Any, bot: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "bot.json"
    path.write_text(json.dumps({"shop": bot}), encoding="utf-8")

    assert all(problem.at.file and problem.message for problem in check_bots(path, loose=True))


def test_shuffled_lines_are_told(tmp_path: Path) -> None:
    path = tmp_path / "shuffled.yaml"
    for seed in range(10):
        lines = TEXT.splitlines(keepends=True)
        random.Random(seed).shuffle(lines)
        path.write_text("".join(lines), encoding="utf-8")

        assert fate(path)
