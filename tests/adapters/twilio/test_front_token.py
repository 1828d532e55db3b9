"""The token of a browser front goes from the address of the voice webhook to the parameters of the stream."""

from __future__ import annotations

import logging
from urllib.parse import quote
from xml.etree import ElementTree

import httpx
import pytest
from twilio.request_validator import RequestValidator

from tests.adapters.twilio.desk import CALL, Line, served

FORM = {"CallSid": CALL, "From": "+15550100", "To": "+15550199", "CallStatus": "ringing"}
SECRET = "12345678901234567890123456789012"
FRONT = "6f1c2b9e-8f0a-4b7e-9d57-1c2a3b4d5e6f"


async def voice(line: Line, query: str, *, headers: dict[str, str] | None = None) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        address = f"http://{line.address}/twilio/voice{query}"
        return await client.post(address, data=FORM, headers=headers)


def parameters(answer: httpx.Response) -> dict[str | None, str | None]:
    assert answer.status_code == 200
    return {each.get("name"): each.get("value") for each in ElementTree.fromstring(answer.text).iter("Parameter")}


@pytest.mark.parametrize("token", [FRONT, "a" * 16, "a" * 128, "A-z0_9.~:@=/AAAAA"])
async def test_the_token_in_the_address_is_a_parameter_of_the_stream(token: str) -> None:
    async with served() as line:
        answer = await voice(line, f"?front_token={quote(token, safe='')}")

    assert parameters(answer)["front_token"] == token


@pytest.mark.parametrize("token", ["short", "a" * 129, "a" * 20 + '"/><Hangup/>', "a" * 20 + "\n", "ä" * 20, " " * 20])
async def test_what_cannot_be_a_token_is_left_out_and_the_call_is_served_all_the_same(
    token: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="adapters")
    async with served() as line:
        answer = await voice(line, f"?front_token={quote(token, safe='')}")

    assert set(parameters(answer)) == {"token", "caller", "called"}
    assert [record.message for record in caplog.records if record.name.startswith("adapters")] == [
        "front_token_unsuitable"
    ]
    assert token not in caplog.text


async def test_a_field_of_the_form_is_no_token_of_a_front() -> None:
    async with served() as line, httpx.AsyncClient(trust_env=False) as client:
        form = {**FORM, "front_token": FRONT}
        answer = await client.post(f"http://{line.address}/twilio/voice", data=form)

    assert "front_token" not in parameters(answer)


async def test_the_signature_covers_the_token() -> None:
    async with served(auth_token=SECRET, public_url="https://bot.example.net") as line:
        address = f"https://bot.example.net/twilio/voice?front_token={FRONT}"
        signed = {"X-Twilio-Signature": RequestValidator(SECRET).compute_signature(address, FORM)}
        answer = await voice(line, f"?front_token={FRONT}", headers=signed)
        other = await voice(line, f"?front_token={FRONT[::-1]}", headers=signed)
        without = await voice(line, "", headers=signed)

    assert parameters(answer)["front_token"] == FRONT
    assert (other.status_code, without.status_code) == (403, 403)
