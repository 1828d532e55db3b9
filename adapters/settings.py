"""Everything that the environment may say, read once. Nothing else in callchart looks at the environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from fsm.errors import SettingError
from fsm.names import seconds

__all__ = ["Settings", "read_settings"]

T = TypeVar("T")
_DELAY = "CALLCHART_DELAY_"
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What one process of callchart is told. Durations are seconds; see `.env.example` for the names."""

    host: str = "127.0.0.1"
    port: int = 8080
    """0: any free one."""
    public_url: str = ""
    """How carriers reach us, e.g. `https://bot.example.net`; empty: the X-Forwarded headers, or Host, tell."""
    data_dir: Path = Path(".callchart")
    bots: str = ""
    """A bots file; empty: the bundled one, which serves every number."""
    handlers: str = ""
    """`module:NAME` of a registry of your own; empty: the bundled one."""
    delays: Mapping[str, float] = field(default_factory=dict)
    max_calls: int = 1000
    drain_grace: float = 30.0
    log_level: str = "INFO"
    journal: bool = True
    """Whether the journal of every call is written under `data_dir`."""
    twilio_auth_token: str = field(default="", repr=False)
    token_secret: str = field(default="", repr=False)
    """What the tokens of media sockets are made with, the same on every node. Empty: the auth token, else random."""
    openai_api_key: str = field(default="", repr=False)
    openai_url: str = "wss://api.openai.com/v1/realtime"
    openai_model: str = "gpt-realtime-2.1"


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Return what `environ` says.

    Raises:
        SettingError: a value cannot be used; the message names the variable and says what it may be.
    """
    read = _Reader(environ)
    return Settings(
        host=read("CALLCHART_HOST", "127.0.0.1", str),
        port=read("CALLCHART_PORT", read("PORT", 8080, _port), _port),
        public_url=read("CALLCHART_PUBLIC_URL", "", _http_url),
        data_dir=read("CALLCHART_DATA_DIR", Path(".callchart"), Path),
        bots=read("CALLCHART_BOTS", "", str),
        handlers=read("CALLCHART_HANDLERS", "", _import_string),
        delays=_delays(environ),
        max_calls=read("MAX_CALLS", 1000, _count),
        drain_grace=read("DRAIN_GRACE", 30.0, _duration),
        log_level=read("LOG_LEVEL", "INFO", _level),
        journal=read("CALLCHART_JOURNAL", True, _switch),
        twilio_auth_token=read("TWILIO_AUTH_TOKEN", "", str),
        token_secret=read("CALLCHART_TOKEN_SECRET", "", str),
        openai_api_key=read("OPENAI_API_KEY", "", str),
        openai_url=read("OPENAI_REALTIME_URL", "wss://api.openai.com/v1/realtime", _socket_url),
        openai_model=read("OPENAI_REALTIME_MODEL", "gpt-realtime-2.1", str),
    )


class _Reader:
    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def __call__(self, name: str, default: T, convert: Callable[[str], T]) -> T:
        text = self._environ.get(name, "").strip()
        if not text:
            return default
        try:
            return convert(text)
        except ValueError as error:
            raise SettingError(f"{name}: {error}") from error


def _delays(environ: Mapping[str, str]) -> dict[str, float]:
    """`CALLCHART_DELAY_RESUME_WINDOW=1m` overrides the chart's delay `resume_window`."""
    found = {}
    for name in sorted(environ):
        if name.startswith(_DELAY) and environ[name].strip():
            found[name.removeprefix(_DELAY).lower()] = _Reader(environ)(name, 0.0, _duration)
    return found


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise ValueError(f"{text!r} is not a port; use 0 to 65535 (0: any free one)")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{text!r} is not a count; use a whole number from 1")
    return int(text)


def _duration(text: str) -> float:
    value = seconds(int(text) if text.isdecimal() else text)
    if value is None:
        raise ValueError(f"{text!r} is not a duration; use 15s, 500ms, 30m, 2h or bare seconds")
    return value


def _level(text: str) -> str:
    if text.upper() not in _LEVELS:
        raise ValueError(f"{text!r} is not a log level; use one of {', '.join(_LEVELS)}")
    return text.upper()


def _switch(text: str) -> bool:
    if text.lower() not in ("1", "0", "true", "false", "yes", "no", "on", "off"):
        raise ValueError(f"{text!r} is no switch; use on or off")
    return text.lower() in ("1", "true", "yes", "on")


def _http_url(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise ValueError(f"{text!r} is not a URL; it begins with https://")
    return text.rstrip("/")


def _socket_url(text: str) -> str:
    if not text.startswith(("ws://", "wss://")):
        raise ValueError(f"{text!r} is not a WebSocket URL; it begins with wss://")
    return text


def _import_string(text: str) -> str:
    module, colon, name = text.partition(":")
    if not (module and colon and name):
        raise ValueError(f"{text!r} does not name a registry; use module:NAME, e.g. shop.handlers:REGISTRY")
    return text
