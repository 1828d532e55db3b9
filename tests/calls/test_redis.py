"""Two nodes on a real Redis: the bus, the leases and the spool as they are deployed. In real time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from adapters.bootstrap import Application, build
from adapters.carriers.contract import LegEvents
from adapters.settings import Settings
from fsm.triggers import CallDtmf, CallEnded, CallStarted
from tests.adapters.media.fakes import FakeLeg
from tests.redis_server import RedisServer

pytestmark = [pytest.mark.real_time, pytest.mark.timeout(120)]
_BOTS = Path(__file__).with_name("bots.yaml")


@asynccontextmanager
async def a_node(folder: Path, server: RedisServer, name: str, **settings: Any) -> AsyncIterator[Application]:
    told = {
        "store": "redis",
        "redis_url": f"redis://127.0.0.1:{server.port}",
        "data_dir": folder / name,
        "bots": str(_BOTS),
        "openai_url": "ws://127.0.0.1:9",
        "lease": 3.0,
        **settings,
    }
    application = build(Settings(**told))
    await application.start()
    try:
        yield application
    finally:
        await application.aclose()


async def bring(node: Application, leg: FakeLeg, *, again: bool = False) -> LegEvents | None:
    started = CallStarted(carrier="fake", called="+15550101", stream_id=leg.stream_id)
    leg.events = await node.desk.connect(leg, started, call_id="CA1", proof=True, again=again)
    return leg.events


async def test_a_call_is_taken_over_told_over_the_bus_and_its_webhooks_find_it(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        async with a_node(tmp_path, server, "a") as first, a_node(tmp_path, server, "b") as second:
            leg = FakeLeg("MZ1")
            assert await first.desk.announce("CA1", carrier="fake", caller="+1", called="+15550101") == "welcome"
            assert await second.desk.announce("CA1", carrier="fake", caller="+1", called="+15550101") == "welcome"
            assert await bring(first, leg) is not None
            stays = first.switchboard.manager.get("CA1")
            assert stays is not None
            await first.write_behind.flushed()

            assert await bring(second, FakeLeg("MZ2"), again=True) is not None
            await asyncio.wait_for(stays.wait_settled(), 5.0)
            assert stays.given_up
            goes_on = second.switchboard.manager.get("CA1")
            assert goes_on is not None

            assert await first.desk.post("CA1", CallDtmf(digits="1"))
            assert await first.desk.post("CA1", CallEnded())
            await asyncio.wait_for(goes_on.wait_settled(), 10.0)
            await second.write_behind.flushed()
            kept = await first.store.get("CA1")
            assert kept is not None
            assert (kept.head.status, kept.head.settled, kept.fence) == ("ended", True, 2)
            versions = [entry.version for entry in await first.store.log("CA1")]
            assert versions == list(range(1, len(versions) + 1))


async def test_a_call_taken_while_redis_is_away_is_resumed_by_the_next_process_once_redis_is_back(
    tmp_path: Path,
) -> None:
    with RedisServer(tmp_path) as server:
        server.kill()
        async with a_node(tmp_path, server, "a") as node:
            assert await bring(node, FakeLeg("MZ1")) is not None
            assert node.keeping.is_away()
            session = node.switchboard.manager.get("CA1")
            assert session is not None
            session.post(CallDtmf(digits="7"))
            await asyncio.sleep(0)
            await node.write_behind.flushed()
            assert node.write_behind.spooled == 1
            before = session.snapshot.seq
            session.give_up()  # as if its process were killed
            await session.wait_settled()

        server.start()
        async with a_node(tmp_path, server, "a") as node:
            await asyncio.wait_for(node.write_behind.replayed(), 10.0)
            assert await bring(node, FakeLeg("MZ2"), again=True) is not None
            session = node.switchboard.manager.get("CA1")
            assert session is not None
            await node.desk.post("CA1", CallEnded())
            await asyncio.wait_for(session.wait_settled(), 10.0)

            assert session.context.answered
            assert session.snapshot.seq > before
            await node.write_behind.flushed()
            log = await node.store.log("CA1")
            assert [entry.version for entry in log] == list(range(1, len(log) + 1))
            assert {entry.fence for entry in log} == {1, 2}
