"""One response at a time, and barge-in."""

from __future__ import annotations

from fsm.triggers import Usage
from tests.adapters.openai.calls import call_under_way, reply
from tests.adapters.openai.peer import elapse, silence

# -- responses ------------------------------------------------------------------------------------


async def test_a_reply_is_asked_for_played_and_ends_once() -> None:
    async with call_under_way() as (client, notes, session, _):
        client.respond(purpose="greeting", instructions="Greet.")
        asked = await session.asked()
        await session.create("resp_1", asked["response"]["metadata"])
        await session.create("resp_1", asked["response"]["metadata"])
        await session.speak("resp_1", "item_1", text="Good day")
        await notes.next("audio")
        active = client.active_response_id
        details = {"cached_tokens": 3, "audio_tokens": 4}
        usage = {"input_tokens": 10, "output_tokens": 20, "total_tokens": 30, "input_token_details": details}
        usage["output_token_details"] = {"audio_tokens": 15}
        await session.finish("resp_1", usage=usage)
        await session.finish("resp_1", usage=usage)
        end = await notes.end()
        await session.error("something_else")
        await elapse(1)

        assert asked["response"]["instructions"] == "Be kind.\n\nGreet."
        assert active == "resp_1"
        assert client.active_response_id is None
        assert notes.of("text") == [("item_1", "Good day")]
        assert notes.of("audio") == [("resp_1", "item_1", silence(90), "greeting")]
        assert notes.of("end") == [(end,)]
        assert (end.response_id, end.purpose, end.status, end.item_ids) == (
            "resp_1", "greeting", "completed", ("item_1",)
        )  # fmt: skip
        assert end.usage == Usage(
            input_tokens=10, output_tokens=20, cached_tokens=3, input_audio_tokens=4, output_audio_tokens=15
        )
        assert session.count("response.cancel") == 0


async def test_a_second_request_waits_for_the_end_of_the_first() -> None:
    async with call_under_way() as (client, notes, session, _):
        await reply(client, session)
        client.respond(purpose="second")
        await elapse(5)
        asked_before = session.count("response.create")
        await session.finish("resp_1")
        second = await session.asked()

        assert asked_before == 1
        assert second["response"]["metadata"]["purpose"] == "second"
        assert (await notes.end()).purpose == "answer"


async def test_a_request_that_meets_an_active_response_is_repeated_after_its_end() -> None:
    async with call_under_way() as (client, notes, session, _):
        client.respond(purpose="answer")
        first = await session.asked()
        await session.error("conversation_already_has_active_response", first["event_id"])
        await session.finish("resp_of_the_server")
        second = await session.asked()
        await session.create("resp_1", second["response"]["metadata"])
        await session.finish("resp_1")

        assert second["event_id"] != first["event_id"]
        assert (await notes.end()).status == "completed"
        assert session.count("response.create") == 2


async def test_a_request_that_met_an_active_response_is_repeated_even_if_its_end_was_told_before() -> None:
    async with call_under_way() as (client, notes, session, _):
        client.respond(purpose="answer")
        await session.asked()
        await session.error("conversation_already_has_active_response")
        await session.create("resp_1", (await session.asked())["response"]["metadata"])
        await session.finish("resp_1")

        assert (await notes.end()).response_id == "resp_1"


async def test_a_refused_request_ends_as_failed_and_the_next_one_is_served() -> None:
    async with call_under_way() as (client, notes, session, _):
        client.respond(purpose="first")
        client.respond(purpose="second")
        await session.error("invalid_type", (await session.asked())["event_id"])
        end = await notes.end()
        second = await session.asked()

        assert (end.purpose, end.status, end.reason, end.response_id) == ("first", "failed", "invalid_type", "")
        assert second["response"]["metadata"]["purpose"] == "second"


async def test_a_response_that_nobody_asked_for_is_cancelled_and_never_played() -> None:
    async with call_under_way() as (client, notes, session, _):
        await session.create("resp_x")
        await session.speak("resp_x", "item_x")
        cancelled = await session.next("response.cancel")
        client.respond(purpose="answer")
        await session.asked()
        await session.create("resp_y", {"purpose": "somebody else's"})
        await session.next("response.cancel")
        await session.finish("resp_x", "cancelled")
        await elapse(1)

        assert cancelled["response_id"] == "resp_x"
        assert notes.of("audio") == notes.of("end") == []


async def test_a_failed_response_says_why() -> None:
    async with call_under_way() as (client, notes, session, _):
        await reply(client, session)
        await session.finish(
            "resp_1", "failed", {"type": "failed", "error": {"type": "server_error", "code": "rate_limit_exceeded"}}
        )
        await reply(client, session, "resp_2")
        await session.finish("resp_2", "incomplete", {"type": "incomplete", "reason": "max_output_tokens"})
        ends = [await notes.end(), await notes.end()]

        assert [(e.status, e.reason) for e in ends] == [
            ("failed", "rate_limit_exceeded"),
            ("incomplete", "max_output_tokens"),
        ]


async def test_a_request_that_is_never_taken_up_fails_and_the_session_is_replaced() -> None:
    async with call_under_way() as (client, notes, session, peer):
        client.respond(purpose="answer")
        client.respond(purpose="next")
        await session.asked()
        end = await notes.end()
        renewed = await notes.next("renewed")
        second = await peer.session()

        assert (end.status, end.reason) == ("failed", "stalled")
        assert renewed == ("sess_1", "stalled")
        assert (await second.asked())["response"]["metadata"]["purpose"] == "next"


async def test_a_response_that_stalls_fails_and_the_session_is_replaced() -> None:
    async with call_under_way() as (client, notes, session, _):
        await reply(client, session)
        for _ in range(4):
            await elapse(10)
            await session.speak("resp_1", "item_1")
        await elapse(10)
        still = notes.of("end")
        end = await notes.end()

        assert still == []
        assert (end.status, end.reason, end.item_ids) == ("failed", "stalled", ("item_1",))
        assert await notes.next("renewed") == ("sess_1", "stalled")


# -- barge-in -------------------------------------------------------------------------------------


async def test_a_cancelled_response_is_not_heard_any_more_and_ends_as_cancelled() -> None:
    async with call_under_way() as (client, notes, session, _):
        await reply(client, session)
        client.respond(purpose="queued")
        await session.speak("resp_1", "item_1", 900)
        await notes.next("audio")
        client.cancel()
        client.cancel()
        client.truncate([("item_1", 1200), ("item_unknown", 5)])
        cancel = await session.next("response.cancel")
        truncated = await session.next("conversation.item.truncate")
        await session.speak("resp_1", "item_1", 300, text="late")
        await session.speak("resp_1", "item_2", 300)
        await session.finish("resp_1", "cancelled", {"type": "cancelled", "reason": "client_cancelled"})
        end = await notes.end()
        unheard = await session.next("conversation.item.truncate")
        await elapse(1)

        assert cancel["response_id"] == "resp_1"
        assert (truncated["item_id"], truncated["audio_end_ms"]) == ("item_1", 900)
        assert (unheard["item_id"], unheard["audio_end_ms"]) == ("item_2", 0)
        assert len(notes.of("audio")) == 1
        assert notes.of("text") == []
        assert (end.status, end.reason, end.item_ids) == ("cancelled", "client_cancelled", ("item_1",))
        assert session.count("response.create") == session.count("response.cancel") == 1


async def test_a_cancel_that_lost_the_race_is_no_error() -> None:
    async with call_under_way() as (client, notes, session, _):
        await reply(client, session)
        await session.speak("resp_1", "item_1")
        await notes.next("audio")
        client.cancel()
        cancel = await session.next("response.cancel")
        await session.finish("resp_1")
        await session.error("response_cancel_not_active", cancel["event_id"])
        client.respond(purpose="next")

        assert (await session.asked())["response"]["metadata"]["purpose"] == "next"
        assert (await notes.end()).status == "cancelled"
        assert notes.of("failed") == []


async def test_a_cancel_that_finds_nothing_frees_the_line() -> None:
    async with call_under_way() as (client, notes, session, _):
        await reply(client, session)
        await session.speak("resp_1", "item_1")
        await notes.next("audio")
        client.cancel()
        await session.error("response_cancel_not_active", (await session.next("response.cancel"))["event_id"])
        end = await notes.end()
        await session.finish("resp_1")
        client.respond(purpose="next")
        await session.asked()

        assert (end.status, end.response_id) == ("cancelled", "resp_1")
        assert len(notes.of("end")) == 1


async def test_a_request_cancelled_before_it_was_taken_up_is_cancelled_when_it_is() -> None:
    async with call_under_way() as (client, notes, session, _):
        client.respond(purpose="answer")
        asked = await session.asked()
        client.cancel()
        first = await session.next("response.cancel")
        await session.error("response_cancel_not_active", first["event_id"])
        await session.create("resp_1", asked["response"]["metadata"])
        second = await session.next("response.cancel")
        await session.speak("resp_1", "item_1")
        await session.finish("resp_1", "cancelled")

        assert "response_id" not in first
        assert second["response_id"] == "resp_1"
        assert (await notes.end()).status == "cancelled"
        assert notes.of("audio") == []


async def test_a_cancelled_request_that_is_refused_is_forgotten() -> None:
    async with call_under_way() as (client, notes, session, _):
        client.respond(purpose="answer")
        asked = await session.asked()
        client.cancel()
        client.respond(purpose="next")
        await session.error("server_overloaded", asked["event_id"])

        assert (await session.asked())["response"]["metadata"]["purpose"] == "next"
        assert notes.of("end") == []


async def test_a_blocked_request_can_be_cancelled() -> None:
    async with call_under_way() as (client, notes, session, _):
        client.respond(purpose="answer")
        await session.error("conversation_already_has_active_response", (await session.asked())["event_id"])
        await session.error("marker")
        await elapse(0.1)
        client.cancel()
        await elapse(5)

        assert session.count("response.create") == 1
        assert session.count("response.cancel") == 0
        assert notes.of("end") == []


async def test_a_cancelled_response_that_never_ends_costs_the_session() -> None:
    async with call_under_way() as (client, notes, session, _):
        await reply(client, session)
        await session.speak("resp_1", "item_1")
        await notes.next("audio")
        client.cancel()
        client.respond(purpose="next")
        end = await notes.end()

        assert (end.status, end.reason) == ("cancelled", "stalled")
        assert await notes.next("renewed") == ("sess_1", "stalled")
