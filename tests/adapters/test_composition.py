"""What the composition root joins: each part hears of what it needs from the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from httpx import AsyncClient

from adapters.bootstrap import Application, build
from adapters.call_folder import call_folder
from adapters.live.fronts import Key
from adapters.settings import Settings
from adapters.stores.memory import MemoryStore
from fsm.clock import LoopClock
from fsm.triggers import ReplyFinished, Usage
from tests.adapters.stores.bench import a_commit, an_ended_head
from tests.bus_hub import BusHub
from tests.calls.world import a_world
from tests.fakes import elapse
from tests.serve import serve


@asynccontextmanager
async def running(tmp_path: Path, **parts: Any) -> AsyncIterator[Application]:
    """Run an application whose only bot listens."""
    bots = tmp_path / "bots.yaml"
    bots.write_text("default: {chart: listen}\n", encoding="utf-8")
    settings = Settings(openai_api_key="k", data_dir=tmp_path, store="memory", bots=str(bots), drain_grace=0.0)
    application = build(settings, **parts)
    await application.start()
    try:
        yield application
    finally:
        await application.drain()
        await application.aclose()


async def test_what_a_front_has_left_for_a_number_reaches_the_next_call_to_it(tmp_path: Path) -> None:
    async with running(tmp_path) as application:
        application.live.fronts.configure(None, Key("called", "+15550101"), {"voice": "cedar"})

        await application.desk.announce("CA1", carrier="twilio", caller="+15550100", called="+15550101")
        await elapse(0.1)

        session = application.switchboard.manager.get("CA1")
        assert session is not None
        assert session.context.voice == "cedar"
        assert application.live.fronts.unclaimed == 0


async def test_a_node_that_starts_asks_the_others_what_waits_at_them(tmp_path: Path) -> None:
    hub = BusHub()
    async with running(tmp_path, bus=hub.bus("a")) as first:
        first.live.fronts.configure(None, Key("called", "+15550101"), {"voice": "cedar"})
        async with running(tmp_path, bus=hub.bus("b")) as second:
            await elapse(0.1)

            assert second.live.fronts.unclaimed == 1


async def test_work_that_is_asked_for_again_is_done_again(tmp_path: Path) -> None:
    async with running(tmp_path) as application:
        await application.calls.create(call_id="API1", bot="", metadata={})
        await application.calls.add_segments("API1", [{"text": "hello"}])
        await application.calls.end("API1")
        await elapse(1.0)
        transcript = call_folder(tmp_path / "calls", "API1") / "transcript.json"
        transcript.unlink()

        await application.calls.run_pipeline("API1")
        await elapse(1.0)

        assert "hello" in transcript.read_text(encoding="utf-8")


async def test_a_call_that_has_cost_what_its_bot_allows_is_ended(tmp_path: Path) -> None:
    bots = tmp_path / "bots.yaml"
    bots.write_text("default: {largest_cost: 1.0}\n", encoding="utf-8")
    async with a_world(bots=str(bots)) as world:
        call = await world.call()
        await world.until(call, "listening")
        world.session(call).post(
            ReplyFinished(item_id="i9", usage=Usage(output_tokens=1_000_000, output_audio_tokens=1_000_000))
        )

        assert (await world.over(call)).end_reason == "cost_limit"


async def test_leases_are_renewed_and_what_was_left_undone_is_done_from_the_start_on(tmp_path: Path) -> None:
    store = MemoryStore(clock=LoopClock())
    await store.commit([a_commit("CA9", head=an_ended_head(handed_over=False))])
    async with running(tmp_path, store=store) as application:
        await application.calls.create(call_id="API1", bot="", metadata={})
        await elapse(2.0)
        undelivered = await store.undelivered()
        await elapse(100.0)
        kept = await store.get("API1")

        assert undelivered == []
        assert kept is not None
        assert kept.lease_left > 0


async def test_a_node_that_is_told_of_a_higher_fence_gives_its_call_up_at_once(tmp_path: Path) -> None:
    hub = BusHub()
    async with running(tmp_path, bus=hub.bus("a")) as application:
        await application.calls.create(call_id="API1", bot="", metadata={})

        told = await hub.bus("b").ask("a", {"op": "fenced", "call_id": "API1", "fence": 9})
        await elapse(0.1)

        assert told == {"given_up": True}
        assert application.switchboard.manager.call_ids() == []


async def test_a_stream_ends_when_the_process_is_to_end(tmp_path: Path) -> None:
    async with running(tmp_path) as application, serve(application.asgi) as address:
        async with (
            AsyncClient(base_url=f"http://{address}", timeout=None) as client,
            client.stream("GET", "/api/v1/calls/live", headers={"Accept": "text/event-stream"}) as stream,
        ):
            lines = stream.aiter_lines()
            first = await anext(lines)

            await application.drain()
            async with asyncio.timeout(5.0):
                rest = [line async for line in lines]

        assert first
        assert rest
