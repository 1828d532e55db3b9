"""What is wrong with a chart that is well formed: nothing here reads a file, everything here is about a caller.

Every rule has codes, a severity and a message that says what a caller would experience. An `error` is a call that
goes wrong; a `warning` is one that probably does.

| code | severity | finds |
| --- | --- | --- |
| `unreachable-state` | error | a state that no call can come to |
| `no-way-to-end` | error | a state from which no call ends |
| `unknown-…`, `bad-params`, `wrong-trigger` | error | names that stand for nothing, as when loading |
| `misses-preempt` | error | a state that does not take a hang-up (or another `preempt` event) |
| `misses-failed-action` | error | a state that does not take the failure of an action |
| `silent-trap` | error | a state that nothing leaves while nobody speaks |
| `dead-row`, `repeated-guard` | error | rows that are never taken |
| `endless-loop` | error | a timer, failure or service that leads back to its own state, uncounted |
| `restarts-parent` | error | a row that leaves a compound state only to enter it again |
| `idle-reenter` | warning | a row that says `reenter` and has no target |
| `idle-delay` | warning | a delay that no timer has |
| `leaked-resource` | error | something opened that no exit closes |
| `resource-not-open` | error | something needed where it is not open |
| `unhandled-result` | error | a trigger of a service that nobody handles |
| `unhandled-failure` | warning | a service whose failure nobody handles |
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fsm.chart import Chart
from fsm.check import check_names
from fsm.errors import Problem
from fsm.lint import endings, resources, rows, services
from fsm.lint.ways import Ways
from fsm.registry import Registry

__all__ = ["CODES", "lint"]

_RULES: tuple[Callable[[Ways], Iterator[Problem]], ...] = (
    endings.unreachable,
    endings.no_way_to_end,
    endings.misses_preempt,
    endings.misses_failed_action,
    endings.silent_trap,
    rows.dead_rows,
    rows.repeated_guards,
    rows.endless_loops,
    rows.restarts_parent,
    rows.idle_reenters,
    rows.idle_delays,
    resources.leaked,
    resources.not_open,
    services.unhandled_results,
    services.unhandled_failures,
)
CODES = (
    "unreachable-state", "no-way-to-end", "misses-preempt", "misses-failed-action", "silent-trap", "dead-row",
    "repeated-guard", "endless-loop", "restarts-parent", "idle-reenter", "idle-delay", "leaked-resource",
    "resource-not-open", "unhandled-result", "unhandled-failure",
)  # fmt: skip
"""The codes of the rules about a call; those about names are `check.py`'s."""


def lint(chart: Chart, registry: Registry | None = None) -> list[Problem]:
    """Return everything wrong with `chart`, in the order of its file.

    Args:
        chart: a loaded chart.
        registry: what it may name; None: names are not looked up, and what functions open or need is not known.
    """
    ways = Ways(chart, registry)
    found = check_names(chart, registry)
    for rule in _RULES:
        found += rule(ways)
    return sorted(dict.fromkeys(found), key=lambda problem: (problem.at.file, problem.at.line, problem.at.column))
