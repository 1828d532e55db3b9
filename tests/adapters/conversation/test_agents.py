"""Agents are run for a call, ask and are told, and end, whatever they or the caller do."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from adapters.conversation.agents import AgentCall, AgentDesk, AgentGaveUp
from adapters.conversation.order_status import order_status
from fsm.context import BotSettings
from fsm.triggers import (
    AgentCompleted,
    AgentFailed,
    AgentNeedsInfo,
    AgentProgress,
    AgentSaid,
    ToolCall,
    TransferRequested,
)
from tests.fakes import a_call, elapse

BOT = BotSettings(
    intents=({"name": "find_order", "agent": "orders"}, {"name": "dream", "deadline": 5, "agent": "sleeper"})
)


async def echo(desk: AgentCall) -> str:
    """Say back what was asked for."""
    return f"You said {await desk.ask('What?', 'word')}."


async def sleeper(desk: AgentCall) -> str:
    await elapse(1000)
    return "never"


async def talker(desk: AgentCall) -> str:
    desk.say("One moment.")
    desk.progress(step=1)
    desk.transfer("+15550100", "asked for a human")
    return f"Entities: {dict(desk.entities)} of {desk.call.call_id}"


DESK_AGENTS = {"orders": order_status, "echo": echo, "sleeper": sleeper, "talker": talker}


@pytest.fixture
def desk() -> AgentDesk:
    return AgentDesk(DESK_AGENTS)


# -- an intent's agent ----------------------------------------------------------------------------


async def test_agent_posts_what_it_says_and_reaches(desk: AgentDesk) -> None:
    call = a_call(agent_type="talker", entities={"a": "1"})

    ended = await desk.run(call)

    assert ended == AgentCompleted(result="Entities: {'a': '1'} of CA1")
    assert call.posted == [
        AgentSaid(text="One moment."),
        AgentProgress(data={"step": 1}),
        TransferRequested(target="+15550100", reason="asked for a human"),
    ]


async def test_unknown_agent_fails(desk: AgentDesk) -> None:
    assert await desk.run(a_call(agent_type="nobody")) == AgentFailed(reason="unknown_agent")
    assert await desk.run(a_call()) == AgentFailed(reason="unknown_agent")


async def test_agent_asks_the_caller_and_is_told_the_answer(desk: AgentDesk) -> None:
    call = a_call(agent_type="echo")
    running = asyncio.ensure_future(desk.run(call))

    assert await call.next_post() == AgentNeedsInfo(question="What?", slot="word")
    desk.tell("CA1", "hello")

    assert await running == AgentCompleted(result="You said hello.")


async def test_only_what_comes_after_the_question_answers_it() -> None:
    ask_now = asyncio.Event()

    async def late(desk: AgentCall) -> str:
        await ask_now.wait()
        return await desk.ask("What?")

    desk, call = AgentDesk({"late": late}), a_call(agent_type="late")
    running = asyncio.ensure_future(desk.run(call))
    await elapse(0)
    for number in range(30):  # more than an agent keeps
        desk.tell("CA1", f"early {number}")
    ask_now.set()
    await call.next_post()

    desk.tell("CA1", "in time")

    assert await running == AgentCompleted(result="in time")


async def test_nobody_at_work_is_told_nothing(desk: AgentDesk) -> None:
    desk.tell("CA1", "hello?")

    assert await desk.run(a_call(agent_type="talker")) is not None


@pytest.mark.parametrize(
    ("keys", "heard"),
    [
        (["1", "2", "3", "#"], "123"),
        (["1", "2"], "12"),
        (["12#9"], "12"),
        (["1", "it is four"], "it is four"),
        (["*"], "*"),
    ],
    ids=["hash-ends", "pause-ends", "at-once", "rather-said", "star"],
)
async def test_keys_are_collected_to_a_number(desk: AgentDesk, keys: list[str], heard: str) -> None:
    call = a_call(agent_type="echo")
    running = asyncio.ensure_future(desk.run(call))
    await call.next_post()

    for key in keys:
        desk.tell("CA1", key)
        await elapse(0.5)

    assert await running == AgentCompleted(result=f"You said {heard}.")


async def test_agent_that_takes_too_long_fails(desk: AgentDesk) -> None:
    began = asyncio.get_running_loop().time()

    ended = await desk.run(a_call(agent_type="sleeper", intent="dream", bot=BOT))

    assert ended == AgentFailed(reason="timed_out")
    assert asyncio.get_running_loop().time() - began == pytest.approx(5, abs=0.1)


async def test_cancelled_agent_is_gone_at_once(desk: AgentDesk) -> None:
    call = a_call(agent_type="echo")
    running = asyncio.ensure_future(desk.run(call))
    await call.next_post()

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert desk._at_work == {}


async def test_crash_of_an_agent_is_not_hidden() -> None:
    async def broken(desk: AgentCall) -> str:
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        await AgentDesk({"broken": broken}).run(a_call(agent_type="broken"))


async def test_calls_do_not_hear_each_other(desk: AgentDesk) -> None:
    first, second = a_call(call_id="CA1", agent_type="echo"), a_call(call_id="CA2", agent_type="echo")
    running = [asyncio.ensure_future(desk.run(call)) for call in (first, second)]
    await first.next_post()
    await second.next_post()

    desk.tell("CA2", "two")
    desk.tell("CA1", "one")

    assert [end.result for end in await asyncio.gather(*running) if isinstance(end, AgentCompleted)] == [
        "You said one.",
        "You said two.",
    ]


async def test_newer_agent_of_a_call_stays_at_work_when_an_older_one_ends_late() -> None:
    go = asyncio.Event()

    async def old(desk: AgentCall) -> str:
        await go.wait()
        return "old"

    desk = AgentDesk({"old": old, "echo": echo})
    older = asyncio.ensure_future(desk.run(a_call(agent_type="old")))
    await elapse(0)
    call = a_call(agent_type="echo")
    newer = asyncio.ensure_future(desk.run(call))
    await call.next_post()
    go.set()
    await older

    desk.tell("CA1", "new")

    assert await newer == AgentCompleted(result="You said new.")


# -- function calls of the model ------------------------------------------------------------------


def tool(call_id: str, name: str, arguments: str = "{}") -> ToolCall:
    return ToolCall(call_id=call_id, tool=name, arguments=arguments)


async def run_tools(desk: AgentDesk, *calls: ToolCall) -> Any:
    return await desk.run(a_call(bot=BOT, agent_type="echo", tool_calls=calls))


async def test_function_call_is_served_before_the_intent(desk: AgentDesk) -> None:
    ended = await run_tools(desk, tool("c1", "talker", '{"a": 1, "b": null}'))

    assert ended.result == "Entities: {'a': '1'} of CA1"
    assert ended.data == {"tool_outputs": {"c1": {"result": "Entities: {'a': '1'} of CA1"}}}


async def test_tool_may_have_the_name_of_an_intent(desk: AgentDesk) -> None:
    ended = await run_tools(desk, tool("c1", "find_order", '{"order_number": 456}'))

    assert ended.result.startswith("Order 4 5 6 was delivered")


async def test_one_failed_function_call_does_not_spoil_the_others(desk: AgentDesk) -> None:
    ended = await run_tools(desk, tool("c1", "nothing"), tool("c2", "talker"), tool("c3", "talker", "[1"))

    assert ended.data["tool_outputs"] == {
        "c1": {"error": "unknown_agent"},
        "c2": {"result": "Entities: {} of CA1"},
        "c3": {"error": "bad_arguments"},
    }


async def test_function_calls_that_all_fail_are_a_failure(desk: AgentDesk) -> None:
    assert await run_tools(desk, tool("c1", "nothing"), tool("c2", "talker", "[]")) == AgentFailed(
        reason="unknown_agent, bad_arguments"
    )


# -- the order's agent ----------------------------------------------------------------------------


async def talk(entities: Mapping[str, str], *answers: str) -> tuple[AgentCompleted | AgentFailed, list[str]]:
    """Run the agent, answer its questions in turn; return its end and what it asked."""
    desk, call = AgentDesk(DESK_AGENTS), a_call(agent_type="orders", entities=entities)
    running = asyncio.ensure_future(desk.run(call))
    asked: list[str] = []
    for answer in answers:
        question = await call.next_post()
        asked.append(question.question)
        desk.tell("CA1", answer)
    return await running, asked


async def test_order_that_was_named_is_found_without_a_question() -> None:
    ended, asked = await talk({"order_number": "123"})

    assert ended == AgentCompleted(
        result="Order 1 2 3 left the warehouse this morning and arrives tomorrow before noon."
    )
    assert asked == []


async def test_caller_is_asked_for_the_number_and_may_speak_it() -> None:
    ended, asked = await talk({}, "it's seven eight nine, I think")

    assert isinstance(ended, AgentCompleted)
    assert ended.result.startswith("Order 7 8 9 is being packed")
    assert asked == ["What is the number of your order?"]


async def test_wrong_number_is_read_back() -> None:
    ended, asked = await talk({}, "one one one", "456#")

    assert isinstance(ended, AgentCompleted)
    assert asked[1] == "There is no order 1 1 1. What is the number of your order?"


async def test_caller_who_never_says_a_number_is_not_kept_for_ever() -> None:
    ended, asked = await talk({}, "what?", "I don't know", "no idea")

    assert ended == AgentFailed(reason="no_such_order")
    assert len(asked) == 3


def test_agent_that_gives_up_says_why() -> None:
    assert str(AgentGaveUp("no_such_order")) == "the agent gave up: no_such_order"
