"""A call under way: opening, settings, utterances and their words, function calls."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from fsm.context import CallContext
from fsm.history import Message
from fsm.triggers import ToolCall
from tests.adapters.openai.calls import CALL, call_under_way, reply, speech, transcribe
from tests.adapters.openai.peer import PCMU, elapse, phone, silence

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


async def test_a_voice_that_is_refused_since_the_model_already_speaks_takes_nothing_else_with_it() -> None:
    async with call_under_way() as (client, notes, session, _):
        await reply(client, session)
        client.configure(replace(CALL, voice="ash", instructions="Be brief."))  # its first audio is on the way
        wishes = [await session.next("session.update") for _ in range(2)]
        await session.error("cannot_update_voice", wishes[1]["event_id"])
        await session.speak("resp_1", "item_1")
        await session.finish("resp_1")

        assert (await notes.end()).status == "completed"
        assert [wish["session"] for wish in wishes] == [
            {"type": "realtime", "instructions": "Be brief."},
            {"type": "realtime", "audio": {"output": {"voice": "ash"}}},
        ]
        assert notes.of("failed") == notes.of("renewed") == []


async def test_no_voice_follows_audio_that_nobody_wanted_any_more() -> None:
    async with call_under_way() as (client, notes, session, _):
        await reply(client, session)
        client.cancel()
        await session.next("response.cancel")
        await session.speak("resp_1", "item_1")
        await session.finish("resp_1", status="cancelled")
        await notes.end()
        client.configure(replace(CALL, voice="ash", instructions="Be brief."))
        await session.next("session.update")
        await elapse(1)

        assert notes.of("audio") == []
        assert session.received[-1]["session"] == {"type": "realtime", "instructions": "Be brief."}


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


# -- transcripts ----------------------------------------------------------------------------------


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
        assert waited <= 3.0
        assert notes.of("transcript")[1:] == [("u1", "at last", "")]


async def test_a_failed_transcription_is_reported_at_once() -> None:
    async with call_under_way() as (_, notes, session, _peer):
        await speech(session, "u1")
        failed = {"item_id": "u1", "content_index": 0, "error": {"code": "audio_unintelligible"}}
        for _ in range(2):
            await session.send({"type": "conversation.item.input_audio_transcription.failed", **failed})
        await elapse(10)

        assert notes.of("transcript") == [("u1", "", "failed")]


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
