"""Figures beside their goals: the table and the JSON that every benchmark prints."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Literal

__all__ = ["Figure", "interleaved", "main", "table"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One thing measured. Without a goal it is only told."""

    name: str
    reached: float
    unit: str = ""
    goal: float | None = None
    better: Literal["higher", "lower", "exactly"] = "higher"
    note: str = ""

    @property
    def ok(self) -> bool:
        if self.goal is None:
            return True
        if self.better == "exactly":
            return self.reached == self.goal
        return self.reached >= self.goal if self.better == "higher" else self.reached <= self.goal


_SIGNS = {"higher": ">=", "lower": "<=", "exactly": "="}


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as text, one a line."""
    rows = [("", "reached", "goal", "", "")]
    for f in figures:
        goal = "" if f.goal is None else f"{_SIGNS[f.better]} {_number(f.goal)} {f.unit}".rstrip()
        verdict = "" if f.goal is None else ("ok" if f.ok else "MISSED")
        rows.append((f.name, f"{_number(f.reached)} {f.unit}".rstrip(), goal, verdict, f.note))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    return "\n".join(
        "  ".join((*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[4])).rstrip() for row in rows
    )


def main(measure: Callable[[bool], list[Figure]], doc: str | None, argv: Sequence[str] | None = None) -> int:
    """Run one benchmark as a command; 1: a goal was missed, of a smoke run one that no machine is too slow for."""
    parser = argparse.ArgumentParser(description=(doc or "").split("\n")[0])
    parser.add_argument(
        "--smoke", action="store_true", help="small numbers: only to see that it runs; speed is not judged"
    )
    parser.add_argument("--json", action="store_true", help="a list of figures instead of a table")
    options = parser.parse_args(argv)
    figures = measure(options.smoke)
    print(json.dumps([{**asdict(f), "ok": f.ok} for f in figures]) if options.json else table(figures))
    judged = [f for f in figures if f.better == "exactly" or not options.smoke]
    return int(not all(f.ok for f in judged))


def interleaved(rounds: int, *sides: Callable[[], float]) -> list[float]:
    """Let each side measure in turns, `rounds` times, and return each side's median."""
    measured = [[side() for side in sides] for _ in range(rounds)]
    return [median(column) for column in zip(*measured, strict=True)]


def _number(value: float) -> str:
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.2f}" if abs(value) >= 0.1 else f"{value:.4f}"
