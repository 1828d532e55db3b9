"""Each rule of lint: what it finds, and what it leaves alone. Every case is a change to a chart without findings."""

from __future__ import annotations

from pathlib import Path

import pytest

from fsm.errors import Problem
from fsm.lint import CODES, lint
from fsm.load import load_chart
from handlers import REGISTRY as REAL
from tests.fsm.charting import REGISTRY, load, write

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


def findings(folder: Path, change: str) -> list[Problem]:
    write(folder, CLEAN, "clean.yaml")
    return lint(load(folder, "extends: clean.yaml\n" + change), REGISTRY)


def live(talking: str) -> str:
    return f"states: {{live: {{states: {{talking: {talking}}}}}}}"


def test_a_clean_chart_has_no_findings(tmp_path: Path) -> None:
    assert findings(tmp_path, "version: 2") == []


@pytest.mark.parametrize("name", ["voice_call", "eager"])
def test_the_bundled_charts_have_no_findings(name: str) -> None:
    chart = load_chart(name, registry=REAL)

    assert lint(chart, REAL) == []
    assert lint(chart) == []


@pytest.mark.parametrize(
    ("code", "path", "message", "change"),
    [
        ("unreachable-state", "states.lonely", "no call ever comes to 'lonely'", "states: {lonely: {after: {rest: closed}}}"),
        ("unreachable-state", "states.live.states.working", "no call ever comes to 'working'", live("{on: {user.transcript: {actions: [answer]}}}")),
        ("no-way-to-end", "states.stuck", "a call in 'stuck' never ends", "states: {stuck: {ignore: [call.ended], after: {rest: stuck}}, waiting: {on: {call.lost: stuck}}}"),
        ("no-way-to-end", "", "no state of the chart is final", "states: {closed: {type: atomic}}"),
        ("misses-preempt", "states.waiting", "'waiting' does not take 'call.lost': the caller is gone", "preempt: [call.ended, call.lost]\nstates: {live: {on: {call.lost: closed}}}"),
        ("misses-preempt", "states.waiting", "when no guard holds, 'waiting' does not take 'call.ended'", "on: {call.ended: null}\nstates: {waiting: {on: {call.ended: [{guard: {type: retries_left, params: {counter: silence}}, target: closed}]}}, live: {on: {call.ended: closed}}}"),
        ("misses-failed-action", "states.live.states.talking", "when 'start_sts' fails, 'talking' does not notice", "on: {error.action.*: null}"),
        ("misses-failed-action", "states.waiting", "when 'answer' fails, 'waiting' does not notice", "on: {error.action.*: null}\nstates: {waiting: {entry: [answer]}}"),
        ("silent-trap", "states.live.states.talking", "when nobody speaks, nothing leaves 'talking'", "states: {live: {states: {talking: {on: {user.idle: null}}}}}\nafter: {rest: closed}"),
        ("silent-trap", "states.live.states.talking", "when nobody speaks, nothing leaves 'talking'", live("{on: {user.idle: {actions: [answer]}}}")),
        ("dead-row", "states.live.states.talking.on.user.silent.1", "never taken: the row for 'user.silent' before it has no guard", live("{on: {user.silent: [{actions: [answer]}, {guard: is_duplicate}]}}")),
        ("dead-row", "after.rest.1", "never taken: the row for 'after.rest' before", "after: {rest: [closed, closed]}"),
        ("repeated-guard", "states.live.states.talking.on.user.transcript.1", "never taken: when is_blank holds", live("{on: {user.transcript: [{guard: is_blank}, {guard: is_blank, target: working}, working]}}")),
        ("repeated-guard", "states.live.states.talking.on.user.transcript.1", "never taken: when is_duplicate and is_blank holds", live("{on: {user.transcript: [{guard: is_blank}, {guard: [is_duplicate, is_blank], target: working}, working]}}")),
        ("repeated-guard", "states.live.states.talking.on.user.transcript.0", "one guard stands here twice: is_blank, is_blank", live("{on: {user.transcript: [{guard: [is_blank, is_blank]}, working]}}")),
        ("endless-loop", "states.waiting.after.setup", "'after.setup' leads back to 'waiting'", "states: {waiting: {after: {setup: {target: waiting, reenter: true}}, on: {call.lost: closed}}}"),
        ("endless-loop", "states.live.on.error.invoke.agent", "'error.invoke.agent' leads back to 'working'", "states: {live: {on: {error.invoke.agent: {target: working}}}}"),
        ("endless-loop", "states.waiting.on.error.action.answer", "'error.action.answer' leads back to 'waiting'", "states: {waiting: {entry: [], on: {error.action.answer: {target: waiting, reenter: true}}}}"),
        ("endless-loop", "states.live.states.working.on.error.invoke.agent", "'error.invoke.agent' leads back", "states: {live: {states: {working: {on: {error.invoke.agent: {guard: {type: retries_left, params: {counter: silence}}, target: working, reenter: true}}}}}}"),
        ("restarts-parent", "on.call.transferred", "in 'talking', 'call.transferred' leaves 'live' and enters it again", "on: {call.transferred: talking}"),
        ("restarts-parent", "on.call.transferred", "in 'talking', 'call.transferred' leaves 'live' and enters it again", "on: {call.transferred: live}"),
        ("leaked-resource", "states.live.entry.0", "'start_sts' opens sts, and no exit of 'live'", "states: {live: {exit: []}}"),
        ("leaked-resource", "states.waiting.on.call.started.1.actions.0", "'start_sts' opens sts, and no exit of 'closed'", "states: {waiting: {on: {call.started: [{guard: {type: retries_left, params: {counter: silence}}, target: talking}, {target: closed, actions: [start_sts]}]}}}"),
        ("leaked-resource", "on.user.speaking.actions.0", "'start_sts' opens sts, and no exit of 'clean'", "on: {user.speaking: {actions: [start_sts]}}"),
        ("resource-not-open", "states.waiting.on.call.dtmf.actions", "'answer' needs sts, which is not open for every call that comes here: the caller speaks to nobody", "states: {waiting: {on: {call.dtmf: {actions: answer}}}}"),
        ("resource-not-open", "states.waiting.on.call.dtmf.actions", "'hang_up' needs carrier", "states: {waiting: {on: {call.dtmf: {actions: hang_up}}}}"),
        ("resource-not-open", "states.waiting.invoke", "'run_agent' needs sts", "states: {waiting: {invoke: {id: early, src: run_agent, onError: closed}, on: {call.lost: {target: waiting, reenter: true}, agent.completed: {}, agent.progress: {}}}}"),
        ("resource-not-open", "states.live.on.call.lost.actions", "'hang_up' needs carrier", "states: {live: {on: {call.lost: {target: waiting, actions: hang_up}}}}"),
        ("unhandled-result", "states.live.states.working.invoke", "'run_agent' may come to 'agent.progress', and 'working' does not take it", "states: {live: {states: {working: {on: {agent.progress: null}}}}}"),
        ("unhandled-failure", "states.live.states.working.invoke", "when 'run_agent' fails, 'working' does not notice", "states: {live: {on: null}}"),
    ],
)  # fmt: skip
def test_a_rule_finds(tmp_path: Path, code: str, path: str, message: str, change: str) -> None:
    found = [problem for problem in findings(tmp_path, change) if problem.code == code]

    assert path in [problem.path for problem in found]
    assert any(problem.message.startswith(message) for problem in found)
    assert all(problem.at.line for problem in found)
    assert {problem.severity for problem in found} == {"warning" if code == "unhandled-failure" else "error"}


@pytest.mark.parametrize(
    "change",
    [
        live("{on: {user.transcript: [{guard: is_duplicate}, {guard: [is_blank, {not: is_duplicate}]}, working]}}"),
        live(
            "{on: {user.idle: [{guard: {type: retries_left, params: {counter: silence}}, actions: [answer]}, closed]}}"
        ),
        live("{on: {user.idle: null}, after: {rest: closed}}"),
        live("{on: {call.dtmf: {actions: [hang_up]}}}"),
        live("{entry: [{type: count_retry, params: {counter: x}}]}"),
        "states: {waiting: {on: {call.lost: {target: waiting, reenter: true}}}}",
        "states: {waiting: {after: {setup: [{guard: {type: retries_left, params: {counter: silence}}, target: waiting, "
        "reenter: true, actions: [{type: count_retry, params: {counter: silence}}]}, closed]}}}",
        "states: {live: {on: {call.transferred: talking, call.dtmf: {target: live, reenter: true}}}}",
        "states: {live: {on: {call.resumed: {actions: [start_sts, hang_up, stop_sts, start_sts]}}}}",
        "on: {call.transferred: {target: waiting}}",
        "after: {rest: closed}",
    ],
    ids=lambda change: change[:70],
)
def test_a_rule_leaves_alone(tmp_path: Path, change: str) -> None:
    assert findings(tmp_path, change) == []


def test_every_code_is_listed_and_in_the_docs() -> None:
    from fsm import lint as package

    assert all(f"`{code}`" in str(package.__doc__) for code in CODES)


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
        CLEAN.replace("user.idle: closed", "user.silent: {}").replace("setup: closed", "rest: [closed, closed]"),
    )

    found = lint(chart, REGISTRY)

    assert [(p.at.line, p.code) for p in found] == [(11, "dead-row"), (18, "silent-trap")]
