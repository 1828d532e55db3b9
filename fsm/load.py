"""Reads charts: a file or a bundled name becomes a `Chart`, or everything that is wrong with it.

How this works: `sources.py` finds the file and merges what it `extends`, `yaml_source.py` gives every value its
place, `shape.py` makes the `Chart`, `check.py` looks the names up. A chart that loads is well formed; whether it
makes sense to a caller is `lint.py`'s business.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fsm.chart import Chart, Ref, Row, State
from fsm.check import check_names
from fsm.errors import ChartError, Position, Problem
from fsm.findings import Findings, join
from fsm.names import did_you_mean, seconds
from fsm.registry import Registry
from fsm.shape import shape_chart
from fsm.sources import find_source, read_merged

__all__ = ["load_chart", "read_chart"]


def load_chart(
    source: str | Path,
    *,
    registry: Registry | None = None,
    loose: bool = False,
    delays: Mapping[str, float] | None = None,
) -> Chart:
    """Return the chart in a file, or the bundled one of that name (`voice_call`, `eager`).

    Args:
        source: a path or a bundled name, with or without `.yaml`.
        registry: what the chart may name; None: any function, and the events of phone calls.
        loose: names that are not registered are accepted as well.
        delays: seconds by name, instead of the chart's own; the hash stays the file's.

    Raises:
        ChartError: the chart is wrong; `problems` holds everything that is.
    """
    chart, problems = read_chart(source, registry=registry, loose=loose, delays=delays)
    if chart is None:
        raise ChartError.of(problems)
    return chart


def read_chart(
    source: str | Path,
    *,
    registry: Registry | None = None,
    loose: bool = False,
    delays: Mapping[str, float] | None = None,
) -> tuple[Chart | None, list[Problem]]:
    """Return the chart (None if it has an error) and all that is wrong with it, as far as one reading can tell.

    The arguments are those of `load_chart`.
    """
    findings = Findings()
    try:
        chart = shape_chart(read_merged(find_source(source)), findings)
    except ChartError as error:
        findings.include(error)
        chart = None
    if chart is None:
        return None, findings.problems
    findings.problems += check_names(chart, registry, loose=loose)
    chart = chart.model_copy(update={"hash": _hash(chart), "delays": _overridden(chart, delays or {}, findings)})
    return (None if findings.failed else chart), findings.problems


def _overridden(chart: Chart, delays: Mapping[str, float], findings: Findings) -> dict[str, float]:
    for name, given in delays.items():
        at, path = Position(chart.at.file), join("delays", name)
        if name not in chart.delays:
            message = f"the chart {chart.id!r} has no delay {name!r}{did_you_mean(name, chart.delays)}"
            findings.error("unknown-delay", message, at, path)
        elif seconds(given) is None:
            message = f"the delay {name!r} takes seconds, at least 0, not {given!r}"
            findings.error("bad-duration", message, at, path)
    known = {
        name: float(given) for name, given in delays.items() if seconds(given) is not None and name in chart.delays
    }
    return {**chart.delays, **known}


# -- the hash ------------------------------------------------------------------------------------------


def _hash(chart: Chart) -> str:
    """Return the SHA-256, in 16 hex digits, of what the chart says: no layout, no comment, no file name is in it."""
    meaning = {
        "id": chart.id,
        "version": chart.version,
        "delays": dict(chart.delays),
        "preempt": sorted(chart.preempt),
        "root": _state(chart.root),
    }
    canonical = json.dumps(meaning, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _state(state: State) -> list[Any]:
    return [
        [state.name, state.initial, state.final, state.description, state.meta],
        [[event, [_row(row) for row in rows]] for event, rows in sorted(state.on.items())],
        [[key, [_row(row) for row in rows]] for key, rows in state.after.items()],
        [[_ref(ref) for ref in refs] for refs in (state.entry, state.exit)],
        [[invoke.id, _ref(invoke)] for invoke in state.invoke],
        [_state(child) for child in state.states.values()],
    ]


def _row(row: Row) -> list[Any]:
    guards = [[guard.negated, *_ref(guard)] for guard in row.guards]
    return [row.target, guards, [_ref(ref) for ref in row.actions], row.reenter, row.description]


def _ref(ref: Ref) -> list[Any]:
    return [ref.type, dict(ref.params)]
