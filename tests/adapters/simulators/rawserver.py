"""A server that says to a simulated caller exactly what a test tells it, over a real socket."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import parse_qsl

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosedError

Talk = Callable[[ServerConnection, "Bridge"], Awaitable[None]]


async def elapse(seconds: float) -> None:
    """Let virtual time pass."""
    await asyncio.sleep(seconds)


class Bridge:
    """What the server saw: messages parsed, with the loop's time; requests with their headers."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.times: list[float] = []
        self.headers: list[dict[str, str]] = []
        self.codes: list[int | None] = []
        self.url = ""

    def of(self, event: str) -> list[Any]:
        return [m for m in self.messages if isinstance(m, dict) and m.get("event") == event]

    def times_of(self, event: str) -> list[float]:
        pairs = zip(self.messages, self.times, strict=True)
        return [round(t, 3) for m, t in pairs if isinstance(m, dict) and m.get("event") == event]

    def events(self) -> list[str]:
        return [m["event"] for m in self.messages if isinstance(m, dict)]

    async def read(self, socket: ServerConnection) -> None:
        with suppress(ConnectionClosedError):
            async for message in socket:
                try:
                    self.messages.append(json.loads(message))
                except ValueError:
                    self.messages.append(message)
                self.times.append(asyncio.get_running_loop().time())


async def only_listen(socket: ServerConnection, bridge: Bridge) -> None:
    await bridge.read(socket)


@asynccontextmanager
async def bridged(talk: Talk = only_listen, port: int = 0) -> AsyncIterator[Bridge]:
    """Serve `talk` to each media socket."""
    bridge = Bridge()

    async def carry(socket: ServerConnection) -> None:
        assert socket.request is not None
        bridge.headers.append({name.lower(): value for name, value in socket.request.headers.raw_items()})
        await talk(socket, bridge)
        await socket.wait_closed()
        bridge.codes.append(socket.close_code)

    async with serve(
        carry, "127.0.0.1", port, compression=None, ping_interval=None, max_size=None, max_queue=None
    ) as server:
        bridge.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/twilio/media"
        yield bridge
        server.close(close_connections=True)
        await server.wait_closed()


def media(sid: str, sound: bytes) -> str:
    payload = base64.b64encode(sound).decode()
    return json.dumps({"event": "media", "streamSid": sid, "media": {"payload": payload}})


def mark(sid: str, name: str) -> str:
    return json.dumps({"event": "mark", "streamSid": sid, "mark": {"name": name}})


def clear(sid: str) -> str:
    return json.dumps({"event": "clear", "streamSid": sid})


async def first_sid(socket: ServerConnection) -> str:
    """Read `connected` and `start`; return the stream's id."""
    await socket.recv()
    return str(json.loads(await socket.recv())["streamSid"])


class Webhooks:
    """Answers each path with the next of its texts; keeps the forms and headers."""

    def __init__(self, answers: dict[str, list[str]], status: int = 200, chunked: bool = False) -> None:
        self.requests: list[tuple[str, dict[str, str], dict[str, str]]] = []
        self.url = ""
        self._answers = answers
        self._status = status
        self._chunked = chunked

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readline()).split()[1].decode()
        headers = {}
        while line := (await reader.readline()).decode().strip():
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
        form = dict(parse_qsl((await reader.readexactly(int(headers["content-length"]))).decode()))
        self.requests.append((path, form, headers))
        texts = self._answers.get(path, [])
        body = (texts.pop(0) if texts else "").encode()
        if self._chunked:
            half = len(body) // 2
            parts = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:half], body[half:]) if part)
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + parts + b"0\r\n\r\n")
        else:
            writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (self._status, len(body)) + body)
        await writer.drain()
        writer.close()

    def forms(self, path: str) -> list[dict[str, str]]:
        return [form for asked, form, _ in self.requests if asked == path]


@asynccontextmanager
async def webhooks(answers: dict[str, list[str]], status: int = 200, chunked: bool = False) -> AsyncIterator[Webhooks]:
    hooks = Webhooks(answers, status, chunked)
    server = await asyncio.start_server(hooks.answer, "127.0.0.1", 0)
    hooks.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield hooks
