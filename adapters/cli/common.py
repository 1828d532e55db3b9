"""What several commands share: the registry, charts by name, and how errors are told."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from fsm.errors import CallchartError, ChartError, SettingError

if TYPE_CHECKING:
    from fsm.chart import Chart
    from fsm.registry import Registry

__all__ = ["BUNDLED", "explain", "load", "registry"]

BUNDLED = ("voice_call", "eager", "listen")


def registry() -> Registry:
    """Return the handlers that charts may name: the bundled ones, or CALLCHART_HANDLERS."""
    named = os.environ.get("CALLCHART_HANDLERS", "")
    if not named:  # the composition root takes half a second to import
        from handlers import REGISTRY

        return REGISTRY
    from adapters.bootstrap import load_registry

    return load_registry(named)


def load(source: str, *, loose: bool = False) -> Chart:
    """Return the chart of a file or of a bundled name.

    Raises:
        ChartError: it is wrong.
    """
    from fsm.load import load_chart

    return load_chart(source, registry=registry(), loose=loose)


def explain(error: Exception) -> int | None:
    """Print an error that a user caused, and return the exit code; None: it is our own mistake."""
    if isinstance(error, ChartError):
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return 1
    if isinstance(error, SettingError):
        print(f"callchart: {error}", file=sys.stderr)
        return 2
    if isinstance(error, CallchartError):
        print(f"callchart: {error}", file=sys.stderr)
        return 1
    if isinstance(error, OSError) and error.filename is not None:
        print(f"callchart: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    return None
