"""The API describes itself: whole, and without anything from elsewhere."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from httpx import AsyncClient

from adapters.bootstrap import build
from adapters.http.app import build_api
from adapters.http.described import document_of
from adapters.settings import Settings
from fsm.clock import LoopClock
from fsm.manager import SessionManager
from tests.adapters.http.fake_calls import FakeCalls
from tests.adapters.http.served import api
from tests.serve import serve

DOCS = Path(__file__).parents[3] / "docs" / "api.md"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    loop = asyncio.new_event_loop()
    manager = SessionManager(clock=LoopClock(loop))
    loop.close()
    return document_of(build_api(manager, [], calls=FakeCalls()))


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def test_every_route_is_described(document: dict[str, Any]) -> None:
    assert sorted(operations(document)) == [
        "DELETE /api/v1/calls/{call_id}",
        "GET /api/health",
        "GET /api/v1/calls",
        "GET /api/v1/calls/active",
        "GET /api/v1/calls/stats",
        "GET /api/v1/calls/{call_id}",
        "GET /api/v1/calls/{call_id}/export",
        "GET /api/v1/calls/{call_id}/journal",
        "GET /api/v1/calls/{call_id}/segments",
        "GET /api/v1/calls/{call_id}/transcript",
        "GET /api/v1/calls/{call_id}/validate",
        "GET /asterisk/status",
        "GET /livez",
        "GET /readyz",
        "PATCH /api/v1/calls/{call_id}",
        "POST /api/v1/calls",
        "POST /api/v1/calls/{call_id}/end",
        "POST /api/v1/calls/{call_id}/events",
        "POST /api/v1/calls/{call_id}/segments",
        "POST /api/v1/calls/{call_id}/trigger-ai-pipeline",
        "POST /api/v1/reset",
        "POST /api/v1/tickets",
    ]


def test_every_refusal_is_described_as_a_problem(document: dict[str, Any]) -> None:
    media = {
        tuple(answer["content"])
        for name, operation in operations(document).items()
        for status, answer in operation["responses"].items()
        if status >= "400" and name != "GET /readyz"
    }

    assert media == {("application/problem+json",)}


def test_routes_that_take_a_body_say_what_becomes_of_a_bad_one(document: dict[str, Any]) -> None:
    said = [operation["responses"].keys() for operation in operations(document).values() if "requestBody" in operation]

    assert len(said) == 5
    assert all({"400", "413", "415", "422"} <= statuses for statuses in said)


def test_routes_of_calls_say_who_may_ask(document: dict[str, Any]) -> None:
    told = {name: operation["security"] for name, operation in operations(document).items()}

    assert {name for name, security in told.items() if security == []} == {"GET /livez", "GET /readyz"}
    assert told["POST /api/v1/reset"] == [{"token": []}, {}]
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"


def test_nothing_is_referred_to_that_is_not_there(document: dict[str, Any]) -> None:
    named = set(re.findall(r"#/components/schemas/(\w+)", str(document)))

    assert named == set(document["components"]["schemas"])


async def test_streams_are_described_where_they_are_served(tmp_path: Path) -> None:
    app = build(Settings(store="memory", data_dir=tmp_path, openai_api_key="k"))
    async with serve(app.asgi) as address, AsyncClient() as client:
        told = operations((await client.get(f"http://{address}/api/openapi.json")).json())
    await app.aclose()
    one, every = told["GET /api/v1/calls/{call_id}/live"], told["GET /api/v1/calls/live"]

    assert list(one["responses"]["200"]["content"]) == ["text/event-stream"]
    assert [one["responses"].keys(), every["responses"].keys()] == [
        {"200", "204", "401", "403", "404", "429", "500", "503"},
        {"200", "401", "403", "429", "500", "503"},
    ]
    assert [parameter["name"] for parameter in one["parameters"]] == ["call_id", "Last-Event-ID", "after", "ticket"]
    assert one["security"] == told["GET /api/v1/calls"]["security"]


def test_the_documentation_tells_of_every_route_and_of_no_other(document: dict[str, Any]) -> None:
    told = set(re.findall(r"`((?:GET|POST|PATCH|DELETE) /[^`?]*)", DOCS.read_text("utf-8")))
    names = [name.replace("/api/v1", "").replace("{call_id}", "{id}") for name in operations(document)]
    streams = {"GET /calls/live", "GET /calls/{id}/live"}

    assert told | {"GET /livez", "GET /readyz"} == {*names, *streams}


async def test_page_shows_every_route_and_loads_nothing() -> None:
    async with api() as (client, _, _):
        page = await client.get("/api/docs")

    assert "POST /api/v1/calls/{call_id}/segments" in page.text
    assert not re.search(r"<script|https?://|src=|@import", page.text)
    assert page.headers["content-security-policy"].startswith("default-src 'none'")


# -- this node ----------------------------------------------------------------------------------------


async def test_asterisk_is_honest() -> None:
    async with api() as (client, _, _):
        answer = await client.get("/asterisk/status")

    assert answer.json() == {"status": "not_configured", "enabled": False, "active_calls": 0}


async def test_process_without_its_store_is_ready_and_says_so() -> None:
    async with api(store_away=lambda: True) as (client, _, _):
        answer = await client.get("/readyz")

    assert (answer.status_code, answer.json()) == (200, {"status": "degraded", "store": "away"})


async def test_api_without_calls_serves_this_node_only() -> None:
    manager = SessionManager(clock=LoopClock())
    described = document_of(build_api(manager, []))

    assert sorted(described["paths"]) == ["/api/health", "/asterisk/status", "/livez", "/readyz"]
