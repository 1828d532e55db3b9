"""The machine: charts, steps, sessions, ports. No I/O, no vendor.

`from fsm import load_chart` is the way in; the rest is imported from its own module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fsm.chart import Chart
    from fsm.errors import ChartError
    from fsm.load import load_chart, read_chart

__all__ = ["Chart", "ChartError", "load_chart", "read_chart"]

_HOMES = {"Chart": "chart", "ChartError": "errors", "load_chart": "load", "read_chart": "load"}


def __getattr__(name: str) -> Any:
    """Import on first use: pydantic takes longer than a command's `--help` may."""
    if name not in _HOMES:
        raise AttributeError(f"module 'fsm' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"fsm.{_HOMES[name]}"), name)
