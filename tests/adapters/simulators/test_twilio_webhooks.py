from __future__ import annotations

import asyncio

import pytest
from twilio.request_validator import RequestValidator
from twilio.twiml.voice_response import Connect, VoiceResponse
from websockets.asyncio.server import ServerConnection

from adapters.simulators import twiml
from adapters.simulators.misbehaviour import Misbehaviour
from adapters.simulators.twilio import CallEvent, TwilioCaller
from adapters.simulators.twiml import Dial, HangUp, Other, Pause, Reject, Stream, TwimlError
from adapters.simulators.webhook import WebhookError, post_form
from tests.adapters.simulators.rawserver import Bridge, bridged, elapse, first_sid, webhooks

BASE = "https://bot.example.net/twilio/voice"


def connecting(url: str, action: str | None = "/twilio/action", status: str | None = None) -> str:
    """TwiML as Twilio's own library writes it."""
    response = VoiceResponse()
    connect = Connect(action=action)
    stream = connect.stream(url=url, name="s1", status_callback=status)
    stream.parameter(name="ctx", value="c-81f0")
    response.append(connect)
    return str(response)


async def close_at_once(socket: ServerConnection, bridge: Bridge) -> None:
    await first_sid(socket)
    await socket.close()


async def test_the_twiml_decides_where_the_stream_goes() -> None:
    async with (
        bridged() as bridge,
        webhooks({"/twilio/voice": [connecting(bridge.url)]}) as hooks,
        TwilioCaller(hooks.url, call_sid="CA1", caller="+1", called="+2", status_path="/twilio/status"),
    ):
        await elapse(0.03)

    assert bridge.of("start")[0]["start"]["customParameters"] == {"ctx": "c-81f0"}
    form = {"AccountSid": "AC00000000000000000000000000000001", "CallSid": "CA1", "From": "+1", "To": "+2"}
    assert hooks.forms("/twilio/voice") == [form | {"CallStatus": "ringing"}]
    assert hooks.forms("/twilio/status") == [form | {"CallStatus": "completed", "CallDuration": "0"}]
    assert hooks.forms("/twilio/action") == []


async def test_a_closed_stream_asks_the_action_and_follows_it() -> None:
    async with bridged(close_at_once) as bridge:
        answers = {
            "/twilio/voice": [connecting(bridge.url)],
            "/twilio/action": [connecting(bridge.url), "<Response><Hangup/></Response>"],
        }
        async with webhooks(answers) as hooks, TwilioCaller(hooks.url) as caller:
            assert await caller.over() == "ended"

    assert len(bridge.headers) == 2
    assert [stream.ids.call_sid for stream in caller.streams] == [caller.call_sid] * 2
    assert caller.streams[0].ids.stream_sid != caller.streams[1].ids.stream_sid
    assert [form["CallStatus"] for form in hooks.forms("/twilio/action")] == ["in-progress"] * 2


async def test_dial_is_a_transfer() -> None:
    async with bridged(close_at_once) as bridge:
        answers = {
            "/twilio/voice": [connecting(bridge.url)],
            "/twilio/action": ["<Response><Dial><Number>+15550199</Number></Dial></Response>"],
        }
        async with webhooks(answers) as hooks, TwilioCaller(hooks.url) as caller:
            assert await caller.over() == "transferred"

    assert caller.transferred_to == "+15550199"


async def test_reject_is_a_call_without_a_stream() -> None:
    async with (
        webhooks({"/twilio/voice": ['<Response><Reject reason="busy"/></Response>']}) as hooks,
        TwilioCaller(hooks.url) as caller,
    ):
        assert caller.outcome == "rejected"

    assert [event.detail for event in caller.events if event.name == "rejected"] == ["busy"]


async def test_verbs_behind_the_stream_run_when_there_is_no_action() -> None:
    async with bridged(close_at_once) as bridge:
        text = connecting(bridge.url, action=None).replace(
            "</Response>", '<Pause length="2"/><Say>Bye</Say></Response>'
        )
        async with webhooks({"/twilio/voice": [text]}) as hooks, TwilioCaller(hooks.url) as caller:
            assert await caller.over() == "ended"
            assert caller.now_ms == 2000

    assert [event.detail for event in caller.events if event.name == "Say"] == ["Bye"]


@pytest.mark.parametrize(("broken", "asked"), [("action", 1), ("end", 0)])
async def test_a_broken_stream_asks_the_action_or_does_not(broken: str, asked: int) -> None:
    async def talk(socket: ServerConnection, bridge: Bridge) -> None:
        await first_sid(socket)
        socket.transport.abort()

    async with bridged(talk) as bridge:
        answers = {"/twilio/voice": [connecting(bridge.url)], "/twilio/action": ["<Response/>"]}
        async with (
            webhooks(answers) as hooks,
            TwilioCaller(hooks.url, broken_stream="action" if broken == "action" else "end") as caller,
        ):
            assert await caller.over() == "ended"

    assert len(hooks.forms("/twilio/action")) == asked


async def test_the_stream_tells_its_status() -> None:
    async with bridged() as bridge:
        answers = {"/twilio/voice": [connecting(bridge.url, status="/twilio/stream-status")]}
        async with webhooks(answers) as hooks, TwilioCaller(hooks.url) as caller:
            await caller.elapse(10)

    sid = caller.streams[0].ids.stream_sid
    told = [(f["StreamEvent"], f["StreamSid"], f["StreamName"]) for f in hooks.forms("/twilio/stream-status")]
    assert told == [("stream-started", sid, "s1"), ("stream-stopped", sid, "s1")]


async def test_a_callback_that_fails_changes_nothing_in_the_call() -> None:
    async with bridged() as bridge:
        answers = {"/twilio/voice": [connecting(bridge.url, status="http://127.0.0.1:9/status")]}
        async with webhooks(answers) as hooks, TwilioCaller(hooks.url) as caller:
            await caller.elapse(50)

    assert caller.outcome == "hung_up"
    assert len(bridge.of("media")) == 2
    assert caller.problems == ["127.0.0.1:9 did not answer: ConnectionRefusedError"] * 2


async def test_events_are_told_as_they_happen() -> None:
    told: list[str] = []

    async with bridged() as bridge, TwilioCaller(bridge.url, on_event=lambda event: told.append(event.name)) as caller:
        assert told == ["stream started"]

    assert told == [event.name for event in caller.events] == ["stream started", "hung_up", "stream hung_up"]


async def test_verbs_behind_a_stream_that_cannot_be_opened_run() -> None:
    text = connecting("ws://127.0.0.1:9/media", action=None).replace("</Response>", "<Say>Sorry</Say></Response>")

    async with webhooks({"/twilio/voice": [text]}) as hooks, TwilioCaller(hooks.url) as caller:
        assert await caller.over() == "ended"

    assert [event.detail for event in caller.events if event.name == "Say"] == ["Sorry"]


async def test_a_listener_that_raises_is_not_hidden() -> None:
    def listen(event: CallEvent) -> None:
        if event.name == "webhook":
            raise LookupError(event.detail)

    async with webhooks({"/twilio/voice": ["<Response/>"]}) as hooks:
        caller = TwilioCaller(hooks.url, on_event=listen)
        await caller.dial()
        with pytest.raises(LookupError, match="/twilio/voice 200"):
            await caller.hang_up()


async def test_an_answer_may_have_no_length() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nall of it")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        got = await post_form(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", {}, {})

    assert got.body == "all of it"


async def test_a_stream_that_cannot_be_opened_is_told_and_asks_the_action() -> None:
    text = connecting("ws://127.0.0.1:9/media", status="/twilio/stream-status")
    answers = {"/twilio/voice": [text], "/twilio/action": ["<Response/>"]}

    async with webhooks(answers) as hooks, TwilioCaller(hooks.url) as caller:
        assert await caller.over() == "ended"

    assert hooks.forms("/twilio/stream-status")[0]["StreamEvent"] == "stream-error"
    assert len(hooks.forms("/twilio/action")) == 1


async def test_hanging_up_while_the_webhook_is_asked_is_told() -> None:
    text = '<Response><Pause length="20"/></Response>'

    async with webhooks({"/twilio/voice": [text]}) as hooks:
        caller = TwilioCaller(hooks.url, status_path="/twilio/status")
        dialling = asyncio.create_task(caller.dial())
        await elapse(0.5)
        await caller.hang_up()
        await dialling

    assert caller.outcome == "hung_up"
    assert len(hooks.forms("/twilio/status")) == 1


async def test_aborting_before_a_stream_begins_ends_the_call() -> None:
    async with (
        webhooks({"/twilio/voice": ['<Response><Pause length="20"/></Response>']}) as hooks,
        TwilioCaller(hooks.url, misbehaviour=Misbehaviour(abort_after_ms=500)) as caller,
    ):
        assert await caller.over() == "aborted"
        assert caller.now_ms == 500


async def test_requests_and_handshake_are_signed_as_twilio_signs_them() -> None:
    validator = RequestValidator("secret")

    async with (
        bridged() as bridge,
        webhooks({"/twilio/voice": [connecting(bridge.url)]}) as hooks,
        TwilioCaller(hooks.url, auth_token="secret"),
    ):
        await elapse(0.01)

    path, form, headers = hooks.requests[0]
    assert validator.validate(hooks.url + path, form, headers["x-twilio-signature"])
    assert bridge.headers[0]["x-twilio-signature"] == twiml.sign("secret", bridge.url, {})


async def test_a_proxy_hides_the_real_address() -> None:
    async with (
        webhooks({"/twilio/voice": [connecting("wss://bot.example.net/media", action=None)]}) as hooks,
        TwilioCaller(hooks.url, auth_token="secret", public_url="https://bot.example.net") as caller,
    ):
        await caller.over()

    path, form, headers = hooks.requests[0]
    assert RequestValidator("secret").validate("https://bot.example.net" + path, form, headers["x-twilio-signature"])
    assert (headers["x-forwarded-proto"], headers["x-forwarded-host"]) == ("https", "bot.example.net")
    assert caller.outcome == "refused"  # this server has no media socket, but it was asked for one
    assert hooks.url.removeprefix("http://") not in caller.problems[0]


@pytest.mark.parametrize(
    ("answers", "status", "problem"),
    [
        ({"/twilio/voice": ["<Response/>"]}, 503, "answered 503"),
        ({"/twilio/voice": ["no XML"]}, 200, "not XML"),
        ({"/twilio/voice": ["<Reply/>"]}, 200, "not <Response>"),
    ],
)
async def test_a_webhook_without_a_good_answer_is_a_refused_call(
    answers: dict[str, list[str]], status: int, problem: str
) -> None:
    async with webhooks(answers, status) as hooks, TwilioCaller(hooks.url) as caller:
        assert caller.outcome == "refused"

    assert problem in caller.problems[0]


async def test_an_answer_may_come_in_chunks() -> None:
    async with webhooks({"/x?a=b": ["four and twenty"]}, chunked=True) as hooks:
        answer = await post_form(hooks.url + "/x?a=b", {}, {})

    assert (answer.status, answer.body) == (200, "four and twenty")


async def test_nobody_listening_is_an_error() -> None:
    with pytest.raises(WebhookError, match="did not answer"):
        await post_form("http://127.0.0.1:9/", {}, {})


def test_verbs() -> None:
    text = (
        "<Response><Connect><Conversation/></Connect><Dial>+1555</Dial><Reject/><Hangup/><Pause/>"
        "<Say>Hi</Say></Response>"
    )

    verbs = twiml.parse(text, BASE)

    assert verbs == [Other("Connect"), Dial("+1555"), Reject("rejected"), HangUp(), Pause(1.0), Other("Say", "Hi")]


def test_a_stream_with_everything() -> None:
    text = connecting("wss://bot.example.net/media", status="https://x.example/s")

    assert twiml.parse(text, BASE) == [
        Stream(
            url="wss://bot.example.net/media",
            name="s1",
            action="https://bot.example.net/twilio/action",
            status_callback="https://x.example/s",
            parameters={"ctx": "c-81f0"},
        )
    ]


@pytest.mark.parametrize("url", ["https://bot.example.net/media", "wss://bot.example.net/media?call=1", ""])
def test_a_stream_address_that_twilio_refuses(url: str) -> None:
    with pytest.raises(TwimlError, match="query"):
        twiml.parse(connecting(url), BASE)


def test_a_parameter_that_is_too_long() -> None:
    text = connecting("wss://bot.example.net/media").replace("c-81f0", "x" * 500)

    with pytest.raises(TwimlError, match="500"):
        twiml.parse(text, BASE)
