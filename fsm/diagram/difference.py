"""The difference of two charts: what was added (+), removed (−) and changed (~), in words and as a marked sketch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from fsm.chart import Chart, Row, State
from fsm.diagram.overlay import overlay
from fsm.diagram.sketch import Mark, Sketch
from fsm.diagram.words import action_words, duration, guard_words, row_words

__all__ = ["Change", "Difference", "compare"]

Kind = Literal["chart", "delay", "state", "block", "row"]
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that differs.

    Attributes:
        mark: `+`, `-` or `~`.
        kind: `chart` (its initial state, what preempts), `delay`, `state`, `block` (entry, exit, invoke), or `row`.
        where: the state, or the delay's name.
        event: of a row; the name of a block.
        parts: which parts of a row differ: `guard`, `target`, `actions`.
        old, new: the two wordings; blank where there is none.
    """

    mark: Mark
    kind: Kind
    where: str
    event: str = ""
    parts: tuple[str, ...] = ()
    old: str = ""
    new: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """All that differs between two charts; false if they mean the same.

    Attributes:
        sketch: the new chart as it is drawn, with what the old one had besides, each marked.
    """

    old: str
    new: str
    changes: tuple[Change, ...]
    sketch: Sketch

    def __bool__(self) -> bool:
        return bool(self.changes)

    def of(self, kind: Kind, mark: Mark | None = None) -> list[Change]:
        """Return the changes of a kind, and of one mark if it is given."""
        return [change for change in self.changes if change.kind == kind and mark in (None, change.mark)]


def compare(old: Chart, new: Chart) -> Difference:
    """Return what changed from `old` to `new`; descriptions and the order of states do not count."""
    changes = [*_chart(old, new), *_delays(old.delays, new.delays), *_states(old, new)]
    return Difference(_title(old), _title(new), tuple(changes), overlay(old, new))


def _title(chart: Chart) -> str:
    return f"{chart.id} version {chart.version}"


def _chart(old: Chart, new: Chart) -> Iterator[Change]:
    words = (
        ("initial", old.root.initial or "", new.root.initial or ""),
        ("preempt", ", ".join(old.preempt), ", ".join(new.preempt)),
    )
    for name, before, after in words:
        if before != after:
            yield Change(_mark(before, after), "chart", name, old=before, new=after)


def _delays(old: Mapping[str, float], new: Mapping[str, float]) -> Iterator[Change]:
    for name in _union(old, new):
        before = duration(old[name]) if name in old else ""
        after = duration(new[name]) if name in new else ""
        if before != after:
            yield Change(_mark(before, after), "delay", name, old=before, new=after)


def _states(old: Chart, new: Chart) -> Iterator[Change]:
    befores = {_name(old, state): state for state in old.root.walk()}
    afters = {_name(new, state): state for state in new.root.walk()}
    for name in _union(befores, afters):
        before, after = befores.get(name), afters.get(name)
        if before is None or after is None or _shape(old, before) != _shape(new, after):
            words = (_shape(old, before) if before else "", _shape(new, after) if after else "")
            yield Change(_mark(*words), "state", name, old=words[0], new=words[1])
        yield from _blocks(name, before, after)
        yield from _rows(name, before, after)


def _name(chart: Chart, state: State) -> str:
    return "any state" if state is chart.root else state.name


def _shape(chart: Chart, state: State) -> str:
    """Return what a state is, in words: where it lies, how it begins, whether it ends the call."""
    parent = chart.parents.get(state.name, "")
    words = [f"in {parent}" if parent and parent != chart.root.name else "state"]
    if state.compound and state is not chart.root:
        words.append(f"begins in {state.initial}")
    if state.final:
        words.append("final")
    return ", ".join(words)


def _blocks(name: str, old: State | None, new: State | None) -> Iterator[Change]:
    befores, afters = _block_words(old), _block_words(new)
    for block in befores:
        if befores[block] != afters[block]:
            mark = _mark(befores[block], afters[block])
            yield Change(mark, "block", name, block, old=befores[block], new=afters[block])


def _block_words(state: State | None) -> dict[str, str]:
    if state is None:
        return {"entry": "", "exit": "", "invoke": ""}
    invokes = ", ".join(f"{invoke.id}: {action_words((invoke,))}" for invoke in state.invoke)
    return {"entry": action_words(state.entry), "exit": action_words(state.exit), "invoke": invokes}


def _rows(name: str, old: State | None, new: State | None) -> Iterator[Change]:
    befores, afters = _by_event(old), _by_event(new)
    for event in _union(befores, afters):
        for before, after in _pairs(befores.get(event, ()), afters.get(event, ())):
            words = (row_words(before) if before else "", row_words(after) if after else "")
            parts = tuple(_parts(before, after)) if before and after else ()
            yield Change(_mark(*words), "row", name, event, parts, *words)


def _by_event(state: State | None) -> dict[str, tuple[Row, ...]]:
    rows: dict[str, tuple[Row, ...]] = {}
    for row in state.rows() if state else ():
        rows[row.event] = (*rows.get(row.event, ()), row)
    return rows


def _parts(old: Row, new: Row) -> Iterator[str]:
    if guard_words(old) != guard_words(new):
        yield "guard"
    if (old.target, old.reenter) != (new.target, new.reenter):
        yield "target"
    if action_words(old.actions) != action_words(new.actions):
        yield "actions"


def _pairs(old: Sequence[Row], new: Sequence[Row]) -> Iterator[tuple[Row | None, Row | None]]:
    """Yield the rows of one event that differ, each with what became of it: same guard, else same target, else next.

    Rows that changed places with each other differ as well: the first whose guard holds is taken.
    """
    befores, afters = list(old), list(new)
    _drop_equal(befores, afters)
    for alike in (_same_guard, _same_target, _any_two):
        for before in list(befores):
            after = next((row for row in afters if alike(before, row)), None)
            if after is not None:
                yield before, after
                befores.remove(before)
                afters.remove(after)
    yield from ((row, None) for row in befores)
    yield from ((None, row) for row in afters)


def _drop_equal(old: list[Row], new: list[Row]) -> None:
    """Take away the longest run of rows that stand in both, in the same order."""
    olds, news = [row_words(row) for row in old], [row_words(row) for row in new]
    lengths = [[0] * (len(news) + 1) for _ in range(len(olds) + 1)]
    for i in reversed(range(len(olds))):
        for j in reversed(range(len(news))):
            same = lengths[i + 1][j + 1] + 1 if olds[i] == news[j] else 0
            lengths[i][j] = max(same, lengths[i + 1][j], lengths[i][j + 1])
    i = j = 0
    kept_old, kept_new = [], []
    while i < len(olds) and j < len(news):
        if olds[i] == news[j] and lengths[i][j] == lengths[i + 1][j + 1] + 1:
            i, j = i + 1, j + 1
        elif lengths[i + 1][j] >= lengths[i][j + 1]:
            kept_old.append(old[i])
            i += 1
        else:
            kept_new.append(new[j])
            j += 1
    old[:], new[:] = [*kept_old, *old[i:]], [*kept_new, *new[j:]]


def _same_guard(old: Row, new: Row) -> bool:
    return bool(guard_words(old) == guard_words(new))


def _same_target(old: Row, new: Row) -> bool:
    return bool(old.target == new.target)


def _any_two(old: Row, new: Row) -> bool:
    return True


def _mark(old: str, new: str) -> Mark:
    if not old:
        return "+"
    return "~" if new else "-"


def _union(old: Mapping[str, _T], new: Mapping[str, _T]) -> list[str]:
    return list(dict.fromkeys([*old, *new]))
