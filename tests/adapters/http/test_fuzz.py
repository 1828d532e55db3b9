"""Whatever is sent, the API answers as its own description says, and never with a mistake of ours."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from adapters.http.access import Access
from adapters.http.api.shapes import RESERVED
from adapters.http.app import build_api
from adapters.http.described import document_of
from fsm.clock import LoopClock
from fsm.manager import SessionManager
from tests.adapters.http.fake_calls import FakeCalls
from tests.adapters.http.served import bearer
from tests.serve import serve

_EXAMPLES = 12  # of each operation, beside those at the edges of what its description allows
_NOT_HELD: list[Any] = [positive_data_acceptance]  # which bots and events there are, no description tells


def an_api(loop: asyncio.AbstractEventLoop) -> FastAPI:
    calls = FakeCalls()
    calls.add("CA1")
    calls.add("CA2", status="ended")
    manager = SessionManager(clock=LoopClock(loop))
    return build_api(manager, [], calls=calls, access=Access(token="steer"), rate=100_000)


def description() -> dict[str, Any]:
    loop = asyncio.new_event_loop()
    try:
        return document_of(an_api(loop))
    finally:
        loop.close()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The API on a port, served by a loop of its own: the tests here are not async."""
    ready, over = threading.Event(), threading.Event()
    found: list[str] = []

    async def run() -> None:
        async with serve(an_api(asyncio.get_running_loop()), access_log=False) as where:
            found.append(f"http://{where}")
            ready.set()
            await asyncio.to_thread(over.wait)

    server = threading.Thread(target=asyncio.run, args=(run(),))
    server.start()
    try:
        assert ready.wait(10)
        yield found[0]
    finally:
        over.set()
        server.join()


schema = schemathesis.openapi.from_dict(description())


@schema.parametrize()
@settings(max_examples=_EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_api_answers_as_it_says(case: schemathesis.Case[Any], address: str) -> None:
    if case.path_parameters.get("call_id") in RESERVED:
        return  # another route's address
    case.call_and_validate(base_url=address, headers=bearer("steer"), excluded_checks=_NOT_HELD)
