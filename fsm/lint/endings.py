"""Rules about a call's life: every state can be come to, and a call in it ends, whatever becomes of the caller."""

from __future__ import annotations

from collections.abc import Iterator

from fsm.chart import State
from fsm.errors import Problem
from fsm.lint.ways import Ways, certain, problem

__all__ = ["misses_failed_action", "misses_preempt", "no_way_to_end", "silent_trap", "unreachable"]


def unreachable(ways: Ways) -> Iterator[Problem]:
    """A state that no call can come to."""
    for leaf in ways.leaves:
        if leaf not in ways.reachable:
            message = f"no call ever comes to {leaf.name!r}: callers never get what is done there"
            yield problem("unreachable-state", message, leaf)


def no_way_to_end(ways: Ways) -> Iterator[Problem]:
    """A state from which no call ends."""
    ends = [leaf for leaf in ways.leaves if ways.is_end(leaf)]
    if not ends:
        message = "no state of the chart is final: no call is ever over, and each keeps its line for ever"
        yield problem("no-way-to-end", message, ways.chart.root)
        return
    ending = ways.leading(ends)
    for leaf in ways.open_ended():
        if leaf.name not in ending:
            message = f"a call in {leaf.name!r} never ends: nothing leads from there to a final state"
            yield problem("no-way-to-end", message, leaf)


def misses_preempt(ways: Ways) -> Iterator[Problem]:
    """A state that does not take, itself or by a parent, an event that every state must take."""
    for leaf in ways.open_ended():
        for event in ways.chart.preempt:
            rows = [row for _, row in ways.rows(leaf, event)]
            last = rows[-1] if rows else None
            taken = last is not None and certain(last, rows[:-1])
            if last is None or not taken or (last.target is None and not last.actions):
                sometimes = "when no guard holds, " if rows and rows[0].guards else ""
                takes = "ignores" if taken else "does not take"
                message = f"{sometimes}{leaf.name!r} {takes} {event!r}: the caller is gone and the call stays open"
                yield problem("misses-preempt", message, leaf)


def misses_failed_action(ways: Ways) -> Iterator[Problem]:
    """A state that does not take the failure of an action that may run on the way to it or in it."""
    for leaf in ways.open_ended():
        missed = [name for name in _may_fail(ways, leaf) if not ways.rows(leaf, f"error.action.{name}")]
        if missed:
            names = ", ".join(repr(name) for name in missed)
            message = f"when {names} fails, {leaf.name!r} does not notice: the caller waits for what never comes"
            yield problem("misses-failed-action", message, leaf)


def _may_fail(ways: Ways, leaf: State) -> list[str]:
    """Return the actions whose failure is told to `leaf`: reducers never fail a call."""
    arriving = [w for all_ways in ways.ways.values() for w in all_ways if (w.lands or w.leaf) is leaf]
    if ways.start.leaf is leaf:
        arriving.append(ways.start)
    refs = [ref for way in arriving for ref in way.refs]
    known = ways.registry is None
    return list(dict.fromkeys(r.type for r in refs if known or (ways.registry and ways.registry.get("action", r.type))))


def silent_trap(ways: Ways) -> Iterator[Problem]:
    """A state which nothing but the root's timer leaves for certain when nobody speaks."""
    for leaf in ways.open_ended():
        if not any(_leaves_in_silence(ways, leaf)):
            message = (
                f"when nobody speaks, nothing is sure to leave {leaf.name!r}: the caller hears silence until the last "
                "resort; it needs an `after`, or `user.idle` rows, that end without a guard"
            )
            yield problem("silent-trap", message, leaf)


def _leaves_in_silence(ways: Ways, leaf: State) -> Iterator[bool]:
    for way in ways.ways[leaf.name]:
        timed = way.event.startswith("after.") and way.owner is not ways.chart.root
        yield (timed or way.event == "user.idle") and leaf in way.exited and way.sure
