"""The TwiML that we answer: connect a stream, reject, dial, hang up. Pure.

Sources: Twilio, TwiML Voice: `<Connect>`, `<Stream>` (no query string in its URL; name and value of a `<Parameter>`
under 500 characters), `<Reject>`, `<Dial>`, `<Hangup>`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from fsm.errors import PortError

__all__ = ["AFTER_STREAM_PATH", "MEDIA_PATH", "STREAM_STATUS_PATH", "busy", "connect", "dial", "dialable", "hang_up"]

MEDIA_PATH = "/twilio/media"
AFTER_STREAM_PATH = "/twilio/after-stream"
STREAM_STATUS_PATH = "/twilio/stream-status"

_PARAMETER_LIMIT = 499  # of name and value together
_NUMBER = re.compile(r"\+?[0-9*#]{2,32}")
_FILLERS = str.maketrans("", "", " -().\u00a0")
_SIP = re.compile(r"sips?:[^\s@<>\"]+@[^\s@<>\"]+")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def connect(base: str, parameters: Mapping[str, str]) -> str:
    """Return TwiML that opens a media stream to us at `base` (`https://host`), and asks us again when it has ended."""
    from twilio.twiml.voice_response import Connect, VoiceResponse

    response = VoiceResponse()
    connection = Connect(action=base + AFTER_STREAM_PATH, method="POST")
    stream = connection.stream(url=_socket_url(base), status_callback=base + STREAM_STATUS_PATH)
    for name, value in parameters.items():
        if value:
            stream.parameter(name=name, value=value[: _PARAMETER_LIMIT - len(name)])
    response.append(connection)
    return str(response)


def busy() -> str:
    """Return TwiML that does not answer the call: it costs nothing, and the caller hears the busy tone."""
    from twilio.twiml.voice_response import VoiceResponse

    response = VoiceResponse()
    response.reject(reason="busy")
    return str(response)


def hang_up() -> str:
    """Return TwiML that ends the call."""
    from twilio.twiml.voice_response import VoiceResponse

    response = VoiceResponse()
    response.hangup()
    return str(response)


def dial(target: str) -> str:
    """Return TwiML that connects the caller to `target`, as `dialable` returned it."""
    from twilio.twiml.voice_response import Dial, VoiceResponse

    response = VoiceResponse()
    connection = Dial()
    if target.startswith(("sip:", "sips:")):
        connection.sip(target)
    else:
        connection.number(target)
    response.append(connection)
    return str(response)


def dialable(target: str) -> str:
    """Return a telephone number without its spaces and dashes, or a SIP address with its scheme.

    Raises:
        PortError: it is neither; not retryable.
    """
    target = target.strip()
    address = f"sip:{target}" if "@" in target and ":" not in target.partition("@")[0] else target
    if _SIP.fullmatch(address):
        return address
    number = target.removeprefix("tel:").translate(_FILLERS)
    if _NUMBER.fullmatch(number):
        return number
    raise PortError(
        "a transfer needs a telephone number or a SIP address" if target else "a transfer needs a target",
        port="carrier",
        retryable=False,
    )


def _socket_url(base: str) -> str:
    # Twilio dials wss only: a proxy that ends TLS need not tell us so. On loopback there is no certificate.
    scheme, _, rest = base.partition("://")
    local = scheme == "http" and urlsplit(base).hostname in _LOOPBACK
    return f"{'ws' if local else 'wss'}://{rest}{MEDIA_PATH}"
