"""Every setting: its default, how it is written, and what is said if it cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.settings import Settings, read_settings
from fsm.errors import SettingError


def test_empty_environment_gives_the_defaults() -> None:
    assert read_settings({}) == Settings()


def test_variable_that_is_set_to_nothing_is_as_if_it_were_not_set() -> None:
    assert read_settings({"CALLCHART_PORT": " ", "MAX_CALLS": "", "CALLCHART_DELAY_SETUP": " "}) == Settings()


def test_every_variable_is_read() -> None:
    read = read_settings(
        {
            "CALLCHART_HOST": "0.0.0.0",
            "CALLCHART_PORT": "0",
            "CALLCHART_PUBLIC_URL": "https://bot.example.net/",
            "CALLCHART_DATA_DIR": "/var/lib/callchart",
            "CALLCHART_BOTS": "bots.yaml",
            "CALLCHART_HANDLERS": "shop.handlers:REGISTRY",
            "CALLCHART_DELAY_RESUME_WINDOW": "1m",
            "CALLCHART_DELAY_SETUP": "500ms",
            "MAX_CALLS": "20",
            "DRAIN_GRACE": "45",
            "LOG_LEVEL": "debug",
            "CALLCHART_STORE": "Redis",
            "REDIS_URL": "rediss://redis.example.net:6380/2",
            "REDIS_PASSWORD": "redis-password",
            "REDIS_DB": "3",
            "REDIS_SENTINELS": "sentinel-1:26379, [::1]:26380",
            "REDIS_SENTINEL_SERVICE": "calls",
            "REDIS_CLUSTER": "on",
            "SESSION_PREFIX": "shop:",
            "SESSION_TTL": "7200",
            "MEMORY_MAX_SESSIONS": "50",
            "MEMORY_CLEANUP_INTERVAL": "1m",
            "MAX_SESSIONS": "500",
            "RETENTION": "90d",
            "CALLCHART_LEASE": "6s",
            "RESUME_MAX_AGE": "0",
            "CALL_SESSION_TIMEOUT": "10m",
            "CLEANUP_INTERVAL": "30s",
            "CALLCHART_API_TOKEN": "api-token",
            "CALLCHART_API_READ_TOKEN": "read-token",
            "CALLCHART_ALLOWED_ORIGINS": "https://desk.example.net/, http://localhost:3000",
            "CALLCHART_API_RATE": "7",
            "TWILIO_AUTH_TOKEN": "twilio-token",
            "CALLCHART_TOKEN_SECRET": "our-secret",
            "OPENAI_API_KEY": "sk-key",
            "OPENAI_REALTIME_URL": "ws://127.0.0.1:9000/v1/realtime",
            "OPENAI_REALTIME_MODEL": "gpt-realtime",
        }
    )

    assert read == Settings(
        host="0.0.0.0",
        port=0,
        public_url="https://bot.example.net",
        data_dir=Path("/var/lib/callchart"),
        bots="bots.yaml",
        handlers="shop.handlers:REGISTRY",
        delays={"resume_window": 60.0, "setup": 0.5},
        max_calls=20,
        drain_grace=45.0,
        log_level="DEBUG",
        store="redis",
        redis_url="rediss://redis.example.net:6380/2",
        redis_password="redis-password",
        redis_db=3,
        redis_sentinels=(("sentinel-1", 26379), ("::1", 26380)),
        redis_sentinel_service="calls",
        redis_cluster=True,
        session_prefix="shop:",
        session_ttl=7200.0,
        memory_max_sessions=50,
        memory_cleanup_interval=60.0,
        max_sessions=500,
        retention=90 * 86400.0,
        lease=6.0,
        resume_max_age=0.0,
        call_session_timeout=600.0,
        cleanup_interval=30.0,
        api_token="api-token",
        api_read_token="read-token",
        allowed_origins=("https://desk.example.net", "http://localhost:3000"),
        api_rate=7,
        twilio_auth_token="twilio-token",
        token_secret="our-secret",
        openai_api_key="sk-key",
        openai_url="ws://127.0.0.1:9000/v1/realtime",
        openai_model="gpt-realtime",
    )


def test_secrets_are_not_in_what_is_printed() -> None:
    printed = repr(
        Settings(
            twilio_auth_token="secret-1",
            token_secret="secret-2",
            openai_api_key="secret-3",
            redis_url="redis://:secret-4@localhost",
            redis_password="secret-5",
            api_token="secret-6",
            api_read_token="secret-7",
        )
    )

    assert "secret-" not in printed


def test_password_of_a_redis_url_is_in_no_error() -> None:
    with pytest.raises(SettingError, match="REDIS_URL: not a Redis URL; it begins with redis://") as refused:
        read_settings({"REDIS_URL": "https://:secret@redis.example.net"})

    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("environ", "store"),
    [
        ({"SESSION_STORAGE_TYPE": "redis"}, "redis"),
        ({"SESSION_STORAGE_TYPE": "redis", "CALLCHART_STORE": "memory"}, "memory"),
        ({}, "sqlite"),
    ],
    ids=["other name", "own goes first", "default"],
)
def test_store_has_two_names(environ: dict[str, str], store: str) -> None:
    assert read_settings(environ).store == store


@pytest.mark.parametrize(
    ("environ", "port"),
    [({"PORT": "9000"}, 9000), ({"PORT": "9000", "CALLCHART_PORT": "9001"}, 9001), ({}, 8080)],
    ids=["platform", "own goes first", "default"],
)
def test_port_may_come_from_the_platform(environ: dict[str, str], port: int) -> None:
    assert read_settings(environ).port == port


@pytest.mark.parametrize(
    ("text", "on"),
    [("on", True), ("1", True), ("yes", True), ("TRUE", True), ("off", False), ("0", False), ("No", False)],
)
def test_switch_is_on_or_off(text: str, on: bool) -> None:
    assert read_settings({"REDIS_CLUSTER": text}).redis_cluster is on


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("CALLCHART_PORT", "eighty", "use 0 to 65535"),
        ("CALLCHART_PORT", "65536", "use 0 to 65535"),
        ("CALLCHART_PORT", "-1", "use 0 to 65535"),
        ("PORT", "x", "use 0 to 65535"),
        ("CALLCHART_PUBLIC_URL", "bot.example.net", "it begins with https://"),
        ("CALLCHART_HANDLERS", "shop.handlers", "use module:NAME"),
        ("CALLCHART_HANDLERS", ":REGISTRY", "use module:NAME"),
        ("CALLCHART_DELAY_SETUP", "soon", "use 15s, 500ms, 30m, 2h, 30d or bare seconds"),
        ("MAX_CALLS", "0", "a whole number from 1"),
        ("MAX_CALLS", "many", "a whole number from 1"),
        ("MAX_CALLS", "²", "a whole number from 1"),
        ("CALLCHART_PORT", "²", "use 0 to 65535"),
        ("DRAIN_GRACE", "²", "use 15s"),
        ("DRAIN_GRACE", "-1s", "use 15s, 500ms, 30m, 2h, 30d or bare seconds"),
        ("LOG_LEVEL", "loud", "DEBUG, INFO, WARNING, ERROR, CRITICAL"),
        ("CALLCHART_STORE", "postgres", "use one of memory, sqlite, redis"),
        ("SESSION_STORAGE_TYPE", "disk", "use one of memory, sqlite, redis"),
        ("REDIS_DB", "-1", "a number from 0"),
        ("REDIS_SENTINELS", "sentinel-1", "use e.g. sentinel-1:26379,sentinel-2:26379"),
        ("REDIS_SENTINELS", "sentinel-1:0", "is not host:port"),
        ("REDIS_CLUSTER", "maybe", "use on or off"),
        ("SESSION_PREFIX", "call{1}:", "without spaces, braces and wildcards"),
        ("SESSION_PREFIX", "a b", "without spaces, braces and wildcards"),
        ("SESSION_TTL", "0", "is no time at all"),
        ("MEMORY_MAX_SESSIONS", "0", "a whole number from 1"),
        ("MEMORY_CLEANUP_INTERVAL", "0s", "is no time at all"),
        ("MAX_SESSIONS", "none", "a whole number from 1"),
        ("RETENTION", "a month", "use 15s, 500ms, 30m, 2h, 30d or bare seconds"),
        ("RETENTION", "0", "is no time at all"),
        ("CALLCHART_LEASE", "0", "is too short to be renewed in time"),
        ("CALLCHART_LEASE", "999ms", "is too short to be renewed in time"),
        ("RESUME_MAX_AGE", "1y", "use 15s"),
        ("CALL_SESSION_TIMEOUT", "0m", "is no time at all"),
        ("CLEANUP_INTERVAL", "0", "is no time at all"),
        ("CALLCHART_ALLOWED_ORIGINS", "desk.example.net", "use e.g. https://desk.example.net"),
        ("CALLCHART_ALLOWED_ORIGINS", "https://desk.example.net/page", "use e.g. https://desk.example.net"),
        ("CALLCHART_API_RATE", "0", "a whole number from 1"),
        ("OPENAI_REALTIME_URL", "https://api.openai.com", "it begins with wss://"),
    ],
)
def test_value_that_cannot_be_used_is_named_with_what_it_may_be(name: str, text: str, says: str) -> None:
    with pytest.raises(SettingError) as refused:
        read_settings({name: text})

    assert str(refused.value).startswith(f"{name}: ")
    assert repr(text) in str(refused.value)
    assert says in str(refused.value)


def test_documents_in_redis_outlive_the_time_between_two_renewals() -> None:
    with pytest.raises(SettingError, match=r"SESSION_TTL: 10s is less than CALLCHART_LEASE \(15s\)"):
        read_settings({"CALLCHART_STORE": "redis", "SESSION_TTL": "10"})

    assert read_settings({"CALLCHART_STORE": "redis", "SESSION_TTL": "15"}).session_ttl == 15.0
    assert read_settings({"SESSION_TTL": "10"}).session_ttl == 10.0
