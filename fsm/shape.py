"""A tree of values to a `Chart`: the words a chart is written in. Names stay names; `check.py` looks them up.

Everything wrong is noted and left out, so that one reading finds as much as it can. The words are XState v5's; those
of its words that a call has no use for are refused with the reason.
"""

from __future__ import annotations

from collections.abc import Iterable

from fsm.chart import Chart, GuardRef, Invoke, Ref, Row, State
from fsm.errors import Position
from fsm.findings import Findings, join
from fsm.names import NAME, did_you_mean, is_milliseconds, seconds
from fsm.targets import StateTree
from fsm.yaml_source import Node

__all__ = ["shape_chart"]

_STATE = (
    "id", "type", "initial", "description", "meta", "on", "ignore", "after", "entry", "exit", "invoke", "states",
)  # fmt: skip
_ROOT = ("$schema", "extends", "version", "preempt", "delays", *_STATE)
_FINAL = ("on", "ignore", "after", "invoke", "states", "initial")
_ROW = ("target", "guard", "actions", "reenter", "description", "meta")
_INVOKE = ("id", "src", "params", "onDone", "onError", "description", "meta")
_REFUSED = {
    "always": "a call moves on only when something happened; use a row of the event that decides",
    "onDone": "a final state ends the call; give the row to the state's own events instead",
    "history": "a state that remembers where it was is not to be seen on the page; name the state",
    "parallel": "a call is in one state at a time",
}
_TYPES = ("atomic", "compound", "final")
_TRANSITION_REFUSED = {"cond": "it is called `guard`", "internal": "it is called `reenter`, the other way round"}


def shape_chart(node: Node, findings: Findings) -> Chart | None:
    """Return the chart that `node`, a whole file, describes, or None if `findings` has grown by an error.

    Rows whose target is no state are in the chart all the same, without a target: their other names can be looked up.
    """
    if not findings.mapping(node, "", "a chart"):
        return None
    return _Shape(node, findings).chart()


class _Shape:
    """One chart while it is read."""

    def __init__(self, node: Node, findings: Findings) -> None:
        self._node = node
        self._findings = findings
        self._id = self._chart_id()
        self._tree = StateTree(self._id, node, findings)
        self._invokes: dict[str, Position] = {}

    def chart(self) -> Chart | None:
        node = self._node
        delays = self._delays(node.fields.get("delays"))
        root = self._state(node, self._id, "")
        version = self._version(node.fields.get("version"))
        preempt = self._events(node.fields.get("preempt"), "preempt")
        if any(problem.code != "unknown-state" for problem in self._findings.problems if problem.severity == "error"):
            return None
        return Chart(
            id=self._id,
            version=version,
            root=root,
            delays=delays,
            preempt=tuple(event for event, _, _ in preempt),
            parents=self._tree.parents,
            positions=dict(node.places()),
            at=node.at,
        )

    def _chart_id(self) -> str:
        node = self._node.fields.get("id")
        if node is None:
            self._findings.error("missing", "a chart needs an `id`", self._node.at, "id")
            return "chart"
        name = self._findings.text(node, "id", "`id`")
        if name and NAME.fullmatch(name.replace("-", "_")) is None:
            self._findings.error("bad-name", f"{name!r} is no id: letters, digits, `_` and `-`", node.at, "id")
        return name

    def _version(self, node: Node | None) -> int | str:
        if node is None:
            return 1
        if isinstance(node.value, bool) or not isinstance(node.value, int | str):
            self._findings.error("shape", f"`version` is a number or text, not {node.kind}", node.at, "version")
            return 1
        return node.value

    def _delays(self, node: Node | None) -> dict[str, float]:
        delays: dict[str, float] = {}
        if node is None or not self._findings.mapping(node, "delays", "`delays`"):
            return delays
        for name, child in node.fields.items():
            path = join("delays", name)
            if NAME.fullmatch(name) is None:
                message = f"{name!r} is no name for a delay: letters, digits and `_`, not starting with a digit"
                self._findings.error("bad-name", message, child.key_at, path)
            elif (length := seconds(child.value)) is None:
                message = f"a delay is a duration such as 15s, 500ms, 10m or 2h, not {child.kind}"
                self._findings.error("bad-duration", message, child.at, path)
            else:
                delays[name] = length
        return delays

    # -- states ------------------------------------------------------------------------------------

    def _state(self, node: Node, name: str, path: str) -> State:
        root = path == ""
        if not root and (node.value is not None and not self._findings.mapping(node, path, "a state")):
            return State(name=name, at=node.key_at, path=path)
        self._findings.keys(node, path, "a chart" if root else "a state", _ROOT if root else _STATE, _REFUSED)
        final = self._is_final(node, path, root)
        invokes, ends = self._invoked(node, path, name)
        return State(
            name=name,
            at=node.at if root else node.key_at,
            path=path,
            final=final,
            initial=self._initial(node, name, path, final),
            description=self._description(node, path),
            meta=self._meta(node, path),
            on=self._on(node, path, name, ends),
            after=self._after(node, path, name),
            entry=self._refs(node.fields.get("entry"), join(path, "entry"), "an action"),
            exit=self._refs(node.fields.get("exit"), join(path, "exit"), "an action"),
            invoke=invokes,
            states=self._children(node, name, path),
        )

    def _is_final(self, node: Node, path: str, root: bool) -> bool:
        if (kind := node.fields.get("type")) is None:
            return False
        where, error = join(path, "type"), self._findings.error
        written = self._findings.text(kind, where, "`type`")
        if written in _REFUSED:
            error("unsupported", f"{written} states are not supported: {_REFUSED[written]}", kind.at, where)
        elif written and written not in _TYPES:
            error("shape", f"there are no {written!r} states{did_you_mean(written, _TYPES)}", kind.at, where)
        elif written == "final" and root:
            error("final-state", "the chart itself is not a final state", kind.at, where)
        elif written in ("atomic", "compound") and (written == "compound") != ("states" in node.fields):
            error("shape", f"{written} is what a state with{'out' * (written == 'atomic')} children is", kind.at, where)
        for key in _FINAL if written == "final" else ():
            if key in node.fields:
                message = f"a final state has no `{key}`: the call is over"
                error("final-state", message, node.fields[key].key_at, join(path, key))
        return written == "final"

    def _initial(self, node: Node, name: str, path: str, final: bool) -> str | None:
        children, where = self._tree.children[name], join(path, "initial")
        if (initial := node.fields.get("initial")) is None:
            if (children or not path) and not final:
                what = f"the state {name!r}" if path else "the chart"
                hint = f" `initial`: one of {', '.join(children)}" if children else " states, and an `initial` one"
                self._findings.error("missing", f"{what} needs{hint}", node.key_at, where)
            return None
        wanted = self._findings.text(initial, where, "`initial`")
        if wanted.removeprefix(".") in children:
            return wanted.removeprefix(".")
        if wanted:
            message = f"{wanted!r} is no state in {name!r}{did_you_mean(wanted, children)}"
            self._findings.error("unknown-state", message, initial.at, where)
        return None

    def _children(self, node: Node, name: str, path: str) -> dict[str, State]:
        states, where = node.fields.get("states"), join(path, "states")
        if states is None or not self._findings.mapping(states, where, "`states`"):
            return {}
        known = self._tree.children[name]
        return {key: self._state(child, key, join(where, key)) for key, child in states.fields.items() if key in known}

    def _description(self, node: Node, path: str) -> str:
        description = node.fields.get("description")
        if description is None or description.value == "":
            return ""
        return self._findings.text(description, join(path, "description"), "`description`")

    def _meta(self, node: Node, path: str) -> dict[str, object]:
        meta = node.fields.get("meta")
        if meta is None or not self._findings.mapping(meta, join(path, "meta"), "`meta`"):
            return {}
        return {key: child.plain() for key, child in meta.fields.items()}

    # -- rows --------------------------------------------------------------------------------------

    def _on(self, node: Node, path: str, state: str, ends: dict[str, tuple[Row, ...]]) -> dict[str, tuple[Row, ...]]:
        rows: dict[str, tuple[Row, ...]] = {}
        on, where = node.fields.get("on"), join(path, "on")
        if on is not None and self._findings.mapping(on, where, "`on`"):
            for event, child in on.fields.items():
                rows[event] = self._rows(child, event, join(where, event), state)
        for event, given in ends.items():
            self._once(event, rows, given[0].at, given[0].path)
            rows[event] = given
        for event, at, below in self._events(node.fields.get("ignore"), join(path, "ignore")):
            if not self._is_overruled(event, rows, at):
                self._once(event, rows, at, below)
            rows.setdefault(event, (Row(event=event, at=at, path=below),))
        return rows

    def _is_overruled(self, event: str, rows: dict[str, tuple[Row, ...]], at: Position) -> bool:
        """Whether an extended chart ignores at `at` what the chart that extends it has rows for."""
        newest = self._node.at.file
        return any(row.at.file == newest != at.file for row in rows.get(event, ()))

    def _once(self, event: str, rows: dict[str, tuple[Row, ...]], at: Position, path: str) -> None:
        if event in rows:
            self._findings.error("duplicate-event", f"{event!r} has rows in this state already", at, path)

    def _after(self, node: Node, path: str, state: str) -> dict[str, tuple[Row, ...]]:
        after, where = node.fields.get("after"), join(path, "after")
        if after is None or not self._findings.mapping(after, where, "`after`"):
            return {}
        rows = {}
        for key, child in after.fields.items():
            below = join(where, key)
            if not is_milliseconds(key) and key not in self._delay_names():
                message = f"there is no delay {key!r}{did_you_mean(key, self._delay_names())}"
                self._findings.error("unknown-delay", message, child.key_at, below)
            rows[key] = self._rows(child, f"after.{key}", below, state)
        return rows

    def _delay_names(self) -> Iterable[str]:
        delays = self._node.fields.get("delays")
        return delays.fields if delays else ()

    def _events(self, node: Node | None, path: str) -> list[tuple[str, Position, str]]:
        """Return the events that a list names, each with its place and path."""
        if node is None:
            return []
        found: dict[str, tuple[str, Position, str]] = {}
        for index, item in enumerate(node.items):
            below = join(path, index) if isinstance(node.value, list) else path
            if event := self._findings.text(item, below, "an event"):
                if event in found:
                    self._findings.error("duplicate-event", f"{event!r} stands here twice", item.at, below)
                found[event] = (event, item.at, below)
        return list(found.values())

    def _rows(self, node: Node, event: str, path: str, state: str) -> tuple[Row, ...]:
        if not isinstance(node.value, list):
            return (self._row(node, event, path, state),)
        if not node.value:
            message = f"no row for {event!r}; `ignore` it, or leave it to the parent by leaving it out"
            self._findings.error("shape", message, node.at, path)
        return tuple(self._row(item, event, join(path, index), state) for index, item in enumerate(node.value))

    def _row(self, node: Node, event: str, path: str, state: str) -> Row:
        if node.value is None:
            return Row(event=event, at=node.key_at, path=path)
        if isinstance(node.value, str):
            return Row(event=event, target=self._target(node, path, state), at=node.at, path=path)
        if not self._findings.mapping(node, path, "a row"):
            return Row(event=event, at=node.at, path=path)
        self._findings.keys(node, path, "a row", _ROW, _TRANSITION_REFUSED)
        reenter = node.fields.get("reenter")
        self._meta(node, path)
        if reenter is not None and reenter.value is True and state == self._id and "target" in node.fields:
            message = "a row of the chart itself cannot re-enter it; leave `reenter` out"
            self._findings.error("unsupported", message, reenter.key_at, join(path, "reenter"))
        return Row(
            event=event,
            target=self._target(node.fields.get("target"), join(path, "target"), state),
            guards=self._guards(node.fields.get("guard"), join(path, "guard")),
            actions=self._refs(node.fields.get("actions"), join(path, "actions"), "an action"),
            reenter=self._findings.flag(reenter, join(path, "reenter"), "`reenter`") if reenter else False,
            description=self._description(node, path),
            at=node.at,
            path=path,
        )

    def _target(self, node: Node | None, path: str, state: str) -> str | None:
        if node is None:
            return None
        wanted = self._findings.text(node, path, "a target")
        if not wanted:
            return None
        found = self._tree.resolve(wanted, state)
        if found is None:
            self._findings.error(
                "unknown-state", f"there is no state {wanted!r}{self._tree.hint(wanted)}", node.at, path
            )
        elif found == self._id:
            self._findings.error("unknown-state", "a row leads to a state, not to the chart itself", node.at, path)
            return None
        return found

    # -- functions ---------------------------------------------------------------------------------

    def _guards(self, node: Node | None, path: str) -> tuple[GuardRef, ...]:
        if node is None:
            return ()
        found = []
        for index, item in enumerate(node.items):
            guard = self._guard(item, join(path, index) if isinstance(node.value, list) else path)
            found += [guard] if guard else []
        return tuple(found)

    def _guard(self, node: Node, path: str) -> GuardRef | None:
        negated = False
        while "not" in node.fields:
            self._findings.keys(node, path, "a guard with `not`", ("not",), {})
            node, path, negated = node.fields["not"], join(path, "not"), not negated
        if isinstance(node.value, list):
            message = "`not` negates one guard; write one guard for what all of them mean"
            self._findings.error("shape", message, node.at, path)
            return None
        ref = self._ref(node, path, "a guard")
        if ref is None:
            return None
        return GuardRef(type=ref.type, params=ref.params, at=ref.at, path=ref.path, negated=negated)

    def _refs(self, node: Node | None, path: str, what: str) -> tuple[Ref, ...]:
        if node is None or node.value is None:
            return ()
        listed = isinstance(node.value, list)
        refs = [self._ref(item, join(path, i) if listed else path, what) for i, item in enumerate(node.items)]
        return tuple(ref for ref in refs if ref)

    def _ref(self, node: Node, path: str, what: str) -> Ref | None:
        """Return the function that `node` names: a name, or `{type, params}`."""
        if isinstance(node.value, str) and node.value:
            return Ref(type=node.value, at=node.at, path=path)
        if not isinstance(node.value, dict):
            message = f"{what} is a name or {{type, params}}, not {node.kind}"
            self._findings.error("shape", message, node.at, path)
            return None
        self._findings.keys(node, path, what, ("type", "params"), {})
        if (kind := node.fields.get("type")) is None:
            self._findings.error("missing", f"{what} needs a `type`: its name", node.at, path)
            return None
        name = self._findings.text(kind, join(path, "type"), "`type`")
        return Ref(type=name, params=self._params(node, path), at=kind.at, path=path) if name else None

    def _params(self, node: Node, path: str) -> dict[str, object]:
        params = node.fields.get("params")
        if params is None or not self._findings.mapping(params, join(path, "params"), "`params`"):
            return {}
        return {key: child.plain() for key, child in params.fields.items()}

    def _invoked(self, node: Node, path: str, state: str) -> tuple[tuple[Invoke, ...], dict[str, tuple[Row, ...]]]:
        """Return a state's services, and the rows that stand with them as `onDone` and `onError`."""
        given, where = node.fields.get("invoke"), join(path, "invoke")
        found: list[Invoke] = []
        ends: dict[str, tuple[Row, ...]] = {}
        for index, item in enumerate(given.items if given else ()):
            below = join(where, index) if given and isinstance(given.value, list) else where
            if not self._findings.mapping(item, below, "`invoke`"):
                continue
            self._findings.keys(item, below, "`invoke`", _INVOKE, {"input": "parameters are called `params`"})
            if (invoke := self._invoke(item, below)) is None:
                continue
            found.append(invoke)
            for key, event in (("onDone", f"done.invoke.{invoke.id}"), ("onError", f"error.invoke.{invoke.id}")):
                if key in item.fields:
                    ends[event] = self._rows(item.fields[key], event, join(below, key), state)
        return tuple(found), {event: rows for event, rows in ends.items() if rows}

    def _invoke(self, node: Node, path: str) -> Invoke | None:
        missing = [key for key in ("id", "src") if key not in node.fields]
        if missing:
            message = f"`invoke` needs `{'` and `'.join(missing)}`: {{id: …, src: a service}}"
            self._findings.error("missing", message, node.at, path)
            return None
        name = self._findings.text(node.fields["id"], join(path, "id"), "`id`")
        at = node.fields["id"].at
        if name and NAME.fullmatch(name) is None:
            self._findings.error("bad-name", f"{name!r} is no id: letters, digits and `_`", at, join(path, "id"))
        if name in self._invokes:
            message = f"two services run under the id {name!r}; the first stands in line {self._invokes[name].line}"
            self._findings.error("duplicate-id", message, at, join(path, "id"))
        self._invokes[name] = at
        ref = self._ref(node.fields["src"], join(path, "src"), "`src`")
        params = self._params(node, path) or (ref.params if ref else {})
        return Invoke(id=name, type=ref.type, params=params, at=ref.at, path=path) if ref else None
