"""A chart as the JSON of an XState v5 machine: `createMachine(config)` takes it, and Stately Studio opens it.

Words that both know stay as they are. What XState spells otherwise:

- a delay's name becomes its milliseconds; `meta.delays` of the node, and of the root for all, keeps the name;
- a list of guards becomes one name, `requires_agent and entities_valid`; a negated guard `not was_answered`;
- `done.invoke.x` and `error.invoke.x` become `xstate.done.actor.x` and `xstate.error.actor.x`;
- a target is always `#id.and.path`, so that nobody need know where it is read from.

Source: https://stately.ai/docs/machines, and XState 5.33 (`StateNode.ts`, `stateUtils.ts`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from fsm.chart import Chart, GuardRef, Invoke, Ref, Row, State

__all__ = ["delay_ms", "guard_name", "xstate_config"]

Json: TypeAlias = dict[str, Any]

_ACTOR_EVENTS = (("done.invoke.", "xstate.done.actor."), ("error.invoke.", "xstate.error.actor."))


def xstate_config(chart: Chart) -> Json:
    """Return `chart` as a machine config of XState v5, ready for `json.dumps`."""
    meta = {"version": chart.version, "preempt": list(chart.preempt), **chart.root.meta}
    meta["delays"] = {name: _ms(seconds) for name, seconds in chart.delays.items()}
    config = _state(chart, chart.root)
    return {"id": chart.id, "version": str(chart.version), **config, "meta": meta}


def guard_name(guards: Iterable[GuardRef]) -> str:
    """Return the one name under which the export knows a list of guards that must all hold."""
    return " and ".join(str(guard) for guard in guards)


def delay_ms(chart: Chart, key: str) -> int | float:
    """Return the milliseconds of an `after` key, a delay's name or milliseconds as digits."""
    return _ms(chart.delay(key))


def _ms(seconds: float) -> int | float:
    ms = round(seconds * 1000, 3)
    return int(ms) if ms == int(ms) else ms


def _state(chart: Chart, state: State) -> Json:
    meta = dict(state.meta)
    names = {key: delay_ms(chart, key) for key in state.after if not key.isdigit()}
    if names:
        meta["delays"] = names
    return _without_empty(
        {
            "description": state.description,
            "type": "final" if state.final else "",
            "initial": state.initial,
            "meta": meta,
            "entry": [_ref(ref) for ref in state.entry],
            "exit": [_ref(ref) for ref in state.exit],
            "invoke": [_invoke(invoke) for invoke in state.invoke],
            "on": _grouped(chart, _events(state)),
            "after": _grouped(chart, ((str(delay_ms(chart, key)), rows) for key, rows in state.after.items())),
            "states": {name: _state(chart, child) for name, child in state.states.items()},
        }
    )


def _without_empty(parts: Mapping[str, Any]) -> Json:
    return {key: part for key, part in parts.items() if part}


def _events(state: State) -> Iterable[tuple[str, tuple[Row, ...]]]:
    """Yield a state's rows under XState's names of their events.

    XState keeps the ends of invoked actors apart from other events, so a wildcard that means both is written twice;
    the more special one comes first, as its rows do.
    """
    for event, rows in sorted(state.on.items(), key=lambda item: item[0] in ("done.*", "error.*")):
        for ours, theirs in _ACTOR_EVENTS:
            if event.startswith(ours):
                yield theirs + event.removeprefix(ours), rows
                break
        else:
            yield event, rows
            if event in ("done.*", "error.*"):
                yield f"xstate.{event.removesuffix('*')}actor.*", rows


def _grouped(chart: Chart, found: Iterable[tuple[str, tuple[Row, ...]]]) -> dict[str, Json | list[Json]]:
    """Return rows by key; those that come to stand under one key, such as two equal delays, keep their order."""
    grouped: dict[str, list[Json]] = {}
    for key, rows in found:
        grouped.setdefault(key, []).extend(_row(chart, row) for row in rows)
    return {key: rows[0] if len(rows) == 1 else rows for key, rows in grouped.items()}


def _row(chart: Chart, row: Row) -> Json:
    return _without_empty(
        {
            "description": row.description,
            "guard": _guard(row.guards),
            "target": None if row.target is None else _target(chart, row.target),
            "actions": [_ref(ref) for ref in row.actions],
            "reenter": row.reenter,
        }
    )


def _target(chart: Chart, name: str) -> str:
    return "#" + ".".join(reversed(chart.ancestors(name)))


def _guard(guards: tuple[GuardRef, ...]) -> str | Json | None:
    if len(guards) == 1 and guards[0].params:
        return {"type": guard_name(guards), "params": dict(guards[0].params)}
    return guard_name(guards) or None


def _ref(ref: Ref) -> str | Json:
    return {"type": ref.type, "params": dict(ref.params)} if ref.params else ref.type


def _invoke(invoke: Invoke) -> Json:
    return _without_empty({"id": invoke.id, "src": invoke.type, "input": dict(invoke.params)})
