"""A browser front gets its call and no other, and what it wants reaches that call in time."""

from __future__ import annotations

import json
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from adapters.live.messages import SERVER
from fsm.triggers import CallStarted, StsReady
from tests.adapters.live.world import NUMBER, World, a_world, hear, two_nodes
from tests.fakes import elapse

TOKEN = "a-token-of-24-characters"
JOB = {"instructions": "Speak like a pirate.", "voice": "cedar", "language": "de", "metadata": {"order": 7}}


async def say(socket: Any, kind: str, **more: Any) -> None:
    await socket.send(json.dumps({"type": kind, **more}))


def knows(world: World, call_id: str = "CA1") -> tuple[Any, ...]:
    call = world.book.sessions[call_id].context
    return call.instructions, call.voice, call.language, dict(call.metadata)


@pytest.mark.parametrize(
    ("query", "facts"),
    [
        ("?call_id=CA1", {}),
        ("?called=%2B15550100", {}),
        (f"?token={TOKEN}", {"parameters": {"front_token": TOKEN}}),
    ],
    ids=["id", "number", "token"],
)
async def test_what_a_front_wants_is_known_before_the_models_session_starts(query: str, facts: dict[str, Any]) -> None:
    async with a_world() as world, world.socket(f"/logs{query}") as front:
        assert (await hear(front))["type"] == "waiting"
        await say(front, "configure", data=JOB)
        taken = await hear(front, "configured")
        session = world.open(**facts)
        bound = await hear(front)
        await elapse(0.1)

        assert taken["data"]["applied"] is False
        assert (bound["type"], bound["call_id"]) == ("bound", "CA1")
        assert knows(world) == ("Speak like a pirate.", "cedar", "de", {"order": 7})
        assert ("sts.start", "CA1") not in world.did["CA1"]
        session.post(CallStarted())
        await elapse(0.1)
        assert ("sts.start", "CA1") in world.did["CA1"]


async def test_what_a_front_wants_reaches_a_call_that_has_started() -> None:
    async with a_world() as world:
        world.answer()
        await elapse(0.1)
        async with world.socket("/logs?call_id=CA1") as front:
            assert (await hear(front))["type"] == "bound"
            assert (await hear(front))["type"] == "snapshot"
            await say(front, "configure", data=JOB)
            taken = await hear(front, "configured")
            told = await hear(front, "transition")

            assert world.live.fronts.waiting == 0

        assert taken["data"] == {"applied": True, "seq": told["data"]["seq"], "ignored": []}
        assert told["data"]["event"] == "session.configured"
        assert knows(world) == ("Speak like a pirate.", "cedar", "de", {"order": 7})
        assert ("sts.configure", "CA1") in world.did["CA1"]


async def test_a_front_hears_its_call_to_the_end_and_no_other() -> None:
    async with a_world() as world, world.socket("/logs?call_id=CA1") as front:
        world.answer("CA2", called="+15550199")
        world.answer("CA1")
        await elapse(0.1)
        world.say("hello")
        world.say("not for you", "CA2")
        await elapse(0.1)
        world.hang_up()
        said: list[dict[str, Any]] = []
        while not said or said[-1]["data"].get("status") != "ended":
            said.append(await hear(front))

        assert {m["call_id"] for m in said[1:]} == {"CA1"}
        assert [m["type"] for m in said[:3]] == ["waiting", "bound", "snapshot"]
        assert [m["data"]["text"] for m in said if m["type"] == "transcript.updated"] == ["hello"]
        assert said[-1]["data"]["sessionId"] == "CA1"
        assert said[-1]["data"]["streamSid"] == "MZCA1"
        for message in said:
            SERVER.validate_python(message)


async def test_several_fronts_hear_the_call_that_they_wait_for_and_the_last_configuration_counts() -> None:
    async with a_world() as world, world.socket("/logs?called=%2B15550100") as one:
        async with world.socket("/logs?called=%2B15550100") as two:
            await say(one, "configure", data={"voice": "cedar"})
            await hear(one, "configured")
            await say(one, "configure", data={"language": "fr"})
            await hear(one, "configured")
            await say(two, "configure", data={"voice": "marin"})
            await hear(two, "configured")
            dropped = await hear(one, "configuration.dropped")
            world.open()
            bound = [(await hear(front, "bound"))["call_id"] for front in (one, two)]
            await elapse(0.1)

        assert dropped["data"] == {"why": "replaced"}
        assert bound == ["CA1", "CA1"]
        assert knows(world)[1:3] == ("marin", "en")


async def test_the_next_call_starts_from_a_clean_state() -> None:
    async with a_world() as world, world.socket("/logs?called=%2B15550100") as front:
        await say(front, "configure", data=JOB)
        await hear(front, "configured")
        world.answer("CA1")
        await elapse(0.1)
        world.hang_up("CA1")
        await hear(front, "waiting")
        world.answer("CA2")
        bound = await hear(front, "bound")
        await elapse(0.1)

        assert bound["call_id"] == "CA2"
        assert knows(world, "CA1")[0] == "Speak like a pirate."
        assert knows(world, "CA2") == (None, None, "en", {})


async def test_a_token_is_used_once() -> None:
    async with a_world() as world, world.socket(f"/logs?token={TOKEN}") as front:
        await say(front, "configure", data=JOB)
        await hear(front, "configured")
        world.open("CA1", parameters={"front_token": TOKEN})
        world.open("CA2", parameters={"front_token": TOKEN})
        assert (await hear(front, "bound"))["call_id"] == "CA1"
        await elapse(0.1)

        assert knows(world, "CA1")[1] == "cedar"
        assert knows(world, "CA2")[1] is None


async def test_a_front_that_names_nothing_gets_a_token_and_may_turn_to_another_call() -> None:
    async with a_world() as world:
        world.answer("CA2")
        await elapse(0.1)
        async with world.socket("/logs") as front:
            own = await hear(front, "waiting")
            world.open("CA1", called=NUMBER)
            await say(front, "bind", call_id="CA2")
            assert (await hear(front, "bound"))["call_id"] == "CA2"
            await say(front, "bind", data={"token": own["data"]["value"]})
            assert (await hear(front, "waiting"))["data"] == own["data"]
            world.open("CA3", parameters={"front_token": own["data"]["value"]})
            assert (await hear(front, "bound"))["call_id"] == "CA3"

        assert own["data"]["by"] == "token"
        assert len(own["data"]["value"]) >= 16


async def test_a_page_that_is_loaded_again_gets_the_same_view() -> None:
    async with a_world() as world:
        async with world.socket("/logs?called=%2B15550100") as front:
            world.answer()
            assert (await hear(front, "bound"))["call_id"] == "CA1"
            world.say("hello")
            last = await hear(front, "transcript.updated")
        world.say("again")
        await elapse(0.1)
        async with world.socket("/logs?call_id=CA1") as reloaded:
            snapshot = await hear(reloaded, "snapshot")
        async with world.socket(f"/logs?call_id=CA1&after={last['id']}") as resumed:
            told = [await hear(resumed) for _ in range(3)]

        assert [line["text"] for line in snapshot["data"]["transcript"]] == ["hello", "again"]
        assert [m["type"] for m in told] == ["bound", "transition", "transcript.updated"]
        assert told[2]["data"]["text"] == "again"


async def test_what_waits_too_long_reaches_no_call() -> None:
    async with a_world() as world, world.socket("/logs?called=%2B15550100") as front:
        await say(front, "configure", data=JOB)
        lasts = (await hear(front, "configured"))["data"]["expires_in"]
        dropped = await hear(front, "configuration.dropped", within=lasts + 1)
        world.open()
        assert (await hear(front, "bound"))["call_id"] == "CA1"
        await elapse(0.1)

        assert dropped["data"] == {"why": "expired"}
        assert knows(world)[0] is None


async def test_what_a_front_left_waits_after_it_has_gone_and_nothing_else_is_kept_of_it() -> None:
    async with a_world() as world:
        async with world.socket("/logs?called=%2B15550100") as front:
            await say(front, "configure", data=JOB)
            await hear(front, "configured")
        await elapse(1)
        assert (world.live.fronts.waiting, world.live.fronts.unclaimed) == (1, 1)
        world.open()
        await elapse(0.1)

        assert knows(world)[0] == "Speak like a pirate."
        assert world.live.fronts.waiting == 0


async def test_a_reset_sends_waiting_fronts_away_and_forgets_what_they_left() -> None:
    async with two_nodes() as (one, two):
        async with two.socket("/logs?called=%2B15550100") as front:
            await say(front, "configure", data=JOB)
            await hear(front, "configured")
            one.live.fronts.clear()
            with pytest.raises(ConnectionClosed):
                await hear(front, "bound")
            assert front.close_code == 4001
        one.open()
        await elapse(0.1)

        assert knows(one)[0] is None
        assert (one.live.fronts.waiting, two.live.fronts.waiting) == (0, 0)


@pytest.mark.parametrize("query", ["?call_id=CA1", "?called=%2B15550100"], ids=["id", "number"])
async def test_a_front_at_another_node_configures_and_hears_the_call(query: str) -> None:
    async with two_nodes() as (one, two), two.socket(f"/logs{query}") as front:
        await say(front, "configure", data=JOB)
        await hear(front, "configured")
        one.answer()
        assert (await hear(front, "bound"))["call_id"] == "CA1"
        await elapse(0.1)
        one.say("hello")
        assert (await hear(front, "transcript.updated"))["data"]["text"] == "hello"
        await say(front, "configure", data={"voice": "marin"})
        assert (await hear(front, "configured"))["data"]["applied"] is True
        await elapse(0.1)

        assert knows(one) == ("Speak like a pirate.", "marin", "de", {"order": 7})
        assert (one.live.fronts.waiting, two.live.fronts.waiting) == (0, 0)


async def test_a_node_that_starts_later_asks_what_waits() -> None:
    async with two_nodes() as (one, two):
        one.bus.losing = True
        async with two.socket(f"/logs?token={TOKEN}") as front:
            await say(front, "configure", data=JOB)
            await hear(front, "configured")
            one.bus.losing = False
            assert one.live.fronts.unclaimed == 0
            one.live.hello()
            one.open(parameters={"front_token": TOKEN})
            assert (await hear(front, "bound"))["call_id"] == "CA1"
        await elapse(0.1)

        assert knows(one)[0] == "Speak like a pirate."


async def test_the_models_own_words_for_a_configuration_are_taken() -> None:
    async with a_world() as world:
        world.answer()
        await elapse(0.1)
        async with world.socket("/logs?call_id=CA1") as front:
            session = {"instructions": "Be brief.", "voice": "ash", "tools": [], "turn_detection": {}}
            await say(front, "session.update", session=session)
            taken = await hear(front, "configured")
        await elapse(0.1)

        assert taken["data"]["ignored"] == ["tools", "turn_detection"]
        assert knows(world)[:2] == ("Be brief.", "ash")


async def test_what_comes_while_the_call_is_being_opened_waits_for_its_socket() -> None:
    async with a_world() as world, world.socket("/logs?called=%2B15550100") as front:
        await hear(front, "waiting")
        world.live.fronts.claim("CA1", called=NUMBER)
        await hear(front, "bound")
        await say(front, "configure", data=JOB)
        taken = await hear(front, "configured")
        world.open("CA1")
        await elapse(0.1)

        assert taken["data"]["applied"] is False
        assert knows(world)[0] == "Speak like a pirate."


async def test_a_call_that_is_over_takes_no_configuration() -> None:
    async with a_world() as world:
        session = world.answer()
        world.hang_up()
        await session.wait_settled()
        async with world.socket("/logs?call_id=CA1") as front:
            await hear(front, "snapshot")
            await say(front, "configure", data=JOB)
            refused = await hear(front, "error")
            await say(front, "bind", data={"called": NUMBER})
            assert (await hear(front, "waiting"))["data"]["value"] == NUMBER

        assert refused["data"]["code"] == "call_over"
        assert '{"type": "bind", ...}' in refused["data"]["message"]


@pytest.mark.parametrize(
    ("said", "code", "text"),
    [
        ("{", "not_json", "send JSON"),
        (b"\xff\x00", "not_json", "send JSON"),
        ("[]", "no_type", "whose `type` is one of bind, configure, ping, session.update"),
        ('{"type": 1}', "no_type", "whose `type`"),
        ('{"type": "configur"}', "unknown_type", "did you mean 'configure'"),
        ('{"type": "bind", "data": {"token": "short"}}', "invalid", "at least 16 characters"),
        ('{"type": "bind"}', "invalid", "name one of call_id, called, token"),
        ('{"type": "configure", "data": {}}', "empty", "at least one of instructions"),
        ('{"type": "configure", "data": {"voise": "x"}}', "invalid", "data.voise"),
        ('{"type": "configure", "data": {"instructions": 7}}', "invalid", "data.instructions"),
        ('{"type": "configure", "data": {"instructions": "' + "x" * 70_000 + '"}}', "too_large", "65536 bytes"),
    ],
    ids=["json", "bytes", "list", "number", "type", "token", "bind", "empty", "field", "kind", "large"],
)
async def test_what_cannot_be_used_is_answered_with_what_to_do(said: str | bytes, code: str, text: str) -> None:
    async with a_world() as world, world.socket("/logs") as front:
        await front.send(said)
        error = await hear(front, "error")
        SERVER.validate_python(error)
        await say(front, "ping")

        assert (await hear(front, "heartbeat"))["type"] == "heartbeat"
        assert error["data"]["code"] == code
        assert text in error["data"]["message"]


async def test_whoever_sends_too_fast_is_told_and_whoever_goes_on_is_cut_off() -> None:
    async with a_world() as world, world.socket("/logs") as front:
        for _ in range(200):
            await say(front, "ping")
        assert (await hear(front, "error"))["data"]["code"] == "rate_limited"
        with pytest.raises(ConnectionClosed):
            await hear(front, "nothing of this type")

        assert front.close_code == 1008


async def test_fronts_connect_only_so_often() -> None:
    async with a_world() as world:
        for _ in range(20):
            async with world.socket("/logs"):
                pass
        with pytest.raises(InvalidStatus) as refused:
            async with world.socket("/logs"):
                pass
        await elapse(1.5)
        async with world.socket("/logs") as front:
            assert (await hear(front))["type"] == "waiting"

        assert refused.value.response.status_code == 429


@pytest.mark.parametrize("query", ["?token=short", "?call_id=a&called=b", "?called=" + "1" * 200])
async def test_an_address_that_names_no_call_is_refused(query: str) -> None:
    async with a_world() as world:
        with pytest.raises(InvalidStatus) as refused:
            async with world.socket(f"/logs{query}"):
                pass

        assert refused.value.response.status_code == 400


async def test_a_front_needs_the_right_to_control() -> None:
    async with a_world() as world:
        async with world.socket("/logs?call_id=CA1"), world.socket("/logs"):
            pass

        assert world.access.asked == [(True, "CA1"), (True, None)]


async def test_only_so_many_calls_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.live.fronts._MOST", 1)
    async with a_world() as world, world.socket("/logs?called=%2B1") as front:
        await hear(front, "waiting")
        async with world.socket("/logs?called=%2B2") as second:
            with pytest.raises(ConnectionClosed):
                await hear(second)
        await say(front, "bind", data={"called": "+3"})

        assert (await hear(front, "waiting"))["data"]["value"] == "+3"
        assert second.close_code == 1013
        assert "try again later" in (second.close_reason or "")


async def test_ready_calls_are_not_asked_for_twice() -> None:
    async with a_world() as world, world.socket("/logs?call_id=CA1") as front:
        session = world.open()
        session.post(CallStarted())
        session.post(StsReady())
        assert (await hear(front, "bound"))["call_id"] == "CA1"

        assert world.live.fronts.claim("CA1", called=NUMBER) is None
