"""Every name of a chart looked up in the registry, its parameters and its trigger's type checked against the function.

An event is concrete where its class is known: then a handler under it may ask for that class. Entry and exit actions
and services run under whatever led there, so theirs must take any `Trigger`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import ValidationError

from fsm.chart import Chart, Ref, Row, State, matches
from fsm.errors import Position, Problem
from fsm.findings import Findings, join
from fsm.names import did_you_mean, is_milliseconds
from fsm.registry import Handler, Kind, Registry
from fsm.triggers import ActionFailed, After, InvokeDone, InvokeFailed, Trigger

__all__ = ["check_names", "describe", "known_events"]

_PREFIXES = {"error.action.": ActionFailed, "done.invoke.": InvokeDone, "error.invoke.": InvokeFailed}


def check_names(chart: Chart, registry: Registry | None, *, loose: bool = False) -> list[Problem]:
    """Return what is wrong with the names of `chart`.

    Args:
        chart: one that is well formed.
        registry: what may be named; None: the events of phone calls, and any function.
        loose: names that are not registered may stand for something yet to be written.
    """
    return _Check(chart, registry, loose).problems()


def known_events(chart: Chart, registry: Registry | None, state: State | None = None) -> list[str]:
    """Return every event that can reach `state` or a state in it (default: the chart), timers not included."""
    actions = [a.name for a in registry.all("action")] if registry else [ref.type for ref in _actions(chart.root)]
    events = list((registry or Registry()).triggers)
    events += [f"error.action.{name}" for name in dict.fromkeys(actions)]
    around = [chart.state(name) for name in chart.ancestors(state.name)[1:]] if state else []
    ids = [invoke.id for part in (*(state or chart.root).walk(), *around) for invoke in part.invoke]
    return [*events, *(f"{end}.invoke.{name}" for name in ids for end in ("done", "error"))]


def _actions(root: State) -> Iterator[Ref]:
    for state in root.walk():
        yield from (*state.entry, *state.exit)
        for row in state.rows():
            yield from row.actions


@dataclass(frozen=True, slots=True)
class _Use:
    """A function where the chart names it: `under` is what it may be called with."""

    ref: Ref
    kinds: tuple[Kind, ...]
    under: tuple[type[Trigger], ...]
    where: str


class _Check:
    def __init__(self, chart: Chart, registry: Registry | None, loose: bool) -> None:
        self._chart = chart
        self._registry = registry
        self._loose = loose
        self._findings = Findings()

    def problems(self) -> list[Problem]:
        for index, event in enumerate(self._chart.preempt):
            path = join("preempt", index)
            self._event(event, self._chart.root, self._at(path), path)
        for state in self._chart.root.walk():
            self._state(state)
        return self._findings.problems

    def _at(self, path: str) -> Position:
        """Return the place of `path`, or of the nearest thing that holds it."""
        while path and path not in self._chart.positions:
            path = path.rpartition(".")[0]
        return self._chart.positions.get(path, self._chart.at)

    def _state(self, state: State) -> None:
        for event, rows in state.on.items():
            self._rows_of(event, rows, state)
        for key, rows in state.after.items():
            if not is_milliseconds(key) and key not in self._chart.delays:
                message = f"there is no delay {key!r}{did_you_mean(key, self._chart.delays)}"
                self._findings.error("unknown-delay", message, self._at(join(state.path, f"after.{key}")), rows[0].path)
            for row in rows:
                self._row(row, (After,), f"the timer {key!r}")
        for where, refs in (("entry", state.entry), ("exit", state.exit)):
            for ref in refs:
                self._function(_Use(ref, ("action", "reducer"), (Trigger,), where))
        for invoke in state.invoke:
            self._function(_Use(invoke, ("service",), (Trigger,), "invoke"))

    def _rows_of(self, event: str, rows: tuple[Row, ...], state: State) -> None:
        """Check what stands under an event: in `on` by its key, in `ignore` by its item, in `invoke` by its row."""
        path = rows[0].path
        if path.startswith(key := join(state.path, f"on.{event}")):
            path = key
        known = self._event(event, state, self._at(path), path)
        for row in rows:
            self._row(row, known, event)

    def _row(self, row: Row, under: tuple[type[Trigger], ...], where: str) -> None:
        for guard in row.guards:
            self._function(_Use(guard, ("guard",), under, where))
        for ref in row.actions:
            self._function(_Use(ref, ("action", "reducer"), under, where))

    # -- events ------------------------------------------------------------------------------------

    def _event(self, event: str, state: State, at: Position, path: str) -> tuple[type[Trigger], ...]:
        """Return the classes of the triggers that `event` stands for; note it if it stands for none."""
        known = known_events(self._chart, self._registry, state)
        met = [name for name in known if matches(name, event)]
        if event == "*":
            return ()
        if met:
            return tuple({self._class(name) for name in met})
        if self._loose and not event.startswith(("done.invoke.", "error.invoke.")):
            return ()
        code, message = self._unknown(event, state, known)
        self._findings.error(code, message, at, path)
        return ()

    def _class(self, event: str) -> type[Trigger]:
        for prefix, kind in _PREFIXES.items():
            if event.startswith(prefix):
                return kind
        return (self._registry or Registry()).triggers[event]

    def _unknown(self, event: str, state: State, known: list[str]) -> tuple[str, str]:
        if event.endswith("*"):
            return "unknown-event", f"{event!r} matches no event{did_you_mean(event.rstrip('.*'), known)}"
        head, _, last = event.rpartition(".")
        alike = [name.rpartition(".")[2] for name in known if name.rpartition(".")[0] == head]
        if head == "error.action":
            return "unknown-event", f"no action is called {last!r} that could fail{did_you_mean(last, alike)}"
        if head in ("done.invoke", "error.invoke"):
            where = f"the state {state.name!r}" if state.path else "the chart"
            return "unknown-event", f"no service runs under the id {last!r} in {where}{did_you_mean(last, alike)}"
        return "unknown-event", f"nothing is called {event!r} that could happen{did_you_mean(event, known)}"

    # -- functions ---------------------------------------------------------------------------------

    def _function(self, use: _Use) -> None:
        if self._registry is None:
            return
        for kind in use.kinds:
            if (handler := self._registry.get(kind, use.ref.type)) is not None:
                self._parameters(use.ref, handler)
                self._trigger(use, handler)
                return
        hint = did_you_mean(use.ref.type, [handler.name for handler in self._registry.all(*use.kinds)])
        others = [handler for handler in self._registry.all() if handler.name == use.ref.type]
        what = "action or reducer" if "action" in use.kinds else use.kinds[0]
        if others:
            message = f"{use.ref.type!r} is {_a(others[0].kind)}, and here stands {_a(what)}{hint}"
        elif self._loose:
            return
        else:
            message = f"no {what} is called {use.ref.type!r}{hint}"
        path = join(use.ref.path, "src") if use.kinds == ("service",) else use.ref.path
        self._findings.error(f"unknown-{use.kinds[0]}", message, use.ref.at, path)

    def _parameters(self, ref: Ref, handler: Handler) -> None:
        known = list(handler.params.model_fields)
        base = join(ref.path, "params")
        try:
            handler.params.model_validate(dict(ref.params), strict=True)
        except ValidationError as error:
            for wrong in error.errors(include_url=False, include_context=False, include_input=False):
                name = str(wrong["loc"][0]) if wrong["loc"] else ""
                path = join(base, name)
                at = self._chart.positions.get(path, ref.at)
                self._findings.error(
                    "bad-params", _wrong_parameter(handler, name, wrong["type"], wrong["msg"], known), at, path
                )

    def _trigger(self, use: _Use, handler: Handler) -> None:
        takes = handler.trigger_types
        missed = [kind for kind in use.under or (Trigger,) if not issubclass(kind, takes)]
        if not missed:
            return
        named = " or ".join(sorted(kind.name or kind.__name__ for kind in takes))
        message = f"{handler.kind} {handler.name!r} takes {named} only, and stands under {use.where}"
        if use.under == (Trigger,):
            message += ", which runs after whatever led there"
        self._findings.error("wrong-trigger", message, use.ref.at, use.ref.path)


def _a(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def describe(annotation: Any) -> str:
    """Return what a parameter takes, in words."""
    if get_origin(annotation) is Literal:
        return "one of " + ", ".join(repr(choice) for choice in get_args(annotation))
    if get_origin(annotation) in (Union, UnionType):
        return " or ".join(describe(member) for member in get_args(annotation))
    known = {str: "text", int: "a whole number", float: "a number", bool: "true or false", type(None): "nothing"}
    return known.get(annotation) or str(getattr(annotation, "__name__", annotation))


def _wrong_parameter(handler: Handler, name: str, kind: str, message: str, known: list[str]) -> str:
    """Return what is wrong with the parameter `name` of `handler`, and what it takes."""
    if kind == "extra_forbidden":
        hint = did_you_mean(name, known) if known else "; it takes none"
        return f"{handler.name!r} has no parameter {name!r}{hint}"
    field = handler.params.model_fields.get(name)
    takes = describe(field.annotation) if field else "something else"
    if kind == "missing":
        return f"{handler.name!r} needs the parameter {name!r} ({takes})"
    return f"the parameter {name!r} of {handler.name!r} takes {takes}: {message[:1].lower()}{message[1:]}"
