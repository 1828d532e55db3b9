"""A chart as values: what a chart file says, checked for shape, with every name still a name and every place known.

`load.py` reads files into these, `compile.py` resolves and flattens them, `lint.py` judges them, `diagram.py` draws
them. The words are XState v5's (https://stately.ai/docs/machines).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from fsm.errors import ChartError, Position

__all__ = ["Chart", "GuardRef", "Invoke", "Ref", "Row", "State", "matches"]


def matches(event: str, descriptor: str) -> bool:
    """Return whether `descriptor`, an event's name or a wildcard (`*`, `error.action.*`), stands for `event`."""
    if descriptor == "*" or descriptor == event:
        return True
    if not descriptor.endswith(".*"):
        return False
    return event == descriptor[:-2] or event.startswith(descriptor[:-1])


class _Part(BaseModel):
    """A part of a chart: where it stands in its file, and its path in the chart."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    at: Position = Field(default=Position(), repr=False)
    path: str = ""


class Ref(_Part):
    """A registered function by name, with parameters."""

    type: str
    params: Mapping[str, Any] = Field(default_factory=dict)


class GuardRef(Ref):
    """A guard; `negated` is the chart's `not:`."""

    negated: bool = False

    def __str__(self) -> str:
        return f"not {self.type}" if self.negated else self.type


class Row(_Part):
    """One thing that may happen on an event: all guards hold, then go to `target` and run `actions`.

    Without a target the state is kept; with neither target nor actions the event is known and nothing is to do.
    """

    event: str
    """The event it stands under: a name, a wildcard (`error.action.*`) or `after.<delay>`."""
    target: str | None = None
    guards: tuple[GuardRef, ...] = ()
    actions: tuple[Ref, ...] = ()
    reenter: bool = False
    description: str = ""


class Invoke(Ref):
    """A service (`type`, the file's `src`) that runs while its state is active."""

    id: str


class State(_Part):
    """A state; compound if it has children. The chart's root is one too, named after the chart's id."""

    name: str
    initial: str | None = None
    final: bool = False
    description: str = ""
    on: Mapping[str, tuple[Row, ...]] = Field(default_factory=dict)
    """Events (and wildcards) to rows, in document order; `ignore` and XState's `onDone` / `onError` are in it."""
    after: Mapping[str, tuple[Row, ...]] = Field(default_factory=dict)
    """Delay names (or milliseconds as digits) to rows; each row's event is `after.<key>`."""
    entry: tuple[Ref, ...] = ()
    exit: tuple[Ref, ...] = ()
    invoke: tuple[Invoke, ...] = ()
    states: Mapping[str, State] = Field(default_factory=dict)
    meta: Mapping[str, Any] = Field(default_factory=dict)

    @property
    def compound(self) -> bool:
        return bool(self.states)

    def walk(self) -> Iterator[State]:
        """Yield this state and all below it, parents first, in document order."""
        yield self
        for child in self.states.values():
            yield from child.walk()

    def candidates(self, event: str) -> tuple[Row, ...]:
        """Return the rows that are tried for `event`: those under its own name, then those of wildcards, longest first.

        As in XState v5 (`getCandidates`).
        """
        found = [key for key in self.on if matches(event, key)]
        found.sort(key=lambda key: (key == event, len(key)), reverse=True)
        return tuple(row for key in found for row in self.on[key])

    def rows(self) -> Iterator[Row]:
        """Yield its own rows, events first, then timers."""
        for rows in (*self.on.values(), *self.after.values()):
            yield from rows


class Chart(_Part):
    """A whole chart.

    Attributes:
        delays: seconds by name.
        preempt: events that jump the queue.
        hash: SHA-256 of its meaning, as 16 hex digits; comments and layout of the file do not change it.
    """

    id: str
    version: int | str = 1
    root: State
    delays: Mapping[str, float] = Field(default_factory=dict)
    preempt: tuple[str, ...] = ()
    hash: str = ""
    parents: Mapping[str, str] = Field(default_factory=dict)
    """Name of each state's parent; names are unique in a chart."""
    positions: Mapping[str, Position] = Field(default_factory=dict, repr=False)
    """Every path of the file that has a place of its own (`delays.setup`, `preempt.0` …)."""

    def state(self, name: str) -> State:
        """Return the state called `name`; the root by the chart's id."""
        for state in self.root.walk():
            if state.name == name:
                return state
        raise ChartError(f"no state is called {name!r}", code="unknown-state")

    def ancestors(self, name: str) -> list[str]:
        """Return `name` and the names of its parents, innermost first, the root last."""
        chain = [name]
        while chain[-1] in self.parents:
            chain.append(self.parents[chain[-1]])
        return chain

    def leaves(self) -> list[State]:
        """Return the states a call can be in, in document order."""
        return [state for state in self.root.walk() if not state.compound and state is not self.root]

    def delay(self, key: str) -> float:
        """Return the seconds of an `after` key: a delay's name, or XState's milliseconds."""
        return int(key) / 1000 if key.isdigit() else self.delays[key]
