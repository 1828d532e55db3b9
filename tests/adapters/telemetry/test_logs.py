"""Log lines: names with fields, valid JSON, one last line per call, and nothing that was said."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from adapters.simulators.realtime import Script
from adapters.simulators.realtime.script import Rule
from adapters.telemetry.logs import CallLog, set_up_logging
from fsm.triggers import SessionConfigured
from tests.calls.world import a_world
from tests.fsm.running import END, a_machine, a_session

_SMALL = """
    id: small
    initial: a
    states:
      a: {on: {session.configured: {actions: [add]}, session.shutdown: {actions: [boom]}, call.ended: {target: z}}}
      z: {type: final, entry: [boom]}
"""
CANARY = "xylophone marmalade"
REPLY = "the periwinkle is fine"
KEY = "sk-canary-of-the-key"


@contextmanager
def logging_to(level: str, *, readable: bool = False) -> Iterator[io.StringIO]:
    """Set logging up as a process does, and put back what was."""
    root = logging.getLogger()
    handlers, at = root.handlers[:], root.level
    others = {name: logging.getLogger(name).level for name in ("websockets", "uvicorn", "uvicorn.error", "httpx")}
    others |= {name: logging.getLogger(name).level for name in ("httpcore", "asyncio")}
    out = io.StringIO()
    set_up_logging(level, stream=out, readable=readable)
    try:
        yield out
    finally:
        root.handlers[:] = handlers
        root.setLevel(at)
        for name, was in others.items():
            logging.getLogger(name).setLevel(was)


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


# -- the lines ----------------------------------------------------------------------------------------


def test_line_is_json_with_time_level_event_and_fields() -> None:
    with logging_to("INFO") as out:
        logging.getLogger("callchart.x").warning(
            "slot_taken", extra={"call_id": "CA1", "of": 3, "who": {1}, "é": 'a"\n'}
        )

    (line,) = lines(out)
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "warning", "event": "slot_taken", "logger": "callchart.x",
        "call_id": "CA1", "of": 3, "who": "{1}", "é": 'a"\n',
    }  # fmt: skip


def test_error_is_part_of_its_line() -> None:
    with logging_to("INFO") as out:
        logging.getLogger("callchart.x").error("broken", exc_info=ZeroDivisionError("by nobody"))

    (line,) = lines(out)
    assert line["error"].splitlines()[-1] == "ZeroDivisionError: by nobody"


@pytest.mark.parametrize("readable", [True, False])
def test_error_is_told_without_the_values_that_were_refused(readable: bool) -> None:
    with logging_to("INFO", readable=readable) as out:
        try:
            TypeAdapter(dict[str, int]).validate_python({"caller said": CANARY, "agent said": f"{CANARY}\n, {CANARY}"})
        except ValidationError:
            logging.getLogger("callchart.x").exception("broken")

    assert "caller said" in out.getvalue()
    assert "input_type=str" in out.getvalue()
    assert "marmalade" not in out.getvalue()


def test_line_on_a_terminal_is_readable() -> None:
    with logging_to("INFO", readable=True) as out:
        logging.getLogger("callchart.x").info("transition", extra={"call_id": "CA1", "state": "listening"})
        logging.getLogger("callchart.x").error("broken", exc_info=ZeroDivisionError("by nobody"))

    first, second, *trace = out.getvalue().splitlines()
    assert first[9:] == "info    transition call_id=CA1 state=listening"
    assert second[9:] == "error   broken"
    assert trace[-1] == "ZeroDivisionError: by nobody"


def test_stream_that_is_no_terminal_gets_json() -> None:
    with logging_to("INFO"):
        out = io.StringIO()
        set_up_logging("INFO", stream=out)
        logging.getLogger("callchart.x").info("hello")

    assert lines(out)[0]["event"] == "hello"


@pytest.mark.parametrize("level", ["DEBUG", "INFO", "WARNING", "ERROR"])
@pytest.mark.parametrize("library", ["websockets", "websockets.server", "uvicorn.error", "httpx", "httpcore.http11"])
def test_libraries_that_write_frames_never_do(library: str, level: str) -> None:
    with logging_to(level) as out:
        logging.getLogger(library).debug("< TEXT 'what callers say'")
        logging.getLogger(library).info("a sentence")

    assert out.getvalue() == ""


# -- a call -------------------------------------------------------------------------------------------


async def test_last_line_of_a_call_that_another_node_has_says_so() -> None:
    with logging_to("INFO") as out:
        session = a_session(a_machine(_SMALL), observers=(CallLog(),))
        await asyncio.sleep(0)
        session.give_up()
        await session.wait_settled()

    assert [(line["event"], line["state"]) for line in lines(out)][-1] == ("call_given_up", "a")
    assert "call_settled" not in out.getvalue()


async def test_call_writes_a_line_per_step_and_one_last_line() -> None:
    with logging_to("INFO") as out:
        session = a_session(a_machine(_SMALL), observers=(CallLog(),))
        session.post(SessionConfigured(voice="cedar"))
        session.post(END)
        await session.wait_settled()

    told = [line for line in lines(out) if line["logger"] == "callchart.calls"]
    assert [
        (line["event"], line.get("trigger"), line["state"]) for line in told if line["event"] != "action_failed"
    ] == [
        ("transition", "init", "a"),
        ("handled", "session.configured", "a"),
        ("transition", "call.ended", "z"),
        ("call_settled", None, "z"),
    ]
    last = told[-1]
    assert last["call_id"] == "CA1"
    assert {name: last[name] for name in session.leftovers()} == dict.fromkeys(session.leftovers(), 0)
    assert last["faults"] == ["action boom: ZeroDivisionError"]
    assert (last["abandoned"], last["refused"], last["stale"], last["dropped"]) == (0, 0, 0, 0)


async def test_action_that_fails_is_named_with_its_cause() -> None:
    with logging_to("WARNING") as out:
        session = a_session(a_machine(_SMALL), observers=(CallLog(),))
        session.post(END)
        await session.wait_settled()

    (failed,) = lines(out)
    assert (failed["event"], failed["action"], failed["outcome"], failed["cause"]) == (
        "action_failed", "boom", "failed", "ZeroDivisionError",
    )  # fmt: skip


async def test_refused_stale_and_dropped_triggers_are_named() -> None:
    with logging_to("DEBUG") as out:
        session = a_session(a_machine(_SMALL), observers=(CallLog(),), inbox_limit=1)
        for _ in range(3):
            session.post(SessionConfigured(voice="cedar"))
        CallLog().on_stale(session, END)
        session.post(END, keep=True)
        await session.wait_settled()
        again = a_session(a_machine("{id: s, initial: a, states: {a: {on: {call.ended: z}}, z: {type: final}}}"),
                          observers=(CallLog(),))  # fmt: skip
        again.post(SessionConfigured(voice="cedar"))
        again.post(END)
        await again.wait_settled()

    told = {
        line["event"]: line["trigger"] for line in lines(out) if line["event"] in ("inbox_full", "stale", "refused")
    }
    assert told == {"inbox_full": "session.configured", "stale": "call.ended", "refused": "session.configured"}


async def test_nothing_that_is_said_and_no_key_is_in_any_line() -> None:
    script = Script(utterances=(CANARY,), default_reply=REPLY, rules=[Rule(purpose="greeting", answer=REPLY)])
    with logging_to("DEBUG") as out:
        async with a_world(script, openai_api_key=KEY, log_level="DEBUG") as world:
            call = await world.call()
            await call.heard_more(500)
            await call.heard_silence()
            await call.say(CANARY)
            await world.until_happened(call, "user.transcript")
            await call.heard_more(500)
            await call.heard_silence()
            await call.hang_up()
            context = await world.over(call)

    said = [message.text for message in context.history]
    assert CANARY in said
    assert REPLY in said
    assert lines(out)[-1]["event"]
    assert [word for word in (CANARY, "xylophone", REPLY, "periwinkle", KEY) if word in out.getvalue()] == []
    settled = [line for line in lines(out) if line["event"] == "call_settled"]
    assert [line["call_id"] for line in settled] == [call.call_sid]
