"""What can go wrong, by who is at fault. Catch `CallchartError` only at the outermost boundary."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

__all__ = [
    "CallchartError",
    "ChartError",
    "HandleRevokedError",
    "PortError",
    "Position",
    "Problem",
    "ProtocolError",
    "SettingError",
]


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a file: line and column count from 1; 0 where the place is not known."""

    file: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a chart or a bots file.

    Attributes:
        code: what kind of mistake, e.g. `unknown-guard`; stable.
        severity: an `error` keeps the file from being used, a `warning` does not.
        path: the path in the file, e.g. `states.live.on.call.lost.0.guard`.
    """

    code: str
    severity: Literal["error", "warning"]
    message: str
    at: Position = Position()
    path: str = ""

    def __str__(self) -> str:
        place = f"{self.at}: " if self.at.file else ""
        return f"{place}{self.severity}: {self.message} [{self.code}]" + (f" (at {self.path})" if self.path else "")

    def to_json(self) -> dict[str, Any]:
        """Return it as a machine reads it."""
        return {
            "code": self.code,
            "severity": self.severity,
            "file": self.at.file,
            "line": self.at.line,
            "column": self.at.column,
            "path": self.path,
            "message": self.message,
        }


class CallchartError(Exception):
    """Anything this project raises on purpose."""


class ChartError(CallchartError):
    """A chart, or a bots file, is wrong. Raised when it is loaded, never in a call.

    Attributes:
        code: what kind of mistake, e.g. `unknown-guard`.
        at: where it stands.
        path: the path in the chart, e.g. `states.live.on.call.lost.0.guard`.
        problems: everything that is wrong, this one first.
    """

    @classmethod
    def of(cls, problems: Iterable[Problem]) -> ChartError:
        """Return the error that stands for all of `problems`; the first error among them speaks for the others."""
        ordered = sorted(problems, key=lambda problem: problem.severity != "error")
        first = ordered[0]
        more = sum(problem.severity == "error" for problem in ordered) - 1
        message = first.message + (f" (and {more} more)" if more else "")
        error = cls(message, at=first.at, path=first.path, code=first.code)
        error.problems = tuple(ordered)
        return error

    def __init__(self, message: str, *, at: Position | None = None, path: str = "", code: str = "chart") -> None:
        self.message = message
        self.at = at or Position()
        self.path = path
        self.code = code
        self.problems: tuple[Problem, ...] = (Problem(code, "error", message, self.at, path),)
        place = f"{self.at}: " if self.at.file else ""
        super().__init__(f"{place}{message}" + (f" (at {path})" if path else ""))


class SettingError(CallchartError):
    """A setting is wrong. The message names it and says what it may be."""


class ProtocolError(CallchartError):
    """A peer broke its wire format.

    Attributes:
        peer: who, e.g. `twilio`.
        close_code: the WebSocket close code to answer with (RFC 6455 section 7.4.1).
    """

    def __init__(self, message: str, *, peer: str, close_code: int = 1008) -> None:
        self.peer = peer
        self.close_code = close_code
        super().__init__(f"{peer}: {message}")


class PortError(CallchartError):
    """An outside system failed.

    Attributes:
        port: which, e.g. `carrier`.
        retryable: whether the same request may succeed later.
    """

    def __init__(self, message: str, *, port: str, retryable: bool = True) -> None:
        self.port = port
        self.retryable = retryable
        super().__init__(f"{port}: {message}")


class HandleRevokedError(CallchartError):
    """An abandoned handler touched the call it no longer belongs to."""
