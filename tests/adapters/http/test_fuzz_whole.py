"""Whatever is sent to a whole process, it answers as it says, makes no mistake, and nothing is left of it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from itertools import count, cycle
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.config import SchemathesisConfig
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from adapters.bootstrap import Application, build
from adapters.http.app import build_api
from adapters.http.described import document_of
from adapters.settings import Settings
from fsm.clock import LoopClock
from fsm.manager import SessionManager
from fsm.triggers import TRIGGERS
from tests.adapters.http.fake_calls import FakeCalls
from tests.adapters.http.served import bearer
from tests.serve import running

_TOKEN = bearer("steer")
_EXAMPLES = 5  # of each operation
_NOT_HELD: list[Any] = [positive_data_acceptance]  # which bots and events there are, no description tells
_EVENTS = sorted(trigger.name for trigger in TRIGGERS)
_NEXT_EVENT = cycle(_EVENTS)
_CLEAN: tuple[int, list[str], list[str]] = (202, [], [])


class _Mistakes(logging.Handler):
    """Keeps what the process reports as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.told.append(self.format(record))


class _Process:
    """A whole process on a loop of its own: the tests here are not async."""

    def __init__(self, folder: Path) -> None:
        self.address = ""
        self._settings = Settings(
            store="memory", data_dir=folder, api_token="steer", api_rate=100_000, openai_url="ws://127.0.0.1:9"
        )
        self.left: list[str] = []
        self.mistakes = _Mistakes()
        self.client: httpx.Client
        self._number = count(1)
        self._ready, self._over = threading.Event(), threading.Event()

    def run(self) -> None:
        asyncio.run(self._run())

    async def _run(self) -> None:
        app = build(self._settings)
        await app.start()
        async with running(app.asgi, access_log=False) as server:
            self.address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
            self._ready.set()
            await asyncio.to_thread(self._over.wait)
        self.left += _left(app)
        await app.drain()
        await app.aclose()
        self.left += [task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()]

    def __enter__(self) -> _Process:
        logging.getLogger().addHandler(self.mistakes)
        self._thread = threading.Thread(target=self.run)
        self._thread.start()
        assert self._ready.wait(10)
        self.client = httpx.Client(base_url=self.address, headers=_TOKEN)
        return self

    def __exit__(self, *raised: object) -> None:
        try:
            self.reset = self.client.post("/api/v1/reset?wait=true").status_code
        finally:
            self.client.close()
            self._over.set()
            self._thread.join()
            logging.getLogger().removeHandler(self.mistakes)

    @property
    def outcome(self) -> tuple[int, list[str], list[str]]:
        """Status of the reset at its end, what is left of it, and its mistakes; once it is over."""
        return self.reset, self.left, self.mistakes.told

    def a_call(self) -> str:
        """Return the id of a call: of every three one lives, one is over, and one nobody knows."""
        number = next(self._number)
        call_id = f"F{number}"
        if number % 3:
            assert self.client.post("/api/v1/calls", json={"call_id": call_id}).status_code == 201
        if number % 3 == 2:
            assert self.client.post(f"/api/v1/calls/{call_id}/end").status_code == 202
        return call_id


def _left(app: Application) -> list[str]:
    calls = app.switchboard.manager
    return [f"call {call_id}" for call_id in calls.call_ids()] + [f"{calls.slots_taken} slots"] * bool(
        calls.slots_taken
    )


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Process]:
    with _Process(tmp_path_factory.mktemp("fuzz")) as process:
        yield process
    assert process.outcome == _CLEAN


def _description() -> dict[str, Any]:
    loop = asyncio.new_event_loop()
    try:
        manager = SessionManager(clock=LoopClock(loop))
    finally:
        loop.close()
    return document_of(build_api(manager, [], calls=FakeCalls()))


schema = schemathesis.openapi.from_dict(
    _description(), config=SchemathesisConfig.from_dict({"phases": {"coverage": {"enabled": False}}})
)


@schema.parametrize()
@settings(max_examples=_EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_a_whole_process_answers_as_it_says(case: schemathesis.Case[Any], process: _Process) -> None:
    if "call_id" in case.path_parameters:
        case.path_parameters["call_id"] = process.a_call()
    positive = case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE
    if positive and case.path.endswith("/events") and isinstance(case.body, dict):
        case.body = {**case.body, "event": next(_NEXT_EVENT)}
    case.call_and_validate(base_url=process.address, headers=_TOKEN, excluded_checks=_NOT_HELD)


def test_every_event_may_come_to_any_call_and_nothing_is_left_of_it(tmp_path: Path) -> None:
    with _Process(tmp_path) as process:
        answers = []
        for event in (*_EVENTS, "no.such") * 3:  # 31 of them: each comes to a call of every kind
            call = f"/api/v1/calls/{process.a_call()}"
            answers += [
                process.client.post(f"{call}/events", json={"event": event, "data": {}}),
                process.client.patch(call, json={"metadata": {"told": event}}),
                process.client.get(f"{call}/export?format=vtt"),
            ]
            if event > "reply":
                answers.append(process.client.delete(call))

    assert {answer.status_code for answer in answers} == {200, 202, 204, 404, 409, 422}
    assert process.outcome == _CLEAN
