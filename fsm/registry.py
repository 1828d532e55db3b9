"""The explicit list of everything a chart may name: guards, reducers, actions, services and events.

What lint and the schema need to know of a function stands beside it in the tuple that registers it:

    REGISTRY = Registry(
        guards=(is_duplicate, confidence_at_least),
        actions=(Action(start_sts, opens=("sts",)), Action(hang_up, deadline=5.0), answer),
        services=(Service(run_agent, produces=(AgentNeedsInfo, AgentCompleted)),),
    )

Parameters of the chart are a function's keyword-only parameters; their annotations are checked with pydantic, and
its docstring is what an editor shows.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import UnionType
from typing import Any, Literal, TypeAlias, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, create_model

from fsm.errors import CallchartError
from fsm.triggers import TRIGGERS, ActionFailed, InvokeDone, InvokeFailed, Trigger

__all__ = ["ACTION_DEADLINE", "Action", "Handler", "Kind", "Registry", "Resource", "Service", "Verdict"]

Kind = Literal["guard", "reducer", "action", "service"]
Resource = Literal["sts", "carrier", "listeners"]
ACTION_DEADLINE = 2.0
"""Seconds an asynchronous action may take, unless it says otherwise."""

Function: TypeAlias = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A guard's answer with its reason, for whoever asks later why."""

    holds: bool
    reason: str = ""

    def __bool__(self) -> bool:
        return self.holds


@dataclass(frozen=True, slots=True)
class Action:
    """An action and what lint and the session know of it.

    Attributes:
        deadline: seconds an `async` one may take.
        opens, closes, needs: resources (`sts`, `carrier`, `listeners`).
    """

    function: Function
    deadline: float = ACTION_DEADLINE
    opens: tuple[Resource, ...] = ()
    closes: tuple[Resource, ...] = ()
    needs: tuple[Resource, ...] = ()


@dataclass(frozen=True, slots=True)
class Service:
    """A service and the triggers it may produce, as its end or on the way.

    Attributes:
        durable: it starts only once the step that asked for it is kept: what must never run twice.
    """

    function: Function
    produces: tuple[type[Trigger], ...] = ()
    needs: tuple[Resource, ...] = ()
    durable: bool = False


@dataclass(frozen=True)
class Handler:
    """One registered function with all that is known of it."""

    kind: Kind
    name: str
    function: Function
    deadline: float = ACTION_DEADLINE
    opens: tuple[Resource, ...] = ()
    closes: tuple[Resource, ...] = ()
    needs: tuple[Resource, ...] = ()
    produces: tuple[type[Trigger], ...] = ()
    durable: bool = False

    @cached_property
    def is_async(self) -> bool:
        return inspect.iscoroutinefunction(inspect.unwrap(_bare(self.function)))

    @cached_property
    def doc(self) -> str:
        return inspect.getdoc(_bare(self.function)) or ""

    @cached_property
    def trigger_types(self) -> tuple[type[Trigger], ...]:
        """The classes its second parameter takes; `(Trigger,)` means any."""
        annotation = list(self._hints().items())[1][1] if len(self._hints()) > 1 else Trigger
        members = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
        return tuple(m if isinstance(m, type) and issubclass(m, Trigger) else Trigger for m in members)

    @cached_property
    def params(self) -> type[BaseModel]:
        """A pydantic model of its keyword-only parameters; unknown ones are forbidden."""
        hints, fields = self._hints(), {}
        for parameter in inspect.signature(self.function).parameters.values():
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
                default = ... if parameter.default is inspect.Parameter.empty else parameter.default
                fields[parameter.name] = (hints.get(parameter.name, Any), default)
        return create_model(self.name, __config__=ConfigDict(extra="forbid", strict=True), **fields)  # type: ignore[call-overload, no-any-return]  # fields are made at run time

    def _hints(self) -> dict[str, Any]:
        function = _bare(self.function)
        hints = get_type_hints(function, localns=_late_names())
        return {p: hints.get(p, Any) for p in inspect.signature(function).parameters}


class Registry:
    """Names to functions. Frozen: `extend` returns another one."""

    def __init__(
        self,
        *,
        guards: Iterable[Function] = (),
        reducers: Iterable[Function] = (),
        actions: Iterable[Function | Action] = (),
        services: Iterable[Function | Service] = (),
        triggers: Iterable[type[Trigger]] = TRIGGERS,
    ) -> None:
        handlers = [
            *(Handler("guard", _name(g), g) for g in guards),
            *(Handler("reducer", _name(r), r) for r in reducers),
            *(_action(a) for a in actions),
            *(_service(s) for s in services),
        ]
        self._handlers: dict[str, Handler] = {}
        for handler in handlers:
            if handler.name in self._handlers:
                raise CallchartError(f"registry: two functions are called {handler.name!r}; rename one of them")
            _check_kind(handler)
            self._handlers[handler.name] = handler
        self.triggers: Mapping[str, type[Trigger]] = {trigger.name: trigger for trigger in triggers}

    def extend(
        self,
        *,
        guards: Iterable[Function] = (),
        reducers: Iterable[Function] = (),
        actions: Iterable[Function | Action] = (),
        services: Iterable[Function | Service] = (),
        triggers: Iterable[type[Trigger]] = (),
    ) -> Registry:
        """Return a registry with these as well; one of a known name and kind replaces the known one."""
        added = Registry(guards=guards, reducers=reducers, actions=actions, services=services, triggers=triggers)
        merged = Registry(triggers=())
        merged._handlers = {**self._handlers, **added._handlers}
        merged.triggers = {**self.triggers, **added.triggers}
        return merged

    def get(self, kind: Kind, name: str) -> Handler | None:
        """Return the handler, or None if there is none of that kind."""
        handler = self._handlers.get(name)
        return handler if handler is not None and handler.kind == kind else None

    def all(self, *kinds: Kind) -> list[Handler]:
        """Return the handlers of these kinds, or all, in the order they were registered."""
        return [h for h in self._handlers.values() if not kinds or h.kind in kinds]

    def event_type(self, event: str) -> type[Trigger] | None:
        """Return the class of the trigger named `event`, or None if nothing produces it.

        `error.action.<name>` exists for every action; `done.invoke.<id>` and `error.invoke.<id>` for every id (the
        chart knows its ids).
        """
        if event.startswith("error.action."):
            return ActionFailed if self.get("action", event.removeprefix("error.action.")) else None
        if event.startswith("done.invoke."):
            return InvokeDone
        if event.startswith("error.invoke."):
            return InvokeFailed
        return self.triggers.get(event)


def _check_kind(handler: Handler) -> None:
    """Guards and reducers compute, services take their time.

    Raises:
        CallchartError: a function is of the wrong sort for what it is registered as.
    """
    if handler.kind in ("guard", "reducer") and handler.is_async:
        raise CallchartError(f"registry: the {handler.kind} {handler.name!r} is `async def`; make it a service")
    if handler.kind == "service" and not handler.is_async:
        raise CallchartError(f"registry: the service {handler.name!r} must be `async def`; or register it as an action")


def _action(entry: Function | Action) -> Handler:
    a = entry if isinstance(entry, Action) else Action(entry)
    return Handler("action", _name(a.function), a.function, a.deadline, a.opens, a.closes, a.needs)


def _service(entry: Function | Service) -> Handler:
    s = entry if isinstance(entry, Service) else Service(entry)
    return Handler("service", _name(s.function), s.function, needs=s.needs, produces=s.produces, durable=s.durable)


def _bare(function: Function) -> Function:
    """Return what `functools.partial` wraps."""
    while hasattr(function, "func"):
        function = function.func
    return function


def _name(function: Function) -> str:
    return str(_bare(function).__name__)


def _late_names() -> dict[str, Any]:
    """Names that handlers may import for type checking only."""
    from fsm.context import CallContext

    return {"Session": Any, "CallContext": CallContext}
