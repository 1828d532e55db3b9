"""Each setting reaches what it is about, when the application is built of what the environment says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from httpx import AsyncClient

from adapters.bootstrap import Application, build
from adapters.settings import Settings, read_settings
from adapters.stores.chosen import store_of
from adapters.stores.contract import Kept, SessionStore
from fsm.clock import LoopClock
from fsm.triggers import SessionConfigured
from tests.adapters.stores.bench import a_commit, a_head, an_ended_head
from tests.fakes import elapse
from tests.serve import serve

_DAY = 86400.0


@asynccontextmanager
async def running(tmp_path: Path, **environ: str) -> AsyncIterator[Application]:
    """Run the application of an environment, without sockets; calls are kept in memory."""
    environ = {"OPENAI_API_KEY": "k", "CALLCHART_STORE": "memory", "CALLCHART_DATA_DIR": str(tmp_path), **environ}
    application = build(read_settings(environ))
    await application.start()
    try:
        yield application
    finally:
        application.switchboard.manager.end_all()
        await application.drain()
        await application.aclose()


async def announced(application: Application, call_id: str = "CA1") -> str:
    return await application.desk.announce(call_id, carrier="twilio", caller="+15550100", called="+15550101")


def left_by_another(now: float, **head: Any) -> Kept:
    """A call whose node has died a moment ago."""
    facts = a_head(created_at=now - _DAY, active_at=now, **head)
    return Kept("CA9", b"{}", facts, 1, 1, "another", -1.0)


async def kept(store: SessionStore) -> list[str]:
    return [call.call_id async for call in store.everything()]


async def end(store: SessionStore, *calls: str, ended_at: float) -> None:
    """Have calls be over in a store."""
    head = an_ended_head(created_at=ended_at - 60, active_at=ended_at, ended_at=ended_at)
    await store.commit([a_commit(call_id, head=head) for call_id in calls])


# -- whose calls are, and for how long ----------------------------------------------------------------


@pytest.mark.parametrize(("lease", "seconds"), [("6s", 6.0), ("", 15.0)])
async def test_a_call_is_owned_for_the_lease(tmp_path: Path, lease: str, seconds: float) -> None:
    async with running(tmp_path, CALLCHART_LEASE=lease) as application:
        assert await announced(application) == "welcome"
        await elapse(0.1)

        known = await application.store.get("CA1")

        assert known is not None
        assert seconds - 0.2 < known.lease_left <= seconds


async def test_no_more_calls_begin_than_all_nodes_may_have(tmp_path: Path) -> None:
    async with running(tmp_path, MAX_SESSIONS="2") as application:
        assert [await announced(application, call_id) for call_id in ("CA1", "CA2", "CA3")] == [
            "welcome", "welcome", "busy",
        ]  # fmt: skip


@pytest.mark.parametrize(("age", "why"), [("1m", "expired"), ("120", ""), ("", "")])
async def test_a_call_is_resumed_up_to_the_greatest_age(tmp_path: Path, age: str, why: str) -> None:
    async with running(tmp_path, RESUME_MAX_AGE=age) as application:
        call = left_by_another(LoopClock().wall())
        await elapse(90.0)

        assert application.ownership.kept.why_not(call) == why


async def test_an_operator_is_told_that_a_call_is_too_old_to_be_resumed(tmp_path: Path) -> None:
    async with running(tmp_path, RESUME_MAX_AGE="1m") as application:
        now = application.switchboard.manager.clock.wall()
        await application.store.commit([a_commit("CA9", owner="another", head=a_head(active_at=now))])
        before = await application.calls.validate("CA9")
        await application.ownership.aclose()  # nobody ends it
        await elapse(90.0)

        assert before == (True, "")
        assert await application.calls.validate("CA9") == (False, "expired")


@pytest.mark.parametrize(("window", "seconds"), [("1m", 60.0), ("", 30.0)])
async def test_a_lost_carrier_is_waited_for_as_long_as_the_delay_says(
    tmp_path: Path, window: str, seconds: float
) -> None:
    async with running(tmp_path, CALLCHART_DELAY_RESUME_WINDOW=window) as application:
        assert application.ownership.kept.resume_window(left_by_another(LoopClock().wall())) == seconds


@pytest.mark.parametrize(("longest", "seconds"), [("5m", 300.0), ("90", 90.0), ("", 1800.0)])
async def test_a_call_in_which_nothing_happens_is_over_after_the_timeout(
    tmp_path: Path, longest: str, seconds: float
) -> None:
    bots = tmp_path / "bots.yaml"
    bots.write_text("default: {chart: listen}\n", encoding="utf-8")
    async with running(tmp_path, CALL_SESSION_TIMEOUT=longest, CALLCHART_BOTS=str(bots)) as application:
        await application.calls.create(call_id="API1", bot="", metadata={})
        session = application.switchboard.manager.get("API1")
        assert session is not None

        await elapse(seconds - 1)
        assert session.state == "listening"
        await elapse(2)

        assert (session.state, session.context.end_reason) == ("closed", "inactivity")


# -- what is forgotten --------------------------------------------------------------------------------


@pytest.mark.parametrize(("interval", "seconds"), [("40s", 40.0), ("", 300.0)])
async def test_what_has_to_be_forgotten_is_looked_for_every_interval(
    tmp_path: Path, interval: str, seconds: float
) -> None:
    async with running(
        tmp_path, CLEANUP_INTERVAL=interval, RETENTION="10s", MEMORY_CLEANUP_INTERVAL="30d"
    ) as application:
        await end(application.store, "CA1", ended_at=LoopClock().wall())

        await elapse(seconds - 5)
        assert await kept(application.store) == ["CA1"]
        await elapse(6)

        assert await kept(application.store) == []


@pytest.mark.parametrize(("interval", "seconds"), [("40s", 40.0), ("", 300.0)])
async def test_the_memory_looks_for_itself_every_interval(tmp_path: Path, interval: str, seconds: float) -> None:
    environ = {"CLEANUP_INTERVAL": "30d", "RETENTION": "10s", "MEMORY_CLEANUP_INTERVAL": interval}
    async with running(tmp_path, **environ) as application:
        await end(application.store, "CA1", ended_at=LoopClock().wall())

        await elapse(seconds - 5)
        assert await kept(application.store) == ["CA1"]
        await elapse(6)

        assert await kept(application.store) == []


async def test_the_memory_keeps_so_many_calls(tmp_path: Path) -> None:
    async with running(tmp_path, MEMORY_MAX_SESSIONS="2") as application:
        await end(application.store, "CA1", "CA2", "CA3", ended_at=LoopClock().wall())

        assert await kept(application.store) == ["CA2", "CA3"]


@pytest.mark.parametrize("store", ["memory", "sqlite"])
@pytest.mark.parametrize(("retention", "days"), [(10 * _DAY, 10), (30 * _DAY, 30)])
async def test_ended_calls_are_kept_for_the_retention(tmp_path: Path, store: str, retention: float, days: int) -> None:
    clock = LoopClock()
    made = store_of(Settings(store=store, data_dir=tmp_path, retention=retention), clock)
    await made.start()
    await end(made, "older", ended_at=clock.wall() - (days + 0.1) * _DAY)
    await end(made, "newer", ended_at=clock.wall() - (days - 0.1) * _DAY)

    await made.cleanup_expired()

    assert await kept(made) == ["newer"]
    await made.aclose()


# -- who may ask, and how the process ends ------------------------------------------------------------


async def statuses(client: AsyncClient, token: str) -> tuple[int, int]:
    """Return what somebody with this token is answered who looks, and who steers."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    looked = await client.get("/api/v1/calls/stats", headers=headers)
    steered = await client.post("/api/v1/reset", headers=headers)
    return looked.status_code, steered.status_code


async def test_the_api_asks_for_its_tokens(tmp_path: Path) -> None:
    tokens = {"CALLCHART_API_TOKEN": "steer", "CALLCHART_API_READ_TOKEN": "look"}
    async with (
        running(tmp_path, **tokens) as application,
        serve(application.asgi) as address,
        AsyncClient(base_url=f"http://{address}") as client,
    ):
        assert await statuses(client, "") == (401, 401)
        assert await statuses(client, "guess") == (401, 401)
        assert await statuses(client, "look") == (200, 403)
        assert await statuses(client, "steer") == (200, 202)


async def test_only_pages_that_are_allowed_may_ask(tmp_path: Path) -> None:
    async with (
        running(tmp_path, CALLCHART_ALLOWED_ORIGINS="https://desk.example.net") as application,
        serve(application.asgi) as address,
        AsyncClient(base_url=f"http://{address}") as client,
    ):
        answers = [
            (await client.get("/api/health", headers={"Origin": origin})).status_code
            for origin in ("https://desk.example.net", "https://evil.example.net")
        ]

    assert answers == [200, 403]


@pytest.mark.parametrize(("rate", "refused"), [("1", True), ("", False)])
async def test_a_client_may_ask_so_often(tmp_path: Path, rate: str, refused: bool) -> None:
    async with (
        running(tmp_path, CALLCHART_API_RATE=rate) as application,
        serve(application.asgi) as address,
        AsyncClient(base_url=f"http://{address}") as client,
    ):
        answers = [(await client.get("/api/health")).status_code for _ in range(20)]

    assert (429 in answers) is refused


@pytest.mark.parametrize(("grace", "seconds"), [("5s", 5.0), ("", 30.0)])
async def test_live_calls_may_go_on_for_the_grace_when_the_process_ends(
    tmp_path: Path, grace: str, seconds: float
) -> None:
    bots = tmp_path / "bots.yaml"
    bots.write_text("default: {chart: listen}\n", encoding="utf-8")
    async with running(tmp_path, DRAIN_GRACE=grace, CALLCHART_BOTS=str(bots)) as application:
        await application.calls.create(call_id="API1", bot="", metadata={})
        session = application.switchboard.manager.get("API1")
        assert session is not None
        began = session.clock.now()

        await application.drain()

        assert seconds <= session.clock.now() - began < seconds + 3
        assert session.context.end_reason == "shutdown"


async def test_an_owner_gives_its_call_up_when_a_commit_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path) as application:
        assert await announced(application) == "welcome"
        await elapse(0.1)
        session = application.switchboard.manager.get("CA1")
        assert session is not None
        assert (await application.store.claim("CA1", "another", lease=60.0, force=True)).granted

        session.post(SessionConfigured(voice="cedar"))
        await elapse(0.5)

        assert session.given_up
