"""Charts with one mistake in them: what a slip of the hand, or of the machine, would make of a chart.

Kinds: `target`, `guard`, `order` of rows, `action`, `delay`, `reenter`. Each mutant says where it differs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Literal, NamedTuple, TypeAlias, get_args

from fsm.chart import Chart, Ref, Row, State

__all__ = ["KINDS", "Kind", "Mutant", "mutants"]

Kind: TypeAlias = Literal["target", "guard", "order", "action", "delay", "reenter"]
KINDS: tuple[Kind, ...] = get_args(Kind)

ADDED = Ref(type="added")


class Mutant(NamedTuple):
    what: str
    chart: Chart


Rows: TypeAlias = tuple[Row, ...]
Section: TypeAlias = Literal["on", "after"]


def mutants(chart: Chart, kind: Kind) -> Iterator[Mutant]:
    """Yield the mutants of one kind, in the order of the chart."""
    yield from _MAKERS[kind](chart)


def _targets(chart: Chart) -> Iterator[Mutant]:
    leaves = [leaf.name for leaf in chart.leaves()]
    for state, section, key, number, row in _rows(chart):
        if row.target is None:
            continue
        after = leaves.index(row.target) + 1 if row.target in leaves else 0
        for target in (leaves[after % len(leaves)], None):
            mutant = row.model_copy(update={"target": target, "reenter": row.reenter and target is not None})
            what = f"{_place(state, key, number)}: to {target}, not {row.target}"
            yield Mutant(what, _with_row(chart, state, section, key, number, mutant))


def _guards(chart: Chart) -> Iterator[Mutant]:
    for state, section, key, number, row in _rows(chart):
        for i, guard in enumerate(row.guards):
            others = (*row.guards[:i], *row.guards[i + 1 :])
            turned = guard.model_copy(update={"negated": not guard.negated})
            for what, guards in (("without", others), ("turned round:", (*others, turned))):
                mutant = row.model_copy(update={"guards": guards})
                place = f"{_place(state, key, number)}: {what} {guard}"
                yield Mutant(place, _with_row(chart, state, section, key, number, mutant))


def _orders(chart: Chart) -> Iterator[Mutant]:
    for state in chart.root.walk():
        for section, rows_by_key in _sections(state):
            for key, rows in rows_by_key.items():
                for i in range(len(rows) - 1):
                    swapped = (*rows[:i], rows[i + 1], rows[i], *rows[i + 2 :])
                    what = f"{_place(state, key, i)}: after the next row"
                    yield Mutant(what, _with_rows(chart, state, section, key, swapped))


def _actions(chart: Chart) -> Iterator[Mutant]:
    for state, section, key, number, row in _rows(chart):
        for what, actions in _changed(row.actions):
            mutant = row.model_copy(update={"actions": actions})
            place = f"{_place(state, key, number)}: {what}"
            yield Mutant(place, _with_row(chart, state, section, key, number, mutant))
    for state in chart.root.walk():
        for block, refs in (("entry", state.entry), ("exit", state.exit)):
            for what, actions in _changed(refs):
                yield Mutant(f"{block} of {state.name}: {what}", _with_state(chart, state, {block: actions}))


def _changed(actions: tuple[Ref, ...]) -> Iterator[tuple[str, tuple[Ref, ...]]]:
    yield "one more", (*actions, ADDED)
    for i, action in enumerate(actions):
        yield f"without {action.type}", (*actions[:i], *actions[i + 1 :])
    for i in range(len(actions) - 1):
        if actions[i].type != actions[i + 1].type:
            yield f"{actions[i].type} later", (*actions[:i], actions[i + 1], actions[i], *actions[i + 2 :])


def _delays(chart: Chart) -> Iterator[Mutant]:
    for name, seconds in chart.delays.items():
        for changed in (seconds + 0.001, seconds - 0.001, seconds / 2):
            delays = {**chart.delays, name: round(changed, 3)}
            yield Mutant(f"{name}: {changed} s, not {seconds} s", chart.model_copy(update={"delays": delays}))
    for state in chart.root.walk():
        for key in (key for key in state.after if key.isdigit()):
            after = {str(int(key) + 1) if k == key else k: rows for k, rows in state.after.items()}
            yield Mutant(f"after {key} of {state.name}: later", _with_state(chart, state, {"after": after}))


def _reenters(chart: Chart) -> Iterator[Mutant]:
    for state, section, key, number, row in _rows(chart):
        if row.target is not None and state is not chart.root:
            mutant = row.model_copy(update={"reenter": not row.reenter})
            what = f"{_place(state, key, number)}: reenter {mutant.reenter}"
            yield Mutant(what, _with_row(chart, state, section, key, number, mutant))


_MAKERS: Mapping[Kind, Callable[[Chart], Iterator[Mutant]]] = {
    "target": _targets,
    "guard": _guards,
    "order": _orders,
    "action": _actions,
    "delay": _delays,
    "reenter": _reenters,
}


# -- charts are values: a change is a copy --------------------------------------------------------------


def _sections(state: State) -> Iterator[tuple[Section, Mapping[str, Rows]]]:
    yield "on", state.on
    yield "after", state.after


def _rows(chart: Chart) -> Iterator[tuple[State, Section, str, int, Row]]:
    for state in chart.root.walk():
        for section, rows_by_key in _sections(state):
            for key, rows in rows_by_key.items():
                for number, row in enumerate(rows):
                    yield state, section, key, number, row


def _place(state: State, key: str, number: int) -> str:
    return f"{state.name}/{key}/{number}"


def _with_row(chart: Chart, state: State, section: Section, key: str, number: int, row: Row) -> Chart:
    rows = getattr(state, section)[key]
    return _with_rows(chart, state, section, key, (*rows[:number], row, *rows[number + 1 :]))


def _with_rows(chart: Chart, state: State, section: Section, key: str, rows: Rows) -> Chart:
    return _with_state(chart, state, {section: {**getattr(state, section), key: rows}})


def _with_state(chart: Chart, state: State, changes: Mapping[str, object]) -> Chart:
    return chart.model_copy(update={"root": _replaced(chart.root, state, state.model_copy(update=dict(changes)))})


def _replaced(tree: State, old: State, new: State) -> State:
    if tree is old:
        return new
    children = {name: _replaced(child, old, new) for name, child in tree.states.items()}
    if all(children[name] is child for name, child in tree.states.items()):
        return tree
    return tree.model_copy(update={"states": children})
