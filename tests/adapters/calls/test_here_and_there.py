"""Calls are seen and steered the same way on whichever node one asks."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import orjson
import pytest

from adapters.calls.contract import AlreadyThere, BadEvent, CallOver, Calls, Stale, UnknownCall, Unreachable
from adapters.stores.contract import Kept, StoreAway
from fsm.triggers import CallEnded
from tests.adapters.calls.node import LEASE, Node, some_nodes
from tests.fakes import elapse

BOTH = pytest.mark.parametrize("asked", [0, 1], ids=["here", "there"])
HELLO = {"id": "a", "text": "hello", "start_ms": 0, "end_ms": 900}
GOODBYE = {"id": "b", "text": "goodbye", "start_ms": 900, "end_ms": 2000}


async def a_call(node: Node, call_id: str = "API1") -> str:
    """Begin a call by API."""
    await node.book.create(call_id=call_id, bot="notes", metadata={"shop": {"city": "Graz", "open": True}})
    return call_id


# -- creating -----------------------------------------------------------------------------------------


async def test_a_call_by_api_starts_at_once_and_opens_nothing() -> None:
    async with some_nodes() as (one,):
        calls: Calls = one.book
        created = await calls.create(call_id="API1", bot="notes", metadata={"user_id": "u1"})
        document = await one.book.get("API1")

        assert created == ("API1", "listening", "active")
        assert (document["carrier"], document["bot"], document["metadata"]) == ("api", "notes", {"user_id": "u1"})
        assert (document["status"], document["state"], document["user_id"]) == ("active", "listening", "u1")
        assert one.clients == []
        assert one.session("API1").faults == ()


async def test_a_call_without_an_id_gets_one_and_without_a_bot_the_first_that_listens() -> None:
    async with some_nodes() as (one,):
        first = await one.book.create(call_id="", bot="", metadata={})
        second = await one.book.create(call_id="", bot="", metadata={})

        assert first.call_id != second.call_id
        assert first.call_id.startswith("API")
        assert (await one.book.get(first.call_id))["bot"] == "notes"


@BOTH
async def test_a_call_that_there_is_or_was_is_not_begun_again(asked: int) -> None:
    async with some_nodes(2) as nodes:
        await a_call(nodes[0])
        with pytest.raises(AlreadyThere):
            await a_call(nodes[asked])
        await nodes[0].book.end("API1")
        await elapse(1)
        with pytest.raises(AlreadyThere):
            await a_call(nodes[asked])


@pytest.mark.parametrize(
    ("bot", "told"), [("nobody", "no bot is called 'nobody'"), ("default", "the bot 'default' needs a carrier")]
)
async def test_a_bot_that_cannot_do_without_a_carrier_is_refused(bot: str, told: str) -> None:
    async with some_nodes() as (one,):
        with pytest.raises(BadEvent, match=told):
            await one.book.create(call_id="API1", bot=bot, metadata={})
        assert one.board.manager.call_ids() == []


async def test_without_a_free_slot_no_call_begins() -> None:
    async with some_nodes(max_calls=1) as (one,):
        await a_call(one)
        with pytest.raises(Unreachable, match="no slot is free"):
            await a_call(one, "API2")
        with pytest.raises(UnknownCall):
            await one.book.get("API2")


# -- looking ------------------------------------------------------------------------------------------


@BOTH
async def test_document_is_as_fresh_as_its_owner_has_it(asked: int) -> None:
    async with some_nodes(2) as nodes:
        await nodes[0].phone("CA1")
        nodes[0].clients[0].events.on_speech_started("item_1")
        nodes[0].clients[0].events.on_transcript("item_1", "where is my order", "")
        await elapse(0)
        document = await nodes[asked].book.get("CA1")

        assert (document["state"], document["status"], document["caller"]) == ("greeting", "active", "+15550100")
        assert [message["text"] for message in document["history"]] == ["where is my order"]
        assert document["audio"] == {"received_seconds": 0.0, "dropped_frames": 0}


async def test_a_call_is_known_before_the_store_has_it() -> None:
    async with some_nodes() as (one,):
        one.board.announce("CA1", carrier="fake", caller="+15550100", called="+15550101")

        assert await one.store.get("CA1") is None
        assert (await one.book.get("CA1"))["state"] == "created"
        assert [call["call_id"] for call in (await one.book.find()).calls] == ["CA1"]
        assert [call["call_id"] for call in (await one.book.find(live=True, state="created", q="+1555")).calls] == [
            "CA1"
        ]
        assert (await one.book.find(live=False)).calls == []
        assert (await one.book.find(q="+49")).calls == []
        assert [call["call_id"] for call in (await one.book.active()).calls] == ["CA1"]


async def test_a_call_that_has_just_ended_is_over_before_the_store_has_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async with some_nodes() as (one,):
        await a_call(one)
        await one.book.add_segments("API1", [HELLO])
        await elapse(1)
        commit = one.store.commit

        async def away(commits: object) -> object:
            raise StoreAway("gone")

        monkeypatch.setattr(one.store, "commit", away)
        session = one.session("API1")
        await one.book.end("API1")
        await session.wait_settled()
        kept = await one.store.get("API1")

        assert kept is not None
        assert not kept.head.over
        assert (await one.book.get("API1"))["status"] == "ended"
        assert await one.book.end("API1") == "over"
        assert [line.text for line in await one.book.lines("API1")] == ["hello"]
        assert (await one.book.find(live=True)).calls == []
        assert (await one.book.active()).calls == []
        with pytest.raises(CallOver):
            await one.book.add_segments("API1", [GOODBYE])
        monkeypatch.setattr(one.store, "commit", commit)
        await elapse(30)
        assert not one.here.has("API1")
        assert (await one.book.get("API1"))["status"] == "ended"


@BOTH
async def test_live_calls_are_told_with_what_was_said(asked: int) -> None:
    async with some_nodes(2) as nodes:
        await a_call(nodes[0])
        await nodes[0].book.add_segments("API1", [GOODBYE | {"seq": 2}, HELLO | {"seq": 1}])
        await nodes[1].phone("CA1")
        nodes[1].clients[0].events.on_transcript("item_1", "where is my order", "")
        assert nodes[1].session("CA1").context.history == ()
        await elapse(4)
        told = {call["call_id"]: call for call in (await nodes[asked].book.active()).calls}
        totals = await nodes[asked].book.totals()

        assert set(told) == {"API1", "CA1"}
        assert told["API1"]["cumulative_transcript"] == "hello\ngoodbye"
        assert (told["API1"]["segment_count"], told["API1"]["total_audio_duration"]) == (2, 2.0)
        assert (told["API1"]["status"], told["API1"]["state"]) == ("active", "listening")
        assert told["CA1"]["cumulative_transcript"] == "where is my order"
        assert (totals.active_sessions, totals.total_segments, totals.total_audio_duration) == (2, 2, 2.0)
        assert sorted(totals.session_list) == ["API1", "CA1"]
        assert 4.0 <= totals.average_duration_per_session < 5.0


async def test_a_silent_node_s_calls_are_told_from_the_store() -> None:
    async with some_nodes(2) as (one, two):
        await a_call(one)
        await one.book.add_segments("API1", [HELLO])
        await elapse(1)
        one.bus.cut = True

        assert [call["cumulative_transcript"] for call in (await two.book.active()).calls] == ["hello"]
        assert (await two.book.get("API1"))["state"] == "listening"
        assert [line.text for line in await two.book.segments("API1")] == ["hello"]
        with pytest.raises(Unreachable, match="the node that has call API1 does not answer"):
            await two.book.end("API1")
        one.bus.cut = False


@BOTH
async def test_what_was_said_is_told_of_a_call_that_is_live_and_of_one_that_is_over(asked: int) -> None:
    async with some_nodes(2) as nodes:
        await a_call(nodes[0])
        await nodes[0].book.add_segments("API1", [HELLO, GOODBYE])
        await elapse(0.1)
        live = await nodes[asked].book.lines("API1")
        await nodes[0].book.end("API1")
        await elapse(1)
        over = await nodes[asked].book.lines("API1")

        assert [(line.role, line.text, line.seq, line.start_ms, line.end_ms) for line in live] == [
            ("segment", "hello", 1, 0, 900),
            ("segment", "goodbye", 2, 900, 2000),
        ]
        assert over == live == await nodes[asked].book.segments("API1")


async def test_journal_is_told_page_by_page_with_versions() -> None:
    async with some_nodes() as (one,):
        await a_call(one)
        await one.book.add_segments("API1", [HELLO, GOODBYE])
        await elapse(0)
        first, more = await one.book.journal("API1", limit=2)
        rest, end = await one.book.journal("API1", after=more or 0)

        assert [record["version"] for record in first] == [1, 2]
        assert (more, end) == (2, None)
        events = [record["event"] for record in [*first, *rest] if "event" in record]
        assert events == ["init", "call.started", "segment.received", "segment.received"]
        with pytest.raises(UnknownCall):
            await one.book.journal("CA9")


async def test_calls_are_found_page_by_page() -> None:
    async with some_nodes() as (one,):
        for number in range(3):
            await a_call(one, f"API{number}")
            await elapse(1)
        page = await one.book.find(limit=2)
        rest = await one.book.find(limit=2, cursor=page.next_cursor or "")

        assert [call["call_id"] for call in page.calls] == ["API2", "API1"]
        assert [call["call_id"] for call in rest.calls] == ["API0"]
        assert rest.next_cursor is None


# -- steering -----------------------------------------------------------------------------------------


@BOTH
async def test_an_event_is_posted_to_whoever_has_the_call(asked: int) -> None:
    async with some_nodes(2) as nodes:
        await a_call(nodes[0])
        seq = await nodes[asked].book.post("API1", "session.configured", {"language": "de"})
        await elapse(0)

        assert seq == 2
        assert nodes[0].session("API1").context.language == "de"
        assert nodes[0].session("API1").snapshot.seq == 3


@BOTH
@pytest.mark.parametrize(
    ("event", "data", "told"),
    [
        ("no.such", {}, "no event is called"),
        ("call.dtmf", {"digit": "1"}, "no field 'digit'"),
        ("call.dtmf", {"digits": 7}, "digits"),
        ("after.last_resort", {}, "does not come from outside"),
        ("done.invoke.farewell", {}, "does not come from outside"),
        ("error.action.hang_up", {}, "does not come from outside"),
        ("init", {}, "does not come from outside"),
    ],
)
async def test_an_event_that_cannot_be_is_refused(asked: int, event: str, data: dict[str, object], told: str) -> None:
    async with some_nodes(2) as nodes:
        await a_call(nodes[0])
        with pytest.raises(BadEvent, match=told):
            await nodes[asked].book.post("API1", event, data)
        assert nodes[0].session("API1").snapshot.seq == 2


@BOTH
@pytest.mark.parametrize("seconds", [0, 1], ids=["just", "long ago"])
async def test_a_call_that_has_ended_takes_nothing_any_more(asked: int, seconds: int) -> None:
    async with some_nodes(2) as nodes:
        await a_call(nodes[0])
        session = nodes[0].session("API1")
        await nodes[asked].book.end("API1")
        await session.wait_settled()
        await elapse(seconds)

        with pytest.raises(CallOver):
            await nodes[asked].book.post("API1", "call.dtmf", {"digits": "1"})
        with pytest.raises(CallOver):
            await nodes[asked].book.add_segments("API1", [HELLO])
        assert await nodes[asked].book.segments("API1") == []


@BOTH
async def test_a_call_is_ended_from_any_node_and_again_is_over(asked: int) -> None:
    async with some_nodes(2) as nodes:
        await a_call(nodes[0])
        first = await nodes[asked].book.end("API1")
        await elapse(1)
        again = await nodes[asked].book.end("API1")
        document = await nodes[asked].book.get("API1")

        assert (first, again) == ("ending", "over")
        assert (document["status"], document["end_reason"], document["settled"]) == ("ended", "end_requested", True)
        for steer in (nodes[asked].book.post("API1", "call.dtmf", {}), nodes[asked].book.add_segments("API1", [HELLO])):
            with pytest.raises(CallOver):
                await steer
        with pytest.raises(UnknownCall):
            await nodes[asked].book.end("CA9")


async def test_the_reason_of_an_end_is_kept() -> None:
    async with some_nodes() as (one,):
        await a_call(one)
        await one.book.end("API1", "time_limit")
        await elapse(1)

        assert (await one.book.get("API1"))["end_reason"] == "time_limit"


async def test_a_call_of_a_dead_node_goes_on_where_it_is_asked_for() -> None:
    async with some_nodes(2) as (one, two):
        await a_call(one)
        await one.book.add_segments("API1", [HELLO])
        await elapse(1)
        await one.die()
        with pytest.raises(Unreachable):
            await two.book.add_segments("API1", [GOODBYE])
        await elapse(LEASE + 1)
        await two.book.add_segments("API1", [GOODBYE])
        await elapse(0)

        assert two.session("API1").context.resumed_count == 0
        assert [(line.seq, line.text) for line in await two.book.lines("API1")] == [(1, "hello"), (2, "goodbye")]
        assert await two.book.end("API1") == "ending"
        await elapse(1)
        assert (await two.book.get("API1"))["end_reason"] == "end_requested"
        assert [line.text for line in await two.book.lines("API1")] == ["hello", "goodbye"]


# -- metadata -----------------------------------------------------------------------------------------


@BOTH
async def test_metadata_are_merged_into_those_of_a_live_call(asked: int) -> None:
    async with some_nodes(2) as nodes:
        await a_call(nodes[0])
        first = await nodes[asked].book.patch("API1", {"shop": {"open": None, "street": "Elm"}, "n": 1}, version=0)
        second = await nodes[asked].book.patch("API1", {"n": None}, version=None)

        assert first == {"metadata": {"shop": {"city": "Graz", "street": "Elm"}, "n": 1}, "metadata_version": 1}
        assert second == {"metadata": {"shop": {"city": "Graz", "street": "Elm"}}, "metadata_version": 2}
        with pytest.raises(Stale) as stale:
            await nodes[asked].book.patch("API1", {"n": 2}, version=1)
        assert stale.value.current == 2


@BOTH
async def test_metadata_are_merged_into_those_of_a_call_that_is_over(asked: int) -> None:
    async with some_nodes(2) as nodes:
        await a_call(nodes[0])
        await nodes[0].book.end("API1")
        await elapse(1)
        patched = await nodes[asked].book.patch("API1", {"shop": {"open": None}, "user_id": "u2"}, version=0)
        document = await nodes[1 - asked].book.get("API1")
        with pytest.raises(Stale) as stale:
            await nodes[asked].book.patch("API1", {"n": 2}, version=0)

        assert patched == {"metadata": {"shop": {"city": "Graz"}, "user_id": "u2"}, "metadata_version": 1}
        assert (document["metadata"], document["metadata_version"]) == (patched["metadata"], 1)
        assert (document["user_id"], document["status"], document["settled"]) == ("u2", "ended", True)
        assert stale.value.current == 1


async def test_metadata_may_be_changed_while_the_call_ends() -> None:
    async with some_nodes() as (one,):
        await a_call(one)
        await one.book.end("API1")
        patched = await one.book.patch("API1", {"n": 1}, version=0)
        await elapse(1)
        document = await one.book.get("API1")

        assert patched["metadata_version"] == 1
        assert (document["metadata"]["n"], document["status"], document["settled"]) == (1, "ended", True)


async def test_of_two_changes_at_once_one_begins_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with some_nodes(2) as (one, two):
        await a_call(one)
        await one.book.end("API1")
        await elapse(1)
        commit = one.store.commit
        rival: list[object] = []

        async def overtaken(commits: object) -> object:
            if not rival:
                rival.append(await _amend(two))
            return await commit(commits)  # type: ignore[arg-type]  # passed on as it is

        async def _amend(node: Node) -> object:
            monkeypatch.setattr(one.store, "commit", commit)
            return await node.book.patch("API1", {"theirs": 1}, version=None)

        monkeypatch.setattr(one.store, "commit", overtaken)
        patched = await one.book.patch("API1", {"ours": 1}, version=None)

        assert patched["metadata_version"] == 2
        assert {"theirs", "ours"} < set(patched["metadata"])
        assert (await one.book.get("API1"))["metadata"] == patched["metadata"]


# -- the rest -----------------------------------------------------------------------------------------


@BOTH
async def test_a_live_call_is_ended_and_then_erased_everywhere(asked: int) -> None:
    async with some_nodes(2) as nodes:
        await a_call(nodes[0])
        await nodes[0].book.add_segments("API1", [HELLO])
        await nodes[asked].book.erase("API1")
        await elapse(30)

        assert await nodes[0].store.get("API1") is None
        assert await nodes[0].store.log("API1") == []
        assert nodes[0].forgotten == ["API1"]
        for node in nodes:
            with pytest.raises(UnknownCall):
                await node.book.get("API1")
        with pytest.raises(UnknownCall):
            await nodes[asked].book.erase("API1")


async def test_what_another_node_has_of_a_call_that_is_over_is_erased_too() -> None:
    async with some_nodes(2) as (one, two):
        await a_call(one)
        await one.book.end("API1")
        await elapse(1)
        await two.book.erase("API1")

        assert (one.forgotten, two.forgotten) == (["API1"], ["API1"])
        assert await one.store.get("API1") is None


@BOTH
async def test_validate_tells_whether_a_call_may_go_on(asked: int) -> None:
    async with some_nodes(2) as nodes:
        book = nodes[asked].book
        await a_call(nodes[0])
        await nodes[0].desk.announce("CA1", carrier="fake", caller="", called="")
        await elapse(0.1)

        assert await book.validate("API1") == (True, "")
        assert await book.validate("CA1") == (False, "not_answered")
        assert await book.validate("CA9") == (False, "unknown")
        await nodes[0].book.end("API1")
        await elapse(1)
        assert await book.validate("API1") == (False, "ended")
        await nodes[0].desk.post("CA1", CallEnded())


async def test_a_call_that_nobody_has_had_for_too_long_is_expired() -> None:
    async with some_nodes(2) as (one, two):
        await a_call(one)
        await elapse(1)
        await one.die()
        await elapse(1000)
        early = await two.book.validate("API1")
        await elapse(3600)

        assert early == (True, "")
        assert await two.book.validate("API1") == (False, "expired")


@BOTH
async def test_post_call_work_is_done_again_for_a_call_that_is_over_only(asked: int) -> None:
    async with some_nodes(2) as nodes:
        await a_call(nodes[0])
        with pytest.raises(BadEvent, match="not over"):
            await nodes[asked].book.run_pipeline("API1")
        await nodes[0].book.end("API1")
        await elapse(1)

        assert await nodes[asked].book.run_pipeline("API1") == "run 1"
        assert nodes[asked].runs == ["API1"]


@BOTH
async def test_reset_ends_every_call_of_every_node(asked: int) -> None:
    async with some_nodes(3) as nodes:
        await a_call(nodes[0])
        await a_call(nodes[1], "API2")
        await nodes[1].phone("CA1")
        await a_call(nodes[2], "API3")
        await elapse(1)
        await nodes[2].die()
        await elapse(LEASE + 1)
        ended = await nodes[asked].book.reset(wait=True)

        assert ended == 4
        assert nodes[asked].resets == 1
        assert not [call for node in nodes for call in node.here.live() if call.call_id != "API3"]
        await elapse(1)
        assert (await nodes[1 - asked].book.active()).calls == []
        assert (await nodes[asked].book.get("API3"))["end_reason"] == "end_requested"


async def test_documents_are_json() -> None:
    async with some_nodes() as (one,):
        await one.phone("CA1")
        one.clients[0].events.on_transcript("item_1", "where is my order", "")
        await elapse(0.1)
        document = await one.book.get("CA1")

        assert orjson.loads(orjson.dumps(document)) == document


async def test_of_two_changes_of_one_version_at_once_one_is_stale() -> None:
    async with some_nodes() as (one,):
        await a_call(one)
        first = asyncio.create_task(one.book.patch("API1", {"n": 1}, version=0))
        with pytest.raises(Stale):
            await asyncio.gather(first, one.book.patch("API1", {"n": 2}, version=0))

        assert await first == {"metadata": {"shop": {"city": "Graz", "open": True}, "n": 1}, "metadata_version": 1}


async def test_metadata_wait_until_the_last_of_a_call_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    async with some_nodes(2) as (one, two):
        await a_call(one)
        await one.book.end("API1")
        await elapse(1)
        get = one.store.get
        looks: list[str] = []

        async def late(call_id: str, *, touch: bool = False) -> Kept | None:
            kept = await get(call_id, touch=touch)
            looks.append(call_id)
            assert kept is not None
            return kept if len(looks) > 4 else kept._replace(head=replace(kept.head, settled=False))

        monkeypatch.setattr(one.store, "get", late)
        patched = await two.book.patch("API1", {"n": 1}, version=None)

        assert patched["metadata_version"] == 1
        assert len(looks) == 5


async def test_a_call_whose_end_the_store_does_not_have_yet_is_not_begun_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with some_nodes() as (one,):
        await a_call(one)
        await elapse(1)

        async def away(commits: object) -> object:
            raise StoreAway("gone")

        monkeypatch.setattr(one.store, "commit", away)
        session = one.session("API1")
        await one.book.end("API1")
        await session.wait_settled()
        one.here.forget("API1")

        with pytest.raises(Unreachable, match="does not know yet how call API1 ended"):
            await one.book.end("API1")
        assert one.board.manager.call_ids() == []
        monkeypatch.undo()
        await elapse(30)


async def test_a_call_that_goes_on_elsewhere_is_told_by_its_new_owner() -> None:
    async with some_nodes(2) as (one, two):
        await a_call(one)
        await one.book.add_segments("API1", [HELLO])
        await elapse(1)
        claim = await one.store.claim("API1", "n2", lease=LEASE, force=True)
        await one.store.release("n2", "API1", claim.fence)
        await two.desk.take_over("API1")
        await two.book.add_segments("API1", [GOODBYE])
        await elapse(LEASE)  # it was not told, and learns it when it renews

        assert not one.here.has("API1")
        assert [line.text for line in await one.book.lines("API1")] == ["hello", "goodbye"]
        assert (await one.book.patch("API1", {"n": 1}, version=0))["metadata_version"] == 1
        assert [call["call_id"] for call in (await one.book.active()).calls] == ["API1"]
        assert await one.book.end("API1") == "ending"
        await elapse(1)
        assert two.board.manager.call_ids() == []
