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
            "CALLCHART_JOURNAL": "off",
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
        journal=False,
        twilio_auth_token="twilio-token",
        token_secret="our-secret",
        openai_api_key="sk-key",
        openai_url="ws://127.0.0.1:9000/v1/realtime",
        openai_model="gpt-realtime",
    )


def test_secrets_are_not_in_what_is_printed() -> None:
    printed = repr(Settings(twilio_auth_token="secret-1", token_secret="secret-2", openai_api_key="secret-3"))

    assert "secret-" not in printed


@pytest.mark.parametrize(
    ("environ", "port"),
    [({"PORT": "9000"}, 9000), ({"PORT": "9000", "CALLCHART_PORT": "9001"}, 9001), ({}, 8080)],
    ids=["platform", "own goes first", "default"],
)
def test_port_may_come_from_the_platform(environ: dict[str, str], port: int) -> None:
    assert read_settings(environ).port == port


@pytest.mark.parametrize("text", ["on", "1", "yes", "TRUE"])
def test_switch_is_on(text: str) -> None:
    assert read_settings({"CALLCHART_JOURNAL": text}).journal


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
        ("CALLCHART_JOURNAL", "maybe", "use on or off"),
        ("OPENAI_REALTIME_URL", "https://api.openai.com", "it begins with wss://"),
    ],
)
def test_value_that_cannot_be_used_is_named_with_what_it_may_be(name: str, text: str, says: str) -> None:
    with pytest.raises(SettingError) as refused:
        read_settings({name: text})

    assert str(refused.value).startswith(f"{name}: ")
    assert repr(text) in str(refused.value)
    assert says in str(refused.value)
