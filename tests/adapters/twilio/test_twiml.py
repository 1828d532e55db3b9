"""The TwiML we answer."""

from __future__ import annotations

import pytest

from adapters.carriers.twilio import twiml
from fsm.errors import PortError

HEAD = '<?xml version="1.0" encoding="UTF-8"?>'


def test_a_call_is_connected_to_our_socket() -> None:
    assert twiml.connect("https://bot.example.net", {"token": "t", "caller": "", "called": "+15550199"}) == (
        HEAD + '<Response><Connect action="https://bot.example.net/twilio/after-stream" method="POST">'
        '<Stream statusCallback="https://bot.example.net/twilio/stream-status" '
        'url="wss://bot.example.net/twilio/media"><Parameter name="token" value="t" />'
        '<Parameter name="called" value="+15550199" /></Stream></Connect></Response>'
    )


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("https://bot.example.net/base", "wss://bot.example.net/base/twilio/media"),
        ("http://bot.example.net", "wss://bot.example.net/twilio/media"),
        ("http://127.0.0.1:8080", "ws://127.0.0.1:8080/twilio/media"),
        ("https://127.0.0.1:8080", "wss://127.0.0.1:8080/twilio/media"),
        ("http://[::1]:8080", "ws://[::1]:8080/twilio/media"),
    ],
)
def test_twilio_dials_wss_except_on_loopback(base: str, url: str) -> None:
    assert f'url="{url}"' in twiml.connect(base, {})


def test_a_parameter_stays_under_500_characters() -> None:
    document = twiml.connect("https://h", {"caller": "x" * 600})

    assert f'value="{"x" * 493}"' in document


def test_a_callers_name_cannot_break_the_document() -> None:
    assert '"><Dial>' not in twiml.connect("https://h", {"caller": '"><Dial>1900</Dial>'})


def test_busy_and_hang_up() -> None:
    assert twiml.busy() == HEAD + '<Response><Reject reason="busy" /></Response>'
    assert twiml.hang_up() == HEAD + "<Response><Hangup /></Response>"


@pytest.mark.parametrize(
    ("target", "verb"),
    [
        ("+1 (555) 012-3456", "<Number>+15550123456</Number>"),
        ("tel:+15550123456", "<Number>+15550123456</Number>"),
        ("911", "<Number>911</Number>"),
        ("sip:desk@example.net;transport=tls", "<Sip>sip:desk@example.net;transport=tls</Sip>"),
        ("sips:desk@example.net", "<Sip>sips:desk@example.net</Sip>"),
        (" desk@example.net ", "<Sip>sip:desk@example.net</Sip>"),
        ("sip:desk@example.net?a=1&b=2", "<Sip>sip:desk@example.net?a=1&amp;b=2</Sip>"),
    ],
)
def test_a_caller_is_connected_to_a_number_or_a_sip_address(target: str, verb: str) -> None:
    assert twiml.dial(twiml.dialable(target)) == HEAD + f"<Response><Dial>{verb}</Dial></Response>"


@pytest.mark.parametrize("target", ["", " ", "Bob", "+", "1", "client:bob", "sip:bob", "sip:a b@c", "http://a@b"])
def test_nothing_else_can_be_dialled(target: str) -> None:
    with pytest.raises(PortError) as raised:
        twiml.dialable(target)

    assert (raised.value.port, raised.value.retryable) == ("carrier", False)
