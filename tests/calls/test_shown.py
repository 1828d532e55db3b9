"""What is known of a call stands in its document, kept and shown, while it lives and when it is over."""

from __future__ import annotations

import json
from typing import Any

from httpx import AsyncClient

from adapters.call_folder import call_folder
from fsm.document import timestamp
from fsm.triggers import ReplyFinished
from tests.calls.test_resume import NODES, answered, store_has
from tests.calls.world import HOURS, World, a_script, a_world
from tests.fakes import elapse

NAMES = {
    "call_id", "stream_id", "carrier", "bot", "caller", "called", "media_format", "status", "state", "created_at",
    "last_activity", "resumed_count", "history", "turn", "function_calls", "audio", "sts_session_id",
    "conversation_id", "response_id", "errors", "last_error", "metadata", "metadata_version", "job_configuration",
    "user_id", "ended_at", "duration", "end_reason", "intent", "intents", "confidence", "entities",
}  # fmt: skip
"""What users of such systems know of a call."""


async def shown(world: World, path: str) -> Any:
    async with AsyncClient(base_url=world.url) as client:
        answer = await client.get(f"/api/v1{path}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_all_that_is_known_of_a_call_is_shown_while_it_lives_and_kept_when_it_is_over() -> None:
    async with a_world(a_script(HOURS)) as world:
        call = await answered(world)
        await world.application.calls.patch(call.call_sid, {"user_id": "u1", "tier": "gold"}, version=None)
        await elapse(5.0)
        live = await shown(world, f"/calls/{call.call_sid}")
        await call.hang_up()
        context = await world.over(call)
        await elapse(1.0)
        over = await shown(world, f"/calls/{call.call_sid}")
        kept = await store_has(world, call)

    assert set(live) >= NAMES
    assert over == kept
    assert (live["status"], live["state"], live["end_reason"], live["ended_at"]) == ("active", "listening", "", None)
    assert (over["status"], over["state"], over["end_reason"]) == ("ended", "closed", "caller_hung_up")
    assert live["sts_session_id"].startswith("sess_")
    assert live["response_id"]
    assert live["conversation_id"]
    assert [wish["intent"] for wish in live["intents"]] == [context.intents[0]["intent"]]
    assert (live["carrier"], live["bot"], live["media_format"]) == ("twilio", context.bot.name, "pcmu/8000")
    assert (live["turn"], live["errors"], live["resumed_count"], live["function_calls"]) == (1, 0, 0, [])
    assert (live["user_id"], live["metadata"]["tier"], live["metadata_version"]) == ("u1", "gold", 1)
    assert HOURS in [message["text"] for message in live["history"]]
    created, ended = timestamp(over["created_at"]), timestamp(over["ended_at"])
    assert created < timestamp(live["last_activity"]) <= ended
    assert abs(over["duration"] - (ended - created)) < 0.01
    assert 5.0 < live["audio"]["received_seconds"] <= over["audio"]["received_seconds"] <= over["duration"] + 0.1


async def test_audio_of_a_call_that_goes_on_elsewhere_is_added_up() -> None:
    async with a_world(a_script(HOURS, HOURS), **NODES) as world, world.another_node() as other:
        call = await answered(world)
        await world.application.calls.patch(call.call_sid, {"n": 1}, version=None)
        await elapse(0.5)
        before = await store_has(world, call)

        world.goes_to(call, other)
        await world.nodes[0].kill()
        await world.until_happened(call, "call.resumed")
        await elapse(3.0)
        after = await other.application.calls.get(call.call_sid)
        await call.hang_up()
        await world.over(call)

    assert before["audio"]["received_seconds"] > 3.0
    assert after["audio"]["received_seconds"] > before["audio"]["received_seconds"] + 2.0
    assert json.dumps(after["created_at"]) == json.dumps(before["created_at"])


async def test_what_was_said_is_told_whole_and_the_history_has_the_newest_twenty() -> None:
    async with a_world(a_script(HOURS, HOURS), **NODES) as world, world.another_node() as other:
        call = await answered(world)
        for n in range(30):
            world.session(call).post(ReplyFinished(item_id=f"more {n}", text=f"and {n}", heard_ms=100))
        await elapse(0.5)
        live = await shown(world, f"/calls/{call.call_sid}")
        world.goes_to(call, other)
        await world.nodes[0].kill()
        await world.until_happened(call, "call.resumed")
        told = [line.text for line in await other.application.calls.lines(call.call_sid)]
        await call.hang_up()
        await world.over(call)
        await elapse(1.0)
        kept = [line.text for line in await other.application.calls.lines(call.call_sid)]
        folder = call_folder(other.application.settings.data_dir / "calls", call.call_sid)
        written = (folder / "transcript.json").read_text(encoding="utf-8")

    assert [message["text"] for message in live["history"]] == [f"and {n}" for n in range(10, 30)]
    for whole in (told, kept):
        assert [text for text in whole if text.startswith("and ")] == [f"and {n}" for n in range(30)]
        assert whole[0] == "Welcome to the Corner Shop."
        assert HOURS in whole
    assert all(text in written for text in kept)
