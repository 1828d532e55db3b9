"""Rules about what handlers declare to open, close and need: sockets and listeners, by name.

What is open where is worked out along all ways: a resource counts as open in a state if it is open however a call
came there. The carrier is opened by `call.started` and `call.resumed` and gone after `call.ended` and `call.lost`;
exits still count with it, for they run on every way out, and so do final states, where it is optional. A listening
chart (`meta: {listens: true}`) takes calls that never had a carrier, so a loss that is stayed with takes none away.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from fsm.chart import Ref, State
from fsm.errors import Problem
from fsm.lint.ways import Way, Ways, problem
from fsm.registry import Handler

__all__ = ["leaked", "not_open"]

_BRINGS = {"call.started": "carrier", "call.resumed": "carrier"}
_TAKES = {"call.ended": "carrier", "call.lost": "carrier"}
_LOSS = {
    "sts": "the caller speaks to nobody",
    "carrier": "the caller hears nothing",
    "listeners": "the caller hears nothing",
}


def leaked(ways: Ways) -> Iterator[Problem]:
    """A resource opened that no exit of the same state or of a parent closes."""
    for state in ways.states.values():
        yield from _unclosed(ways, state.entry, state)
    for way in (way for found in ways.ways.values() for way in found):
        yield from _unclosed(ways, way.row.actions, way.lands or way.owner)


def _unclosed(ways: Ways, refs: tuple[Ref, ...], state: State) -> Iterator[Problem]:
    for ref in refs:
        opened = _declared(ways, ref).opens
        closed = {name for outer in ways.chain(state) for r in outer.exit for name in _declared(ways, r).closes}
        for name in opened:
            if name not in closed:
                message = (
                    f"{ref.type!r} opens {name}, and no exit of {state.name!r} or of a state around it closes it: "
                    "it stays open after the caller has gone"
                )
                yield problem("leaked-resource", message, ref)


def not_open(ways: Ways) -> Iterator[Problem]:
    """A resource needed where it is not open."""
    known = _open_in(ways)
    for leaf in ways.reachable:
        for way in ways.ways[leaf.name]:
            run = _Run(ways, set(known[leaf.name]))
            run.follow(way)
            for ref, name in run.missed:
                message = f"{ref.type!r} needs {name}, which is not open for every call that comes here: {_LOSS[name]}"
                yield problem("resource-not-open", message, ref)


def _open_in(ways: Ways) -> dict[str, set[str]]:
    """Return what is open in each reachable leaf, whichever way a call came: the greatest solution."""
    everything = set(_LOSS)
    known = {leaf.name: set(everything) for leaf in ways.reachable}
    first = _Run(ways, set())
    first.follow(ways.start)
    known[ways.start.leaf.name] = first.open
    changed = True
    while changed:
        changed = False
        for leaf in ways.reachable:
            for way in ways.ways[leaf.name]:
                run = _Run(ways, set(known[leaf.name]))
                run.follow(way)
                lands = (way.lands or leaf).name
                changed = changed or not known[lands] <= run.open
                known[lands] &= run.open
    return known


class _Run:
    """What one way opens, closes and misses."""

    def __init__(self, ways: Ways, opened: set[str]) -> None:
        self._ways = ways
        self.open = opened
        self.missed: list[tuple[Ref, str]] = []

    def follow(self, way: Way) -> None:
        for state in way.exited:
            self._block(state.exit)
        if way.lands is not None or not self._ways.chart.root.meta.get("listens"):
            self.open.discard(_TAKES.get(way.event, ""))
        self.open |= {_BRINGS[way.event]} if way.event in _BRINGS else set()
        self._block(way.row.actions)
        ended = way.lands is not None and self._ways.is_end(way.lands)
        for state in way.entered:
            self._block(state.entry, lenient=ended)
            self._block(state.invoke)

    def _block(self, refs: tuple[Ref, ...], lenient: bool = False) -> None:
        for handler, ref in ((_declared(self._ways, ref), ref) for ref in refs):
            if not lenient:
                self.missed += [(ref, name) for name in handler.needs if name not in self.open]
            self.open -= set(handler.closes)
            self.open |= set(handler.opens)


_PLAIN = partial(Handler, "action", function=lambda: None)


def _declared(ways: Ways, ref: Ref) -> Handler:
    """Return what is declared of a function; one that is not known opens, closes and needs nothing."""
    return ways.handler(ref) or _PLAIN(name=ref.type)
