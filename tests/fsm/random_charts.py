"""Charts that nobody would write, from a seed, in words that callchart and XState read alike.

Nothing is in them that the two spell differently, so that XState can run the very chart and not only its export.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeAlias

__all__ = ["FOREIGN", "GUARDS", "random_chart"]

Json: TypeAlias = dict[str, Any]

GUARDS = ("g1", "g2", "g3")
EVENTS = ("a", "b", "b.c", "b.c.d", "e.f", "error.action.act1")
WILDCARDS = ("*", "b.*", "b.c.*", "e.*", "error.action.*")
FOREIGN = ("b.c.x", "b", "e", "e.f.g", "z", "error.action.z", "error.z")
"""Events that the charts do not name, of which some wildcard may know."""


@dataclass
class _State:
    name: str
    path: tuple[str, ...]
    config: Json = field(default_factory=dict)


def random_chart(seed: int) -> Json:
    """Return a chart of up to three levels."""
    return _Writer(Random(seed)).chart()


class _Writer:
    def __init__(self, random: Random) -> None:
        self.random = random
        self.states: list[_State] = []
        self.actions = 0

    def chart(self) -> Json:
        root = self._tree("random", ())
        root.config["id"] = "random"
        if self._chance(0.8):
            over = _State("over", ("over",), {"type": "final", **self._blocks()})
            root.config["states"]["over"] = over.config
            self.states.append(over)
        for state in self.states:
            if state.config.get("type") != "final":
                self._fill(state)
        return root.config

    def _chance(self, of: float) -> bool:
        return self.random.random() < of

    def _tree(self, name: str, path: tuple[str, ...]) -> _State:
        state = _State(name, path)
        self.states.append(state)
        if not path or (len(path) < 3 and self._chance(0.7 - 0.2 * len(path))):
            names = [f"{name if path else 's'}_{i}" for i in range(self.random.randint(1 if path else 2, 3))]
            state.config["states"] = {child: self._tree(child, (*path, child)).config for child in names}
            state.config["initial"] = self.random.choice(names)
        return state

    def _fill(self, state: _State) -> None:
        state.config |= self._blocks()
        named = [event for event in EVENTS if self._chance(0.3)] + [event for event in WILDCARDS if self._chance(0.12)]
        state.config["on"] = {event: self._rows(state, 3) for event in named}
        if self._chance(0.5):
            delays = self.random.sample((500, 1000, 1500, 2000, 3000), self.random.randint(1, 2))
            state.config["after"] = {str(ms): self._rows(state, 2) for ms in delays}

    def _blocks(self) -> Json:
        return {block: self._refs(1) for block in ("entry", "exit") if self._chance(0.6)}

    def _refs(self, most: int) -> list[str]:
        refs = []
        for _ in range(self.random.randint(1, most)):
            self.actions += 1
            refs.append(f"act{self.actions}")
        return refs

    def _rows(self, state: _State, most: int) -> list[Json]:
        return [self._row(state) for _ in range(self.random.randint(1, most))]

    def _row(self, state: _State) -> Json:
        row: Json = {}
        if self._chance(0.4):
            row["guard"] = self.random.choice(GUARDS)
        if self._chance(0.6):
            row["target"] = self._target(state)
        if self._chance(0.5):
            row["actions"] = self._refs(2)
        if state.path and self._chance(0.3):
            row["reenter"] = True
        return row

    def _target(self, source: _State) -> str:
        """Return some state below the root, in one of XState's ways to name it."""
        target = self.random.choice([state for state in self.states if state.path])
        ways = ["#random." + ".".join(target.path)]
        if source.path and target.path[:-1] == source.path[:-1]:
            ways.append(target.name)
        below = target.path[len(source.path) :]
        if below and target.path[: len(source.path)] == source.path:
            ways.append("." + ".".join(below))
        return self.random.choice(ways)
