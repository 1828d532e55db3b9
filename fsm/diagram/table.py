"""A chart as tables, one line a row: what a reviewer reads line by line, and what a change of one row changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape

from fsm.chart import Chart, Row, State
from fsm.diagram.words import action_words, duration, guard_words, leaf_of

__all__ = ["delay_table", "plain", "transition_table"]


_IN_A_CELL = str.maketrans({"\\": "\\\\", "|": "\\|", "*": "\\*", "\n": " "})


def plain(text: str) -> str:
    """Return `text` so that a page shows it and never takes it for HTML."""
    return escape(text, quote=False)


def transition_table(chart: Chart) -> str:
    """Return every row of `chart` as a Markdown table.

    States stand as in the chart, the root first; what is inherited stands once, under the state that says it. Within
    a state, entry, exit and services come first, then events by name, then time-outs. Rows of one event keep their
    order: the first whose guard holds is taken.
    """
    lines = ["| state | event | guard | target | actions |", "| --- | --- | --- | --- | --- |"]
    for state in chart.root.walk():
        name = f"{state.name} (any state)" if state is chart.root else state.name
        lines += [_table_line((name, *cells)) for cells in (*_blocks(state), *_rows(chart, state))]
    return "\n".join(lines) + "\n"


def delay_table(chart: Chart) -> str:
    """Return the chart's time-outs by name as a Markdown table: how long, and the states that wait so long."""
    lines = ["| delay | time | waited for in |", "| --- | --- | --- |"]
    for name in sorted(chart.delays):
        users = [state.name for state in chart.root.walk() if name in state.after]
        lines.append(_table_line((name, duration(chart.delays[name]), ", ".join(users))))
    return "\n".join(lines) + "\n"


def _blocks(state: State) -> Iterator[tuple[str, str, str, str]]:
    if state.entry:
        yield "(entry)", "", "", action_words(state.entry)
    if state.exit:
        yield "(exit)", "", "", action_words(state.exit)
    for invoke in state.invoke:
        yield f"(invoke {invoke.id})", "", "", action_words((invoke,))


def _rows(chart: Chart, state: State) -> Iterator[tuple[str, str, str, str]]:
    for event in sorted(state.on):
        yield from _event(chart, event, state.on[event])
    for key in sorted(state.after, key=lambda key: (chart.delay(key), key)):
        name = "" if key.isdigit() else f" ({key})"
        yield from _event(chart, f"⏱ {duration(chart.delay(key))}{name}", state.after[key])


def _event(chart: Chart, event: str, rows: Iterable[Row]) -> Iterator[tuple[str, str, str, str]]:
    guarded = False
    for row in rows:
        guard = guard_words(row) or ("else" if guarded else "")
        guarded = guarded or bool(row.guards)
        yield event, guard, _target(chart, row), action_words(row.actions) or ("" if row.target else "(nothing)")


def _target(chart: Chart, row: Row) -> str:
    if row.target is None:
        return "(stays)"
    return leaf_of(chart, row.target) + (" (entered again)" if row.reenter else "")


def _table_line(cells: Iterable[str]) -> str:
    escaped = (plain(cell).translate(_IN_A_CELL) for cell in cells)
    return f"| {' | '.join(escaped)} |"
