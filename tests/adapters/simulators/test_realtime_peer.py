from __future__ import annotations

import base64
from typing import Any

import pytest
from openai import AsyncOpenAI

from adapters.simulators.audio import duration_ms, mulaw_to_alaw, mulaw_to_pcm24k
from adapters.simulators.realtime import FunctionCall, RealtimePeer, Reply, Request, Rule, Script, Utterance
from adapters.simulators.realtime.script import Progress
from adapters.simulators.voices import spoken
from tests.adapters.simulators.judge import faults_of_client_event, faults_of_server_event
from tests.adapters.simulators.rawclient import LOUD, QUIET, client_of

GREETING = "Welcome to the Corner Shop. How can I help you?"
TURN = [
    "response.created",
    "rate_limits.updated",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.output_audio_transcript.delta",
    "response.output_audio.delta",
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
]


def test_the_judge_knows_good_from_bad() -> None:
    good = {"type": "session.update", "session": {"type": "realtime", "instructions": "x"}}
    extra = {"type": "session.update", "session": {"type": "realtime", "temperature": 0.8}}
    beta = {"type": "session.update", "session": {"voice": "marin"}}
    rate = {"type": "input_audio_buffer.speech_started", "event_id": "e", "item_id": "i", "audio_start_ms": "0"}

    assert faults_of_client_event(good) == []
    assert faults_of_client_event(extra) == ["session.update: session.temperature: not a field"]
    assert faults_of_client_event(beta) != []
    assert len(faults_of_server_event(rate)) == 1
    assert len(faults_of_server_event({"type": "response.cancelled", "event_id": "e"})) == 1


async def test_a_session_begins_and_is_configured() -> None:
    async with RealtimePeer(session_s=600) as peer, client_of(peer.url) as client:
        created = await client.until("session.created")
        updated = await client.configure(instructions="Be kind.")

    assert client.kinds() == ["session.created", "conversation.created", "session.updated"]
    session = updated["session"]
    assert created["session"]["model"] == session["model"] == "gpt-realtime-2.1"
    assert created["session"]["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24000}
    assert session["audio"]["input"]["format"] == {"type": "audio/pcmu"}
    assert session["audio"]["output"]["format"] == {"type": "audio/pcmu"}
    assert session["audio"]["output"]["speed"] == 1.0  # only named fields change
    assert session["instructions"] == "Be kind."
    assert session["expires_at"] == created["session"]["expires_at"]
    assert peer.connections[0].path == "/v1/realtime?model=gpt-realtime-2.1"
    assert peer.connections[0].headers["authorization"] == "Bearer sk-test"


async def test_an_utterance_is_heard_committed_and_transcribed() -> None:
    script = Script(utterances=["What are your opening hours?"], transcription_s=0.4)

    async with RealtimePeer(script) as peer, client_of(peer.url) as client:
        await client.configure()
        await client.append(QUIET * 4000)
        await client.utter()
        done = await client.until("conversation.item.input_audio_transcription.completed")

    assert client.kinds()[3:] == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "conversation.item.input_audio_transcription.delta",
        "conversation.item.input_audio_transcription.completed",
    ]
    assert client.of("input_audio_buffer.speech_started")[0]["audio_start_ms"] == 200  # 500 less the padding
    assert client.of("input_audio_buffer.speech_stopped")[0]["audio_end_ms"] == 2000
    assert done["transcript"] == "What are your opening hours?"
    assert {e["item_id"] for e in client.events if "item_id" in e} == {done["item_id"]}
    assert client.time_of("conversation.item.input_audio_transcription.completed") == 0.4


@pytest.mark.parametrize(
    ("audio_format", "encode"),
    [
        ({"type": "audio/pcm", "rate": 24000}, mulaw_to_pcm24k),
        ({"type": "audio/pcma"}, mulaw_to_alaw),
        ({"type": "audio/pcmu"}, bytes),
    ],
    ids=["pcm", "pcma", "pcmu"],
)
async def test_every_format_is_heard_and_spoken(audio_format: dict[str, Any], encode: Any) -> None:
    async with RealtimePeer(Script(replies=[GREETING])) as peer, client_of(peer.url) as client:
        await client.configure(audio_format)
        await client.append(encode(LOUD * 4000 + QUIET * 4800))
        await client.until("input_audio_buffer.speech_stopped")
        await client.send("response.create")
        await client.until("response.done")

    audio = b"".join(base64.b64decode(e["delta"]) for e in client.of("response.output_audio.delta"))
    assert len(audio) == len(encode(spoken(GREETING, "model")))
    if audio_format["type"] != "audio/pcm":
        assert audio == encode(spoken(GREETING, "model"))


async def test_a_reply_is_spoken_faster_than_real_time_and_in_order() -> None:
    async with RealtimePeer(Script(replies=[GREETING])) as peer, client_of(peer.url) as client:
        await client.configure()
        await client.send("response.create", response={"metadata": {"purpose": "greeting"}})
        done = (await client.until("response.done"))["response"]

    kinds = client.kinds()[3:]
    assert sorted(set(kinds), key=kinds.index) == TURN
    assert client.of("response.output_audio_transcript.done")[0]["transcript"] == GREETING
    assert "".join(e["delta"] for e in client.of("response.output_audio_transcript.delta")) == GREETING
    took = client.time_of("response.done") - client.time_of("response.created")
    assert took == pytest.approx(0.2 + duration_ms(spoken(GREETING, "model")) / 10_000, abs=0.002)
    assert (done["status"], done["metadata"]) == ("completed", {"purpose": "greeting"})
    assert done["output"][0]["content"] == [{"type": "output_audio", "transcript": GREETING}]
    assert done["usage"]["total_tokens"] == done["usage"]["input_tokens"] + done["usage"]["output_tokens"] > 0
    assert peer.connections[0].conversation.requests == [{"metadata": {"purpose": "greeting"}}]


async def test_the_model_answers_by_itself_unless_it_is_told_not_to() -> None:
    async with RealtimePeer() as peer, client_of(peer.url) as client:
        await client.configure(input={"turn_detection": {"type": "server_vad", "silence_duration_ms": 300}})
        await client.utter()
        await client.until("response.output_audio.delta")
        await client.utter()
        done = await client.until("response.done")

    assert done["response"]["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert len(client.of("response.created")) == 2


async def test_without_turn_detection_the_client_commits() -> None:
    async with RealtimePeer() as peer, client_of(peer.url) as client:
        await client.configure(input={"turn_detection": None})
        await client.utter()
        await client.send("input_audio_buffer.commit")
        await client.until("input_audio_buffer.committed")
        await client.send("input_audio_buffer.commit", event_id="c7")
        error = await client.error()
        await client.append(LOUD * 8000)
        await client.send("input_audio_buffer.clear")
        await client.until("input_audio_buffer.cleared")

    assert not client.of("input_audio_buffer.speech_started")
    assert (error["code"], error["event_id"]) == ("input_audio_buffer_commit_empty", "c7")
    assert peer.violations == []


@pytest.mark.parametrize(("eagerness", "stopped"), [("low", 2200), ("auto", 1700), ("high", 1400)])
async def test_semantic_detection_waits_as_it_is_eager(eagerness: str, stopped: int) -> None:
    async with RealtimePeer() as peer, client_of(peer.url) as client:
        detection = {"type": "semantic_vad", "eagerness": eagerness, "create_response": False}
        await client.configure(input={"turn_detection": detection})
        await client.append(LOUD * 8000 + QUIET * 16000)
        event = await client.until("input_audio_buffer.speech_stopped")

    assert event["audio_end_ms"] == stopped


async def test_a_click_is_not_speech() -> None:
    async with RealtimePeer() as peer, client_of(peer.url) as client:
        await client.configure()
        await client.append((LOUD * 160 + QUIET * 160) * 50)
        await client.send("input_audio_buffer.clear")
        await client.until("input_audio_buffer.cleared")

    assert not client.of("input_audio_buffer.speech_started")


async def test_only_one_response_may_be_active() -> None:
    async with RealtimePeer() as peer, client_of(peer.url) as client:
        await client.configure()
        await client.send("response.create")
        await client.send("response.create", event_id="second")
        error = await client.error()
        await client.send("response.create", response={"conversation": "none", "metadata": {"purpose": "aside"}})
        await client.until("response.done", 2)

    assert (error["code"], error["event_id"]) == ("conversation_already_has_active_response", "second")
    aside = next(e["response"] for e in client.of("response.done") if e["response"]["metadata"])
    assert aside["conversation_id"] is None
    assert len(client.of("conversation.item.added")) == 1
    assert peer.violations == []


async def test_a_cancelled_response_ends_with_all_its_done_events() -> None:
    async with RealtimePeer(Script(replies=[GREETING])) as peer, client_of(peer.url) as client:
        await client.configure()
        await client.send("response.create")
        await client.until("response.output_audio.delta", 3)
        await client.send("response.cancel")
        done = (await client.until("response.done"))["response"]
        await client.send("response.cancel")
        error = await client.error()

    assert done["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
    assert done["output"][0]["status"] == "incomplete"
    assert client.kinds()[-7:] == [*TURN[7:], "error"]
    said = client.of("response.output_audio_transcript.done")[0]["transcript"]
    assert said
    assert GREETING.startswith(said)
    assert said != GREETING
    assert error["code"] == "response_cancel_not_active"
    assert peer.violations == []


async def test_a_response_cancelled_before_it_speaks_has_no_items() -> None:
    async with RealtimePeer() as peer, client_of(peer.url) as client:
        await client.configure()
        await client.send("response.create")
        created = await client.until("response.created")
        await client.send("response.cancel", response_id=created["response"]["id"])
        done = await client.until("response.done")

    assert done["response"]["output"] == []


async def test_truncation_is_recorded_and_never_beyond_the_audio() -> None:
    reply = Reply(text="One two three.", sound=LOUD * 16000)

    async with RealtimePeer(Script(replies=[reply])) as peer, client_of(peer.url) as client:
        await client.configure()
        await client.send("response.create")
        done = await client.until("response.done")
        item_id = done["response"]["output"][0]["id"]
        truncate = {"item_id": item_id, "content_index": 0}
        await client.send("conversation.item.truncate", **truncate, audio_end_ms=2001)
        error = await client.error()
        await client.send("conversation.item.truncate", **truncate, audio_end_ms=1250)
        truncated = await client.until("conversation.item.truncated")
        await client.send("conversation.item.retrieve", item_id=item_id)
        item = (await client.until("conversation.item.retrieved"))["item"]

    assert error["code"] == "invalid_value"
    assert error["message"] == "Audio content of 2000ms is already shorter than 2001ms"
    assert truncated["audio_end_ms"] == 1250
    assert [(t.item_id, t.audio_end_ms, t.audio_ms) for t in peer.truncations] == [(item_id, 1250, 2000)]
    assert item["content"] == [{"type": "output_audio"}]
    assert [violation.code for violation in peer.violations] == ["invalid_value"]


async def test_items_are_created_placed_retrieved_and_deleted() -> None:
    def line(name: str) -> dict[str, Any]:
        content = [{"type": "input_text", "text": name}]
        return {"id": name, "type": "message", "role": "system", "content": content}

    async with RealtimePeer() as peer, client_of(peer.url) as client:
        await client.send("conversation.item.create", item=line("b"))
        await client.send("conversation.item.create", item=line("a"), previous_item_id="root")
        await client.send("conversation.item.create", item=line("c"), previous_item_id="a")
        await client.until("conversation.item.done", 3)
        order = list(peer.connections[0].conversation.items)
        await client.send("conversation.item.delete", item_id="c")
        await client.until("conversation.item.deleted")

    assert order == ["a", "c", "b"]
    assert [e["previous_item_id"] for e in client.of("conversation.item.added")] == [None, None, "a"]
    assert list(peer.connections[0].conversation.items) == ["a", "b"]


@pytest.mark.parametrize(
    ("kind", "fields", "code"),
    [
        ("conversation.item.retrieve", {"item_id": "x"}, "item_retrieve_invalid_item_id"),
        ("conversation.item.delete", {"item_id": "x"}, "item_delete_invalid_item_id"),
        (
            "conversation.item.truncate",
            {"item_id": "x", "content_index": 0, "audio_end_ms": 0},
            "item_truncate_invalid_item_id",
        ),
        (
            "conversation.item.create",
            {"previous_item_id": "x", "item": {"type": "function_call", "name": "f", "arguments": ""}},
            "invalid_value",
        ),
        (
            "conversation.item.create",
            {"item": {"type": "function_call_output", "call_id": "x", "output": ""}},
            "invalid_tool_call_id",
        ),
        ("response.create", {"response": {"input": [{"type": "item_reference", "id": "x"}]}}, "invalid_value"),
        ("output_audio_buffer.clear", {}, "invalid_value"),
        ("session.update", {"session": {"type": "realtime", "model": "other"}}, "invalid_value"),
        ("session.update", {"session": {"type": "transcription"}}, "invalid_value"),
        ("session.update", {"session": {}}, "missing_required_parameter"),
        (
            "session.update",
            {"session": {"type": "realtime", "audio": {"input": {"format": {"type": "audio/pcmu", "rate": 8000}}}}},
            "unknown_parameter",
        ),
        ("session.update", {"session": {"type": "realtime", "temperature": 0.8}}, "unknown_parameter"),
        ("response.created", {}, "invalid_value"),
    ],
)
async def test_what_is_wrong_is_refused_by_name(kind: str, fields: dict[str, Any], code: str) -> None:
    async with RealtimePeer() as peer, client_of(peer.url) as client:
        await client.send(kind, event_id="mine", **fields)
        error = await client.error()

    assert (error["type"], error["code"], error["event_id"]) == ("invalid_request_error", code, "mine")
    assert [violation.code for violation in peer.violations] == [code]
    assert not client.of("session.updated")


async def test_only_a_users_item_may_not_be_truncated_and_an_id_is_used_once() -> None:
    item = {"id": "u", "type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}

    async with RealtimePeer() as peer, client_of(peer.url) as client:
        await client.send("conversation.item.create", item=item)
        await client.send("conversation.item.create", item=item)
        await client.send("conversation.item.truncate", item_id="u", content_index=0, audio_end_ms=0)
        await client.until("error", 2)

    assert [violation.code for violation in peer.violations] == ["item_create_duplicate_id", "invalid_value"]


async def test_the_voice_stays_once_it_has_spoken() -> None:
    async with RealtimePeer() as peer, client_of(peer.url) as client:
        await client.configure()
        await client.send("response.create")
        await client.until("response.done")
        await client.send("session.update", session={"type": "realtime", "audio": {"output": {"voice": "cedar"}}})
        error = await client.error()

    assert error["code"] == "cannot_update_voice"


async def test_functions_are_called_and_their_outputs_known_to_the_script() -> None:
    def tell(request: Request) -> str:
        return f"It is {next(iter(request.outputs.values()))}."

    call = FunctionCall(name="look_up", arguments={"order": "4711"}, reports=3)
    script = Script(replies=[Reply(text="One moment, please.", calls=(call,)), tell])

    async with RealtimePeer(script) as peer, client_of(peer.url) as client:
        await client.configure()
        await client.send("response.create")
        done = (await client.until("response.done"))["response"]
        call_id = done["output"][1]["call_id"]
        await client.send("conversation.item.create",
                          item={"type": "function_call_output", "call_id": call_id, "output": "sent"})  # fmt: skip
        await client.send("response.create")
        await client.until("response.done", 2)

    assert [item["type"] for item in done["output"]] == ["message", "function_call"]
    assert done["output"][1]["arguments"] == '{"order": "4711"}'
    assert "".join(e["delta"] for e in client.of("response.function_call_arguments.delta")) == '{"order": "4711"}'
    assert len(client.of("response.function_call_arguments.done")) == 3
    assert client.of("response.output_audio_transcript.done")[1]["transcript"] == "It is sent."
    assert peer.violations == []


async def test_a_text_session_writes() -> None:
    async with RealtimePeer(Script(replies=["Hello there."])) as peer, client_of(peer.url) as client:
        await client.configure(output_modalities=["text"])
        await client.send("response.create")
        done = (await client.until("response.done"))["response"]

    assert done["output"][0]["content"] == [{"type": "output_text", "text": "Hello there."}]
    assert not client.of("response.output_audio.delta")
    assert client.of("response.output_text.done")[0]["text"] == "Hello there."


async def test_the_script_chooses_by_rule_then_quotation_then_order() -> None:
    rules = [
        Rule(purpose="greeting", answer="Good day."),
        Rule(heard="opening hours", answer=lambda request: f"Open, {len(request.heard)}."),
        Rule(asks="order number", answer="Which order?"),
    ]
    script = Script(utterances=["Your opening hours?", "Fine."], rules=rules, replies=["Next."], default_reply="Last.")
    said: list[str] = []

    async with RealtimePeer(script) as peer, client_of(peer.url) as client:
        await client.configure()
        for response in (
            {"metadata": {"purpose": "greeting"}},
            {"instructions": "Ask for the ORDER NUMBER."},
            {"instructions": 'Say exactly: "Please hold the line."'},
            {},
            {},
        ):
            await client.send("response.create", response=response)
            await client.until("response.done", len(said) + 1)
            said.append(client.of("response.output_audio_transcript.done")[-1]["transcript"])
        await client.utter()
        await client.until("input_audio_buffer.committed")
        await client.send("response.create")
        await client.until("response.done", 6)

    assert said == ["Good day.", "Which order?", "Please hold the line.", "Next.", "Last."]
    assert client.of("response.output_audio_transcript.done")[-1]["transcript"] == "Open, 1."


@pytest.mark.parametrize(
    ("instructions", "said"),
    [
        ("Be kind.\nNow do only this: Ask the caller: What is your order number?\nSpeak English.",
         "What is your order number?"),
        ("Now do only this: Say this to the caller: It is 12:30.", "It is 12:30."),
        ("Answer the caller. What you know about it: We are open.", "We are open."),
        ("Say that you did not catch the answer, and ask once more: Which one?", "Which one?"),
        ("Now do only this: Greet the caller.", "Scripted."),
        ("Say: ", "Scripted."),
        ("You answer calls and are brief: two sentences.\n\nNow do only this: Say good-bye.", "Scripted."),
        ('Say "Good bye." and nothing else: be brief.', "Good bye."),
    ],
)  # fmt: skip
def test_what_is_dictated_is_said_word_for_word(instructions: str, said: str) -> None:
    request = Request(purpose="x", instructions=instructions, heard=(), outputs={})

    assert Progress(Script(replies=["Scripted."])).reply_to(request) == Reply(text=said)


async def test_a_rolled_over_call_goes_on_with_its_script_and_another_begins_it_anew() -> None:
    async def first_reply(peer: RealtimePeer) -> str:
        async with client_of(peer.url) as client:
            await client.configure()
            await client.send("response.create")
            await client.until("response.done")
            return str(client.of("response.output_audio_transcript.done")[0]["transcript"])

    async with RealtimePeer(Script(replies=["One.", "Two."])) as peer:
        one_call = [await first_reply(peer), await first_reply(peer)]
    async with RealtimePeer(Script(replies=["One.", "Two."]), one_call=False) as peer:
        two_calls = [await first_reply(peer), await first_reply(peer)]

    assert one_call == ["One.", "Two."]
    assert two_calls == ["One.", "One."]


async def test_the_peer_counts_open_sockets_and_can_be_waited_for() -> None:
    async with RealtimePeer() as peer:
        async with client_of(peer.url):
            await peer.until(lambda: peer.open_sockets == 1)
        await peer.until(lambda: peer.open_sockets == 0)

        with pytest.raises(TimeoutError):
            await peer.until(lambda: False)

    assert peer.connections[0].close_code == 1000
    assert peer.received_of("session.update") == []


@pytest.mark.real_time
async def test_openais_own_client_talks_to_it() -> None:
    status = None
    async with RealtimePeer(Script(replies=[GREETING]), speed=20) as peer:
        openai = AsyncOpenAI(api_key="sk-test", websocket_base_url=peer.url.removesuffix("/realtime"))
        async with openai.realtime.connect(model="gpt-realtime-2.1") as connection:
            await connection.session.update(session={"type": "realtime", "instructions": "Be kind."})
            await connection.response.create()
            async for event in connection:
                if event.type == "response.done":
                    status = event.response.status
                    break

        assert status == "completed"
        await peer.until(lambda: peer.open_sockets == 0)
        await openai.close()


async def test_every_event_that_the_peer_can_send_is_valid() -> None:
    call = FunctionCall(name="look_up", arguments="{}")
    script = Script(
        utterances=["One", Utterance(text="", transcription="failed")],
        replies=[
            Reply(text="One moment, please.", calls=(call,)),
            Reply(status="failed", code="rate_limit_exceeded"),
            Reply(text="I must not", status="incomplete", code="content_filter"),
            Reply(calls=(FunctionCall(name="f", arguments={"order": "4711"}, cut_off=True),)),
            GREETING,
        ],
    )
    item = {"id": "s", "type": "message", "role": "system", "content": [{"type": "input_text", "text": "Hi"}]}

    async with RealtimePeer(script) as peer, client_of(peer.url) as client:
        await client.configure(tools=[{"type": "function", "name": "f", "description": "d", "parameters": {}}])
        for count in (1, 2):
            await client.utter()
            await client.until("input_audio_buffer.committed", count)
        for count in range(1, 5):
            await client.send("response.create", response={"metadata": {"purpose": "answer"}})
            await client.until("response.done", count)
        await client.send("response.create")
        await client.until("response.output_audio.delta", len(client.of("response.output_audio.delta")) + 3)
        await client.send("response.cancel")
        done = (await client.until("response.done", 5))["response"]
        item_id = done["output"][0]["id"]
        await client.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=10)
        await client.send("conversation.item.create", item=item)
        await client.send("conversation.item.retrieve", item_id=item_id)
        await client.send("conversation.item.delete", item_id="s")
        await client.send("input_audio_buffer.clear")
        await client.send("response.create", response={"output_modalities": ["text"]})
        await client.until("response.done", 6)
        await client.send("response.cancel")
        await client.error()
        await client.until("conversation.item.input_audio_transcription.failed")

    assert [line for event in client.events for line in faults_of_server_event(event)] == []
    assert [line for event in peer.received for line in faults_of_client_event(event)] == []
    assert [e["response"]["status"] for e in client.of("response.done")] == [
        "completed",
        "failed",
        "incomplete",
        "incomplete",
        "cancelled",
        "completed",
    ]
    assert peer.violations == []
    assert len({event["type"] for event in client.events}) == 31
