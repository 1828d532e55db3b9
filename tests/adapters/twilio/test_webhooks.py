"""Twilio's webhooks, over HTTP."""

from __future__ import annotations

import hashlib
import json
import logging
from typing import Any

import httpx
import pytest
from twilio.request_validator import RequestValidator

from fsm.triggers import CallEnded, CallTransferred
from tests.adapters.twilio.desk import CALL, FakeDesk, Line, served, start

FORM = {"CallSid": CALL, "From": "+15550100", "To": "+15550199", "CallStatus": "ringing"}
HANG_UP = '<?xml version="1.0" encoding="UTF-8"?><Response><Hangup /></Response>'
BUSY = '<?xml version="1.0" encoding="UTF-8"?><Response><Reject reason="busy" /></Response>'
TOKEN = "12345678901234567890123456789012"


async def ask(line: Line, path: str, form: dict[str, str] | None = None, **request: Any) -> httpx.Response:
    method = request.pop("method", "POST")
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.request(method, f"http://{line.address}{path}", data=form, **request)


@pytest.mark.parametrize("path", ["/twilio/voice", "/incoming-call", "/twiml"])
async def test_a_call_that_comes_in_is_announced_and_connected(path: str) -> None:
    async with served(public_url="https://bot.example.net/") as line:
        answer = await ask(line, path, FORM)
        token = line.calls.token(CALL)

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/xml")
    assert answer.text == (
        '<?xml version="1.0" encoding="UTF-8"?><Response>'
        '<Connect action="https://bot.example.net/twilio/after-stream" method="POST">'
        '<Stream statusCallback="https://bot.example.net/twilio/stream-status" '
        'url="wss://bot.example.net/twilio/media">'
        f'<Parameter name="token" value="{token}" /><Parameter name="caller" value="+15550100" />'
        '<Parameter name="called" value="+15550199" /></Stream></Connect></Response>'
    )
    assert line.desk.announced == [(CALL, "twilio", "+15550100", "+15550199")]


async def test_a_webhook_configured_as_get_is_served_alike() -> None:
    async with served() as line:
        answer = await ask(line, "/twilio/voice", method="GET", params=FORM)

    assert "<Connect" in answer.text
    assert line.desk.announced == [(CALL, "twilio", "+15550100", "+15550199")]


async def test_without_a_public_url_the_proxys_headers_say_where_we_are() -> None:
    async with served() as line:
        headers = {"X-Forwarded-Proto": "https, http", "X-Forwarded-Host": "bot.example.net, inner"}
        proxied = await ask(line, "/twilio/voice", FORM, headers=headers)
        direct = await ask(line, "/twilio/voice", FORM)

    assert 'url="wss://bot.example.net/twilio/media"' in proxied.text
    assert f'url="ws://{line_address(direct)}/twilio/media"' in direct.text


def line_address(answer: httpx.Response) -> str:
    return answer.request.url.netloc.decode()


async def test_at_capacity_a_caller_hears_busy_and_no_call_is_made() -> None:
    async with served(desk=FakeDesk(has_slots=False)) as line:
        answer = await ask(line, "/twilio/voice", FORM)

        assert answer.text == BUSY
        assert len(line.calls) == 0


async def test_a_call_that_has_ended_on_another_node_is_hung_up_and_not_told_busy() -> None:
    async with served(desk=FakeDesk(over={CALL})) as line:
        answer = await ask(line, "/twilio/voice", FORM)

        assert answer.text == HANG_UP
        assert len(line.calls) == 0


async def test_a_webhook_delivered_twice_is_answered_alike_and_harms_no_stream() -> None:
    async with served() as line:
        first = await ask(line, "/twilio/voice", FORM)
        async with line.stream(token=line.calls.token(CALL)) as (_, _, heard):
            second = await ask(line, "/twilio/voice", FORM)

            assert second.text == first.text
            assert len(line.calls) == 1
            assert heard.log == []


async def test_the_webhook_knows_who_calls_even_if_the_stream_does_not() -> None:
    async with served() as line:
        await ask(line, "/twilio/voice", FORM)
        async with line.stream() as (_, leg, _):
            assert leg.can_return

    started, _, proof = line.desk.connected[0]
    assert (started.caller, started.called, proof) == ("+15550100", "+15550199", False)


@pytest.mark.parametrize("path", ["/twilio/voice", "/twilio/status", "/twilio/stream-status", "/twilio/after-stream"])
@pytest.mark.parametrize("form", [{}, {"CallSid": ""}, {"CallSid": "a b"}, {"CallSid": "C" * 200}], ids=len)
async def test_a_request_without_a_call_is_told_what_is_missing(path: str, form: dict[str, str]) -> None:
    async with served() as line:
        answer = await ask(line, path, form)

    assert answer.status_code == 400
    assert "CallSid is missing" in answer.text
    assert line.desk.announced == []


@pytest.mark.parametrize(
    ("request_", "status", "message"),
    [
        ({"content": b"CallSid=%ff" + b"x" * 70_000}, 413, "longer than"),
        ({"content": b"\xff"}, 400, "UTF-8"),
        ({"content": "&".join(f"a{number}=1" for number in range(300)).encode()}, 400, "more than 200 fields"),
        ({"content": b"{", "headers": {"content-type": "application/json"}}, 400, "not JSON"),
        ({"content": b"[]", "headers": {"content-type": "application/json; charset=utf-8"}}, 400, "JSON object"),
    ],
    ids=["long", "not UTF-8", "fields", "not JSON", "no object"],
)
async def test_a_body_that_is_no_form_is_refused(request_: dict[str, Any], status: int, message: str) -> None:
    async with served() as line:
        answer = await ask(line, "/twilio/voice", **request_)

    assert answer.status_code == status
    assert message in answer.text


async def test_a_request_whose_host_is_none_is_refused() -> None:
    async with served() as line:
        answer = await ask(line, "/twilio/voice", FORM, headers={"X-Forwarded-Host": "a/b"})

    assert answer.status_code == 400
    assert "no host" in answer.text


async def test_a_json_body_is_understood() -> None:
    async with served() as line:
        answer = await ask(line, "/twilio/voice", json={"CallSid": CALL, "From": "+15550100", "Extra": 7})

    assert "<Connect" in answer.text
    assert line.desk.announced == [(CALL, "twilio", "+15550100", "")]


# -- status ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("completed", "caller_hung_up"),
        ("busy", "busy"),
        ("failed", "carrier_failed"),
        ("no-answer", "no_answer"),
        ("canceled", "cancelled"),
    ],
)
async def test_a_final_status_ends_the_call(status: str, reason: str) -> None:
    async with served() as line:
        answer = await ask(line, "/twilio/status", {**FORM, "CallStatus": status})

    assert (answer.status_code, answer.text) == (204, "")
    assert line.desk.posted == [(CALL, CallEnded(reason=reason))]


@pytest.mark.parametrize("status", ["initiated", "ringing", "in-progress", ""])
async def test_other_statuses_change_nothing(status: str) -> None:
    async with served() as line:
        answer = await ask(line, "/twilio/status", {**FORM, "CallStatus": status})

    assert answer.status_code == 204
    assert line.desk.posted == []


async def test_a_status_before_the_registration_leaks_nothing_and_a_late_socket_is_no_call() -> None:
    async with served() as line:
        await ask(line, "/twilio/voice", FORM)
        await ask(line, "/twilio/status", {**FORM, "CallStatus": "completed"})
        again = await ask(line, "/twilio/voice", FORM)
        async with line.socket() as peer:
            await peer.send(start(token=line.calls.token(CALL)))
            await peer.wait_closed()

        assert peer.close_code == 1008
        assert again.text == HANG_UP
        assert len(line.calls) == 0
        assert line.desk.connected == []
        assert line.desk.announced == [(CALL, "twilio", "+15550100", "+15550199")]


async def test_statuses_out_of_order_and_of_unknown_calls_leave_nothing() -> None:
    async with served() as line:
        for status in ("completed", "ringing", "completed", "in-progress"):
            answer = await ask(line, "/twilio/status", {**FORM, "CallStatus": status})
            assert answer.status_code == 204

        assert len(line.calls) == 0
        assert not line.calls.is_over(CALL)


async def test_a_stream_that_failed_is_logged_and_one_that_stopped_is_not(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="adapters")
    stream = {"CallSid": CALL, "StreamSid": "MZ1", "StreamName": "s1"}
    async with served() as line:
        for event in ("stream-started", "stream-stopped"):
            assert (await ask(line, "/twilio/stream-status", {**stream, "StreamEvent": event})).status_code == 204
        failed = {**stream, "StreamEvent": "stream-error", "StreamError": "x" * 500}
        assert (await ask(line, "/twilio/stream-status", failed)).status_code == 204

    told = [record.__dict__ for record in caplog.records if record.name.startswith("adapters")]
    assert [(entry["msg"], entry["call_id"], entry["why"]) for entry in told] == [("stream_error", CALL, "x" * 200)]
    assert line.desk.posted == []


# -- after the stream -----------------------------------------------------------------------------

AFTER = {**FORM, "CallStatus": "in-progress"}


async def test_a_live_call_whose_stream_broke_is_connected_again() -> None:
    async with served() as line:
        first = await ask(line, "/twilio/voice", FORM)
        line.desk.live.add(CALL)
        again = await ask(line, "/twilio/after-stream", AFTER)

    assert again.text == first.text.replace("</Stream>", '<Parameter name="again" value="1" /></Stream>')


async def test_a_live_call_that_this_process_does_not_remember_is_connected_again() -> None:
    async with served(desk=FakeDesk(live={CALL})) as line:
        answer = await ask(line, "/twilio/after-stream", AFTER)

        assert "<Connect" in answer.text
        assert line.calls.get(CALL) is not None


async def test_an_unknown_call_is_hung_up() -> None:
    async with served() as line:
        answer = await ask(line, "/twilio/after-stream", AFTER)

    assert answer.text == HANG_UP
    assert line.desk.posted == []


async def test_a_call_that_we_hung_up_is_hung_up_even_if_its_end_is_still_being_worked_on() -> None:
    async with served() as line:
        await ask(line, "/twilio/voice", FORM)
        async with line.stream() as (_, leg, _):
            await leg.hang_up()
        answer = await ask(line, "/twilio/after-stream", AFTER)

        assert await line.desk.is_live(CALL)
        assert answer.text == HANG_UP


async def test_a_call_that_the_desk_has_forgotten_is_hung_up() -> None:
    async with served() as line:
        await ask(line, "/twilio/voice", FORM)
        line.calls.forget(CALL)
        answer = await ask(line, "/twilio/after-stream", AFTER)

    assert answer.text == HANG_UP


async def test_a_transfer_dials_and_tells_the_call_once_however_often_twilio_asks() -> None:
    async with served() as line:
        await ask(line, "/twilio/voice", FORM)
        async with line.stream() as (_, leg, _):
            await leg.transfer("+1 555 0123")
        answers = [(await ask(line, "/twilio/after-stream", AFTER)).text]
        line.calls.forget(CALL)
        answers.append((await ask(line, "/twilio/after-stream", AFTER)).text)

    dial = '<?xml version="1.0" encoding="UTF-8"?><Response><Dial><Number>+15550123</Number></Dial></Response>'
    assert answers == [dial, dial]
    assert line.desk.posted == [(CALL, CallTransferred())]


async def test_a_transfer_that_another_node_asked_for_is_dialled_and_the_call_told_once() -> None:
    async with served(desk=FakeDesk(live={CALL}, transfers={CALL: "+1 555 0123"})) as line:
        answers = [(await ask(line, "/twilio/after-stream", AFTER)).text for _ in range(2)]

    dial = '<?xml version="1.0" encoding="UTF-8"?><Response><Dial><Number>+15550123</Number></Dial></Response>'
    assert answers == [dial, dial]
    assert line.desk.posted == [(CALL, CallTransferred())]


async def test_a_transfer_that_cannot_be_dialled_brings_the_caller_back_to_us() -> None:
    async with served(desk=FakeDesk(live={CALL}, transfers={CALL: "the boss"})) as line:
        answer = await ask(line, "/twilio/after-stream", AFTER)

    assert "<Connect" in answer.text
    assert line.desk.posted == []


async def test_a_caller_who_leaves_during_a_transfer_rings_nobodys_phone() -> None:
    async with served() as line:
        await ask(line, "/twilio/voice", FORM)
        async with line.stream() as (_, leg, _):
            await leg.transfer("+15550123")
        answer = await ask(line, "/twilio/after-stream", {**FORM, "CallStatus": "completed"})
        later = await ask(line, "/twilio/after-stream", AFTER)

    assert answer.text == later.text == HANG_UP
    assert line.desk.posted == [(CALL, CallEnded(reason="caller_hung_up"))]


# -- signatures -----------------------------------------------------------------------------------

PATHS = ["/twilio/voice", "/twilio/status", "/twilio/stream-status", "/twilio/after-stream"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("headers", [{}, {"X-Twilio-Signature": "wrong"}], ids=["none", "wrong"])
async def test_with_an_auth_token_an_unsigned_webhook_is_refused(path: str, headers: dict[str, str]) -> None:
    async with served(auth_token=TOKEN) as line:
        answer = await ask(line, path, {**FORM, "CallStatus": "completed"}, headers=headers)

    assert answer.status_code == 403
    assert (line.desk.announced, line.desk.posted) == ([], [])


@pytest.mark.parametrize("path", PATHS)
async def test_a_webhook_that_twilio_signed_is_served(path: str) -> None:
    async with served(auth_token=TOKEN, public_url="https://bot.example.net") as line:
        signed = RequestValidator(TOKEN).compute_signature(f"https://bot.example.net{path}", FORM)
        answer = await ask(line, path, FORM, headers={"X-Twilio-Signature": signed})

    assert answer.status_code in (200, 204)


async def test_a_signed_get_and_a_signed_json_body_are_served() -> None:
    async with served(auth_token=TOKEN) as line:
        validator, base = RequestValidator(TOKEN), f"http://{line.address}/twilio/voice"
        by_get = validator.compute_signature(f"{base}?CallSid={CALL}", {})
        first = await ask(line, f"/twilio/voice?CallSid={CALL}", method="GET", headers={"X-Twilio-Signature": by_get})
        body = json.dumps({"CallSid": CALL}).encode()
        query = f"bodySHA256={hashlib.sha256(body).hexdigest()}"
        headers = {
            "Content-Type": "application/json",
            "X-Twilio-Signature": validator.compute_signature(f"{base}?{query}", {}),
        }
        second = await ask(line, f"/twilio/voice?{query}", content=body, headers=headers)

    assert (first.status_code, second.status_code) == (200, 200)


async def test_a_handshake_without_a_signature_is_refused_before_it_is_accepted() -> None:
    async with served(auth_token=TOKEN) as line:
        headers = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        }
        answer = await ask(line, "/twilio/media", method="GET", headers=headers)

    assert answer.status_code == 403
    assert "X-Twilio-Signature" in answer.text


async def test_a_signed_handshake_is_proof_also_behind_a_proxy() -> None:
    async with served(auth_token=TOKEN) as line:
        signed = RequestValidator(TOKEN).compute_signature("wss://bot.example.net/media-stream", {})
        headers = {
            "X-Twilio-Signature": signed,
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Host": "bot.example.net",
        }
        async with line.socket("/media-stream", additional_headers=headers) as peer:
            await peer.send(start())
            leg, _ = await line.desk.legs.get()
            assert leg.can_return is False  # signed, but no webhook of ours says what comes after the stream

    assert [proof for _, _, proof in line.desk.connected] == [True]
