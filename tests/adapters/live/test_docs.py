"""The page about live events shows every message, and each of its examples is one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from adapters.live.hub import Hub
from adapters.live.messages import FRONT, SERVER, type_names
from fsm.context import END_REASONS

_DOCS = Path(__file__).parents[3] / "docs"
_PAGE = (_DOCS / "live.md").read_text(encoding="utf-8")
_SENT, _OF_FRONTS = _PAGE.split("### What a front sends"), "### What only a front is told"
_BY_FRONTS = _SENT[1].split(_OF_FRONTS)[0]
_BY_SERVERS = _SENT[0] + _SENT[1].split(_OF_FRONTS)[1]


def examples(text: str) -> list[dict[str, Any]]:
    return [json.loads(block) for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL)]


@pytest.mark.parametrize("example", examples(_BY_SERVERS), ids=lambda example: example["type"])
def test_an_example_of_what_is_told_is_as_the_schema_has_it(example: dict[str, Any]) -> None:
    SERVER.validate_python(example)


@pytest.mark.parametrize("example", examples(_BY_FRONTS), ids=lambda example: example["type"])
def test_an_example_of_what_a_front_sends_is_as_the_schema_has_it(example: dict[str, Any]) -> None:
    FRONT.validate_python(example)


def test_every_message_has_an_example_both_ways() -> None:
    assert {example["type"] for example in examples(_BY_SERVERS)} == type_names(SERVER)
    assert {example["type"] for example in examples(_BY_FRONTS)} == type_names(FRONT)


def test_the_page_names_what_is_so() -> None:
    assert all(reason in _PAGE for reason in END_REASONS)
    for name in re.findall(r"\]\((examples/[\w.]+)\)", _PAGE):
        assert (_DOCS / name).is_file(), name
    assert Hub.__init__.__kwdefaults__ == {"journal": None, "kept": 10_000, "queue": 1_000}
