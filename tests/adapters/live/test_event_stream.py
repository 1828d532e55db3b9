"""The same events as server-sent events: a browser resumes them by itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import httpx
import pytest

from adapters.live.messages import SERVER
from fsm.triggers import SegmentReceived
from tests.adapters.live.world import World, a_world
from tests.fakes import elapse

LIVE = "/api/v1/calls/CA1/live"


class Stream:
    """What an EventSource makes of a response."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.comments: list[str] = []
        self.last_id = ""
        self._lines = response.aiter_lines()

    async def next(self) -> dict[str, Any]:
        """Return the next event, whose id is that of its message."""
        data = ""
        async for line in self._lines:
            field, _, value = line.partition(":")
            match field:
                case "" if line:
                    self.comments.append(value.strip())
                case "id":
                    self.last_id = value.strip()
                case "data":
                    data = value.strip()
                case "" if data:
                    said: dict[str, Any] = json.loads(data)
                    SERVER.validate_python(said)
                    assert said["id"] == self.last_id
                    return said
                case _:
                    pass
        raise EOFError

    async def until(self, kind: str) -> dict[str, Any]:
        while (said := await self.next())["type"] != kind:
            pass
        return said


@asynccontextmanager
async def a_stream(world: World, path: str = LIVE, **headers: str) -> AsyncIterator[Stream]:
    async with (
        httpx.AsyncClient(base_url=f"http://{world.url}", timeout=None) as client,
        client.stream("GET", path, headers={"accept": "text/event-stream", **headers}) as response,
    ):
        yield Stream(response)


async def get(world: World, path: str, method: str = "GET", **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=f"http://{world.url}", timeout=None) as client:
        return await client.request(method, path, headers=headers)


async def test_a_browser_gets_a_snapshot_then_what_follows_and_the_stream_ends_with_the_call() -> None:
    async with a_world() as world:
        world.answer()
        await elapse(0.1)
        async with a_stream(world) as stream:
            snapshot = await stream.next()
            world.say("hello")
            said = await stream.until("transcript.updated")
            world.hang_up()
            over = await stream.until("call.status_changed")
            with pytest.raises(EOFError):
                await stream.next()
            last = stream.last_id
        again = await get(world, LIVE, **{"last-event-id": last})

        assert stream.response.headers["content-type"].startswith("text/event-stream")
        assert stream.response.headers["cache-control"] == "no-store"
        assert snapshot["type"] == "snapshot"
        assert said["data"]["text"] == "hello"
        assert over["data"]["status"] == "ended"
        assert again.status_code == 204


async def test_a_browser_resumes_by_the_id_that_it_heard_last() -> None:
    async with a_world() as world:
        world.answer()
        await elapse(0.1)
        async with a_stream(world) as stream:
            await stream.next()
            world.say("one")
            one = await stream.until("transcript.updated")
        world.say("two")
        await elapse(0.1)
        async with a_stream(world, **{"last-event-id": stream.last_id}) as stream:
            first = await stream.next()
            two = await stream.until("transcript.updated")

        assert first["data"]["seq"] == one["data"]["seq"] + 1
        assert two["data"]["text"] == "two"


async def test_all_calls_are_streamed_and_resumed() -> None:
    async with a_world() as world:
        async with a_stream(world, "/api/v1/calls/live") as stream:
            assert (await stream.next())["data"] == {"calls": []}
            world.answer("CA1")
            first = await stream.next()
        async with a_stream(world, "/api/v1/calls/live", **{"last-event-id": stream.last_id}) as stream:
            second = await stream.next()

        assert (first["type"], second["type"]) == ("transition", "call.status_changed")
        assert second["call_id"] == "CA1"


async def test_silence_is_filled_with_comments() -> None:
    async with a_world() as world:
        world.answer()
        await elapse(0.1)
        async with a_stream(world) as stream:
            await stream.next()
            heard = asyncio.create_task(stream.until("transcript.updated"))
            await elapse(4)  # the greeting's own time-out is an event, too
            await elapse(40)
            world.say("hello")
            await heard

        assert set(stream.comments) == {"heartbeat"}


async def test_a_call_that_nobody_knows_is_no_stream() -> None:
    async with a_world() as world:
        unknown = await get(world, LIVE)

        assert world.live.hub.watched == 0
        assert unknown.status_code == 404
        assert unknown.headers["content-type"] == "application/problem+json"
        assert unknown.json()["detail"] == "there is no call CA1"


async def test_a_snapshot_tells_when_things_were_said_as_all_else_is_told() -> None:
    async with a_world() as world:
        world.answer()
        world.say("hello")
        await elapse(0.1)
        async with a_stream(world) as stream:
            snapshot = await stream.until("snapshot")

    [line] = snapshot["data"]["transcript"]
    assert line["text"] == "hello"
    assert datetime.fromisoformat(line["at"]).timestamp() == pytest.approx(world.clock.wall(), abs=60)


async def test_without_the_store_nobody_watches_all_calls_as_if_they_were_all() -> None:
    async with a_world() as world:
        world.answer()
        world.book.complete = False
        async with httpx.AsyncClient() as client, world.socket("/api/v1/calls/live") as socket:
            answer = await client.get(f"http://{world.url}/api/v1/calls/live")
            await socket.wait_closed()

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert socket.close_code == 1013


async def test_who_may_not_watch_gets_a_problem() -> None:
    async with a_world() as world:
        world.access.token = "open sesame"
        refused = await get(world, "/api/v1/calls/live")

        assert refused.status_code == 401
        assert refused.json()["title"] == "Unauthorized"


async def test_only_the_head_of_a_stream_may_be_asked_for() -> None:
    async with a_world() as world:
        head = await get(world, "/api/v1/calls/live", "HEAD")

        assert head.status_code == 200
        assert head.headers["content-type"].startswith("text/event-stream")


async def test_a_client_that_leaves_leaves_nothing_behind() -> None:
    async with a_world() as world:
        world.answer()
        await elapse(0.1)
        for _ in range(3):
            async with a_stream(world) as stream:
                await stream.next()
        await elapse(1)

        assert world.live.hub.watched == 0


async def test_a_server_that_stops_ends_the_stream() -> None:
    async with a_world() as world, a_stream(world, "/api/v1/calls/live") as stream:
        await stream.next()
        await world.live.aclose()

        with pytest.raises(EOFError):
            await stream.next()


async def test_a_browser_that_does_not_read_is_cut_off() -> None:
    async with a_world() as world:
        session = world.answer()
        await elapse(0.1)
        reader, writer = await asyncio.open_connection(*world.url.split(":"), limit=1024)
        writer.write(f"GET {LIVE} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        for _ in range(900):
            session.post(SegmentReceived(id="s", text="x" * 20_000))
            await elapse(0.01)
        await elapse(60)

        assert world.live.hub.watched == 0
        writer.transport.abort()
