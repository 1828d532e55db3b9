"""A call outlives its socket and its node: it goes on where it was, once, or ends with the right reason."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from adapters.carriers.twilio.calls import TwilioCalls
from adapters.carriers.twilio.config import TwilioConfig
from adapters.simulators.realtime import FunctionCall, Reply, Rule
from adapters.simulators.realtime.connection import Connection
from adapters.simulators.twilio import TwilioCaller
from fsm.context import UNTOLD
from fsm.session import Session
from fsm.triggers import CallDtmf, CallLost
from tests.calls.nodes import Node
from tests.calls.world import HOURS, ORDER, World, a_script, a_world
from tests.fakes import elapse

NODES: dict[str, Any] = {"public_url": "http://bot.test", "token_secret": "the same on every node"}
"""What the nodes of one deployment have in common, behind one balancer."""


async def answered(world: World, **options: Any) -> TwilioCaller:
    """A call in which the caller has asked something and was answered."""
    call = await world.call(**options)
    await world.until(call, "listening")
    await call.say("What are your opening hours?")
    await world.until_happened(call, "reply.finished", times=2)
    return call


def told(connection: Connection) -> str:
    """Everything that a session of the model was told of the conversation."""
    return json.dumps([e for e in connection.received if e.get("type") == "conversation.item.create"])


def greetings(world: World, call: TwilioCaller) -> int:
    return world.actions(call).count("greet")


async def store_has(world: World, call: TwilioCaller) -> dict[str, Any]:
    kept = await world.store.get(call.call_sid)
    assert kept is not None
    assert kept.document is not None
    document: dict[str, Any] = json.loads(kept.document)
    return document


# -- on the same node --------------------------------------------------------------------------------


async def test_a_socket_that_breaks_and_comes_back_goes_on_with_the_history_and_without_a_second_greeting() -> None:
    async with a_world(a_script(HOURS, HOURS)) as world:
        call = await answered(world)

        call.streams[-1].abort()
        await world.until_happened(call, "call.resumed")
        await world.until(call, "listening")
        await call.heard_more(500)

        first, second = world.peer.connections
        assert not first.is_open
        assert HOURS in told(second)
        assert "nine to six" in told(second)
        assert greetings(world, call) == 1
        assert world.context(call).resumed_count == 1
        assert world.states(call)[-3:] == ["listening", "created", "listening"]
        await call.hang_up()
        assert (await world.over(call)).end_reason == "caller_hung_up"
        assert (await store_has(world, call))["resumed_count"] == 1


async def test_a_caller_who_does_not_come_back_is_waited_for_and_let_go() -> None:
    async with a_world(a_script(HOURS)) as world:
        call = await world.call(broken_stream="end", status_path=None)
        await world.until(call, "listening")
        began = asyncio.get_running_loop().time()

        call.streams[-1].abort()
        context = await world.over(call)

        assert 30.0 <= asyncio.get_running_loop().time() - began <= 32.0
        assert context.end_reason == "carrier_lost"


async def test_a_caller_who_cannot_come_back_is_not_waited_for() -> None:
    async with a_world(a_script(HOURS), one_call=False) as world:
        call = TwilioCaller(world.url.replace("http", "ws") + "/twilio/media")  # no webhook of ours is asked for more
        await call.dial()
        await world.until(call, "listening")

        call.streams[-1].abort()
        context = await world.over(call, within=2.0)

        assert context.end_reason == "carrier_lost"
        assert world.states(call)[-2:] == ["listening", "closed"]


# -- on another node ---------------------------------------------------------------------------------


async def test_a_node_that_is_killed_loses_nothing_and_the_call_goes_on_elsewhere() -> None:
    async with a_world(a_script(HOURS, HOURS), **NODES) as world, world.another_node() as other:
        call = await answered(world)
        first = world.nodes[0]
        words = [message.text for message in world.context(call).history]

        world.goes_to(call, other)
        await first.kill()
        await world.until_happened(call, "call.resumed")
        await world.until(call, "listening")
        await call.heard_more(500)

        assert [m.text for m in world.context(call).history][: len(words)] == words
        assert HOURS in told(world.peer.connections[-1])
        assert greetings(world, call) == 1
        assert world.context(call).resumed_count == 1
        assert other.application.switchboard.manager.call_ids() == [call.call_sid]
        assert world.given_up[call.call_sid] == 1
        await call.hang_up()
        assert (await world.over(call)).end_reason == "caller_hung_up"
        log = await world.store.log(call.call_sid)
        assert [entry.version for entry in log] == list(range(1, len(log) + 1))
        assert sorted({entry.fence for entry in log}) == [1, 2]


async def test_a_result_that_a_lost_line_cut_off_is_told_again_and_no_agent_runs_for_it() -> None:
    async with a_world(a_script(ORDER, "It is 456.")) as world:
        call = await world.call()
        await world.until(call, "listening")
        await call.say("Where is my order?")
        await world.until_happened(call, "agent.needs_info")
        await world.until_happened(call, "playback.finished", times=2)
        await call.say("It is 456.")
        await world.until_happened(call, "agent.completed")
        result = str(world.context(call).progress[UNTOLD])
        replies = world.happened(call).count("reply.started")

        call.streams[-1].abort()
        await world.until_happened(call, "call.resumed")
        await world.until_happened(call, "reply.started", times=replies + 1)

        assert (
            f"tell the caller the result: {result}"
            in world.peer.received_of("response.create")[-1]["response"]["instructions"]
        )
        finished = world.happened(call).count("playback.finished")
        await world.until_happened(call, "playback.finished", times=finished + 1)
        assert UNTOLD not in world.context(call).progress
        assert world.states(call).count("agent") == 1
        await call.hang_up()


async def test_an_agent_that_a_crash_interrupted_is_given_up_and_said_so_and_never_run_twice() -> None:
    async with a_world(a_script(ORDER), **NODES) as world, world.another_node() as other:
        call = await world.call()
        await world.until(call, "listening")
        await call.say("Where is my order?")
        await world.until_happened(call, "agent.needs_info")
        first, replies = world.nodes[0], world.happened(call).count("reply.started")

        world.goes_to(call, other)
        await first.kill()
        await world.until_happened(call, "call.resumed")
        await world.until_happened(call, "reply.started", times=replies + 1)
        await call.heard_more(300)

        asked = [str(event) for event in world.peer.received_of("response.create")]
        assert "request (order_status) was given up" in asked[-1]
        assert world.states(call).count("agent") == 1
        assert world.context(call).question == ""
        await world.until_happened(call, "reply.finished", times=1)
        assert world.context(call).interrupted == ""
        await call.hang_up()


async def test_a_function_call_that_a_crash_interrupted_is_answered_as_interrupted_and_never_served_again() -> None:
    asks = Reply(calls=(FunctionCall(name="order_status", arguments={}),))
    script = a_script(HOURS, rules=[Rule(purpose="answer", answer=asks)])
    async with a_world(script, **NODES) as world, world.another_node() as other:
        call = await world.call()
        await world.until(call, "listening")
        await call.say("What are your opening hours?")
        await world.until_happened(call, "agent.needs_info")
        (pending,) = world.context(call).tool_calls

        world.goes_to(call, other)
        await world.nodes[0].kill()
        await world.until_happened(call, "call.resumed")
        await call.heard_more(300)

        items = [e["item"] for e in world.peer.connections[-1].received if e.get("type") == "conversation.item.create"]
        of_call = [(i["type"], i.get("output")) for i in items if i.get("call_id") == pending.call_id]
        assert of_call == [("function_call", None), ("function_call_output", '{"error": "interrupted"}')]
        assert world.context(call).tool_calls == ()
        assert world.states(call).count("agent") == 1
        await call.hang_up()


async def test_nobody_comes_back_and_the_reaper_ends_the_call_with_its_work_after_it() -> None:
    async with a_world(a_script(HOURS), **NODES) as world, world.another_node() as other:
        call = await world.call(broken_stream="end", status_path=None)
        await world.until(call, "listening")
        await call.heard_silence()
        began = asyncio.get_running_loop().time()

        await world.nodes[0].kill()
        context = await world.over(call, within=120.0)

        passed = asyncio.get_running_loop().time() - began
        assert context.end_reason == "orphaned"
        assert 40.0 <= passed <= 55.0  # what is left of the lease, then the resume window
        assert [entry["kind"] for entry in context.outbox] == ["call.over"]
        assert world.actions(call)[-4:] == ["save_transcript", "hang_up", "release_slot", "notify_fronts"]
        await elapse(1.0)
        kept = await world.store.get(call.call_sid)
        assert kept is not None
        assert kept.head.settled
        document = await store_has(world, call)
        assert (document["status"], document["end_reason"], document["settled"]) == ("ended", "orphaned", True)
        assert other.application.keeping.keeper.fence(call.call_sid) is None


async def test_a_call_that_had_ended_but_not_settled_runs_its_closing_actions_on_another_node() -> None:
    async with a_world(a_script(HOURS), **NODES) as world, world.another_node():
        call = await world.call(broken_stream="end", status_path=None)
        await world.until(call, "listening")
        first = world.nodes[0]
        first.store.cuts_at = lambda commit: commit.head.settled
        world.session(call).post(CallLost())
        await world.over(call)
        await elapse(0.1)
        assert (await store_has(world, call))["settled"] is False

        await first.kill()
        world.settled.clear()
        await world.over(call, within=60.0)
        await elapse(1.0)

        document = await store_has(world, call)
        assert (document["end_reason"], document["settled"]) == ("carrier_lost", True)
        world.settled[call.call_sid] += 1  # it has closed on both


async def test_a_webhook_on_one_node_and_the_socket_on_another_make_one_call_that_is_greeted_once() -> None:
    async with a_world(**NODES) as world, world.another_node() as other:
        call = world.caller()
        exchange = call._exchange
        real_connect = exchange.connect

        async def connect_elsewhere(url: str, **options: Any) -> Any:
            exchange.url = other.url
            return await real_connect(url, **options)

        exchange.connect = connect_elsewhere  # type: ignore[method-assign]  # the balancer sends the socket elsewhere
        await call.dial()
        await world.until(call, "listening")
        await elapse(1.0)

        assert greetings(world, call) == 1
        assert world.nodes[0].application.switchboard.manager.call_ids() == []
        assert world.nodes[0].application.switchboard.manager.slots_taken == 0
        assert other.application.switchboard.manager.call_ids() == [call.call_sid]
        assert len(world.peer.connections) == 1
        await call.hang_up()


async def test_a_take_over_with_proof_closes_the_old_sockets_and_the_old_model_session() -> None:
    async with a_world(a_script(HOURS), **NODES, one_call=False) as world, world.another_node() as other:
        call = await answered(world, status_path=None)
        first = world.nodes[0]
        call.outcome = "aborted"  # its line is dead, which we have not heard of; nobody asks for what comes next
        second = TwilioCaller(
            other.url.replace("http", "ws") + "/twilio/media",
            call_sid=call.call_sid,
            parameters={"token": token_of(other, call.call_sid), "again": "1"},
        )
        await second.dial()
        await world.until_happened(call, "call.resumed")
        await elapse(3.0)

        assert first.application.switchboard.manager.call_ids() == []
        assert first.application.keeping.keeper.given_up == 1
        assert call.streams[0].close_code is not None
        assert world.peer.open_sockets == 1
        assert world.given_up[call.call_sid] == 1
        await second.hang_up()
        await world.over(call)


async def test_a_call_without_proof_is_not_taken_from_its_node() -> None:
    async with a_world(a_script(HOURS), **NODES) as world, world.another_node() as other:
        call = await answered(world)

        stranger = TwilioCaller(other.url.replace("http", "ws") + "/twilio/media", call_sid=call.call_sid)
        await stranger.dial()
        await stranger.over()

        assert stranger.streams[0].close_code == 1008
        assert world.given_up[call.call_sid] == 0
        assert world.happened(call).count("call.resumed") == 0
        await call.hang_up()


async def test_two_nodes_that_get_one_call_at_once_make_one_session() -> None:
    async with a_world(**NODES, one_call=False) as world, world.another_node() as other:
        callers = [
            TwilioCaller(
                node.url.replace("http", "ws") + "/twilio/media",
                call_sid="CA1",
                parameters={"token": token_of(node, "CA1")},
            )
            for node in (world.nodes[0], other)
        ]
        for caller in callers:
            caller._parameters["caller"] = "+15550100"

        await asyncio.gather(*(caller.dial() for caller in callers))
        await elapse(2.0)

        managers = [node.application.switchboard.manager for node in (world.nodes[0], other)]
        assert sorted(len(manager) for manager in managers) == [0, 1]
        assert world.peer.open_sockets == 1
        assert [caller.streams[0].close_code is None for caller in callers].count(True) == 1
        await next(c for c in callers if c.streams[0].close_code is None).hang_up()
        await world.over(callers[0])
        await asyncio.gather(*(caller.over() for caller in callers))


async def taken_from_a_paused_owner(
    world: World, first: Node, other: Node, call: TwilioCaller
) -> tuple[TwilioCaller, Session]:
    """Have the caller come back to `other` while `first` stands still; return it, and the session of `first`."""
    first.isolate()  # it neither renews nor hears; its sockets are as they were
    call.outcome = "aborted"
    await elapse(20.0)
    back = TwilioCaller(
        other.url.replace("http", "ws") + "/twilio/media",
        call_sid=call.call_sid,
        parameters={"token": token_of(other, call.call_sid), "again": "1"},
    )
    await back.dial()
    await world.until_happened(call, "call.resumed")
    stale = first.application.switchboard.manager.get(call.call_sid)
    assert stale is not None
    return back, stale


async def test_an_owner_that_was_paused_beyond_its_lease_writes_nothing_stale_and_closes_its_sockets() -> None:
    async with a_world(a_script(HOURS, HOURS), **NODES, one_call=False) as world, world.another_node() as other:
        call = await answered(world, status_path=None)
        first = world.nodes[0]
        back, stale = await taken_from_a_paused_owner(world, first, other, call)
        stale.post(CallDtmf(digits="1"))
        await elapse(0.2)

        first.rejoin()
        await elapse(6.0)

        assert first.application.switchboard.manager.call_ids() == []
        assert stale.given_up
        assert call.streams[0].close_code is not None
        assert world.peer.open_sockets == 1
        log = await world.store.log(call.call_sid)
        fences = [entry.fence for entry in log]
        assert fences == sorted(fences)
        owner = other.application.switchboard.manager.get(call.call_sid)
        assert owner is not None
        assert "call.dtmf" not in [json.loads(entry.record).get("event") for entry in log]
        assert world.context(call).resumed_count == 1
        await back.hang_up()
        await world.over(call)


def token_of(node: Node, call_id: str) -> str:
    """The token that the TwiML of every node gives this call's streams."""
    secret = node.application.settings.token_secret
    return TwilioCalls(TwilioConfig(token_secret=secret)).token(call_id)
