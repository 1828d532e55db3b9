"""What waits on the disk while the store is away: all of it comes to the store, once, or is set aside."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from adapters.stores.contract import Commit, Head, SessionStore
from adapters.stores.spool import Spool
from adapters.stores.spool_folder import SpoolFiles, SpoolFolder
from adapters.stores.sqlite import SqliteStore
from adapters.stores.write_behind import WriteBehind
from fsm.clock import LoopClock
from fsm.errors import SettingError
from fsm.triggers import UserSilent, UserSpeaking
from tests.adapters.stores.faulty import FaultyStore, a_call_on, a_memory, a_spool, records, versions
from tests.fakes import elapse
from tests.fsm.running import END


def a_commit(call_id: str, first: int, *entries: str, fence: int = 1, owner: str = "n1", born: float = 0.0) -> Commit:
    head = Head(status="active", state="a", created_at=1_700_000_000.0 + born, active_at=1_700_000_000.0 + born)
    said = tuple(b'{"event": "%s"}' % entry.encode() for entry in entries)
    return Commit(
        call_id=call_id, owner=owner, fence=fence, first=first, entries=said, document=b'{"seq": 1}', head=head
    )


@asynccontextmanager
async def writing(
    store: SessionStore, spool: Spool, on_fenced: Callable[[str], object] = str, batch: int = 256
) -> AsyncIterator[WriteBehind]:
    journal = WriteBehind(store, node="n1", clock=LoopClock(), spool=spool, on_fenced=on_fenced, batch=batch)
    await journal.start()
    try:
        yield journal
    finally:
        await journal.aclose()


async def test_oldest_call_comes_first_and_each_in_order() -> None:
    spool = a_spool()
    await spool.put([a_commit("young", 4, "d", born=9), a_commit("old", 1, "a")])
    await spool.put([a_commit("young", 5, "e", "f", born=9)])

    held = await spool.oldest(10)

    assert [[(c.call_id, c.first, len(c.entries)) for c in call] for call in held] == [
        [("old", 1, 1)],
        [("young", 4, 3)],
    ]
    assert [c.call_id for call in await spool.oldest(1) for c in call] == ["old"]


async def test_long_log_is_read_to_its_end() -> None:
    spool = a_spool()
    await spool.put([a_commit("CA1", 1, *map(str, range(2500)))])

    (call,) = await spool.oldest(10)

    assert [(c.first, len(c.entries)) for c in call] == [(1, 1000), (1001, 1000), (2001, 500)]


async def test_hole_in_a_log_stays_where_it_is() -> None:
    store, spool = FaultyStore(), a_spool()
    await spool.put([a_commit("CA1", 1, "a", "b")])
    await spool.put([a_commit("CA1", 5, "e")])
    async with writing(store, spool) as journal:
        await journal.replayed()

    assert await versions(store) == [1, 2, 5]


async def test_spool_of_a_process_that_was_killed_is_replayed_by_the_next(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    store, kept, aside = FaultyStore(), a_memory(), a_memory()
    await Spool(SpoolFiles(kept, aside)).put([a_commit("CA1", 1, "a", "b", owner="another name")])
    await store.commit([a_commit("CA1", 1, "a", owner="another name")])

    async with writing(store, Spool(SpoolFiles(kept, aside))) as journal:
        await journal.replayed()
        spooled = journal.spooled

    assert [r["event"] for r in await records(store)] == ["a", "b"]
    assert spooled == 0
    assert await kept.get("CA1") is None
    assert [r.message for r in caplog.records] == ["spool_found"]


async def test_replay_waits_for_a_store_that_is_away_at_the_start() -> None:
    store, spool = FaultyStore(), a_spool()
    await spool.put([a_commit("CA1", 1, "a")])
    store.always = "away"
    async with writing(store, spool) as journal:
        await elapse(10)
        away, left = journal.away, set(spool.left)
        store.always = ""
        await journal.replayed()

        assert (away, left, journal.away) == (True, {"CA1"}, False)
    assert await versions(store) == [1]


async def test_new_commits_of_a_call_go_behind_those_that_are_spooled_and_others_go_straight() -> None:
    store, spool = FaultyStore(), a_spool()
    store.always = "away"
    async with writing(store, spool, batch=1) as journal:
        calls = [a_call_on(journal, f"CA{n}") for n in range(3)]
        await elapse(0.2)
        store.always = "slow"
        await elapse(0.6)  # the first call is being replayed, the others wait
        for session in reversed(calls):
            session.post(UserSpeaking())
        await elapse(10)

        for session in calls:
            assert await versions(store, session.call_id) == [1, 2]
        assert (journal.spooled, journal.backlog) == (0, 0)
        for session in calls:
            session.post(END)
            await session.wait_settled()


async def test_spooled_call_that_another_node_has_is_set_aside_and_never_replayed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store, kept, aside = FaultyStore(), a_memory(), a_memory()
    fenced: list[str] = []
    await store.commit([a_commit("CA1", 1, "theirs", fence=5, owner="n2")])
    spool = Spool(SpoolFiles(kept, aside))
    await spool.put([a_commit("CA1", 1, "a", "b"), a_commit("CA2", 1, "a")])

    async with writing(store, spool, fenced.append) as journal:
        await journal.replayed()
        counted = (journal.set_aside, journal.refused, journal.spooled)

    assert counted == (1, 2, 0)
    assert [r["event"] for r in await records(store)] == ["theirs"]
    assert await versions(store, "CA2") == [1]
    assert [r["event"] for r in await records(aside)] == ["a", "b"]
    assert fenced == []  # no session here
    assert [r.message for r in caplog.records] == ["commits_refused"]
    again = Spool(SpoolFiles(kept, aside))
    await again.start()
    assert (len(again), again.set_aside) == (0, 1)


async def test_live_call_whose_spool_is_set_aside_is_given_up() -> None:
    store, spool = FaultyStore(), a_spool()
    fenced: list[str] = []
    store.always = "away"
    async with writing(store, spool, fenced.append) as journal:
        session = a_call_on(journal)
        await elapse(0.1)
        store.always = ""
        await store.commit([a_commit("CA1", 1, "theirs", fence=2, owner="n2")])
        await elapse(1)
        session.give_up()
        await session.wait_settled()

        assert fenced == ["CA1"]
        assert journal.set_aside == 1
    assert [r["event"] for r in await records(store)] == ["theirs"]


async def test_what_is_set_aside_twice_is_all_kept() -> None:
    spool = a_spool()

    await spool.put_aside(a_commit("CA1", 3, "c", fence=2))
    await spool.put_aside(a_commit("CA1", 7, "g", fence=1, owner="n0"))

    assert await versions(spool._aside) == [3, 7]
    assert spool.set_aside == 1
    await spool.erase("CA1")
    assert spool.set_aside == 0


async def test_call_that_the_store_refuses_goes_on_and_is_set_aside_and_others_are_kept(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store, spool = FaultyStore(), a_spool()
    store.refuses = {"CA1"}
    async with writing(store, spool) as journal:
        refused, other = a_call_on(journal, "CA1"), a_call_on(journal, "CA2")
        await journal.durable("CA1", refused.snapshot.seq)
        for session in (refused, other):
            session.post(UserSpeaking())
        await journal.flushed()
        away = journal.away
        for session in (refused, other):
            session.post(END)
            await session.wait_settled()
        await journal.flushed()

    assert not away
    assert (refused.closed, refused.given_up) == (True, False)
    assert [record.get("event") for record in await records(store, "CA2")].count("call.ended") == 1
    assert await versions(store, "CA1") == []
    assert await versions(spool._aside, "CA1") == list(range(1, journal.refused + 1))
    assert (len(spool), spool.set_aside) == (0, 1)
    assert [r.__dict__["call_id"] for r in caplog.records if r.msg == "call_not_kept"] == ["CA1"]


async def test_spooled_call_that_the_store_refuses_keeps_no_other_in_the_spool(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store, spool = FaultyStore(), a_spool()
    store.refuses = {"bad"}
    await spool.put([a_commit("bad", 1, "a", "b"), a_commit("good", 1, "a")])
    async with writing(store, spool) as journal:
        await journal.replayed()

    assert await versions(store, "good") == [1]
    assert await versions(spool._aside, "bad") == [1, 2]
    assert len(spool) == 0
    assert [record.msg for record in caplog.records if record.levelno >= logging.ERROR] == ["call_not_kept"]


async def test_disk_that_takes_nothing_leaves_commits_in_memory_until_somebody_does(tmp_path: Path) -> None:
    store, disk = FaultyStore(), FaultyStore()
    store.always = disk.always = "away"
    async with writing(store, Spool(SpoolFiles(disk, a_memory()))) as journal:
        session = a_call_on(journal)
        await elapse(0.1)
        session.post(UserSpeaking())
        await elapse(3)
        backlog = journal.backlog
        store.always = ""
        await elapse(1)

        assert (backlog, journal.backlog) == (2, 0)
        assert await versions(store) == [1, 2]
        session.post(END)
        await session.wait_settled()


async def test_store_that_is_slower_than_the_calls_is_relieved_by_the_spool(caplog: pytest.LogCaptureFixture) -> None:
    store, spool = FaultyStore(), a_spool()
    store.always = "slow"
    journal = WriteBehind(store, node="n1", clock=LoopClock(), spool=spool, most=10)
    await journal.start()
    session = a_call_on(journal)
    most = 0
    for _ in range(100):
        session.post(UserSpeaking())
        session.post(UserSilent())
        await elapse(0.1)
        most = max(most, journal.backlog)
    session.post(END)
    await session.wait_settled()
    store.always = ""
    await elapse(5)
    backlog = journal.backlog
    await journal.aclose()

    assert most < 50
    assert backlog == 0
    assert await versions(store) == list(range(1, 205))
    assert "store_away" in [r.message for r in caplog.records]


async def test_processes_of_one_folder_have_a_spool_each_and_move_what_dead_ones_left(tmp_path: Path) -> None:
    first, second = on_disk(tmp_path), on_disk(tmp_path)
    await first.start()
    await second.start()
    await second.put([a_commit("CA2", 1, "a", "b")])
    await first.put([a_commit("CA1", 1, "c")])

    await second.aclose()  # as its death: its lock is gone, its files are not
    third = on_disk(tmp_path)
    await third.start()
    assert third.left == {"CA2"}
    assert "CA1" not in third
    await third.aclose()

    await first.aclose()
    fourth = on_disk(tmp_path)
    await fourth.start()
    assert fourth.left == {"CA1", "CA2"}
    moved = [(c.call_id, c.first, c.entries) for call in await fourth.oldest(9) for c in call]
    await fourth.aclose()
    fifth = on_disk(tmp_path)
    await fifth.start()
    again = [(c.call_id, c.first, c.entries) for call in await fifth.oldest(9) for c in call]
    await fifth.aclose()

    assert sorted(moved) == [("CA1", 1, (b'{"event": "c"}',)), ("CA2", 1, (b'{"event": "a"}', b'{"event": "b"}'))]
    assert sorted(again) == sorted(moved)


async def test_folder_that_cannot_be_written_is_named_with_its_setting(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file", encoding="utf-8")

    with pytest.raises(SettingError, match=r"^CALLCHART_DATA_DIR: .*/spool/1 cannot be written: "):
        await on_disk(tmp_path).start()


def on_disk(folder: Path) -> Spool:
    return Spool(SpoolFolder(folder / "spool", SqliteStore))
