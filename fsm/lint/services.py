"""Rules about services: whatever one may come to is handled where it runs."""

from __future__ import annotations

from collections.abc import Iterator

from fsm.chart import Invoke, State
from fsm.errors import Problem
from fsm.lint.ways import Ways, problem

__all__ = ["unhandled_failures", "unhandled_results"]


def _running(ways: Ways) -> Iterator[tuple[Invoke, State]]:
    """Yield every service with each leaf it may run in."""
    for state in ways.states.values():
        for invoke in state.invoke:
            yield from ((invoke, leaf) for leaf in ways.below(state) if leaf in ways.reachable)


def unhandled_results(ways: Ways) -> Iterator[Problem]:
    """A declared trigger of a service that nobody handles; the plain end of one that declares none."""
    for invoke, leaf in _running(ways):
        if (service := ways.handler(invoke)) is None:
            continue
        for event in [produced.name for produced in service.produces] or [f"done.invoke.{invoke.id}"]:
            if not ways.rows(leaf, event):
                message = (
                    f"{invoke.type!r} may come to {event!r}, and {leaf.name!r} does not take it: "
                    "the caller never hears of it"
                )
                yield problem("unhandled-result", message, invoke)


def unhandled_failures(ways: Ways) -> Iterator[Problem]:
    """A service whose failure nobody handles."""
    for invoke, leaf in _running(ways):
        if not ways.rows(leaf, f"error.invoke.{invoke.id}"):
            message = (
                f"when {invoke.type!r} fails, {leaf.name!r} does not notice: the caller waits until a timer ends it"
            )
            yield Problem("unhandled-failure", "warning", message, invoke.at, invoke.path)
