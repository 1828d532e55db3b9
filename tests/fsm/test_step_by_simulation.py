"""What a simulation says is what `step` does: the same states and actions, from the same table."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from fsm.chart import Chart
from fsm.compile import compile_chart
from fsm.context import CallContext
from fsm.load import load_chart
from fsm.registry import Registry
from fsm.simulate import simulate
from fsm.step import Snapshot, Step, begin, step
from fsm.triggers import InvokeDone, Trigger
from tests.fsm.paths import Case, random_cases

CHARTS = Path(__file__).parent / "charts"


class Answers:
    """A registry of everything that a chart names; its guards answer from `now`."""

    def __init__(self, chart: Chart) -> None:
        self.now: dict[str, bool] = {}
        rows = [row for state in chart.root.walk() for row in state.rows()]
        blocks = [ref for state in chart.root.walk() for ref in (*state.entry, *state.exit)]
        invoked = [invoke for state in chart.root.walk() for invoke in state.invoke]
        self.registry = Registry(
            guards=[self._guard(name) for name in sorted({guard.type for row in rows for guard in row.guards})],
            actions=[_action(n) for n in sorted({ref.type for row in rows for ref in row.actions} | _names(blocks))],
            services=[_service(name) for name in sorted(_names(invoked))],
        )

    def _guard(self, name: str) -> Callable[..., bool]:
        def guard(call: CallContext, trigger: Trigger, **params: object) -> bool:
            return self.now.get(name, False)

        guard.__name__ = name
        return guard


def _names(refs: list[Any]) -> set[str]:
    return {ref.type for ref in refs}


def _action(name: str) -> Callable[..., None]:
    def act(session: object, trigger: Trigger, **params: object) -> None:
        raise AssertionError("step runs no actions")

    act.__name__ = name
    return act


def _service(name: str) -> Callable[..., Awaitable[None]]:
    async def work(session: object, trigger: Trigger, **params: object) -> None:
        raise AssertionError("step runs no services")

    work.__name__ = name
    return work


def stepped(chart: Chart, case: Case) -> list[tuple[str, list[str]]]:
    answers = Answers(chart)
    machine = compile_chart(chart, answers.registry)
    first = begin(machine, CallContext(call_id="CA1"))
    now: Snapshot = first.after
    trace = [(now.state, list(first.row.names))]
    for given in case:
        answers.now = given["guards"]
        taken = step(machine, now, InvokeDone(name=given["event"]))
        now = taken.after if isinstance(taken, Step) else now
        trace.append((now.state, list(taken.row.names) if isinstance(taken, Step) else []))
    return trace


@pytest.mark.parametrize("name", ["voice_call", "nested", "timers"])
def test_step_does_what_a_simulation_says(name: str) -> None:
    chart = load_chart(name if name == "voice_call" else CHARTS / f"{name}.yaml", loose=True)
    machine = compile_chart(chart)
    cases = [[s for s in case if "event" in s] for case in random_cases(machine, 60, seed=3, longest=30)]
    cases = [[{"guards": {}, **given} for given in case] for case in cases]

    lines = simulate(machine, map(json.dumps, cases), loose=True)
    simulated = [[(entry["state"], entry["actions"]) for entry in json.loads(line)["trace"]] for line in lines]

    assert [stepped(chart, case) for case in cases] == simulated
