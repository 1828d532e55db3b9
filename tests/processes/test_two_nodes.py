"""Calls survive their server process: two real ones on one Redis, and what becomes of a call when one of them fails."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import orjson
import pytest

from adapters.simulators.twilio import TwilioCaller
from adapters.stores.contract import Entry
from tests.calls.world import GOODBYE, HOURS, a_script
from tests.processes.deployment import Deployment, a_deployment
from tests.processes.node import Node

pytestmark = [pytest.mark.real_time, pytest.mark.timeout(120)]

_WELCOME = "Welcome to the Corner Shop."
_OPEN = "The shop is open Monday to Saturday from nine to six, and closed on Sunday."


async def two_nodes(world: Deployment) -> tuple[Node, Node]:
    """Start two nodes; callers come to the first."""
    one, two = await asyncio.gather(world.start("one"), world.start("two"))
    world.front.target = one.address
    return one, two


async def a_talk(world: Deployment, node: Node, **options: Any) -> TwilioCaller:
    """Phone in and ask one question; return when the answer was heard, and Redis knows."""
    call = await world.call(**options)
    await node.until("transition", call_id=call.call_sid, trigger="playback.finished")
    await call.say("What are your opening hours?")
    await world.kept(call, "reply.finished", times=2)
    return call


async def a_goodbye(call: TwilioCaller, node: Node, world: Deployment) -> None:
    """Say good-bye, and return when the call is over on this node and its transcript is written."""
    await call.say("Thank you, goodbye.")
    await call.wait_for_end()
    await node.until("outbox_delivered", call_id=call.call_sid)


def check_log(entries: list[Entry]) -> list[dict[str, Any]]:
    """Fail unless versions have no gap and fences only grow; return the records."""
    assert [entry.version for entry in entries] == list(range(1, len(entries) + 1))
    assert all(a.fence <= b.fence for a, b in pairwise(entries))
    return [orjson.loads(entry.record) for entry in entries]


def check_nodes(*nodes: Node, besides: str = "") -> None:
    """Fail if a node has told of a mistake or an alarm, `besides` this one."""
    told = [line for node in nodes for line in node.lines if line["level"] in ("error", "critical")]
    assert [(line["event"], line.get("error", "")[-2000:]) for line in told if line["event"] != besides] == []
    assert "attempted to close non-existent session" not in str([node.lines for node in nodes])


async def test_call_goes_on_at_the_other_node_when_its_own_is_killed() -> None:
    async with a_deployment(a_script(HOURS, GOODBYE)) as world:
        one, two = await two_nodes(world)
        call = await a_talk(world, one)

        world.front.target = two.address
        await one.kill()
        await two.until("handled", call_id=call.call_sid, trigger="sts.ready")
        resumed = await world.document(call)
        await a_goodbye(call, two, world)

        said = world.transcript(two, call)
        over = await world.document(call)
        check_log(await world.log(call))
        check_nodes(two)
        assert [message["text"] for message in resumed["history"]] == [_WELCOME, HOURS, _OPEN]
        assert said[:3] == [("assistant", _WELCOME), ("caller", HOURS), ("assistant", _OPEN)]
        assert ("caller", GOODBYE) in said
        assert [text for _, text in said].count(_WELCOME) == 1
        assert (over["resumed_count"], over["status"], over["end_reason"]) == (1, "ended", "goodbye")
        assert world.peer.violations == []


async def test_call_that_nobody_brings_back_is_closed_by_the_other_node_and_its_transcript_is_written() -> None:
    async with a_deployment(a_script(HOURS)) as world:
        one, two = await two_nodes(world)
        call = await a_talk(world, one, broken_stream="end", status_path=None)

        await one.kill()
        await two.until("call_settled", call_id=call.call_sid, reason="orphaned")
        await two.until("outbox_delivered", call_id=call.call_sid)

        over = await world.document(call)
        check_log(await world.log(call))
        check_nodes(two)
        assert (over["status"], over["end_reason"], over["settled"]) == ("ended", "orphaned", True)
        assert world.transcript(two, call) == [("assistant", _WELCOME), ("caller", HOURS), ("assistant", _OPEN)]
        assert await world.store.undelivered() == []
        assert await world.store.list_active() == []


async def test_owner_that_stood_still_beyond_its_lease_writes_nothing_and_closes_its_sockets() -> None:
    async with a_deployment(a_script(HOURS, HOURS, GOODBYE)) as world:
        one, two = await two_nodes(world)
        call = await world.call()
        await one.until("transition", call_id=call.call_sid, trigger="playback.finished")
        await call.say("What are your opening hours?")
        await world.kept(call, "intent.detected")
        sockets = world.front.open_to(one.address)

        one.pause()  # while it waits for an answer: when it goes on, the model's words are there, to be taken as steps
        world.front.target = two.address
        world.front.lose_callers()
        await two.until("handled", call_id=call.call_sid, trigger="sts.ready")
        await call.say("What are your opening hours?")  # longer than a lease
        await world.kept(call, "user.transcript", times=2)
        still_open = world.front.open_to(one.address)
        world.proxy.cut()  # and no word of the other node waits for it: the store alone can refuse what it writes
        one.go_on()
        await one.until("call_fenced", call_id=call.call_sid)
        await world.peer.until(lambda: world.peer.open_sockets == 1)
        await a_goodbye(call, two, world)
        await world.front.closed_to(one.address)  # ten seconds: its caller does not answer its close frame

        entries = await world.log(call)
        records = check_log(entries)
        check_nodes(one, two, besides="store_away")
        assert sockets == still_open == 1
        assert len({entry.fence for entry in entries}) == 2
        later = [r for e, r in zip(entries, records, strict=True) if e.fence > entries[0].fence and "event" in r]
        steps = {(line["seq"], line["trigger"]) for line in two.lines if line["event"] in ("transition", "handled")}
        assert later
        assert {(record["seq"], record["event"]) for record in later} <= steps
        assert (await world.document(call))["resumed_count"] == 1
        assert [text for _, text in world.transcript(two, call)].count(HOURS) == 2


async def test_calls_go_on_while_redis_cannot_be_reached_and_nothing_is_lost() -> None:
    async with a_deployment(a_script(HOURS, GOODBYE)) as world:
        one, two = await two_nodes(world)
        call = await world.call()
        await one.until("transition", call_id=call.call_sid, trigger="playback.finished")

        world.proxy.refuse()
        await one.until("store_away")
        await call.say("What are your opening hours?")
        await one.until("handled", call_id=call.call_sid, trigger="reply.finished", times=2)
        away = [orjson.loads(entry.record) for entry in await world.log(call)]
        await world.proxy.accept()
        await world.kept(call, "reply.finished", times=2)
        await a_goodbye(call, one, world)

        check_log(await world.log(call))
        check_nodes(one, two, besides="store_away")
        assert [record for record in away if record.get("event") == "user.transcript"] == []
        assert one.said("call_fenced") == two.said("call_orphaned") == []
        assert world.transcript(one, call)[:3] == [("assistant", _WELCOME), ("caller", HOURS), ("assistant", _OPEN)]
        assert (await world.document(call))["resumed_count"] == 0
