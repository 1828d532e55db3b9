"""Services: what they wait for, how long at most, and what their end means."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from fsm.history import Message
from fsm.triggers import AgentFailed, IntentDetected, UserIdle
from handlers import services
from tests.fakes import FakeCall, a_call

ANY = UserIdle()


async def test_intent_is_detected_in_all_that_was_said_since_the_last_reply() -> None:
    call = a_call(
        history=(
            Message(role="caller", text="hello"),
            Message(role="assistant", text="hi"),
            Message(role="caller", text="I would like"),
            Message(role="caller", text=""),
            Message(role="agent", text="(a note)"),
            Message(role="caller", text="my order"),
        )
    )
    call.ports.intents.answer = IntentDetected(intent="order_status")

    found = await services.detect_intent(call, ANY)

    assert found == IntentDetected(intent="order_status")
    assert call.did == [("intents.detect", "I would like my order")]


async def test_agent_runs_for_the_call() -> None:
    call = a_call()
    call.ports.agents.answer = AgentFailed(reason="no_such_order")

    ended = await services.run_agent(call, ANY)

    assert ended == AgentFailed(reason="no_such_order")
    assert call.did == [("agents.run", "CA1")]


def reply_begins(call: FakeCall) -> None:
    """As if `reply.started` came in while the good-bye is waited for."""
    waits = [entry for entry in call.did if entry[0] == "carrier.drained"]
    if len(waits) == 2:
        call.context = replace(call.context, response_id="r9")


def steps(call: FakeCall) -> list[tuple[str, ...]]:
    return [entry[:2] for entry in call.did]


async def test_model_says_good_bye_once_what_was_playing_is_over() -> None:
    call = a_call()
    call.ports.carrier.on_drain = lambda: reply_begins(call)

    await services.say_farewell(call, ANY)

    assert steps(call) == [("carrier.drained",), ("sts.respond", "goodbye"), *[("carrier.drained",)] * 2]
    assert "Say good-bye" in call.did[1][2]


async def test_long_good_bye_is_left_to_play_out() -> None:
    call = a_call()
    call.ports.carrier.on_drain = lambda: reply_begins(call)
    call.ports.carrier.playing = [0, 10, 3]
    began = asyncio.get_running_loop().time()

    await services.say_farewell(call, ANY)

    assert asyncio.get_running_loop().time() - began == pytest.approx(10)
    assert ("media.interrupt",) not in call.did


async def test_model_that_says_nothing_is_replaced_by_a_bundled_good_bye() -> None:
    call = a_call(language="de")

    await services.say_farewell(call, ANY)

    assert steps(call)[-3:] == [("media.interrupt",), ("carrier.play", "goodbye"), ("carrier.drained",)]
    assert call.did[-2] == ("carrier.play", "goodbye", "de")


async def test_farewell_needs_no_model() -> None:
    call = a_call()
    call.ports.sts.usable = False

    await services.say_farewell(call, ANY)

    assert steps(call) == [("carrier.drained",), ("carrier.play", "goodbye"), ("carrier.drained",)]


async def test_bundled_good_bye_is_heard_before_the_state_is_left() -> None:
    """What leads out of the conversation silences everything."""
    call = a_call()
    call.ports.sts.usable = False
    call.ports.carrier.playing = [0, 3.4]
    began = asyncio.get_running_loop().time()

    await services.say_farewell(call, ANY)

    assert asyncio.get_running_loop().time() - began == pytest.approx(3.4)


async def test_reply_that_goes_on_for_ever_is_cut_and_the_farewell_stays_short() -> None:
    call = a_call()
    call.ports.carrier.playing = [60, 60, 60]
    began = asyncio.get_running_loop().time()

    await services.say_farewell(call, ANY)

    assert asyncio.get_running_loop().time() - began <= 14.9
    assert steps(call) == [
        ("carrier.drained",),
        ("media.interrupt",),
        ("sts.respond", "goodbye"),
        ("carrier.drained",),
        ("media.interrupt",),
        ("carrier.play", "goodbye"),
        ("carrier.drained",),
    ]


async def test_caller_who_is_transferred_hears_to_hold_the_line() -> None:
    call = a_call(transfer_to="+15550100")
    call.ports.carrier.playing = [60, 60]
    began = asyncio.get_running_loop().time()

    await services.say_farewell(call, ANY)

    assert asyncio.get_running_loop().time() - began <= 8.1
    assert steps(call)[-2:] == [("carrier.play", "hold"), ("carrier.drained",)]
