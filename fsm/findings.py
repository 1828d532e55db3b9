"""Collects what is wrong with a file, so that one reading finds as much as it can."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fsm.errors import ChartError, Position, Problem
from fsm.names import did_you_mean
from fsm.yaml_source import Node

__all__ = ["Findings", "join"]


def join(path: str, key: str | int) -> str:
    """Return the path of what stands at `key` below `path`."""
    return f"{path}.{key}" if path else str(key)


class Findings:
    """Problems in the order they were found."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    @property
    def failed(self) -> bool:
        """Whether there is an error among them."""
        return any(problem.severity == "error" for problem in self.problems)

    def error(self, code: str, message: str, at: Position, path: str) -> None:
        """Note what keeps the file from being used."""
        self.problems.append(Problem(code, "error", message, at, path))

    def warning(self, code: str, message: str, at: Position, path: str) -> None:
        """Note what is probably not meant."""
        self.problems.append(Problem(code, "warning", message, at, path))

    def include(self, error: ChartError) -> None:
        """Note what was raised."""
        self.problems += error.problems

    # -- shapes that charts and bots have in common ---------------------------------------------------

    def mapping(self, node: Node, path: str, what: str) -> bool:
        """Return whether `node` is a mapping; note it if not."""
        return self._is(isinstance(node.value, dict), node, path, f"{what} is a mapping")

    def text(self, node: Node, path: str, what: str) -> str:
        """Return the text that `node` holds; note it if it holds none, and return nothing."""
        good = isinstance(node.value, str) and node.value != ""
        return str(node.value) if self._is(good, node, path, f"{what} is text") else ""

    def flag(self, node: Node, path: str, what: str) -> bool:
        """Return the `true` or `false` that `node` holds; note it if it is neither."""
        return self._is(isinstance(node.value, bool), node, path, f"{what} is true or false") and node.value is True

    def keys(self, node: Node, path: str, what: str, known: Iterable[str], refused: Mapping[str, str]) -> None:
        """Note every key that `what` does not have; those in `refused` with the reason."""
        known = list(known)
        for key, child in node.fields.items():
            if key in refused:
                self.error("unsupported", f"`{key}` is not supported: {refused[key]}", child.key_at, join(path, key))
            elif key not in known:
                message = f"{what} has no {key!r}{did_you_mean(key, known)}"
                self.error("unknown-key", message, child.key_at, join(path, key))

    def _is(self, good: bool, node: Node, path: str, message: str) -> bool:
        if not good:
            self.error("shape", f"{message}, not {node.kind}", node.at, path)
        return good
