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
_STORES = ("memory", "sqlite", "redis")
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
    store: str = "sqlite"
    """Where calls are kept: `memory`, `sqlite` (a file in `data_dir`) or `redis`."""
    redis_url: str = field(default="redis://localhost:6379", repr=False)
    redis_password: str = field(default="", repr=False)
    redis_db: int = 0
    redis_sentinels: tuple[tuple[str, int], ...] = ()
    """(host, port) of each; none: the server of `redis_url`."""
    redis_sentinel_service: str = "mymaster"
    redis_cluster: bool = False
    session_prefix: str = "call_session:"
    session_ttl: float = 3600.0
    """How long the document of a live call outlives its last renewal."""
    memory_max_sessions: int = 1000
    memory_cleanup_interval: float = 300.0
    max_sessions: int = 10000
    """Calls that are not over, in the store."""
    retention: float = 30 * 86400.0
    """How long a call is kept after its end."""
    lease: float = 15.0
    """How long a node owns a call without renewing; it renews three times as often."""
    resume_max_age: float = 3600.0
    """How long after its last activity a call may be resumed."""
    call_session_timeout: float = 1800.0
    """How long a call may go without speech, keys, replies and API events."""
    cleanup_interval: float = 300.0
    api_token: str = field(default="", repr=False)
    api_read_token: str = field(default="", repr=False)
    allowed_origins: tuple[str, ...] = ()
    """Pages whose scripts may use the API and its sockets."""
    api_rate: int = 50
    """Requests to the API that one client may make in a second."""
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
    settings = Settings(
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
        store=read("CALLCHART_STORE", read("SESSION_STORAGE_TYPE", "sqlite", _store), _store),
        redis_url=read("REDIS_URL", "redis://localhost:6379", _redis_url),
        redis_password=read("REDIS_PASSWORD", "", str),
        redis_db=read("REDIS_DB", 0, _database),
        redis_sentinels=read("REDIS_SENTINELS", (), _hosts),
        redis_sentinel_service=read("REDIS_SENTINEL_SERVICE", "mymaster", str),
        redis_cluster=read("REDIS_CLUSTER", False, _switch),
        session_prefix=read("SESSION_PREFIX", "call_session:", _prefix),
        session_ttl=read("SESSION_TTL", 3600.0, _some_time),
        memory_max_sessions=read("MEMORY_MAX_SESSIONS", 1000, _count),
        memory_cleanup_interval=read("MEMORY_CLEANUP_INTERVAL", 300.0, _some_time),
        max_sessions=read("MAX_SESSIONS", 10000, _count),
        retention=read("RETENTION", 30 * 86400.0, _some_time),
        lease=read("CALLCHART_LEASE", 15.0, _lease),
        resume_max_age=read("RESUME_MAX_AGE", 3600.0, _duration),
        call_session_timeout=read("CALL_SESSION_TIMEOUT", 1800.0, _some_time),
        cleanup_interval=read("CLEANUP_INTERVAL", 300.0, _some_time),
        api_token=read("CALLCHART_API_TOKEN", "", str),
        api_read_token=read("CALLCHART_API_READ_TOKEN", "", str),
        allowed_origins=read("CALLCHART_ALLOWED_ORIGINS", (), _origins),
        api_rate=read("CALLCHART_API_RATE", 50, _count),
        twilio_auth_token=read("TWILIO_AUTH_TOKEN", "", str),
        token_secret=read("CALLCHART_TOKEN_SECRET", "", str),
        openai_api_key=read("OPENAI_API_KEY", "", str),
        openai_url=read("OPENAI_REALTIME_URL", "wss://api.openai.com/v1/realtime", _socket_url),
        openai_model=read("OPENAI_REALTIME_MODEL", "gpt-realtime-2.1", str),
    )
    if settings.store == "redis" and settings.session_ttl < settings.lease:
        raise SettingError(
            f"SESSION_TTL: {settings.session_ttl:g}s is less than CALLCHART_LEASE ({settings.lease:g}s): the documents "
            "of live calls would be gone before they are renewed; use more"
        )
    return settings


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
        raise ValueError(f"{text!r} is not a duration; use 15s, 500ms, 30m, 2h, 30d or bare seconds")
    return value


def _some_time(text: str) -> float:
    value = _duration(text)
    if not value:
        raise ValueError(f"{text!r} is no time at all; use 15s, 30m, 30d or bare seconds")
    return value


def _lease(text: str) -> float:
    value = _duration(text)
    if value < 1.0:
        raise ValueError(f"{text!r} is too short to be renewed in time; use 1s or more")
    return value


def _store(text: str) -> str:
    if text.lower() not in _STORES:
        raise ValueError(f"{text!r} is not a store; use one of {', '.join(_STORES)}")
    return text.lower()


def _redis_url(text: str) -> str:
    if not text.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError(
            "not a Redis URL; it begins with redis://, rediss:// (TLS) or unix://"
        )  # it may hold a password
    return text


def _database(text: str) -> int:
    if not text.isdecimal() or int(text) > 1_000_000:
        raise ValueError(f"{text!r} is not a database of Redis; use a number from 0")
    return int(text)


def _hosts(text: str) -> tuple[tuple[str, int], ...]:
    found = []
    for part in text.split(","):
        host, colon, port = part.strip().rpartition(":")
        if not (host and colon and port.isdecimal() and 0 < int(port) <= 65535):
            raise ValueError(f"{part.strip()!r} is not host:port; use e.g. sentinel-1:26379,sentinel-2:26379")
        found.append((host.strip("[]"), int(port)))
    return tuple(found)


def _prefix(text: str) -> str:
    if not text or any(character in "{}*?[]\\" or character.isspace() for character in text):
        raise ValueError(f"{text!r} is no prefix of keys; use one without spaces, braces and wildcards")
    return text


def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(origin.strip().rstrip("/") for origin in text.split(",") if origin.strip())
    for origin in origins:
        if origin.count("/") != 2 or not origin.startswith(("http://", "https://")):
            raise ValueError(f"{origin!r} is not an origin; use e.g. https://desk.example.net")
    return origins


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
