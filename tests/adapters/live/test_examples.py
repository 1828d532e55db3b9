"""The clients that are shipped come back by themselves, and show the same as before."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.adapters.live.world import World, a_world
from tests.fakes import elapse

_EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"
_PAGE = _EXAMPLES / "logs.html"
_CALL = {"status": "active", "state": "listening"}


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("watch_calls", _EXAMPLES / "watch_calls.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


client = _load()


def watching(world: World, call_id: str | None = None, **more: Any) -> AsyncIterator[dict[str, Any]]:
    messages: AsyncIterator[dict[str, Any]] = client.watch(f"ws://{world.url}", call_id, **more)
    return messages


async def test_the_program_watches_a_call_to_its_end() -> None:
    async with a_world() as world:
        world.answer()
        await elapse(0.1)
        lines = []
        async for message in watching(world, "CA1"):
            if message["type"] == "snapshot":
                world.say("hello")
                await elapse(0.1)
                world.hang_up()
            lines.append(client.told(message))

    assert lines[0] == "CA1  active, greeting"
    assert "CA1  caller: hello" in lines
    assert lines[-1] == "CA1  ended caller_hung_up"


async def test_the_program_comes_back_after_a_lost_connection_and_misses_nothing() -> None:
    async with a_world() as world:
        world.answer()
        await elapse(0.1)
        seqs = []
        async for message in watching(world, "CA1"):
            if message["type"] == "snapshot":
                await world.live.aclose()  # as a server does that stops
                world.say("meanwhile")
                await elapse(0.1)
                world.hang_up()
            if message["type"] == "transition":
                seqs.append(message["data"]["seq"])

    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
    assert len(seqs) >= 2


async def test_the_program_tries_again_ever_later_while_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 9:
            raise LookupError

    monkeypatch.setattr(client.asyncio, "sleep", sleep)
    monkeypatch.setattr(client.random, "uniform", lambda least, most: most)
    with pytest.raises(LookupError):
        await asyncio.ensure_future(anext(client.watch("ws://127.0.0.1:9")))

    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


async def test_the_program_gives_up_where_it_is_not_let_in_or_there_is_no_such_call() -> None:
    async with a_world() as world:
        with pytest.raises(LookupError, match="there is no call CA404"):
            await anext(watching(world, "CA404"))
        world.access.token = "x"
        with pytest.raises(PermissionError, match="show a ticket"):
            await anext(watching(world))


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"detail": "say who asks"}', "say who asks"),
        (b"<h1>Forbidden</h1>", "<h1>Forbidden</h1>"),
        (b"[]", "[]"),
        (None, "the server does not let us in"),
    ],
)
def test_the_program_says_why_it_is_not_let_in(body: bytes | None, told: str) -> None:
    assert client.reason(body) == told


async def test_the_program_watches_all_calls() -> None:
    async with a_world() as world, aclosing(watching(world)) as messages:  # type: ignore[type-var]  # a generator
        first = client.told(await anext(messages))
        world.open()
        second = client.told(await anext(messages))

    assert (first, second) == ("0 calls", "CA1  init:  → created")


# -- the page -------------------------------------------------------------------------------------

_NODE = shutil.which("node")
needs_node = pytest.mark.skipif(_NODE is None, reason="there is no node to run the page's script")


def browse(*steps: tuple[str, Any] | tuple[str]) -> dict[str, Any]:
    """Run the page through these steps; return what it has done and what it shows."""
    assert _NODE is not None
    harness = str(Path(__file__).with_name("page.js"))
    run = [_NODE, harness, str(_PAGE), json.dumps(steps)]
    done = subprocess.run(run, capture_output=True, text=True, timeout=15, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def said(text: str, item: str = "i1", role: str = "caller", seq: int = 5) -> tuple[str, Any]:
    data = {"seq": seq, "role": role, "text": text, "item_id": item, "interrupted": False}
    return ("hear", {"id": f"{seq}.1", "type": "transcript.updated", "call_id": "CA1", "data": data})


WATCH: tuple[Any, ...] = (("load",), ("fill", ("wanted", "+15550100")), ("submit", "which"), ("open",))
BOUND = ("hear", {"type": "bound", "call_id": "CA1", "data": {"by": "called"}})
SNAPSHOT = (
    "hear",
    {"id": "4.499", "type": "snapshot", "call_id": "CA1", "data": {"call": _CALL, "transcript": []}},
)
ENDED = (
    "hear",
    {"id": "9.999", "type": "call.status_changed", "data": {"status": "ended", "endReason": "goodbye"}},
)


@needs_node
def test_the_page_shows_state_and_transcript_of_the_call_to_a_number() -> None:
    page = browse(*WATCH, BOUND, SNAPSHOT, said("Hel"), said("Hello?"), said("Hi.", "i2", "assistant"))

    assert page["opened"] == ["ws://callchart.test/logs?called=%2B15550100"]
    assert (page["status"], page["state"]) == ("active", "call CA1: listening")
    assert page["transcript"] == [["caller", "Hello?"], ["assistant", "Hi."]]


@needs_node
def test_the_page_shows_the_same_when_it_is_loaded_again_and_asks_for_what_it_missed() -> None:
    page = browse(*WATCH, BOUND, SNAPSHOT, said("Hello?"), ("load",))

    assert page["opened"][1] == "ws://callchart.test/logs?call_id=CA1&after=5.1"
    assert (page["status"], page["state"]) == ("active", "call CA1: listening")
    assert page["transcript"] == [["caller", "Hello?"]]


@needs_node
def test_the_page_comes_back_ever_later_until_it_hears_something() -> None:
    lost: tuple[Any, ...] = (("drop", 1006), ("wait",))
    page = browse(*WATCH, BOUND, *(lost * 8), ("open",), SNAPSHOT, ("drop", 1013), ("wait",))

    assert page["waits"] == [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 500]
    assert page["opened"][-1] == "ws://callchart.test/logs?call_id=CA1&after=4.499"


@needs_node
def test_the_page_takes_a_silent_connection_for_lost() -> None:
    page = browse(*WATCH, BOUND, ("wait",), ("wait",))

    assert page["waits"] == [45_000, 500]
    assert len(page["opened"]) == 2


@needs_node
def test_the_page_sends_a_job_when_it_is_connected_and_only_once() -> None:
    page = browse(
        *WATCH[:-1],
        ("fill", ("voice", "cedar")),
        ("submit", "job"),
        ("open",),
        BOUND,
        ("drop", 1006),
        ("wait",),
        ("open",),
    )

    assert page["sent"] == [{"type": "configure", "data": {"voice": "cedar"}}]


@needs_node
def test_the_page_begins_the_next_call_from_a_clean_state() -> None:
    other = ("hear", {"type": "bound", "call_id": "CA2", "data": {"by": "called"}})
    over = browse(*WATCH, BOUND, SNAPSHOT, said("Hello?"), ENDED, ("load",))
    page = browse(*WATCH, BOUND, SNAPSHOT, said("Hello?"), ENDED, other)

    assert over["status"] == "ended: goodbye"
    assert over["opened"][-1] == "ws://callchart.test/logs?called=%2B15550100"
    assert (page["transcript"], page["state"]) == ([], "call CA2")


@needs_node
def test_the_page_that_was_loaded_again_goes_back_to_its_number_when_the_call_is_over() -> None:
    again = ("hear", {"type": "bound", "call_id": "CA1", "data": {"by": "call_id"}})
    page = browse(*WATCH, BOUND, SNAPSHOT, ("load",), ("open",), again, ENDED)

    assert page["status"] == "ended: goodbye"
    assert page["opened"][1:] == [
        "ws://callchart.test/logs?call_id=CA1&after=4.499",
        "ws://callchart.test/logs?called=%2B15550100",
    ]


@needs_node
def test_the_page_shows_a_ticket_and_a_new_one_each_time() -> None:
    page = browse(WATCH[0], ("fill", ("token", "secret")), *WATCH[1:], BOUND, ("drop", 1006), ("wait",))

    assert page["opened"] == [
        "ws://callchart.test/logs?called=%2B15550100&ticket=t1",
        "ws://callchart.test/logs?call_id=CA1&after=0.0&ticket=t2",
    ]
    assert page["asked"][1] == ["http://callchart.test/api/v1/tickets", {"call_id": "CA1", "control": True}]


@needs_node
def test_the_page_forgets_its_call_when_all_calls_are_reset() -> None:
    page = browse(*WATCH, BOUND, SNAPSHOT, said("Hello?"), ("drop", 4001), ("wait",))

    assert page["transcript"] == []
    assert page["opened"][-1] == "ws://callchart.test/logs?called=%2B15550100"
