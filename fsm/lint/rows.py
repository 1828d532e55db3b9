"""Rules about rows: each can be taken, and none sends a call in circles."""

from __future__ import annotations

from collections.abc import Iterator

from fsm.chart import Row
from fsm.errors import Problem
from fsm.findings import join
from fsm.lint.ways import Way, Ways, certain, guard_key, problem
from fsm.names import did_you_mean

__all__ = ["dead_rows", "endless_loops", "idle_delays", "idle_reenters", "repeated_guards", "restarts_parent"]

_ON_THEIR_OWN = ("after.", "error.action.", "error.invoke.", "done.invoke.")


def _lists(ways: Ways) -> Iterator[tuple[Row, ...]]:
    for state in ways.states.values():
        yield from state.on.values()
        yield from state.after.values()


def dead_rows(ways: Ways) -> Iterator[Problem]:
    """A row after an unguarded one, or after one for a guard and one for its opposite."""
    for rows in _lists(ways):
        first = next((index for index, row in enumerate(rows) if certain(row, rows[:index])), len(rows))
        for row in rows[first + 1 :]:
            why = "has no guard" if not rows[first].guards else "takes what is left"
            message = f"never taken: the row for {row.event!r} before it {why}; callers never get what it says"
            yield problem("dead-row", message, row)


def repeated_guards(ways: Ways) -> Iterator[Problem]:
    """The same guard twice: in one row, or in a row behind one that asks for no more than it does."""
    for rows in _lists(ways):
        for index, row in enumerate(rows):
            asked = [guard_key(guard) for guard in row.guards]
            if len(set(asked)) < len(asked):
                names = ", ".join(str(guard) for guard in row.guards)
                yield problem("repeated-guard", f"one guard stands here twice: {names}", row)
            if any(earlier.guards and {guard_key(g) for g in earlier.guards} <= set(asked) for earlier in rows[:index]):
                names = " and ".join(str(guard) for guard in row.guards)
                message = (
                    f"never taken: when {names} holds, an earlier row for {row.event!r} is taken; "
                    "callers never get what this one says"
                )
                yield problem("repeated-guard", message, row)


def endless_loops(ways: Ways) -> Iterator[Problem]:
    """A timer, failure or service that leads back to the state it came from, uncounted."""
    for way in (way for found in ways.ways.values() for way in found):
        if not _happens_by_itself(ways, way) or _counted(ways, way.row):
            continue
        if way.lands is way.leaf and way.leaf in way.exited:
            message = (
                f"{way.event!r} leads back to {way.leaf.name!r}, where it happens again: the caller is kept in a "
                "circle; count the rounds (a guard such as `retries_left`, a reducer such as `count_retry`)"
            )
            yield problem("endless-loop", message, way.row)
        elif way.row.target == way.leaf.name and not way.exited:
            message = (
                f"{way.event!r} leads back to {way.leaf.name!r} without leaving it: nothing starts again, and the "
                "caller waits on; name another state, or say `reenter: true` and count the rounds"
            )
            yield problem("endless-loop", message, way.row)


def _happens_by_itself(ways: Ways, way: Way) -> bool:
    """Whether no caller need do anything for it: a timer, a failure, or what a service that runs there comes to."""
    if way.event.startswith(_ON_THEIR_OWN):
        return True
    running = (ways.handler(invoke) for state in ways.chain(way.leaf) for invoke in state.invoke)
    return any(way.event == trigger.name for service in running if service for trigger in service.produces)


def _counted(ways: Ways, row: Row) -> bool:
    """Whether the rounds are counted and the count is asked: a guard, and a reducer with a counter."""
    counting = [ref for ref in row.actions if ref.type.startswith("count_") or "counter" in ref.params]
    return bool(row.guards) and any(not ref.type.startswith("reset_") for ref in counting)


def restarts_parent(ways: Ways) -> Iterator[Problem]:
    """A row of an outer state whose target lies in a child that it thereby leaves and enters again."""
    for way in (way for found in ways.ways.values() for way in found):
        again = [state for state in way.entered if state.compound and state in way.exited and state is not way.owner]
        if again and not way.row.reenter:
            message = (
                f"in {way.leaf.name!r}, {way.event!r} leaves {again[0].name!r} and enters it again: the caller is cut "
                f"off while it starts anew; put the row into {again[0].name!r}, or say `reenter: true`"
            )
            yield problem("restarts-parent", message, way.row)


def idle_reenters(ways: Ways) -> Iterator[Problem]:
    """`reenter` without a target: nothing is left, so nothing is entered again (as in XState)."""
    for rows in _lists(ways):
        for row in rows:
            if row.reenter and row.target is None:
                message = f"`reenter` needs a target: on {row.event!r} the caller's state just goes on, its timers too"
                yield Problem("idle-reenter", "warning", message, row.at, row.path)


def idle_delays(ways: Ways) -> Iterator[Problem]:
    """A delay that no timer has: most often the name of another one, misspelt in a chart that extends it."""
    waited_for = {key for state in ways.chart.root.walk() for key in state.after}
    for name in ways.chart.delays:
        if name not in waited_for:
            path = join("delays", name)
            message = f"no timer has the delay {name!r}: a caller never notices it{did_you_mean(name, waited_for)}"
            yield Problem("idle-delay", "warning", message, ways.chart.positions.get(path, ways.chart.at), path)
