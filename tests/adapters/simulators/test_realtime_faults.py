from __future__ import annotations

import asyncio
import base64

import pytest
from websockets.exceptions import InvalidStatus

from adapters.simulators.realtime import Faults, FunctionCall, RealtimePeer, Reply, Script, Utterance
from tests.adapters.simulators.rawclient import LOUD, Client, client_of
from tests.adapters.simulators.rawserver import elapse


def audio_ms(client: Client) -> list[int]:
    return [len(base64.b64decode(event["delta"])) // 8 for event in client.of("response.output_audio.delta")]


@pytest.mark.parametrize("status", [401, 403, 429, 500])
async def test_a_handshake_may_be_refused_and_the_next_accepted(status: int) -> None:
    async with RealtimePeer(faults=[Faults(refuse=status)]) as peer:
        with pytest.raises(InvalidStatus, match=str(status)):
            async with client_of(peer.url):
                pass
        async with client_of(peer.url) as client:
            await client.until("session.created")

    assert peer.refused == [status]


async def test_a_client_without_a_key_or_on_another_path_is_refused() -> None:
    async with RealtimePeer() as peer:
        with pytest.raises(InvalidStatus, match="401"):
            async with client_of(peer.url, key=None):
                pass
        with pytest.raises(InvalidStatus, match="404"):
            async with client_of(peer.url + "/x"):
                pass

    assert peer.refused == [401, 404]


async def test_a_handshake_may_never_be_answered() -> None:
    async with RealtimePeer(faults=Faults(never_answers=True)) as peer:
        with pytest.raises(TimeoutError):
            async with client_of(peer.url):
                pass

    assert peer.connections == []


async def test_the_betas_shape_is_refused() -> None:
    async with RealtimePeer() as peer, client_of(peer.url, OpenAI_Beta="realtime=v1") as client:
        await client.socket.wait_closed()

    assert client.events == []
    assert (client.socket.close_code, client.socket.close_reason) == (
        4000,
        "invalid_request_error.beta_api_shape_disabled",
    )


async def test_the_socket_may_close_before_anything_is_said() -> None:
    async with RealtimePeer(faults=Faults(close_before_created=True)) as peer, client_of(peer.url) as client:
        await client.socket.wait_closed()

    assert (client.events, client.socket.close_code) == ([], 1011)


async def test_a_session_may_never_be_created() -> None:
    async with RealtimePeer(faults=Faults(no_created=True)) as peer, client_of(peer.url) as client:
        await client.configure()

    assert client.kinds() == ["session.updated"]


async def test_an_update_may_never_be_confirmed() -> None:
    async with RealtimePeer(faults=Faults(no_updated=True)) as peer, client_of(peer.url) as client:
        await client.send("session.update", session={"type": "realtime"})
        await elapse(30)

    assert client.kinds() == ["session.created", "conversation.created"]


async def test_an_update_may_be_refused_or_confirm_other_formats() -> None:
    async with RealtimePeer(faults=[Faults(refuse_update=True), Faults(wrong_formats=True)]) as peer:
        async with client_of(peer.url) as client:
            await client.send("session.update", session={"type": "realtime"})
            error = await client.error()
        async with client_of(peer.url) as client:
            updated = await client.configure()

    assert error["code"] == "unknown_parameter"
    assert updated["session"]["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24000}


async def test_a_session_ends_when_its_time_is_over() -> None:
    async with RealtimePeer(session_s=60) as peer, client_of(peer.url) as client:
        await client.socket.wait_closed()
        now = asyncio.get_running_loop().time()

    assert (client.socket.close_code, now) == (1001, 60)
    assert client.socket.close_reason == "Your session hit the maximum duration of 60 minutes."


async def test_a_session_may_expire_in_the_betas_way() -> None:
    async with RealtimePeer(faults=Faults(expired_at_s=3)) as peer, client_of(peer.url) as client:
        error = await client.error()
        await client.socket.wait_closed()

    assert (error["code"], client.time_of("error")) == ("session_expired", 3)
    assert peer.connections[0].close_code == 1000


@pytest.mark.parametrize(
    ("faults", "code"),
    [(Faults(time_limit_at_s=3), 1001), (Faults(close_at_s=3), 1011), (Faults(abort_at_s=3), 1006)],
    ids=["limit", "closed", "aborted"],
)
async def test_the_socket_may_be_lost(faults: Faults, code: int) -> None:
    async with RealtimePeer(faults=faults) as peer, client_of(peer.url) as client:
        await client.socket.wait_closed()
        assert asyncio.get_running_loop().time() == 3
        await peer.until(lambda: peer.open_sockets == 0)

    assert client.socket.close_code == code
    assert peer.connections[0].close_code == code


async def test_the_model_may_fall_silent() -> None:
    async with RealtimePeer(faults=Faults(stall_at_s=1)) as peer, client_of(peer.url) as client:
        await elapse(2)
        await client.send("response.create")
        await elapse(30)

    assert client.kinds() == ["session.created", "conversation.created"]


async def test_strange_events_come_between_the_others() -> None:
    faults = Faults(server_error_at_s=1, malformed_at_s=2, unknown_event_at_s=3)

    async with RealtimePeer(faults=faults) as peer, client_of(peer.url) as client:
        await client.until("response.pondered")
        await client.configure()

    assert client.of("error")[0]["error"]["type"] == "server_error"
    assert client.kinds()[3] == '{"type": "response.output_audio.delta", "del'
    assert client.kinds()[-1] == "session.updated"


async def test_every_event_may_come_twice() -> None:
    async with RealtimePeer(faults=Faults(duplicate_events=True)) as peer, client_of(peer.url) as client:
        await client.until("conversation.created", 2)

    assert client.events[0] == client.events[1]
    assert client.events[2] == client.events[3]


async def test_speech_may_be_reported_that_nobody_spoke() -> None:
    async with RealtimePeer(faults=Faults(phantom_speech_at_s=1)) as peer, client_of(peer.url) as client:
        await client.configure()
        await client.send("response.create")
        done = await client.until("conversation.item.input_audio_transcription.completed")
        await client.until("response.done")

    assert done["transcript"] == ""
    assert client.time_of("input_audio_buffer.speech_started") == 1
    assert client.time_of("input_audio_buffer.speech_stopped") == 1.6


async def test_a_response_may_stall_until_it_is_cancelled() -> None:
    reply = Reply(text="One two three four", sound=LOUD * 16000, stall_after_ms=600)

    async with RealtimePeer(Script(replies=[reply])) as peer, client_of(peer.url) as client:
        await client.configure()
        await client.send("response.create")
        await elapse(60)
        stalled = client.kinds()[-1]
        await client.send("response.cancel")
        await client.until("response.done")

    assert audio_ms(client) == [200, 200, 200]
    assert stalled == "response.output_audio.delta"


async def test_a_stalled_response_ends_with_its_socket() -> None:
    reply = Reply(text="One two", stall_after_ms=0)

    async with RealtimePeer(Script(replies=[reply])) as peer:
        async with client_of(peer.url) as client:
            await client.send("response.create")
            await client.until("response.content_part.added")
        await peer.until(lambda: peer.open_sockets == 0)

    assert not client.of("response.done")


@pytest.mark.parametrize(
    ("reply", "details"),
    [
        (
            Reply(status="failed", code="rate_limit_exceeded"),
            {
                "type": "failed",
                "error": {
                    "type": "rate_limit_exceeded",
                    "code": "rate_limit_exceeded",
                    "message": "The response failed: rate_limit_exceeded.",
                },
            },
        ),
        (
            Reply(text="I must", status="incomplete", code="content_filter"),
            {"type": "incomplete", "reason": "content_filter"},
        ),
        (Reply(status="incomplete"), {"type": "incomplete", "reason": "max_output_tokens"}),
    ],
)
async def test_a_response_may_end_badly(reply: Reply, details: dict[str, object]) -> None:
    async with RealtimePeer(Script(replies=[reply])) as peer, client_of(peer.url) as client:
        await client.send("response.create")
        done = (await client.until("response.done"))["response"]

    assert (done["status"], done["status_details"]) == (reply.status, details)
    assert len(done["output"]) == bool(reply.text)


async def test_a_response_may_be_done_without_audio() -> None:
    script = Script(replies=[Reply(), Reply(text="Hi", silent=True)])

    async with RealtimePeer(script) as peer, client_of(peer.url) as client:
        await client.send("response.create")
        first = await client.until("response.done")
        await client.send("response.create")
        second = await client.until("response.done", 2)

    assert (first["response"]["output"], first["response"]["status"]) == ([], "completed")
    assert second["response"]["output"][0]["content"] == [{"type": "output_audio", "transcript": "Hi"}]
    assert audio_ms(client) == []


async def test_late_audio_follows_a_cancelled_response() -> None:
    reply = Reply(text="One two three four", sound=LOUD * 16000, late_deltas=2)

    async with RealtimePeer(Script(replies=[reply])) as peer, client_of(peer.url) as client:
        await client.configure()
        await client.send("response.create")
        await client.until("response.output_audio.delta", 2)
        await client.send("response.cancel")
        done = await client.until("response.done")
        await client.until("response.output_audio.delta", 4)

    assert client.kinds()[-3:] == ["response.done", "response.output_audio.delta", "response.output_audio.delta"]
    assert client.events[-1]["response_id"] == done["response"]["id"]


async def test_a_whole_reply_may_come_in_one_delta_or_slower_than_it_is_heard() -> None:
    huge = Reply(text="One two", sound=LOUD * 64000, delta_ms=60_000)
    slow = Reply(text="One two", sound=LOUD * 8000, pace=0.5)

    async with RealtimePeer(Script(replies=[huge, slow])) as peer, client_of(peer.url) as client:
        await client.configure()
        await client.send("response.create")
        await client.until("response.done")
        began = asyncio.get_running_loop().time()
        await client.send("response.create")
        await client.until("response.done", 2)
        took = asyncio.get_running_loop().time() - began

    assert audio_ms(client) == [8000, 200, 200, 200, 200, 200]
    assert took == pytest.approx(2.2, abs=0.001)


@pytest.mark.parametrize("transcription", ["completed", "failed", "never"])
async def test_a_transcript_may_be_late_fail_or_never_come(transcription: str) -> None:
    utterance = {
        "completed": Utterance(text="Hello?", delay_s=5),
        "failed": Utterance(text="", transcription="failed", delay_s=5),
        "never": Utterance(text="", transcription="never"),
    }[transcription]

    async with RealtimePeer(Script(utterances=[utterance])) as peer, client_of(peer.url) as client:
        await client.configure()
        await client.utter()
        await client.until("input_audio_buffer.committed")
        await elapse(4.9)
        early = len(client.events)
        await elapse(0.2)

    kinds = [kind.removeprefix("conversation.item.input_audio_transcription.") for kind in client.kinds()[early:]]
    assert kinds == {"completed": ["delta", "completed"], "failed": ["failed"], "never": []}[transcription]


async def test_a_function_call_may_be_cut_off() -> None:
    call = FunctionCall(name="f", arguments='{"order": "4711"}', cut_off=True)

    async with RealtimePeer(Script(replies=[Reply(calls=(call,))])) as peer, client_of(peer.url) as client:
        await client.send("response.create")
        done = (await client.until("response.done"))["response"]

    assert done["status"] == "incomplete"
    assert done["output"][0]["status"] == "incomplete"
    assert client.of("response.function_call_arguments.done")[0]["arguments"] == '{"order"'


async def test_garbage_from_a_client_is_a_violation_and_ends_nothing() -> None:
    async with RealtimePeer() as peer, client_of(peer.url) as client:
        for garbage in ("{", "[]", '{"type": 7}', b"\x00"):
            await client.socket.send(garbage)
        await client.until("error", 4)
        await client.configure()

    assert [violation.code for violation in peer.violations] == [
        "missing_required_parameter",
        "invalid_type",
        "invalid_value",
        "missing_required_parameter",
    ]


async def test_an_item_may_be_deleted_before_its_transcript_comes() -> None:
    async with RealtimePeer(Script(utterances=["Hello?"])) as peer, client_of(peer.url) as client:
        await client.configure()
        await client.utter()
        item_id = (await client.until("input_audio_buffer.committed"))["item_id"]
        await client.send("conversation.item.delete", item_id=item_id)
        done = await client.until("conversation.item.input_audio_transcription.completed")

    assert (done["item_id"], done["transcript"]) == (item_id, "Hello?")


async def test_a_response_may_be_given_some_items_only() -> None:
    item = {"id": "a", "type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}

    async with RealtimePeer() as peer, client_of(peer.url) as client:
        await client.send("conversation.item.create", item=item)
        await client.send("response.create", response={"input": [{"type": "item_reference", "id": "a"}]})
        await client.until("response.done")

    assert peer.violations == []


async def test_a_time_limit_of_a_socket_that_is_already_aborted_is_nothing() -> None:
    async with RealtimePeer(faults=Faults(time_limit_at_s=3, abort_at_s=3, expired_at_s=3)) as peer:
        async with client_of(peer.url) as client:
            await client.socket.wait_closed()
        await peer.until(lambda: peer.open_sockets == 0)

    assert len(peer.connections) == 1


async def test_a_peer_that_never_listened_can_be_stopped() -> None:
    peer = RealtimePeer()

    await peer.stop()

    assert peer.open_sockets == 0
