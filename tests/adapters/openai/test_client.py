"""Opening, one response at a time, barge-in, transcripts, function calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from adapters.sts.openai.client import OpenAiClient
from fsm.context import BotSettings, CallContext
from fsm.history import Message
from fsm.triggers import ToolCall, Usage
from tests.adapters.openai.peer import PCMU, Notes, Peer, PeerSession, elapse, phone, silence

CALL = CallContext(bot=BotSettings(instructions="Be kind."))


@asynccontextmanager
async def call_under_way(
    call: CallContext = CALL, **options: float
) -> AsyncIterator[tuple[OpenAiClient, Notes, PeerSession, Peer]]:
    async with phone(**options) as (client, notes, peer):
        client.start(call, PCMU)
        session = await peer.session()
        await notes.next("ready")
        yield client, notes, session, peer


async def reply(client: OpenAiClient, session: PeerSession, response_id: str = "resp_1") -> None:
    client.respond(purpose="answer")
    asked = await session.asked()
    await session.create(response_id, asked["response"]["metadata"])


# -- opening --------------------------------------------------------------------------------------


async def test_the_session_is_ready_once_its_formats_are_confirmed() -> None:
    async with phone() as (client, notes, peer):
        client.start(CALL, PCMU)
        await notes.next("ready")

        assert notes.all == [("ready", "sess_0")]
        assert client.usable
        (request,) = peer.requests
        assert request.path == "/v1/realtime?model=gpt-realtime-2.1"
        assert request.headers["Authorization"] == "Bearer sk-secret"
        assert "OpenAI-Beta" not in request.headers
        assert "Sec-WebSocket-Extensions" not in request.headers
        (update,) = peer.sessions[0].received
        assert update["session"]["audio"]["input"]["turn_detection"]["create_response"] is False


async def test_audio_before_the_session_is_ready_is_sent_in_order_afterwards() -> None:
    async with phone() as (client, notes, peer):
        client.append("AAAA")  # before the call: nobody keeps it
        client.start(CALL, PCMU)
        client.append(silence(3))
        client.append(silence(6))
        session = await peer.session()
        await notes.next("ready")
        client.append(silence(9))
        sent = [(await session.next("input_audio_buffer.append"))["audio"] for _ in range(3)]

        assert sent == [silence(3), silence(6), silence(9)]
        assert [event["type"] for event in session.received[:2]] == ["session.update", "input_audio_buffer.append"]


async def test_no_more_than_ten_seconds_of_audio_are_kept() -> None:
    async with phone() as (client, notes, peer):
        client.start(CALL, PCMU)
        for _ in range(5):
            client.append(silence(3000))
        session = await peer.session()
        await notes.next("ready")
        client.append(silence(3))
        while (await session.next("input_audio_buffer.append"))["audio"] != silence(3):
            pass

        assert session.count("input_audio_buffer.append") == 4


async def test_a_history_is_told_before_the_call_goes_on() -> None:
    call = CallContext(history=(Message(role="caller", text="hello", item_id="u1"),))
    async with call_under_way(call) as (client, _, session, _peer):
        client.tell("caller verified")
        items = [(await session.next("conversation.item.create"))["item"] for _ in range(2)]

        client.tell(" ")
        await elapse(1)
        assert session.count("conversation.item.create") == 2
        assert [(i["role"], i["content"][0]["text"]) for i in items] == [
            ("user", "hello"),
            ("system", "caller verified"),
        ]


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


# -- function calls -------------------------------------------------------------------------------


def function_call(call_id: str, status: str = "completed", arguments: str = '{"a":1}') -> dict[str, str]:
    return {
        "type": "function_call", "id": f"fc_{call_id}", "call_id": call_id, "name": "look_up", "status": status,
        "arguments": arguments,
    }  # fmt: skip


async def test_function_calls_are_reported_once_with_the_end_of_their_response() -> None:
    async with call_under_way() as (client, notes, session, _):
        await reply(client, session)
        item = {"type": "response.output_item.done", "response_id": "resp_1", "output_index": 0}
        await session.send({**item, "item": function_call("call_1")}, {**item, "item": function_call("call_1")})
        await session.send({**item, "item": function_call("call_cut", "incomplete", '{"a"')})
        await session.finish("resp_1", output=[function_call("call_1"), function_call("call_2", arguments="")])
        end = await notes.end()
        client.tool_result("call_1", "42")
        client.tool_result("call_nobody_knows", "?")
        items = [(await session.next("conversation.item.create"))["item"] for _ in range(2)]

        assert end.calls == (
            ToolCall(call_id="call_1", tool="look_up", arguments='{"a":1}'),
            ToolCall(call_id="call_2", tool="look_up", arguments="{}"),
        )
        assert items == [
            {"type": "function_call_output", "call_id": "call_1", "output": "42"},
            {"type": "function_call_output", "call_id": "call_nobody_knows", "output": "?"},
        ]
        assert session.count("response.create") == 1


# -- transcripts ----------------------------------------------------------------------------------


async def transcribe(session: PeerSession, item_id: str, text: str) -> None:
    usage = {"type": "duration", "seconds": 1.0}
    kind = "conversation.item.input_audio_transcription.completed"
    await session.send({"type": kind, "item_id": item_id, "content_index": 0, "transcript": text, "usage": usage})


async def speech(session: PeerSession, item_id: str) -> None:
    await session.send(
        {"type": "input_audio_buffer.speech_started", "item_id": item_id, "audio_start_ms": 0},
        {"type": "input_audio_buffer.speech_stopped", "item_id": item_id, "audio_end_ms": 500},
        {"type": "input_audio_buffer.committed", "item_id": item_id},
    )


async def test_the_words_of_an_utterance_are_reported_once() -> None:
    async with call_under_way() as (_, notes, session, _peer):
        await speech(session, "u1")
        await speech(session, "u1")
        await transcribe(session, "u1", "hello")
        await transcribe(session, "u1", "hello")
        await elapse(10)

        assert notes.all[1:] == [("started", "u1"), ("stopped", "u1"), ("transcript", "u1", "hello", "")]


async def test_a_missing_transcript_is_reported_within_three_seconds_and_again_when_it_comes() -> None:
    async with call_under_way() as (_, notes, session, _peer):
        await speech(session, "u1")
        await notes.next("stopped")
        stopped = asyncio.get_running_loop().time()
        missing = await notes.next("transcript")
        waited = asyncio.get_running_loop().time() - stopped
        await transcribe(session, "u1", "")
        await transcribe(session, "u1", "at last")
        await elapse(1)

        assert missing == ("u1", "", "timed_out")
        assert waited <= 3.01
        assert notes.of("transcript")[1:] == [("u1", "at last", "")]


async def test_a_failed_transcription_is_reported_at_once() -> None:
    async with call_under_way() as (_, notes, session, _peer):
        await speech(session, "u1")
        failed = {"item_id": "u1", "content_index": 0, "error": {"code": "audio_unintelligible"}}
        for _ in range(2):
            await session.send({"type": "conversation.item.input_audio_transcription.failed", **failed})
        await elapse(10)

        assert notes.of("transcript") == [("u1", "", "failed")]


# -- settings -------------------------------------------------------------------------------------


async def test_only_what_changed_is_configured_and_no_voice_after_the_first_word() -> None:
    async with call_under_way() as (client, notes, session, _):
        client.configure(CALL)
        client.configure(replace(CALL, voice="cedar"))
        first = await session.next("session.update")
        first = await session.next("session.update")
        await reply(client, session)
        await session.speak("resp_1", "item_1")
        await notes.next("audio")
        client.configure(replace(CALL, voice="ash", language="de-AT", instructions="Sei nett."))
        second = await session.next("session.update")
        await session.send({"type": "session.updated", "session": {"type": "realtime"}})
        await session.error("marker")
        await elapse(1)

        assert notes.of("renewed") == []
        assert first["session"] == {"type": "realtime", "audio": {"output": {"voice": "cedar"}}}
        assert second["session"] == {
            "type": "realtime",
            "instructions": "Sei nett.",
            "audio": {"input": {"transcription": {"model": "gpt-transcribe", "language": "de"}}},
        }


async def test_an_ordinary_error_leaves_the_session_open() -> None:
    async with call_under_way() as (client, notes, session, _):
        await session.error("unknown_parameter")
        await session.error("invalid_value")
        await session.send({"type": "rate_limits.updated", "rate_limits": []})
        await session.raw("{not json")
        await session.raw('{"type":"response.created"}')
        await reply(client, session)
        await session.finish("resp_1")

        assert (await notes.end()).status == "completed"
        assert len(notes.of("renewed")) == 0
