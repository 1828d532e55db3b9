"""How often, how much, from which pages; and that carriers' webhooks and sockets are not the API."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from httpx import ASGITransport, AsyncClient
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from adapters.http.access import Access
from adapters.http.app import build_api
from adapters.http.limits import LARGEST_BODY
from fsm.clock import LoopClock
from fsm.manager import SessionManager
from tests.adapters.http.served import api, bearer
from tests.fakes import elapse

_DESK = "https://desk.example.net"


# -- how often ----------------------------------------------------------------------------------------


async def test_client_that_asks_too_often_is_told_to_wait_and_served_again() -> None:
    async with api(rate=2, burst=3) as (client, _, _):
        statuses = [(await client.get("/api/health")).status_code for _ in range(4)]
        refused = await client.get("/api/v1/calls/stats")
        await elapse(1)
        after = [(await client.get("/api/health")).status_code for _ in range(3)]

    assert statuses == [200, 200, 200, 429]
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["retry-after"] == "1"
    assert after == [200, 200, 429]


async def test_clients_are_counted_by_their_token_not_by_what_they_guess() -> None:
    async with api(Access(token="steer", read_token="look"), rate=1, burst=2) as (client, _, _):
        guesses = [(await client.get("/api/health", headers=bearer(f"guess {n}"))).status_code for n in range(4)]
        reader = await client.get("/api/health", headers=bearer("look"))

    assert guesses == [401, 401, 429, 429]
    assert reader.status_code == 200


async def test_addresses_of_one_network_of_version_6_are_one_client() -> None:
    app = build_api(SessionManager(clock=LoopClock()), [], access=Access(token="steer"), rate=1, burst=1)

    async def asks(address: str) -> int:
        transport = ASGITransport(app, client=(address, 50000))
        async with AsyncClient(transport=transport, base_url="http://bot.example.net") as client:
            return (await client.get("/api/health")).status_code

    statuses = [await asks(address) for address in ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "192.0.2.1")]

    assert statuses == [401, 429, 401, 401]


async def test_probes_and_webhooks_are_never_too_many() -> None:
    async def webhook(request: Request) -> Response:
        return PlainTextResponse("taken")

    manager = SessionManager(clock=LoopClock())
    app = build_api(manager, [Route("/twilio/voice", webhook, methods=["POST"])], rate=1, burst=1)
    async with AsyncClient(transport=ASGITransport(app), base_url="http://localhost") as client:
        posts = [(await client.post("/twilio/voice", headers={"Origin": "https://x.example"})).text for _ in range(5)]
        probes = [(await client.get("/livez")).status_code for _ in range(5)]

    assert posts == ["taken"] * 5
    assert probes == [200] * 5


# -- how much -----------------------------------------------------------------------------------------


async def test_body_that_says_it_is_too_large_is_refused_unread() -> None:
    async with api() as (client, _, _):
        answer = await client.post("/api/v1/calls", content=b" " * (LARGEST_BODY + 1))

    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"


async def test_body_that_grows_too_large_is_refused_on_the_way() -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(17):
            yield b" " * 65536

    async with api() as (client, _, _):
        answer = await client.post("/api/v1/calls", content=endless(), headers={"Content-Type": "application/json"})

    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"


async def test_body_of_the_greatest_size_is_read() -> None:
    async with api() as (client, calls, _):
        calls.add("CA1")
        body = b'{"segments": [{"text": "x"}]}'.ljust(LARGEST_BODY)
        answer = await client.post(
            "/api/v1/calls/CA1/segments", content=body, headers={"Content-Type": "application/json"}
        )

    assert answer.status_code == 202


# -- pages --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/health", "/api/v1/calls", "/api/v1/reset", "/api/nowhere"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
async def test_page_of_another_origin_reaches_nothing(path: str, method: str) -> None:
    async with api() as (client, calls, _):
        calls.add("CA1")
        answer = await client.request(method, path, headers={"Origin": "https://evil.example"})

    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"
    assert "access-control-allow-origin" not in answer.headers
    assert calls.known["CA1"]["status"] == "active"


async def test_page_of_an_allowed_origin_may_ask_and_read_the_answer() -> None:
    async with api(Access(token="steer", origins=[_DESK])) as (client, _, _):
        asking = {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "authorization,if-match"}
        preflight = await client.options("/api/v1/calls/CA1", headers={"Origin": _DESK, **asking})
        answer = await client.get("/api/v1/calls", headers={"Origin": _DESK, **bearer("steer")})

    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == _DESK
    assert "PATCH" in preflight.headers["access-control-allow-methods"]
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, _DESK)


async def test_page_of_an_allowed_origin_may_read_why_it_is_refused() -> None:
    async with api(Access(token="steer", origins=[_DESK]), rate=1, burst=1) as (client, _, _):
        answers = [await client.get("/api/v1/calls", headers={"Origin": _DESK}) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [401, 429]
    assert [answer.headers["access-control-allow-origin"] for answer in answers] == [_DESK, _DESK]


async def test_own_pages_may_ask() -> None:
    async with api() as (client, _, address):
        answer = await client.post("/api/v1/calls", headers={"Origin": f"http://{address}"})

    assert answer.status_code == 201


# -- who ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["/api/health", "/asterisk/status", "/api/openapi.json", "/api/docs", "/api/v1/calls", "/api/v1/calls/CA1"],
)
async def test_what_tells_of_calls_is_for_those_who_may_look(path: str) -> None:
    async with api(Access(token="steer", read_token="look")) as (client, calls, _):
        calls.add("CA1")
        nobody, reader = await client.get(path), await client.get(path, headers=bearer("look"))

    assert (nobody.status_code, nobody.headers["www-authenticate"]) == (401, 'Bearer realm="callchart"')
    assert nobody.headers["content-type"] == "application/problem+json"
    assert reader.status_code == 200


_STEERING = (
    ("POST", "/calls"), ("POST", "/calls/CA1/segments"), ("POST", "/calls/CA1/events"), ("POST", "/calls/CA1/end"),
    ("POST", "/calls/CA1/trigger-ai-pipeline"), ("PATCH", "/calls/CA1"), ("DELETE", "/calls/CA1"), ("POST", "/reset"),
)  # fmt: skip


@pytest.mark.parametrize(("method", "path"), _STEERING)
async def test_who_may_only_look_steers_nothing(method: str, path: str) -> None:
    async with api(Access(token="steer", read_token="look")) as (client, calls, _):
        calls.add("CA1")
        answer = await client.request(method, f"/api/v1{path}", headers=bearer("look"))

    assert answer.status_code == 403
    assert calls.known["CA1"]["status"] == "active"


async def test_api_behind_a_proxy_asks_for_a_token_to_be_set() -> None:
    async with api() as (client, _, _):
        answer = await client.get("/api/v1/calls", headers={"X-Forwarded-For": "127.0.0.1"})

    assert answer.status_code == 403
    assert "CALLCHART_API_TOKEN" in answer.json()["detail"]


async def test_name_that_was_bound_to_this_machine_from_outside_is_refused() -> None:
    async with api() as (client, _, _):
        answer = await client.get("/api/v1/calls", headers={"Host": "rebound.example"})

    assert answer.status_code == 403


# -- tickets ------------------------------------------------------------------------------------------


async def test_ticket_is_given_for_what_its_holder_may() -> None:
    access = Access(token="steer", read_token="look")
    async with api(access) as (client, _, _):
        looking = await client.post("/api/v1/tickets", json={"call_id": "CA1"}, headers=bearer("look"))
        steering = await client.post("/api/v1/tickets", json={"control": True}, headers=bearer("steer"))
        too_much = await client.post("/api/v1/tickets", json={"control": True}, headers=bearer("look"))
        nobody = await client.post("/api/v1/tickets")

    assert (looking.status_code, looking.json()["expires_in"]) == (201, 60)
    access.check(_socket(looking.json()["ticket"]), control=False, call_id="CA1")
    access.check(_socket(steering.json()["ticket"]), control=True)
    assert (too_much.status_code, nobody.status_code) == (403, 401)


def _socket(ticket: str) -> dict[str, Any]:
    return {"type": "websocket", "client": ("192.0.2.7", 1), "headers": [], "query_string": f"ticket={ticket}".encode()}


async def test_ticket_does_not_steer_over_http() -> None:
    access = Access(token="steer")
    async with api(access) as (client, calls, _):
        calls.add("CA1")
        answer = await client.post(f"/api/v1/reset?ticket={access.issue(call_id=None, control=True)}")

    assert answer.status_code == 401
    assert calls.known["CA1"]["status"] == "active"


async def test_browser_shows_a_ticket_to_read_the_description() -> None:
    access = Access(token="steer")
    async with api(access) as (client, _, _):
        answer = await client.get(f"/api/docs?ticket={access.issue(call_id=None, control=False)}")

    assert answer.status_code == 200


async def test_neither_tokens_nor_tickets_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """By us; that of libraries which write addresses is kept silent (`adapters/telemetry/logs.py`)."""
    caplog.set_level(logging.DEBUG)
    access = Access(token="steer-secret")
    ticket = access.issue(call_id=None, control=False)
    async with api(access) as (client, _, _):
        for shown in ("steer-secret", "guess-secret"):
            await client.get(f"/api/docs?ticket={ticket}", headers=bearer(shown))
            await client.get("/api/v1/calls", headers=bearer(shown))

    libraries = ("uvicorn", "httpx", "httpcore", "asyncio")
    ours = [str(record.__dict__) for record in caplog.records if not record.name.startswith(libraries)]
    assert not [line for line in ours if ticket in line or "secret" in line]
