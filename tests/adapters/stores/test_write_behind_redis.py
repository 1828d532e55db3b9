"""Live calls and a real Redis that goes away in the midst of them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from adapters.settings import Settings
from adapters.stores.contract import SessionStore
from adapters.stores.redis import redis_store
from adapters.stores.spool import Spool
from adapters.stores.spool_folder import SpoolFiles
from adapters.stores.sqlite import SqliteStore
from adapters.stores.write_behind import WriteBehind
from fsm.clock import LoopClock
from fsm.session import Session
from fsm.triggers import UserSilent, UserSpeaking
from tests.adapters.stores.faulty import a_call_on, a_talk, records, versions
from tests.fakes import elapse
from tests.fsm.running import END
from tests.redis_server import RedisServer
from tests.tcp_proxy import TcpProxy

CALLS, A_SECOND = 200, 10


async def talk(calls: list[Session], seconds: int) -> None:
    """Have every call take ten steps a second."""
    for tick in range(seconds * A_SECOND):
        for session in calls:
            session.post(UserSpeaking() if tick % 2 == 0 else UserSilent())
        await elapse(1 / A_SECOND)


def a_journal(store: SessionStore, folder: Path) -> WriteBehind:
    spool = Spool(SpoolFiles(SqliteStore(folder / "spool.db"), SqliteStore(folder / "aside.db")))
    return WriteBehind(store, node="n1", clock=LoopClock(), spool=spool)


@pytest.mark.real_time
@pytest.mark.timeout(90)
async def test_200_calls_outlive_6_seconds_without_redis(tmp_path: Path) -> None:
    machine = a_talk()
    with RedisServer(tmp_path) as server:
        async with TcpProxy("127.0.0.1", server.port) as proxy:
            store = redis_store(Settings(redis_url=f"redis://127.0.0.1:{proxy.port}"))
            await store.start()
            journal = a_journal(store, tmp_path)
            await journal.start()
            calls = [a_call_on(journal, f"CA{n}", machine=machine) for n in range(CALLS)]
            await talk(calls, 1)
            proxy.stall()
            await talk(calls, 3)
            proxy.refuse()
            await talk(calls, 3)
            was_away = journal.away
            proxy.mend()
            await proxy.accept()
            await talk(calls, 1)
            for session in calls:
                session.post(END)
            await asyncio.gather(*(session.wait_settled() for session in calls))
            await journal.aclose()
            after = a_journal(store, tmp_path)  # brings what may be left in the spool
            await after.start()
            await after.replayed()
            await after.aclose()
            kept = {session.call_id: await records(store, session.call_id) for session in calls}
            there = {session.call_id: await versions(store, session.call_id) for session in calls}
            await store.aclose()

    assert was_away
    assert (journal.refused, journal.dropped, journal.set_aside) == (0, 0, 0)
    for session in calls:
        log = kept[session.call_id]
        assert [r["seq"] for r in log if "event" in r] == list(range(1, session.snapshot.seq + 1))
        assert there[session.call_id] == list(range(1, len(log) + 1))
        assert log[-1]["settled"] is True
        assert session.snapshot.seq == 1 + 8 * A_SECOND + 1
