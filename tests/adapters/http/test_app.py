"""The one port: health, what is refused, and what an error looks like from outside."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from httpx import ASGITransport, AsyncClient
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from adapters.bootstrap import Application, build
from adapters.http.app import build_api, dispatch
from adapters.settings import Settings
from fsm.clock import LoopClock
from fsm.manager import SessionManager
from tests.serve import serve


@asynccontextmanager
async def an_application(folder: Path) -> AsyncIterator[tuple[Application, AsyncClient, str]]:
    """The application on a port, and who asks it."""
    application = build(Settings(openai_api_key="k", data_dir=folder))
    async with serve(application.asgi) as address, AsyncClient(base_url=f"http://{address}") as client:
        yield application, client, address
    await application.aclose()


# -- health -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/livez", "/healthz", "/readyz"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_probes_are_answered(path: str, method: str, tmp_path: Path) -> None:
    async with an_application(tmp_path) as (_, client, _):
        answer = await client.request(method, path)

    assert answer.status_code == 200
    assert answer.text == ("" if method == "HEAD" else '{"status":"ok"}')


async def test_draining_process_lives_but_is_not_ready(tmp_path: Path) -> None:
    async with an_application(tmp_path) as (application, client, _):
        await application.drain()
        live, ready, health = [await client.get(path) for path in ("/livez", "/readyz", "/api/health")]

    assert live.status_code == 200
    assert (ready.status_code, ready.json()) == (503, {"status": "draining"})
    assert health.json()["status"] == "draining"


async def test_health_tells_calls_and_slots(tmp_path: Path) -> None:
    async with an_application(tmp_path) as (application, client, _):
        await client.post("/twilio/voice", data={"CallSid": "CA1", "From": "+15550100", "To": "+15550101"})
        health = (await client.get("/api/health")).json()
        await client.post("/twilio/status", data={"CallSid": "CA1", "CallStatus": "completed"})
        await application.switchboard.manager.idle(timeout=5.0)

    assert health == {
        "status": "ok",
        "sessions": {"active_count": 1, "uuids": ["CA1"]},
        "slots": {"taken": 1, "of": 1000},
    }


async def test_webhook_of_a_draining_process_is_told_that_we_are_busy(tmp_path: Path) -> None:
    async with an_application(tmp_path) as (application, client, _):
        await application.drain()
        answer = await client.post("/twilio/voice", data={"CallSid": "CA1"})

    assert (answer.status_code, "<Reject" in answer.text) == (200, True)
    assert application.switchboard.manager.call_ids() == []


async def test_documentation_is_served_under_api(tmp_path: Path) -> None:
    async with an_application(tmp_path) as (_, client, _):
        pages = {path: (await client.get(path)).status_code for path in ("/api/docs", "/docs", "/redoc")}
        described = (await client.get("/api/openapi.json")).json()

    assert pages == {"/api/docs": 200, "/docs": 404, "/redoc": 404}
    assert {"/livez", "/readyz", "/api/health"} <= set(described["paths"])


# -- what is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/nowhere", "/twilio/media/deeper", "/livez"])
async def test_websocket_of_an_unknown_path_is_refused(path: str, tmp_path: Path) -> None:
    async with an_application(tmp_path) as (_, _, address):
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://{address}{path}", proxy=None)

    assert refused.value.response.status_code in (403, 404)


@pytest.mark.parametrize("path", ["/twilio/media", "/media-stream", "/twilio/media/"])
async def test_media_path_asked_over_http_says_what_it_is_for(path: str, tmp_path: Path) -> None:
    async with an_application(tmp_path) as (_, client, _):
        answer = await client.get(path)

    assert answer.status_code == 426
    assert "media sockets only" in answer.text


async def test_what_is_not_there_is_said_in_json(tmp_path: Path) -> None:
    async with an_application(tmp_path) as (_, client, _):
        missing, wrong = await client.get("/nowhere"), await client.post("/livez")

    assert [answer.headers["content-type"] for answer in (missing, wrong)] == ["application/problem+json"] * 2
    assert missing.json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "there is nothing at this address; /api/docs tells what there is",
    }
    assert (wrong.status_code, wrong.json()["title"], wrong.headers["allow"]) == (
        405,
        "Method Not Allowed",
        "GET, HEAD",
    )


async def test_mistake_of_our_own_shows_nothing_of_our_inside(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(request: Request) -> Response:
        raise ZeroDivisionError("the inside")

    caplog.set_level(logging.CRITICAL)
    api = build_api(SessionManager(clock=LoopClock()), [Route("/broken", broken)])
    transport = ASGITransport(dispatch(api, {}), raise_app_exceptions=False)
    async with AsyncClient(transport=transport, base_url="http://us") as client:
        answer = await client.get("/broken")

    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert answer.json()["detail"] == "this is our mistake; the log tells more"
    assert "inside" not in answer.text


async def test_media_sockets_pass_the_api_by() -> None:
    seen: list[Any] = []

    async def media(scope: Any, receive: Any, send: Any) -> None:
        seen.append(("media", scope["path"]))

    async def api(scope: Any, receive: Any, send: Any) -> None:
        seen.append(("api", scope.get("path")))

    app = dispatch(api, {"/media": media})
    await app({"type": "websocket", "path": "/media/"}, None, None)
    await app({"type": "http", "path": "/media2"}, None, None)
    await app({"type": "lifespan"}, None, None)

    assert seen == [("media", "/media/"), ("api", "/media2"), ("api", None)]
