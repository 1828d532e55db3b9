"""Who asked, and at which address: Twilio's signature over the URL as Twilio dialled it.

A request seldom arrives at the address that was dialled: a proxy ends TLS, renames the host, hides the port. So the
address is built again, from the public URL if one is set, else from the proxy's headers (their first values), else
from the request itself, and every spelling that Twilio may have signed is tried.

Sources: Twilio, Webhooks security; `twilio.request_validator`; the handshake of a media socket is signed over `wss`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from adapters.carriers.twilio.config import TwilioConfig

__all__ = ["Request", "base_url", "is_signed"]

_HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:(?P<port>[0-9]{1,5}))?")
_DEFAULT_PORTS = {"https": 443, "wss": 443, "http": 80, "ws": 80}


class Request:
    """What of an ASGI scope (HTTP or WebSocket) says where a request was meant to go."""

    __slots__ = ("headers", "path", "query", "scheme")

    def __init__(self, scope: Mapping[str, Any]) -> None:
        self.headers: dict[str, str] = {}
        for name, value in scope["headers"]:  # the first of several counts: the outermost proxy's
            self.headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
        self.scheme: str = scope.get("scheme", "http")
        raw_path: bytes = scope.get("raw_path") or str(scope["path"]).encode()
        self.path = raw_path.decode("latin-1").partition("?")[0]
        query: bytes = scope.get("query_string", b"")
        self.query = query.decode("latin-1")

    def first(self, header: str) -> str:
        """Return the first value of a header that each proxy may have added to; empty if there is none."""
        return self.headers.get(header, "").partition(",")[0].strip()


class _Fields(dict[str, list[str]]):
    """Form fields as the validator wants them: it asks for all values of a name."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        super().__init__()
        for name, value in pairs:
            self.setdefault(name, []).append(value)

    def getlist(self, name: str) -> list[str]:
        return self[name]


def base_url(config: TwilioConfig, request: Request) -> str | None:
    """Return `https://host` (`http` without TLS), without a slash at its end; None if the request names no host."""
    if config.public_url:
        return config.public_url.rstrip("/")
    host = request.first("x-forwarded-host") or request.headers.get("host", "")
    if (named := _HOST.fullmatch(host)) is None or int(named["port"] or 0) > 65_535:
        return None
    scheme = (request.first("x-forwarded-proto") or request.scheme).lower()
    return f"{'https' if scheme in ('https', 'wss') else 'http'}://{host}"


def is_signed(config: TwilioConfig, request: Request, fields: list[tuple[str, str]] | str = "") -> bool:
    """Tell whether Twilio, or somebody who knows our secret, made this request.

    Args:
        config: with the secrets.
        request: a webhook's or a handshake's.
        fields: a webhook's form fields; or its body as text if that is not a form, proved by `bodySHA256`.
    """
    from twilio.request_validator import (  # brings in an HTTP client: not for those who only want `--help`
        SIGNATURE_HEADER,
        SIGNATURE_SETTINGS_HEADER,
        RequestValidator,
        get_signature_algorithm,
    )

    signature = request.headers.get(SIGNATURE_HEADER.lower(), "")
    settings = request.headers.get(SIGNATURE_SETTINGS_HEADER.lower(), "")
    base = base_url(config, request)
    if not signature or base is None:
        return False
    algorithm = get_signature_algorithm(settings)
    if algorithm.upper() not in ("HMAC_SHA1", "HMAC_SHA256"):
        return False
    validator = RequestValidator(_secret(config, settings))
    return any(
        validator.validate(url, signed, signature, algorithm) for url, signed in _spellings(base, request, fields)
    )


def _secret(config: TwilioConfig, settings: str) -> str:
    """Return the shared key that the request names, or the auth token."""
    named = dict(part.strip().split("=", 1) for part in settings.split(",") if "=" in part)
    return config.shared_keys.get(named.get("key", ""), config.auth_token)


def _spellings(base: str, request: Request, fields: list[tuple[str, str]] | str) -> Iterator[tuple[str, _Fields | str]]:
    """Yield each address that Twilio may have signed, with what it signed beside it."""
    query = f"?{request.query}" if request.query else ""
    if request.scheme in ("http", "https"):
        signed = fields if isinstance(fields, str) else _Fields(fields)
        if isinstance(signed, str) and "bodySHA256" not in dict(parse_qsl(request.query)):
            return  # nothing would prove the body
        for address in _with_and_without_port(base + request.path):
            yield address + query, signed
        return
    parameters = _Fields(parse_qsl(request.query, keep_blank_values=True))
    wss = "wss" + base[base.index("://") :]  # what Twilio dials, whatever a proxy says; `ws` only without TLS
    for origin in (wss, "ws" + base[4:]) if base.startswith("http://") else (wss,):
        for address in _with_and_without_port(origin + request.path):
            yield address, parameters
            if query:
                yield address + query, _Fields([])


def _with_and_without_port(url: str) -> Iterator[str]:
    # The validator tries both itself, but takes 80 for the port of `wss`.
    yield url
    parts = urlsplit(url)
    if parts.port is None:
        yield parts._replace(netloc=f"{parts.netloc}:{_DEFAULT_PORTS[parts.scheme]}").geturl()
