"""Twilio's signature, judged by Twilio's own validator: what it signs, we accept, whatever stands between."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pytest
from twilio.request_validator import RequestValidator

from adapters.carriers.twilio.config import TwilioConfig
from adapters.carriers.twilio.signature import Request, base_url, is_signed
from fsm.errors import SettingError

TOKEN = "12345678901234567890123456789012"
CONFIG = TwilioConfig(auth_token=TOKEN)
FORM = [("CallSid", "CA1"), ("From", "+15550100"), ("City", "Köln")]


def signature(url: str, form: Mapping[str, str] | None = None, *, secret: str = TOKEN, algorithm: str = "") -> str:
    return str(RequestValidator(secret).compute_signature(url, dict(form or {}), algorithm or None))


def asked(
    path: str = "/twilio/media", *, kind: str = "ws", query: str = "", host: str = "bot.example.net", **headers: str
) -> Request:
    named = {"host": host, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return Request(
        {
            "type": "websocket" if kind.startswith("ws") else "http",
            "scheme": kind,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in named.items() if value],
        }
    )


@pytest.mark.parametrize(
    ("dialled", "request_"),
    [
        ("wss://bot.example.net/twilio/media", {"kind": "wss"}),
        ("wss://bot.example.net/twilio/media", {"x_forwarded_proto": "https"}),
        ("wss://bot.example.net/twilio/media", {"x_forwarded_proto": "wss"}),
        ("wss://bot.example.net/twilio/media", {"x_forwarded_proto": "https, http"}),
        ("wss://bot.example.net/twilio/media", {"x_forwarded_proto": "HTTPS"}),
        ("wss://bot.example.net/twilio/media", {}),
        ("wss://bot.example.net/twilio/media", {"host": "10.0.0.7:8080", "x_forwarded_host": "bot.example.net, inner"}),
        ("wss://bot.example.net:443/twilio/media", {"kind": "wss"}),
        ("wss://bot.example.net/twilio/media", {"kind": "wss", "host": "bot.example.net:443"}),
        ("wss://bot.example.net:8443/twilio/media", {"kind": "wss", "host": "bot.example.net:8443"}),
        ("ws://127.0.0.1:8080/twilio/media", {"host": "127.0.0.1:8080"}),
        ("wss://127.0.0.1:8080/twilio/media", {"host": "127.0.0.1:8080"}),
        ("wss://[::1]:8080/twilio/media", {"host": "[::1]:8080"}),
        ("wss://bot.example.net/twilio/media?a=1", {"query": "a=1"}),
    ],
)
def test_a_handshake_is_signed_over_the_wss_address_also_behind_a_proxy(dialled: str, request_: dict[str, Any]) -> None:
    request = asked(**request_, x_twilio_signature=signature(dialled))

    assert is_signed(CONFIG, request)


def test_query_parameters_of_a_handshake_may_be_signed_as_parameters() -> None:
    signed = signature("wss://bot.example.net/twilio/media", {"b": "2", "a": "1"})

    assert is_signed(CONFIG, asked(query="a=1&b=2", x_twilio_signature=signed))


@pytest.mark.parametrize(
    "signed",
    [
        "",
        "nonsense",
        signature("https://bot.example.net/twilio/media"),
        signature("wss://bot.example.net/twilio/media/"),
        signature("wss://other.example.net/twilio/media"),
        signature("wss://bot.example.net/twilio/media", secret="another token"),
        signature("wss://bot.example.net:80/twilio/media/x"),
        signature("wss://bot.example.net/twilio/media", {"a": "1"}),
    ],
    ids=["none", "nonsense", "https", "trailing slash", "host", "token", "path", "parameters"],
)
def test_any_other_handshake_is_refused(signed: str) -> None:
    assert not is_signed(CONFIG, asked(x_forwarded_proto="https", x_twilio_signature=signed))


def test_the_public_url_stands_above_all_headers() -> None:
    config = TwilioConfig(auth_token=TOKEN, public_url="https://bot.example.net/callchart/")
    signed = signature("wss://bot.example.net/callchart/twilio/media")

    request = asked(host="10.0.0.7:80", x_forwarded_host="evil.example.net", x_twilio_signature=signed)

    assert is_signed(config, request)


@pytest.mark.parametrize(
    ("dialled", "request_"),
    [
        ("https://bot.example.net/twilio/voice", {"kind": "https"}),
        ("https://bot.example.net/twilio/voice", {"x_forwarded_proto": "https, http", "host": "bot.example.net"}),
        ("https://bot.example.net:443/twilio/voice", {"kind": "https"}),
        ("https://bot.example.net/twilio/voice?bot=night", {"kind": "https", "query": "bot=night"}),
        ("http://127.0.0.1:8080/twilio/voice", {"host": "127.0.0.1:8080"}),
    ],
)
def test_a_webhook_is_signed_over_its_address_and_its_form(dialled: str, request_: dict[str, Any]) -> None:
    signed = signature(dialled, dict(FORM))

    request = asked("/twilio/voice", **{"kind": "http", **request_}, x_twilio_signature=signed)

    assert is_signed(CONFIG, request, FORM)
    assert not is_signed(CONFIG, request, [*FORM, ("To", "+1900")])
    assert not is_signed(CONFIG, request, FORM[1:])


def test_a_field_sent_twice_is_signed_as_twilio_signs_it() -> None:
    class Twice(dict[str, str]):
        def getall(self, name: str) -> list[str]:
            return ["1", "2"]

    signed = str(RequestValidator(TOKEN).compute_signature("http://h/twilio/voice", Twice(a="")))

    request = asked("/twilio/voice", kind="http", host="h", x_twilio_signature=signed)

    assert is_signed(CONFIG, request, [("a", "2"), ("a", "1")])


def test_a_json_body_is_proved_by_its_hash() -> None:
    body = json.dumps({"CallSid": "CA1"})
    query = "bodySHA256=" + hashlib.sha256(body.encode()).hexdigest()
    signed = signature(f"http://h/twilio/voice?{query}")

    request = asked("/twilio/voice", kind="http", host="h", query=query, x_twilio_signature=signed)

    assert is_signed(CONFIG, request, body)
    assert not is_signed(CONFIG, request, body + " ")


def test_a_json_body_without_a_hash_is_refused() -> None:
    request = asked("/twilio/voice", kind="http", host="h", x_twilio_signature=signature("http://h/twilio/voice"))

    assert not is_signed(CONFIG, request, "{}")


def test_a_shared_key_signs_with_sha_256() -> None:
    config = TwilioConfig(auth_token=TOKEN, shared_keys={"key_1": "shared secret"})
    url = "wss://bot.example.net/twilio/media"
    by_key = signature(url, secret="shared secret", algorithm="HMAC_SHA256")
    by_token = signature(url, algorithm="HMAC_SHA256")

    def asked_with(signed: str, settings: str) -> Request:
        return asked(x_twilio_signature=signed, x_twilio_webhooks_signature_settings=settings)

    assert is_signed(config, asked_with(by_key, "key=key_1,algorithm=HMAC_SHA256"))
    assert is_signed(config, asked_with(by_token, "algorithm=HMAC_SHA256"))
    assert not is_signed(config, asked_with(by_token, "key=key_1,algorithm=HMAC_SHA256"))
    assert not is_signed(config, asked_with(by_key, "key=key_1,algorithm=HMAC_MD5"))


def test_a_request_that_names_no_host_has_no_address() -> None:
    request = asked(host="", x_twilio_signature="x")

    assert base_url(CONFIG, request) is None
    assert not is_signed(CONFIG, request)


@pytest.mark.parametrize("host", ["bot.example.net/evil", 'x"y', "a b", "user@host", "[::1", "h:99999", "h:", "[]:1"])
def test_a_host_that_is_none_is_not_taken_over(host: str) -> None:
    assert base_url(CONFIG, asked(x_forwarded_host=host)) is None


@pytest.mark.parametrize(
    "url",
    [
        "bot.example.net",
        "ftp://bot.example.net",
        "https://",
        "https://h/?a=1",
        "https://h#x",
        "https://h:99999",
        "https://[::1",
    ],
)
def test_a_public_url_that_is_none_is_refused_at_the_start(url: str) -> None:
    with pytest.raises(SettingError, match="public URL"):
        TwilioConfig(public_url=url)


def test_the_outermost_proxys_header_counts_if_each_adds_its_own() -> None:
    more = [(b"x-forwarded-host", b"bot.example.net"), (b"X-Forwarded-Host", b"inner"), (b"host", b"10.0.0.7")]
    request = Request({"scheme": "https", "path": "/", "headers": more})

    assert base_url(CONFIG, request) == "https://bot.example.net"


def test_a_handshake_with_a_thousand_parameters_is_just_refused() -> None:
    assert not is_signed(CONFIG, asked(query="&".join(["a=1"] * 1000), x_twilio_signature="x"))


def test_secrets_do_not_show() -> None:
    config = TwilioConfig(auth_token="secret-1", token_secret="secret-2", shared_keys={"k": "secret-3"})

    assert "secret-" not in repr(config)
