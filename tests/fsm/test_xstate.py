"""What the export writes. That XState reads it as we do is `test_conformance.py`'s matter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fsm.load import load_chart
from fsm.xstate import xstate_config

CHARTS = Path(__file__).parent / "charts"


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    config = xstate_config(load_chart(CHARTS / "exported.yaml", loose=True))
    return dict(json.loads(json.dumps(config)))


def test_root_carries_what_xstate_has_no_word_for(config: dict[str, Any]) -> None:
    head = {key: config[key] for key in ("id", "version", "initial", "description", "exit", "meta")}

    assert list(config)[:2] == ["id", "version"]
    assert head == {
        "id": "exported",
        "version": "3",
        "initial": "waiting",
        "description": "A chart for the export.",
        "exit": ["close_line"],
        "meta": {
            "version": 3,
            "preempt": ["call.ended"],
            "owner": "front desk",
            "delays": {"setup": 10_000, "same": 10_000, "half": 0.5},
        },
    }


def test_targets_are_written_by_id(config: dict[str, Any]) -> None:
    on = config["states"]["waiting"]["on"]

    assert on["user.idle"] == {"target": "#exported.talking.asked"}
    assert on["call.lost"] == {"target": "#exported.waiting", "reenter": True}
    assert config["on"]["call.ended"] == {"target": "#exported.over"}


def test_guards_and_actions_keep_their_parameters(config: dict[str, Any]) -> None:
    waiting = config["states"]["waiting"]

    assert waiting["entry"] == [{"type": "play", "params": {"clip": "ring", "times": 2}}, "look_up"]
    assert waiting["on"]["call.started"] == {
        "description": "answered",
        "guard": {"type": "at_least", "params": {"lines": 1}},
        "target": "#exported.talking.asked",
    }


def test_guards_that_must_all_hold_are_one_name(config: dict[str, Any]) -> None:
    row = config["states"]["waiting"]["on"]["call.resumed"]

    assert row["guard"] == "open_hours and not at_least"
    assert row["actions"] == ["greet"]


def test_negated_guards_are_named_so(config: dict[str, Any]) -> None:
    rows = config["states"]["waiting"]["on"]["call.dtmf"]

    assert rows == [
        {"guard": "not open_hours"},
        {
            "guard": {"type": "not at_least", "params": {"lines": 2}},
            "actions": [{"type": "count", "params": {"by": 1}}],
        },
    ]


def test_rows_with_nothing_are_kept(config: dict[str, Any]) -> None:
    assert config["states"]["waiting"]["on"]["user.speaking"] == {}
    assert config["after"] == {"0.5": {}}


def test_delays_are_milliseconds_and_those_of_one_length_one_timer(config: dict[str, Any]) -> None:
    waiting = config["states"]["waiting"]

    assert waiting["after"] == {
        "10000": [{"target": "#exported.over"}, {"guard": "open_hours", "actions": ["ring"]}, {}],
        "2500": {"target": "#exported.talking"},
    }
    assert waiting["meta"] == {"delays": {"setup": 10_000}}


def test_services_are_invoked_and_their_ends_are_xstates_events(config: dict[str, Any]) -> None:
    asked = config["states"]["talking"]["states"]["asked"]

    assert asked["invoke"] == [
        {"id": "ask", "src": "ask_caller", "input": {"voice": "calm"}},
        {"id": "listen", "src": "listen_in"},
    ]
    assert asked["on"] == {
        "xstate.done.actor.listen": {"target": "#exported.waiting"},
        "xstate.done.actor.ask": {"target": "#exported.over"},
        "xstate.error.actor.ask": {"actions": ["sorry"]},
    }
    assert asked["meta"] == {"colour": "green"}


def test_wildcards_that_mean_services_too_are_written_for_both(config: dict[str, Any]) -> None:
    assert config["on"]["error.action.*"] == {"actions": ["count_error"]}
    assert config["states"]["talking"]["on"] == {
        "error.*": {"actions": ["any_error"]},
        "xstate.error.actor.*": [{"actions": ["any_service"]}, {"actions": ["any_error"]}],
        "done.*": {},
        "xstate.done.actor.*": {},
    }


def test_final_states_say_so(config: dict[str, Any]) -> None:
    assert config["states"]["over"] == {"type": "final"}


def test_bundled_chart_exports_as_json() -> None:
    config = xstate_config(load_chart("voice_call", loose=True))

    assert json.loads(json.dumps(config))["states"]["live"]["states"]["intent"]["invoke"] == [
        {"id": "detect", "src": "detect_intent"}
    ]
