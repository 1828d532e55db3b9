"""Exported charts in XState itself: one Node process runs any number of charts and cases.

The cases are those of `callchart simulate`; so are the answers, as `(state, actions)` per step.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pytest

__all__ = ["Case", "Trace", "needs_xstate", "run_in_xstate"]

Case: TypeAlias = list[dict[str, Any]]
Trace: TypeAlias = list[tuple[str, tuple[str, ...]]]

FOLDER = Path(__file__).parent


def _missing() -> str:
    if shutil.which("node") is None:
        return "Node.js is missing: install version 18 or later, then `npm ci --prefix tests/xstate`"
    if not (FOLDER / "node_modules" / "xstate" / "package.json").exists():
        return "XState is missing: run `npm ci --prefix tests/xstate` (`make test` does)"
    return ""


needs_xstate = pytest.mark.skipif(bool(_missing()), reason=_missing() or "XState is here")


def run_in_xstate(
    charts: Sequence[dict[str, Any]], runs: Sequence[tuple[int, Sequence[Case]]], seconds: float = 100.0
) -> list[list[Trace]]:
    """Return the traces of each run, a chart's number and its cases.

    Raises:
        CalledProcessError: XState does not take a chart.
    """
    question = {"charts": charts, "runs": [{"chart": chart, "cases": cases} for chart, cases in runs]}
    done = subprocess.run(
        ["node", str(FOLDER / "run.mjs")],
        input=json.dumps(question),
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    return [[[(state, tuple(actions)) for state, actions in trace] for trace in run] for run in answers]
