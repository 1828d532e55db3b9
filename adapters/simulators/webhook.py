"""Posts a form to a webhook, as a carrier does. HTTP/1.1, one request a connection, nothing more."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

__all__ = ["Answer", "WebhookError", "post_form"]

_WAIT_S = 15.0  # Twilio gives up on a voice webhook after 15 s


class WebhookError(Exception):
    """There was no usable answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a webhook answered."""

    status: int
    body: str


async def post_form(url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
    """Post `form` to `url`.

    Raises:
        WebhookError: nobody listens, the answer is not HTTP, or it does not come within 15 s.
    """
    parts = urlsplit(url)
    tls = parts.scheme == "https"
    body = urlencode(form).encode()
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [f"POST {target} HTTP/1.1", f"Host: {parts.netloc}", "Connection: close"]
    lines += [*(f"{name}: {value}" for name, value in headers.items()), f"Content-Length: {len(body)}"]
    lines += ["Content-Type: application/x-www-form-urlencoded", "", ""]
    try:
        async with asyncio.timeout(_WAIT_S):
            return await _exchange(parts.hostname or "", parts.port or (443 if tls else 80), tls, lines, body)
    except (OSError, ValueError, IndexError, asyncio.IncompleteReadError) as failed:  # TimeoutError is an OSError
        raise WebhookError(f"{parts.netloc} did not answer: {type(failed).__name__}") from failed


async def _exchange(host: str, port: int, tls: bool, lines: list[str], body: bytes) -> Answer:
    reader, writer = await asyncio.open_connection(host, port, ssl=tls or None)
    try:
        writer.write("\r\n".join(lines).encode() + body)
        await writer.drain()
        status = int((await reader.readline()).split()[1])
        headers = await _headers(reader)
        return Answer(status, (await _body(reader, headers)).decode("utf-8", "replace"))
    finally:
        writer.close()


async def _headers(reader: asyncio.StreamReader) -> dict[str, str]:
    headers = {}
    while line := (await reader.readline()).decode("latin-1").strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return headers


async def _body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = b""
        while size := int((await reader.readline()).split(b";")[0], 16):
            body += await reader.readexactly(size)
            await reader.readline()
        return body
    if "content-length" in headers:
        return await reader.readexactly(int(headers["content-length"]))
    return await reader.read()
