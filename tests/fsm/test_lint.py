"""Each rule of lint: what it finds, and what it leaves alone. Every case is a change to a chart without findings."""

from __future__ import annotations

from pathlib import Path

import pytest

from fsm.errors import Problem
from fsm.lint import CODES, lint
from fsm.load import load_chart
from handlers import REGISTRY as REAL
from tests.fsm.charting import REGISTRY, cases, load, write

CLEAN = """\
id: clean
initial: waiting
preempt: [call.ended]
delays: {setup: 10s, rest: 1m}
on:
  call.ended: closed
  error.action.*: {}
states:
  waiting:
    on: {call.started: talking}
    after: {setup: closed}
  live:
    initial: talking
    entry: [start_sts]
    exit: [stop_sts]
    on: {error.invoke.agent: talking}
    states:
      talking:
        on: {user.transcript: [{guard: is_blank}, {target: working, actions: [answer]}], user.idle: closed}
      working:
        invoke: {id: agent, src: run_agent}
        on: {agent.completed: talking, agent.progress: {}}
        after: {rest: talking}
  closed: {type: final, entry: [hang_up]}
"""


WARNINGS = ("unhandled-failure", "idle-reenter", "idle-delay")


def findings(folder: Path, change: str) -> list[Problem]:
    write(folder, CLEAN, "clean.yaml")
    return lint(load(folder, "extends: clean.yaml\n" + change), REGISTRY)


def live(talking: str) -> str:
    return f"states: {{live: {{states: {{talking: {talking}}}}}}}"


def test_a_clean_chart_has_no_findings(tmp_path: Path) -> None:
    assert findings(tmp_path, "version: 2") == []


@pytest.mark.parametrize("name", ["voice_call", "eager", "listen"])
def test_the_bundled_charts_have_no_findings(name: str) -> None:
    chart = load_chart(name, registry=REAL)

    assert lint(chart, REAL) == []
    assert lint(chart) == []


@pytest.mark.parametrize("case", cases("lint_findings"), ids=lambda case: f"{case['code']} {case['path']}")
def test_a_rule_finds(tmp_path: Path, case: dict[str, str]) -> None:
    found = [problem for problem in findings(tmp_path, case["change"]) if problem.code == case["code"]]

    assert case["path"] in [problem.path for problem in found]
    assert any(problem.message.startswith(case["message"]) for problem in found)
    assert all(problem.at.line for problem in found)
    assert {problem.severity for problem in found} == {"warning" if case["code"] in WARNINGS else "error"}


@pytest.mark.parametrize(
    "change",
    [
        live("{on: {user.transcript: [{guard: is_duplicate}, {guard: [is_blank, {not: is_duplicate}]}, working]}}"),
        live(
            "{on: {user.idle: [{guard: {type: retries_left, params: {counter: silence}}, actions: [answer]}, closed]}}"
        ),
        live("{on: {user.idle: null}, after: {rest: closed}}"),
        live("{on: {call.dtmf: {actions: [hang_up]}}}"),
        live(
            "{on: {user.idle: [{guard: {type: retries_left, params: {counter: silence}}, actions: [answer]}, "
            "{guard: {not: {type: retries_left, params: {counter: silence}}}, target: closed}]}}"
        ),
        "on: {call.ended: [{guard: {type: retries_left, params: {counter: silence}}, target: closed}, "
        "{guard: {not: {type: retries_left, params: {counter: silence}}}, target: closed}]}",
        "states: {waiting: {after: {setup: [{guard: {type: retries_left, params: {counter: silence}}, target: closed}, "
        "{guard: {not: {type: retries_left, params: {counter: silence}}}, target: closed}]}}}",
        live("{entry: [{type: count_retry, params: {counter: x}}]}"),
        "states: {waiting: {on: {call.lost: {target: waiting, reenter: true}}}}",
        "states: {waiting: {after: {setup: [{guard: {type: retries_left, params: {counter: silence}}, target: waiting, "
        "reenter: true, actions: [{type: count_retry, params: {counter: silence}}]}, closed]}}}",
        "states: {live: {on: {call.transferred: talking, call.dtmf: {target: live, reenter: true}}}}",
        "states: {live: {on: {call.resumed: {actions: [start_sts, hang_up, stop_sts, start_sts]}}}}",
        "on: {call.transferred: {target: waiting}}",
        "after: {rest: closed}",
        "meta: {listens: true}\nstates: {live: {on: {call.lost: {}, call.dtmf: {actions: [hang_up]}}}}",
    ],
    ids=lambda change: change[:70],
)
def test_a_rule_leaves_alone(tmp_path: Path, change: str) -> None:
    assert findings(tmp_path, change) == []


def test_every_code_is_listed_and_in_the_docs() -> None:
    from fsm import lint as package

    assert all(f"`{code}`" in str(package.__doc__) for code in CODES)
    assert {case["code"] for case in cases("lint_findings")} == set(CODES)


def test_names_are_looked_up(tmp_path: Path) -> None:
    chart = load(tmp_path, CLEAN.replace("hang_up", "hang_upp"))

    (found,) = lint(chart, REGISTRY)

    assert (found.code, found.path) == ("unknown-action", "states.closed.entry.0")
    assert found.message == "no action or reducer is called 'hang_upp'; did you mean 'hang_up'?"


def test_a_delay_taken_away_is_found(tmp_path: Path) -> None:
    chart = load(tmp_path, CLEAN)

    found = lint(chart.model_copy(update={"delays": {"setup": 1.0}}), REGISTRY)

    assert [(p.code, p.path) for p in found] == [("unknown-delay", "states.live.states.working.after.rest")]
    assert found[0].message == "there is no delay 'rest'; known: setup"


def test_a_final_state_inside_another_ends_no_call(tmp_path: Path) -> None:
    found = findings(
        tmp_path, "on: {call.ended: null}\nstates: {live: {states: {hushed: {type: final}}, on: {call.lost: hushed}}}"
    )

    assert ("no-way-to-end", "states.live.states.hushed") in [(p.code, p.path) for p in found]


def test_findings_come_in_the_order_of_the_file(tmp_path: Path) -> None:
    chart = load(
        tmp_path,
        CLEAN.replace("user.idle: closed", "user.silent: {}").replace("setup: closed", "setup: [closed, closed]"),
    )

    found = lint(chart, REGISTRY)

    assert [(p.at.line, p.code) for p in found] == [(11, "dead-row"), (18, "silent-trap")]
