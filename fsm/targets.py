"""Which state a target means. The forms are XState's, and besides a state's name from anywhere: names are unique."""

from __future__ import annotations

from fsm.findings import Findings, join
from fsm.names import NAME, did_you_mean
from fsm.yaml_source import Node

__all__ = ["StateTree"]


class StateTree:
    """The names of a chart's states, and who lies in whom."""

    def __init__(self, chart_id: str, root: Node, findings: Findings) -> None:
        self.root = chart_id
        self.parents: dict[str, str] = {}
        self.children: dict[str, list[str]] = {chart_id: []}
        self._ids: dict[str, str] = {chart_id: chart_id}
        self._findings = findings
        self._read(root, chart_id, "")

    def _read(self, node: Node, name: str, path: str) -> None:
        states = node.fields.get("states")
        for key, child in states.fields.items() if states else ():
            below = join(path, f"states.{key}")
            if NAME.fullmatch(key) is None:
                message = f"{key!r} is no name for a state: letters, digits and `_`, not starting with a digit"
                self._findings.error("bad-name", message, child.key_at, below)
            elif key in self.children:
                first = f"a state in {self.parents[key]!r}" if key in self.parents else "the chart itself"
                message = f"two states are called {key!r}: {first} is, too; names are unique in a chart"
                self._findings.error("duplicate-state", message, child.key_at, below)
            else:
                self._add(key, child, name, below)

    def _add(self, name: str, node: Node, parent: str, path: str) -> None:
        self.parents[name] = parent
        self.children[parent].append(name)
        self.children[name] = []
        own_id = node.fields.get("id")
        if own_id is not None and isinstance(own_id.value, str):
            if own_id.value in self._ids:
                self._findings.error(
                    "duplicate-id", f"two states have the id {own_id.value!r}", own_id.at, f"{path}.id"
                )
            self._ids[own_id.value] = name
        self._read(node, name, path)

    def resolve(self, target: str, source: str) -> str | None:
        """Return the name of the state that `target` means in a row of `source`; None if there is none."""
        if target.startswith("#"):
            return self._by_id(target[1:])
        if target.startswith("."):
            return self._descend(source, target[1:].split("."))
        first, *rest = target.split(".")
        siblings = self.children[self.parents.get(source, source)]
        if first in siblings or first in self.parents:
            return self._descend(first, rest)
        return None

    def _by_id(self, wanted: str) -> str | None:
        """Return the state whose id is `wanted`, or the state below the longest id that starts it."""
        parts = wanted.split(".")
        for end in range(len(parts), 0, -1):
            head = ".".join(parts[:end])
            start = self._ids.get(head) or (head if head in self.parents else None)
            if start is not None:
                return self._descend(start, parts[end:])
        return None

    def _descend(self, name: str, keys: list[str]) -> str | None:
        for key in keys:
            if key not in self.children[name]:
                return None
            name = key
        return name

    def hint(self, wrong: str) -> str:
        """Return the end of the message about the target `wrong`."""
        last = wrong.lstrip("#.").rsplit(".", 1)[-1]
        return did_you_mean(last, self.parents)
