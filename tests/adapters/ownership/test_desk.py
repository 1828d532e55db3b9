"""Who may have a call: new, kept, of another node, of nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson
import pytest

from adapters.stores.contract import Commit, Kept, SessionStore, StoreAway
from fsm.errors import CallchartError
from fsm.triggers import CallEnded, CallTransferred
from tests.adapters.media.fakes import FakeLeg
from tests.adapters.ownership.house import House, a_store
from tests.bus_hub import BusHub
from tests.fakes import elapse


async def kept_call(store: SessionStore, hub: BusHub) -> Kept:
    """A call whose node has died."""
    first = await House.open(store, hub, "first")
    await first.talk()
    await first.die()
    kept = await store.get("CA1")
    assert kept is not None
    return kept


async def rewrite(store: SessionStore, kept: Kept, **facts: object) -> None:
    """Change what is kept of a call; `None` for what has to go."""
    assert kept.document is not None
    said = {**orjson.loads(kept.document), **facts}
    commit = Commit(
        call_id=kept.call_id, owner=kept.owner, fence=kept.fence, first=kept.version + 1, entries=(),
        document=orjson.dumps(said), head=kept.head,
    )  # fmt: skip
    (outcome,) = await store.commit([commit])
    assert outcome.verdict == "applied"


def whys(caplog: pytest.LogCaptureFixture, event: str = "socket_refused") -> list[str]:
    return [record.__dict__["why"] for record in caplog.records if record.message == event]


# -- new calls ----------------------------------------------------------------------------------------


async def test_a_new_call_is_claimed_before_it_begins_and_kept_by_its_owner() -> None:
    store = a_store()
    house = await House.open(store, BusHub(), "a")

    assert await house.announce() == "welcome"
    assert await house.announce() == "welcome"
    await elapse(0.1)

    kept = await store.get("CA1")
    assert kept is not None
    assert (kept.owner, kept.fence, house.keeper.fence("CA1")) == ("a", 1, 1)
    assert 0 < kept.lease_left <= 15.0
    await house.close()


async def test_when_as_many_calls_are_live_as_all_nodes_may_have_a_webhook_hears_busy_and_a_socket_is_told_so() -> None:
    store, hub = a_store(), BusHub()
    house, other = await House.open(store, hub, "a", max_active=1), await House.open(store, hub, "b", max_active=1)
    await house.talk("CA1")

    assert await other.announce("CA2") == "busy"
    leg = FakeLeg("MZ3")
    assert await other.connect(leg, "CA3") is not None
    await elapse(10.0)

    assert "hang_up" in leg.log
    assert other.board.manager.call_ids() == []
    assert other.clients == []
    await house.close()
    await other.close()


async def test_a_node_without_a_slot_asks_no_store_and_claims_nothing() -> None:
    store = a_store()
    house = await House.open(store, BusHub(), "a", max_calls=1)
    await house.talk("CA1")
    house.store.cut = True

    assert await house.announce("CA2") == "busy"
    assert not house.keeper.store_away
    await house.close()


async def test_a_call_that_has_ended_is_over_for_every_node() -> None:
    store, hub = a_store(), BusHub()
    house, other = await House.open(store, hub, "a"), await House.open(store, hub, "b")
    await house.talk()
    await house.desk.post("CA1", CallEnded())
    assert await house.board.manager.idle(timeout=10.0)
    await elapse(0.1)

    assert await other.announce() == "over"
    assert not await other.desk.is_live("CA1")
    assert not await other.desk.post("CA1", CallEnded())
    assert await other.connect(FakeLeg("MZ2")) is None
    await house.close()
    await other.close()


async def test_a_call_that_is_over_here_stays_over_while_the_store_does_not_know_yet() -> None:
    house = await House.open(a_store(), BusHub(), "a")
    await house.talk()
    house.store.cut = True
    assert await house.desk.post("CA1", CallEnded())
    assert await house.board.manager.idle(timeout=10.0)
    house.store.cut = False
    kept = await house.store.get("CA1")
    assert kept is not None
    assert not kept.head.over

    assert not await house.desk.is_live("CA1")
    assert not await house.desk.post("CA1", CallEnded())
    assert await house.connect(FakeLeg("MZ2"), again=True) is None
    assert await house.announce() == "over"
    assert await house.desk.create("CA1", bot="listen", metadata={}) == "known"
    assert await house.desk.take_over("CA1") is None
    assert not await house.desk.recover("CA1")
    assert house.board.manager.call_ids() == []
    await house.close()


async def test_a_call_that_waits_for_its_socket_elsewhere_is_welcome_and_has_one_session() -> None:
    store, hub = a_store(), BusHub()
    house, other = await House.open(store, hub, "a"), await House.open(store, hub, "b")
    await house.announce()
    await house.write_behind.flushed()

    assert await other.announce() == "welcome"

    assert house.board.manager.call_ids() == ["CA1"]
    assert other.board.manager.call_ids() == []
    await house.close()
    await other.close()


async def test_sockets_of_one_call_that_come_at_once_make_one_session() -> None:
    house = await House.open(a_store(), BusHub(), "a")
    legs = [FakeLeg(f"MZ{nth}") for nth in range(3)]

    await asyncio.gather(*(house.connect(leg) for leg in legs))
    await elapse(0.1)

    assert house.board.manager.call_ids() == ["CA1"]
    assert [("close replaced" in leg.log) for leg in legs] == [True, True, False]
    await house.close()


async def test_a_repeated_webhook_never_takes_a_call_from_an_owner_whose_lease_has_lapsed() -> None:
    store, hub = a_store(), BusHub()
    house, other = await House.open(store, hub, "a"), await House.open(store, hub, "b")
    await house.talk()
    await elapse(20.0)

    assert await other.announce() == "welcome"
    assert await other.desk.create("CA1", bot="listen", metadata={}) == "known"
    await house.keeper.renew()

    assert (house.keeper.given_up, house.state()) == (0, "listening")
    await house.close()
    await other.close()


async def test_what_a_carrier_tells_is_passed_on_to_an_owner_whose_lease_has_just_lapsed() -> None:
    store, hub = a_store(), BusHub()
    house, other = await House.open(store, hub, "a"), await House.open(store, hub, "b")
    hub.buses["a"].serve(house.desk.answer_post)
    await house.talk()
    await elapse(20.0)

    assert await other.desk.post("CA1", CallEnded())

    assert (house.keeper.given_up, other.reopened) == (0, [])
    await house.close()
    await other.close()


async def test_webhooks_of_one_call_that_come_at_once_make_one_session_and_one_slot() -> None:
    house = await House.open(a_store(), BusHub(), "a")

    told = await asyncio.gather(house.announce(), house.announce(), house.desk.post("CA1", CallEnded()))
    assert list(told) == ["welcome", "welcome", True]
    await elapse(0.1)

    assert house.board.manager.slots_taken == 0
    await house.close()


async def test_a_call_is_welcome_while_the_store_is_away_and_is_its_nodes_when_it_is_back() -> None:
    store = a_store()
    house = await House.open(store, BusHub(), "a")
    house.store.cut = True

    assert await house.announce() == "welcome"
    assert await house.desk.is_live("CA1")
    assert await house.desk.transfer_target("CA1") == ""
    assert not await house.desk.is_live("CA2")
    house.store.cut = False
    await elapse(1.0)
    await house.keeper.renew()

    kept = await store.get("CA1")
    assert kept is not None
    assert (kept.owner, kept.fence, kept.lease_left > 0) == ("a", 1, True)
    await house.close()


async def test_a_call_whose_slot_goes_while_the_store_is_asked_is_busy_and_its_claim_given_back() -> None:
    store = a_store()
    house = await House.open(store, BusHub(), "a", max_calls=1)

    told = await asyncio.gather(house.announce("CA1"), house.announce("CA2"))
    assert sorted(told) == ["busy", "welcome"]

    claim = await store.claim("CA2" if told[1] == "busy" else "CA1", "b", lease=15.0)
    assert claim.granted
    await house.close()


async def test_an_owner_that_does_not_know_an_event_loses_it_and_keeps_its_call(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store, hub = a_store(), BusHub()
    house, other = await House.open(store, hub, "a"), await House.open(store, hub, "b")
    await house.talk()

    async def older(question: Mapping[str, Any]) -> Mapping[str, Any]:
        raise CallchartError("this node serves no question called 'post'")

    hub.buses["a"].serve(older)

    assert not await other.desk.post("CA1", CallEnded())
    assert whys(caplog, "owner_refused") == ["this node serves no question called 'post'"]
    assert (house.keeper.given_up, other.reopened) == (0, [])
    await house.close()
    await other.close()


# -- kept calls ---------------------------------------------------------------------------------------


async def test_a_kept_call_goes_on_with_its_carrier_and_whoever_watches_activity_is_told() -> None:
    store, hub = a_store(), BusHub()
    await kept_call(store, hub)
    house = await House.open(store, hub, "b")

    assert await house.desk.is_live("CA1")
    assert await house.connect(FakeLeg("MZ2"), again=True) is not None
    await elapse(0.1)

    assert (house.state(), house.reopened, house.keeper.fence("CA1")) == ("listening", ["CA1"], 2)
    await house.close()


async def test_a_kept_call_is_rebuilt_from_its_log_if_its_document_is_lost() -> None:
    store, hub = a_store(), BusHub()
    await kept_call(store, hub)
    store._calls["CA1"].document = b""

    class Lost:
        def __getattr__(self, name: str) -> object:
            return getattr(store, name)

        async def claim(self, *args: object, **more: object) -> object:
            claim = await store.claim(*args, **more)  # type: ignore[arg-type]
            return claim._replace(kept=claim.kept and claim.kept._replace(document=None))

    house = await House.open(Lost(), hub, "b")

    assert await house.connect(FakeLeg("MZ2"), again=True) is not None
    await elapse(0.1)

    session = house.board.manager.get("CA1")
    assert session is not None
    assert (session.state, session.context.answered, session.context.called) == ("listening", True, "+15550101")
    await house.close()


@pytest.mark.parametrize("again", [True, False], ids=["again", "as if it were new"])
async def test_a_kept_call_is_not_begun_anew_when_the_store_goes_away_in_between(
    again: bool, caplog: pytest.LogCaptureFixture
) -> None:
    store, hub = a_store(), BusHub()
    await kept_call(store, hub)
    house = await House.open(store, hub, "b")
    inner = house.store.store

    class Away:
        def __getattr__(self, name: str) -> object:
            return getattr(inner, name)

        async def claim(self, *args: object, **more: object) -> object:
            raise StoreAway("gone")

    house.store.store = Away()  # type: ignore[assignment]

    assert await house.connect(FakeLeg("MZ2"), again=again) is None
    assert whys(caplog) == ["store_away"]
    assert house.board.manager.call_ids() == []
    house.store.store = inner
    await house.close()


@pytest.mark.parametrize(
    ("proof", "again", "why"),
    [(False, True, "no_proof"), (False, False, "no_proof")],
)
async def test_a_kept_call_needs_proof(proof: bool, again: bool, why: str, caplog: pytest.LogCaptureFixture) -> None:
    store, hub = a_store(), BusHub()
    await kept_call(store, hub)
    house = await House.open(store, hub, "b")

    assert await house.connect(FakeLeg("MZ2"), proof=proof, again=again) is None
    assert whys(caplog) == [why]
    await house.close()


async def test_a_call_that_comes_back_and_that_nobody_knows_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    house = await House.open(a_store(), BusHub(), "a")

    assert await house.connect(FakeLeg("MZ2"), again=True) is None
    assert whys(caplog) == ["unknown"]
    await house.close()


async def test_a_call_that_a_newer_version_keeps_is_left_alone_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    store, hub = a_store(), BusHub()
    kept = await kept_call(store, hub)
    await rewrite(store, kept, schema=99)
    house = await House.open(store, hub, "b")
    await elapse(16.0)

    assert not await house.desk.recover("CA1")
    assert not await house.desk.recover("CA1")
    assert not await house.desk.is_live("CA1")
    assert await house.connect(FakeLeg("MZ2"), again=True) is None

    (told,) = whys(caplog, "call_unreadable")
    assert "schema 99" in told
    assert "run the version of callchart that wrote it" in told
    after = await store.get("CA1")
    assert after is not None
    assert (after.head.status, after.lease_left <= 0) == ("active", True)
    await house.close()


async def test_a_call_that_cannot_be_read_is_refused_when_it_comes_back_and_closed_in_the_store(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store, hub = a_store(), BusHub()
    kept = await kept_call(store, hub)
    store._calls["CA1"].document = b"{" + (kept.document or b"")
    house = await House.open(store, hub, "b")

    assert await house.connect(FakeLeg("MZ2"), again=True) is None

    assert whys(caplog) == ["unreadable"]
    assert "not JSON" in whys(caplog, "call_unreadable")[0]
    assert await house.desk.transfer_target("CA1") == ""
    after = await store.get("CA1")
    assert after is not None
    assert (after.head.status, after.head.settled) == ("error", True)
    assert not await house.desk.is_live("CA1")
    await house.close()


@pytest.mark.parametrize("facts", [{"state": "nowhere"}, {"timers": 7}], ids=["state", "document"])
async def test_a_call_that_nobody_can_read_is_closed_in_the_store_and_not_tried_for_ever(
    facts: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    store, hub = a_store(), BusHub()
    kept = await kept_call(store, hub)
    await rewrite(store, kept, **facts)
    house = await House.open(store, hub, "b")
    await elapse(16.0)

    assert not await house.desk.recover("CA1")

    after = await store.get("CA1")
    assert after is not None
    assert after.document is not None
    assert (after.head.status, after.head.settled) == ("error", True)
    assert {key: orjson.loads(after.document)[key] for key in ("call_id", "status", "end_reason", "settled")} == {
        "call_id": "CA1", "status": "error", "end_reason": "error", "settled": True,
    }  # fmt: skip
    assert await store.unsettled() == []
    assert await store.undelivered() == ["CA1"]  # for the post-call work: what was said is there
    assert len(whys(caplog, "call_unreadable")) == 1
    await house.close()


async def test_a_call_that_nobody_answered_leaves_no_work_when_nobody_can_read_it() -> None:
    store, hub = a_store(), BusHub()
    kept = await kept_call(store, hub)
    await rewrite(store, kept, state="nowhere", answered=False)
    house = await House.open(store, hub, "b")
    await elapse(16.0)

    assert not await house.desk.recover("CA1")

    assert await store.undelivered() == []
    await house.close()


async def test_nothing_that_was_said_is_told_of_a_call_that_cannot_be_read(caplog: pytest.LogCaptureFixture) -> None:
    store, hub = a_store(), BusHub()
    kept = await kept_call(store, hub)
    said = {"role": "caller", "text": "xylophone marmalade", "item_id": 7}
    await rewrite(store, kept, history=[said, "xylophone marmalade"])
    house = await House.open(store, hub, "b")
    await elapse(16.0)

    assert not await house.desk.recover("CA1")

    (told,) = whys(caplog, "call_unreadable")
    assert "call CA1: its document cannot be read: history.0.item_id: string_type" in told
    assert "marmalade" not in str([record.__dict__ for record in caplog.records])
    await house.close()


# -- calls of other nodes -----------------------------------------------------------------------------


async def test_what_a_carrier_tells_the_wrong_node_is_passed_on() -> None:
    store, hub = a_store(), BusHub()
    house, other = await House.open(store, hub, "a"), await House.open(store, hub, "b")
    hub.buses["a"].serve(house.desk.answer_post)
    await house.talk()

    assert await other.desk.post("CA1", CallEnded(reason="caller_hung_up"))
    assert await house.board.manager.idle(timeout=10.0)

    assert [(node, question["op"], question["event"]) for node, question in hub.buses["b"].asked] == [
        ("a", "post", "call.ended")
    ]
    assert other.reopened == []
    await house.close()
    await other.close()


async def test_whom_another_node_wants_a_call_transferred_to_is_known_everywhere() -> None:
    store, hub = a_store(), BusHub()
    kept = await kept_call(store, hub)
    await rewrite(store, kept, transfer_to="+15550123")
    house = await House.open(store, hub, "b")

    assert await house.desk.transfer_target("CA1") == "+15550123"
    assert await house.desk.transfer_target("CA9") == ""
    house.store.cut = True
    assert await house.desk.transfer_target("CA1") == ""
    await house.close()


async def test_a_transfer_of_a_call_whose_node_is_dead_ends_it_as_transferred() -> None:
    store, hub = a_store(), BusHub()
    await kept_call(store, hub)
    hub.buses["first"].cut = True
    house = await House.open(store, hub, "b")

    assert await house.desk.post("CA1", CallTransferred())
    session = house.board.manager.get("CA1")
    assert session is not None
    await elapse(0.1)
    await house.desk.post("CA1", CallEnded())
    await session.wait_settled()

    assert session.state == "closed"
    await house.close()


async def test_a_trigger_for_a_call_of_another_node_is_lost_and_told_while_the_store_is_away(
    caplog: pytest.LogCaptureFixture,
) -> None:
    house = await House.open(a_store(), BusHub(), "a")
    house.store.cut = True

    assert not await house.desk.post("CA1", CallEnded())
    assert whys(caplog, "trigger_lost") == ["store_away"]
    await house.close()


# -- operators ----------------------------------------------------------------------------------------


async def test_a_call_without_a_carrier_is_begun_once_and_goes_on_on_another_node_when_its_own_dies() -> None:
    store, hub = a_store(), BusHub()
    first = await House.open(store, hub, "first")
    session = await first.desk.create("API1", bot="listen", metadata={"shop": 7})
    assert not isinstance(session, str)
    await elapse(0.1)
    assert (session.state, session.context.metadata) == ("listening", {"shop": 7})
    assert await first.desk.create("API1", bot="listen", metadata={}) == "known"
    house = await House.open(store, hub, "b")
    assert await house.desk.create("API1", bot="listen", metadata={}) == "known"
    assert await house.desk.take_over("API1") is None

    await first.die()
    await house.reaper.start()
    await elapse(30.0)

    assert house.state("API1") == "listening"
    await house.close()


async def test_a_node_without_a_slot_begins_no_call_without_a_carrier() -> None:
    house = await House.open(a_store(), BusHub(), "a", max_calls=1)
    await house.talk()

    assert await house.desk.create("API1", bot="listen", metadata={}) == "full"
    await house.close()


async def test_an_operator_may_go_on_with_a_call_whose_node_is_dead() -> None:
    store, hub = a_store(), BusHub()
    await kept_call(store, hub)
    house = await House.open(store, hub, "b")
    assert await house.desk.take_over("CA1") is None
    await elapse(16.0)

    session = await house.desk.take_over("CA1")
    assert session is not None
    await elapse(0.1)

    assert (session.state, await house.desk.take_over("CA1")) == ("created", None)
    await house.close()


async def test_what_was_kept_may_be_replaced_only_by_its_owner() -> None:
    store, hub = a_store(), BusHub()
    kept = await kept_call(store, hub)
    stale = Commit(
        call_id="CA1", owner="first", fence=1, first=kept.version + 1, entries=(b"{}",), document=b"{}",
        head=replace(kept.head, state="stale"),
    )  # fmt: skip
    house = await House.open(store, hub, "b")
    await house.connect(FakeLeg("MZ2"), again=True)
    await house.write_behind.flushed()

    (outcome,) = await store.commit([stale])

    assert outcome.verdict == "fenced"
    await house.close()


async def test_caller_who_returns_to_a_call_that_an_operator_took_over_needs_proof_and_is_not_greeted() -> None:
    store, hub = a_store(), BusHub()
    await kept_call(store, hub)
    house = await House.open(store, hub, "b")
    await elapse(16.0)
    session = await house.desk.take_over("CA1")
    assert session is not None

    assert await house.connect(FakeLeg("MZ2"), proof=False) is None
    assert await house.connect(FakeLeg("MZ3"), proof=True) is not None
    await elapse(0.1)

    assert (house.state(), session.context.resumed_count) == ("listening", 1)
    await house.close()
