"""Whatever becomes of a call, of its node and of its store: nobody's words and no secret are in a log line."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from adapters.calls.contract import BadEvent, CallOver, Stale
from fsm.errors import CallchartError
from fsm.triggers import SegmentReceived
from tests.adapters.telemetry.test_logs import lines, logging_to
from tests.calls.test_resume import NODES, answered, taken_from_a_paused_owner
from tests.calls.world import a_script, a_world
from tests.fakes import elapse

WORDS = "xylophone marmalade"
SECRETS = {
    "openai_api_key": "canary-openai",
    "api_token": "canary-api",
    "api_read_token": "canary-read",
    "token_secret": "canary-secret",
}


def told(text: str) -> list[str]:
    return [word for word in ("xylophone", "marmalade", "canary", *SECRETS.values()) if word in text]


async def test_nothing_that_was_said_is_in_a_line_about_calls_that_change_hands() -> None:
    settings = {**NODES, **SECRETS, "log_level": "DEBUG"}
    with logging_to("DEBUG") as out:
        async with a_world(a_script(WORDS, WORDS), **settings, one_call=False) as world, world.another_node() as other:
            call = await answered(world, status_path=None)
            assert WORDS in [message.text for message in world.context(call).history]
            await other.application.calls.patch(call.call_sid, {"note": WORDS}, version=None)
            first = world.nodes[0]
            back, stale = await taken_from_a_paused_owner(world, first, other, call)
            stale.post(SegmentReceived(id="a", seq=1, text=WORDS))
            await elapse(0.2)
            first.rejoin()
            await elapse(6.0)
            await back.hang_up()
            await world.over(call)
            await elapse(3.0)

    events = {line["event"] for line in lines(out)}
    assert events >= {"store_away", "call_taken_over", "call_fenced", "commits_refused", "call_settled"}
    assert told(out.getvalue()) == []


async def test_nothing_that_an_operator_sends_is_in_a_line() -> None:
    settings = {**NODES, **SECRETS, "log_level": "DEBUG"}
    with logging_to("DEBUG") as out:
        async with a_world(a_script(WORDS), **settings) as world, world.another_node() as other:
            calls = other.application.calls
            call = await answered(world)
            await calls.post(call.call_sid, "session.configured", {"instructions": WORDS, "metadata": {"n": WORDS}})
            await calls.add_segments(call.call_sid, [{"text": WORDS}])
            for event, data in (
                ("session.configured", {"instructions": {"x": WORDS}}),
                ("session.configured", {WORDS: 1}),
                (WORDS, {}),
            ):
                with pytest.raises(BadEvent):
                    await calls.post(call.call_sid, event, data)
            with pytest.raises(Stale):
                await calls.patch(call.call_sid, {"note": WORDS}, version=99)
            await elapse(1.0)
            await calls.end(call.call_sid, WORDS)
            await world.over(call)
            await elapse(3.0)
            with suppress(CallOver, CallchartError):
                await calls.post(call.call_sid, "session.configured", {"instructions": WORDS})
            await asyncio.sleep(0)

    assert {line["event"] for line in lines(out)} >= {"transition", "call_settled", "outbox_delivered"}
    assert told(out.getvalue()) == []
