"""The generated cases reach everything that a chart can do: each mistake made in it changes one of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from fsm.chart import Chart
from fsm.compile import compile_chart
from fsm.load import load_chart
from fsm.simulate import simulate
from tests.fsm.mutants import Kind, mutants
from tests.fsm.paths import paths, random_cases

CHARTS = Path(__file__).parent / "charts"


def unnoticed(chart: Chart, kind: Kind) -> Iterator[str]:
    """Yield the mutants that no path tells from the chart."""
    machine = compile_chart(chart)
    lines = [json.dumps(case) for case in paths(machine)]
    before = list(simulate(machine, lines, loose=True))
    for what, mutant in mutants(chart, kind):
        after = simulate(compile_chart(mutant), lines, loose=True)
        if all(a == b for a, b in zip(after, before, strict=True)):
            yield what


@pytest.mark.timeout(180)  # every mutant on every path
@pytest.mark.parametrize("name", ["voice_call", "nested", "wildcards"])
@pytest.mark.parametrize("kind", ["action", "guard"])
def test_paths_notice_every_slip_in_actions_and_guards(name: str, kind: Kind) -> None:
    chart = load_chart(name if name == "voice_call" else CHARTS / f"{name}.yaml", loose=True)

    assert list(unnoticed(chart, kind)) == []


@pytest.mark.parametrize("kind", ["delay", "order"])
def test_paths_notice_every_slip_in_delays_and_order(kind: Kind) -> None:
    assert list(unnoticed(load_chart(CHARTS / "timers.yaml", loose=True), kind)) == []


def test_paths_notice_what_is_entered_again() -> None:
    assert list(unnoticed(load_chart(CHARTS / "simulated.yaml", loose=True), "reenter")) == [
        "ringing/call.started/0: reenter True",
        "ringing/call.started/1: reenter True",
        "talking/done.invoke.listen/0: reenter True",
        "talking/patience/0: reenter True",
    ]


@pytest.mark.parametrize("name", ["simulated", "nested", "wildcards"])
def test_no_path_comes_twice(name: str) -> None:
    lines = [json.dumps(case) for case in paths(compile_chart(load_chart(CHARTS / f"{name}.yaml", loose=True)))]

    assert len(set(lines)) == len(lines)


def test_random_cases_depend_on_nothing_but_the_seed() -> None:
    machine = compile_chart(load_chart(CHARTS / "nested.yaml", loose=True))

    first, again, other = (list(random_cases(machine, 50, seed)) for seed in (1, 1, 2))

    assert first == again
    assert first != other
    assert len(first) == 50


def test_random_cases_end_in_every_state_of_a_call() -> None:
    machine = compile_chart(load_chart("voice_call", loose=True))

    lines = simulate(machine, map(json.dumps, random_cases(machine, 500, seed=1)), loose=True)
    ends = [json.loads(line)["trace"][-1]["state"] for line in lines]

    assert min(ends.count(leaf) for leaf in machine.leaves) >= 5
