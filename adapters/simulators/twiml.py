"""TwiML as Twilio reads it, and Twilio's signature. Knows the verbs that end or connect a call, nothing more.

Sources: Twilio, TwiML Voice: `<Connect>`, `<Stream>`, `<Dial>`, `<Reject>`, `<Hangup>`, `<Pause>`; Twilio, Webhooks
security (X-Twilio-Signature).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias
from urllib.parse import urljoin, urlsplit
from xml.etree import ElementTree

__all__ = ["Dial", "HangUp", "Other", "Pause", "Reject", "Stream", "TwimlError", "Verb", "parse", "sign"]

_PARAMETER_LIMIT = 500  # characters of name and value together


class TwimlError(Exception):
    """The answer is not TwiML that Twilio would carry out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """`<Connect><Stream>`: both ways; the verbs behind it wait until it is closed."""

    url: str
    name: str = ""
    action: str | None = None
    status_callback: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Dial:
    """`<Dial>`: the caller is connected to `target`."""

    target: str


@dataclass(frozen=True, slots=True)
class Reject:
    """`<Reject>`: the call is not answered."""

    reason: str = "rejected"


@dataclass(frozen=True, slots=True)
class HangUp:
    """`<Hangup>`."""


@dataclass(frozen=True, slots=True)
class Pause:
    """`<Pause>`, in seconds."""

    seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class Other:
    """Any other verb (`<Say>`, `<Play>` …): noted, not carried out."""

    tag: str
    text: str = ""


Verb: TypeAlias = Stream | Dial | Reject | HangUp | Pause | Other


def parse(twiml: str, base_url: str) -> list[Verb]:
    """Return the verbs of a TwiML document in order; relative addresses are resolved against `base_url`.

    Raises:
        TwimlError: it is not XML, the root is not `<Response>`, or Twilio would refuse it.
    """
    try:
        root = ElementTree.fromstring(twiml)
    except ElementTree.ParseError as broken:
        raise TwimlError(f"not XML: {broken}") from broken
    if root.tag != "Response":
        raise TwimlError(f"the root is <{root.tag}>, not <Response>")
    return [_verb(element, base_url) for element in root]


def sign(token: str, url: str, form: Mapping[str, str]) -> str:
    """Return `X-Twilio-Signature` for a request of `url` with the fields of `form`."""
    signed = url + "".join(name + form[name] for name in sorted(form))
    return base64.b64encode(hmac.new(token.encode(), signed.encode(), hashlib.sha1).digest()).decode()


def _verb(element: ElementTree.Element, base_url: str) -> Verb:
    match element.tag:
        case "Connect" if (stream := element.find("Stream")) is not None:
            return _stream(stream, element.get("action"), base_url)
        case "Dial":
            return Dial("".join(element.itertext()).strip())
        case "Reject":
            return Reject(element.get("reason", "rejected"))
        case "Hangup":
            return HangUp()
        case "Pause":
            return Pause(float(element.get("length", "1")))
        case tag:
            return Other(tag, "".join(element.itertext()).strip())


def _stream(stream: ElementTree.Element, action: str | None, base_url: str) -> Stream:
    url = stream.get("url", "")
    if urlsplit(url).scheme not in ("ws", "wss") or urlsplit(url).query:  # ws: on loopback there is no certificate
        raise TwimlError(f"<Stream> needs a wss address without a query string, not {url!r}")
    parameters = {element.get("name", ""): element.get("value", "") for element in stream.findall("Parameter")}
    for name, value in parameters.items():
        if len(name) + len(value) > _PARAMETER_LIMIT:
            raise TwimlError(f"<Parameter name={name!r}> is longer than {_PARAMETER_LIMIT} characters")
    callback = stream.get("statusCallback")
    return Stream(
        url=url,
        name=stream.get("name", ""),
        action=urljoin(base_url, action) if action else None,
        status_callback=urljoin(base_url, callback) if callback else None,
        parameters=parameters,
    )
