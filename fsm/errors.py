"""What can go wrong, by who is at fault. Catch `CallchartError` only at the outermost boundary."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "CallchartError",
    "ChartError",
    "HandleRevokedError",
    "PortError",
    "Position",
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


class CallchartError(Exception):
    """Anything this project raises on purpose."""


class ChartError(CallchartError):
    """A chart, or a bots file, is wrong. Raised when it is loaded, never in a call.

    Attributes:
        code: what kind of mistake, e.g. `unknown-guard`.
        at: where it stands.
        path: the path in the chart, e.g. `states.live.on.call.lost.0.guard`.
    """

    def __init__(self, message: str, *, at: Position | None = None, path: str = "", code: str = "chart") -> None:
        self.message = message
        self.at = at or Position()
        self.path = path
        self.code = code
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
