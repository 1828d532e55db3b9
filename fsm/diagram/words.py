"""How the parts of a chart are spelled in pictures and tables: one spelling for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fsm.chart import Chart, GuardRef, Ref, Row

__all__ = ["action_words", "duration", "guard_words", "leaf_of", "row_words", "short_guard"]

_UNITS = ((3600, "h"), (60, "m"))


def duration(seconds: float) -> str:
    """Return seconds as a chart spells them: `500ms`, `15s`, `10m`, `1.5h`."""
    if seconds < 1:
        return f"{seconds * 1000:g}ms"
    for size, unit in _UNITS:
        if seconds >= size and (seconds / size * 10).is_integer():
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"


def leaf_of(chart: Chart, target: str) -> str:
    """Return the state a call is in after going to `target`: names are unique, so its last part says which."""
    name = target.rpartition(".")[2].lstrip("#")
    state = chart.state(name)
    while state.compound:
        state = state.states[_last(state.initial) or next(iter(state.states))]
    return state.name


def _last(target: str | None) -> str:
    return (target or "").rpartition(".")[2]


def guard_words(row: Row) -> str:
    """Return a row's guards with parameters: `requires_agent and retries_left(counter: clarify, of: 2)`."""
    return " and ".join(_guard(guard, ": ", "()") for guard in row.guards)


def short_guard(row: Row) -> str:
    """Return a row's guards as short as a picture needs them: `retries_left clarify 2`."""
    return " & ".join(" ".join((str(guard), *_values(guard.params))) for guard in row.guards)


def action_words(actions: Iterable[Ref]) -> str:
    """Return actions in order, with parameters: `append_history, truncate_history(keep: 20)`."""
    return ", ".join(action.type + _params(action.params) for action in actions)


def row_words(row: Row) -> str:
    """Return a whole row on one line: `user.idle [not retries_left] → ending / apologise`."""
    words = row.event
    if row.guards:
        words += f" [{guard_words(row)}]"
    if row.target is not None:
        words += f" → {row.target}" + (" (entered again)" if row.reenter else "")
    if row.actions:
        words += f" / {action_words(row.actions)}"
    return words


def _guard(guard: GuardRef, colon: str, brackets: str) -> str:
    return str(guard) + _params(guard.params, colon, brackets)


def _params(params: Mapping[str, Any], colon: str = ": ", brackets: str = "()") -> str:
    if not params:
        return ""
    return brackets[0] + ", ".join(f"{name}{colon}{_value(value)}" for name, value in params.items()) + brackets[1]


def _values(params: Mapping[str, Any]) -> list[str]:
    return [_value(value) for value in params.values()]


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
