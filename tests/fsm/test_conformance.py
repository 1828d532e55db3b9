"""Our machine and XState itself say the same of every chart: same states, same actions, in the same order.

XState runs what `xstate_config` exports, so the export is proved along with the machine.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from fsm.chart import Chart
from fsm.compile import Machine, compile_chart
from fsm.load import load_chart
from fsm.simulate import simulate
from fsm.xstate import xstate_config
from tests.fsm.mutants import KINDS, Kind, mutants
from tests.fsm.paths import paths, random_cases
from tests.fsm.random_charts import FOREIGN, GUARDS, random_chart
from tests.xstate.harness import Case, Trace, needs_xstate, run_in_xstate

OWN = Path(__file__).parent / "charts"
BUNDLED = ("voice_call", "eager", "listen")
HAND_MADE = ("nested", "wildcards", "timers")
SAMPLE = 12
"""Cases of a mutant that are run in XState: some that tell it from the chart, and some that do not."""

pytestmark = [needs_xstate, pytest.mark.timeout(300)]  # every mutant, in Node.js too


def chart_named(name: str) -> Chart:
    return load_chart(OWN / f"{name}.yaml" if name in HAND_MADE else name, loose=True)


def answers(machine: Machine, lines: Sequence[str]) -> list[str]:
    return list(simulate(machine, lines, loose=True))


def traces(lines: Iterable[str]) -> list[Trace]:
    return [[(entry["state"], tuple(entry["actions"])) for entry in json.loads(line)["trace"]] for line in lines]


def differences(cases: Sequence[Case], ours: Sequence[Trace], theirs: Sequence[Trace]) -> Iterator[str]:
    """Yield each case in which the two do not agree, with the step at which they part."""
    for case, our, their in zip(cases, ours, theirs, strict=True):
        if our != their:
            at = next(i for i, (a, b) in enumerate(zip(our, their, strict=True)) if a != b)
            yield f"{case[:at]}: we say {our[at]}, XState {their[at]}"


def parted(
    expected: Sequence[tuple[str, list[Trace]]], runs: Sequence[tuple[int, list[Case]]], told: Sequence[list[Trace]]
) -> list[str]:
    """Return what XState says of each run otherwise than expected."""
    return [
        f"{what}: {difference}"
        for (what, ours), (_, cases), theirs in zip(expected, runs, told, strict=True)
        for difference in differences(cases, ours, theirs)
    ]


@pytest.mark.parametrize("name", [*BUNDLED, *HAND_MADE])
def test_every_path_and_5000_random_cases_run_the_same_in_xstate(name: str) -> None:
    chart = chart_named(name)
    machine = compile_chart(chart)
    cases = [*paths(machine), *random_cases(machine, 5000, seed=20_240_517)]

    ours = traces(answers(machine, [json.dumps(case) for case in cases]))
    theirs = run_in_xstate([xstate_config(chart)], [(0, cases)])[0]

    assert list(differences(cases, ours, theirs)) == []


def test_events_that_only_wildcards_know_run_the_same_in_xstate() -> None:
    chart = chart_named("wildcards")
    machine = compile_chart(chart)
    ways: list[Case] = [
        [],
        [{"event": "next"}],
        [{"event": "next"}, {"event": "other", "guards": {"loud_leaves": True}}],
    ]
    foreign = ("line", "line.x.y", "line.busy.there", "line.busy.here.too", "other", "error.other", "done.other",
               "error.action.other", "error.invoke.other", "done.invoke.other")  # fmt: skip
    guards = ("", "root_line", "quiet_busy", "loud_star", "loud_error", "top_line", "top_catches")
    cases = [
        [*w, {"event": event, "guards": {g: True} if g else {}}] for w in ways for event in foreign for g in guards
    ]

    ours = traces(answers(machine, [json.dumps(case) for case in cases]))
    theirs = run_in_xstate([xstate_config(chart)], [(0, cases)])[0]

    assert list(differences(cases, ours, theirs)) == []


def test_charts_that_nobody_would_write_run_the_same_in_xstate_as_written_and_as_exported(tmp_path: Path) -> None:
    configs: list[dict[str, Any]] = []
    runs: list[tuple[int, list[Case]]] = []
    expected: list[tuple[str, list[Trace]]] = []
    for seed in range(40):
        written = random_chart(seed)
        file = tmp_path / f"{seed}.json"
        file.write_text(json.dumps(written))
        chart = load_chart(file, loose=True)
        machine = compile_chart(chart)
        cases = [*random_cases(machine, 40, seed), *foreign_cases(Random(seed))]
        ours = traces(answers(machine, [json.dumps(case) for case in cases]))
        for what, config in (("written", written), ("exported", xstate_config(chart))):
            runs.append((len(configs), cases))
            configs.append(config)
            expected.append((f"chart {seed} as {what}", ours))

    told = run_in_xstate(configs, runs)

    assert parted(expected, runs, told) == []


def foreign_cases(random: Random) -> Iterator[Case]:
    for _ in range(10):
        yield [
            {"event": random.choice(FOREIGN), "guards": {g: random.random() < 0.5 for g in GUARDS}} for _ in range(4)
        ]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["voice_call", *HAND_MADE])
def test_every_mutant_that_xstate_distinguishes_is_noticed(name: str, kind: Kind) -> None:
    chart = chart_named(name)
    machine = compile_chart(chart)
    cases = list(paths(machine))
    lines = [json.dumps(case) for case in cases]
    before = answers(machine, lines)
    configs: list[dict[str, Any]] = []
    runs: list[tuple[int, list[Case]]] = []
    expected: list[tuple[str, list[Trace]]] = []
    for what, mutant in mutants(chart, kind):
        after = answers(compile_chart(mutant), lines)
        noticed = [i for i in range(len(cases)) if after[i] != before[i]]
        chosen = [*noticed[:SAMPLE], *range(0, len(cases), len(cases) // SAMPLE)] if noticed else range(len(cases))
        runs.append((len(configs), [cases[i] for i in chosen]))
        configs.append(xstate_config(mutant))
        expected.append((what, traces(after[i] for i in chosen)))

    told = run_in_xstate(configs, runs)

    assert parted(expected, runs, told) == []
