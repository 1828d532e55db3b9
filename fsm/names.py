"""What names and durations look like in a chart, and the right name for a wrong one."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable

__all__ = ["NAME", "did_you_mean", "is_milliseconds", "seconds"]

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""States, delays and invokes: what both a file name and an environment variable can hold."""
_MILLISECONDS = re.compile(r"[0-9]{1,12}")
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)\s?(ms|s|m|h|d)?")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, None: 1.0}
LONGEST = 366 * 24 * 3600.0
"""Seconds; no call outlasts a year."""


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """Return the end of an error message: the nearest right name, or all of a few, or nothing."""
    names = list(dict.fromkeys(known))
    if near := difflib.get_close_matches(wrong, names, n=1, cutoff=0.5):
        return f"; did you mean {near[0]!r}?"
    return f"; known: {', '.join(sorted(names))}" if 0 < len(names) <= 12 else ""


def is_milliseconds(key: str) -> bool:
    """Return whether `key` is one of XState's delays, in milliseconds, and not a name."""
    return _MILLISECONDS.fullmatch(key) is not None


def seconds(value: object) -> float | None:
    """Return a duration (`15s`, `500ms`, `10m`, `2h`, `30d`, bare seconds) in seconds; None if it is not one."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value) if math.isfinite(value) and 0 <= value <= LONGEST else None
    if not isinstance(value, str) or (found := _DURATION.fullmatch(value.strip())) is None:
        return None
    length = float(found[1]) * _UNITS[found[2]]
    return round(length, 6) if length <= LONGEST else None
