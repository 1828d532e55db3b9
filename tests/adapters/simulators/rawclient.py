"""A client of the Realtime API that sends exactly what a test tells it."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from adapters.simulators.waiting import Watch

PCMU: dict[str, Any] = {"type": "audio/pcmu"}
LOUD, QUIET = b"\x10", b"\xff"


class Client:
    """Reads all the time; keeps events with their times."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.events: list[Any] = []
        self.times: list[float] = []
        self._watch = Watch()

    async def read(self) -> None:
        with suppress(ConnectionClosed):
            async for message in self.socket:
                try:
                    self.events.append(json.loads(message))
                except ValueError:
                    self.events.append(message)
                self.times.append(asyncio.get_running_loop().time())
                self._watch.changed()

    def of(self, kind: str) -> list[Any]:
        return [event for event in self.events if isinstance(event, dict) and event["type"] == kind]

    def kinds(self) -> list[str]:
        return [event["type"] if isinstance(event, dict) else event for event in self.events]

    def time_of(self, kind: str) -> float:
        return round(self.times[self.kinds().index(kind)], 3)

    async def until(self, kind: str, count: int = 1) -> Any:
        """Return the `count`th event of a kind, once it has come."""

        def come() -> bool:
            return len(self.of(kind)) >= count

        if not come():
            async with asyncio.timeout(60):
                with self._watch.expecting(come) as expected:
                    await expected
        return self.of(kind)[count - 1]

    async def send(self, kind: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"type": kind, **fields}))

    async def configure(self, audio_format: dict[str, Any] = PCMU, **settings: Any) -> Any:
        """Set both formats and a detector that only listens; return `session.updated`."""
        detection = {"type": "server_vad", "silence_duration_ms": 500, "create_response": False}
        detection["interrupt_response"] = False
        listening = {"format": audio_format, "turn_detection": detection, "transcription": {"model": "whisper-1"}}
        audio = {"input": listening | settings.pop("input", {}), "output": {"format": audio_format, "voice": "marin"}}
        await self.send("session.update", session={"type": "realtime", "audio": audio, **settings})
        return await self.until("session.updated")

    async def append(self, sound: bytes) -> None:
        await self.send("input_audio_buffer.append", audio=base64.b64encode(sound).decode())

    async def utter(self) -> None:
        """A second of speech in mu-law, and the silence that ends it."""
        await self.append(LOUD * 8000 + QUIET * 4800)

    async def error(self) -> Any:
        return (await self.until("error"))["error"]


@asynccontextmanager
async def client_of(url: str, *, key: str | None = "sk-test", **headers: str) -> AsyncIterator[Client]:
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    socket = await connect(f"{url}?model=gpt-realtime-2.1", additional_headers=named, compression=None, proxy=None,
                           ping_interval=None, max_size=None)  # fmt: skip
    client = Client(socket)
    reader = asyncio.create_task(client.read())
    try:
        yield client
    finally:
        await socket.close()
        await reader
