"""A watcher names a place that its call does not have: a node died before it had kept what it had told."""

from __future__ import annotations

import json

import pytest
from websockets.exceptions import ConnectionClosed

from tests.adapters.live.world import World, a_world, hear
from tests.fakes import elapse

_LOST = ["50.3", "50.999", "99999999.1"]


async def _is_told_again(world: World, path: str) -> None:
    async with world.socket(path) as socket:
        snapshot = await hear(socket, "snapshot")
        world.say("still here")
        update = await hear(socket, "transcript.updated")

    assert snapshot["data"]["call"]["status"] == "active"
    assert update["data"]["text"] == "still here"


@pytest.mark.parametrize("last", _LOST)
@pytest.mark.parametrize("path", ["/api/v1/calls/CA1/live?", "/logs?call_id=CA1&"])
async def test_a_live_call_is_told_from_how_it_is_and_not_taken_for_over(path: str, last: str) -> None:
    async with a_world() as world:
        world.answer()
        await elapse(0.1)
        await _is_told_again(world, f"{path}after={last}")


@pytest.mark.parametrize("last", _LOST)
async def test_so_it_is_where_the_call_has_left_the_ring(last: str) -> None:
    async with a_world() as world:
        world.answer()
        await elapse(0.1)
        world.live.hub._ring.clear()
        await _is_told_again(world, f"/api/v1/calls/CA1/live?after={last}")


async def test_a_call_that_is_over_is_told_as_it_was_in_the_end() -> None:
    async with a_world() as world:
        world.answer()
        await elapse(0.1)
        world.hang_up()
        await elapse(1)
        async with world.socket("/api/v1/calls/CA1/live?after=50.3") as socket:
            snapshot = json.loads(await socket.recv())
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()

    assert snapshot["data"]["call"]["status"] == "ended"
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1000


@pytest.mark.parametrize("earlier", [True, False])
async def test_whoever_has_heard_the_end_hears_it_once_whichever_step_it_is_told_with(earlier: bool) -> None:
    async with a_world() as world:
        session = world.answer()
        await elapse(0.1)
        world.hang_up()
        await elapse(1)
        last = session.snapshot.seq + (-1 if earlier else 1)  # its node died; another one has ended the call
        async with world.socket(f"/api/v1/calls/CA1/live?after={last}.999") as socket:
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1000
