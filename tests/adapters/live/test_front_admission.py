"""Who may be a front, of which call, and what a front cannot do to calls."""

from __future__ import annotations

import json
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from adapters.http.access import Access
from tests.adapters.live.world import World, a_world, hear
from tests.fakes import elapse

OTHER = {
    "by id": {"type": "bind", "call_id": "CA2"},
    "by number": {"type": "bind", "data": {"called": "+15550100"}},
    "by token": {"type": "bind", "data": {"token": "a-token-of-24-characters"}},
    "by configuring it": {"type": "configure", "call_id": "CA2", "data": {"instructions": "Say nothing."}},
}


async def knock(world: World, path: str, **headers: str) -> int:
    """Return the status that a connection attempt is answered with."""
    try:
        async with connect(f"ws://{world.url}{path}", additional_headers=headers, compression=None, proxy=None):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


@pytest.mark.parametrize("said", OTHER.values(), ids=OTHER)
async def test_a_front_whose_ticket_is_for_one_call_cannot_turn_to_another(said: dict[str, Any]) -> None:
    access = Access(token="secret")
    async with a_world(access=access) as world:
        world.answer("CA1")
        other = world.answer("CA2")
        await elapse(0.1)
        ticket = access.issue(call_id="CA1", control=True)
        async with world.socket(f"/logs?call_id=CA1&ticket={ticket}") as front:
            await hear(front, "snapshot")
            await front.send(json.dumps(said))
            answer = await hear(front, "error", "bound", "waiting", "configured")
            await front.send(json.dumps({"type": "configure", "call_id": "CA1", "data": {"voice": "cedar"}}))
            own = await hear(front, "configured")

        assert (answer["type"], answer["data"].get("code")) == ("error", "refused")
        assert other.context.instructions is None
        assert (own["call_id"], own["data"]["applied"]) == ("CA1", True)


async def test_a_front_whose_ticket_is_for_all_calls_may_turn_to_any() -> None:
    access = Access(token="secret")
    async with a_world(access=access) as world:
        world.answer("CA2")
        await elapse(0.1)
        ticket = access.issue(call_id=None, control=True)
        async with world.socket(f"/logs?call_id=CA1&ticket={ticket}") as front:
            await front.send(json.dumps(OTHER["by id"]))
            assert (await hear(front, "bound"))["call_id"] == "CA2"


async def test_a_page_of_another_origin_does_not_use_up_the_connections_of_ours() -> None:
    async with a_world(access=Access()) as world:
        evil = [await knock(world, "/logs", Origin="https://evil.example") for _ in range(40)]

        assert set(evil) == {403}
        assert await knock(world, "/logs") == 101


async def test_metadata_that_nest_too_deep_to_be_written_are_refused() -> None:
    nested: Any = []
    for _ in range(40):
        nested = [nested]
    async with a_world() as world:
        session = world.answer("CA1")
        await elapse(0.1)
        async with world.socket("/logs?call_id=CA1") as front:
            await front.send(json.dumps({"type": "configure", "data": {"metadata": {"deep": nested}}}))
            trouble = await hear(front, "error")

        assert trouble["data"]["code"] == "invalid"
        assert "nests deeper than 32 levels" in trouble["data"]["message"]
        assert session.context.metadata == {}
