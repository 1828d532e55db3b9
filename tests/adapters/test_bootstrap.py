"""The application is built in one place, or says what is missing and is not."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from httpx import AsyncClient

from adapters.bootstrap import build, load_registry, warn_without_key, warn_without_secret
from adapters.live.fronts import Key
from adapters.settings import Settings
from adapters.stores.contract import StoreAway
from fsm.errors import ChartError, SettingError
from handlers import REGISTRY
from tests.serve import serve


@pytest.mark.parametrize(
    ("settings", "warned"),
    [
        (Settings(), True),
        (Settings(openai_api_key="k"), False),
        (Settings(openai_url="ws://127.0.0.1:9000"), False),
    ],
    ids=["no key", "a key", "another model"],
)
def test_missing_key_is_told_where_openai_itself_would_be_reached(
    settings: Settings, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    warn_without_key(settings)

    assert [vars(line)["hint"].partition(";")[0] for line in caplog.records] == [
        "callers will hear an apology"
    ] * warned


@pytest.mark.parametrize(
    ("settings", "warned"),
    [
        (Settings(store="redis"), True),
        (Settings(store="redis", token_secret="s"), False),
        (Settings(store="redis", twilio_auth_token="t"), False),
        (Settings(), False),
    ],
    ids=["none", "a secret", "an auth token", "one node"],
)
def test_missing_secret_is_told_where_nodes_share_calls(
    settings: Settings, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    warn_without_secret(settings)

    assert ["CALLCHART_TOKEN_SECRET" in vars(line)["hint"] for line in caplog.records] == [True] * warned


def test_registry_is_named_by_an_import_string_or_is_the_bundled_one() -> None:
    assert load_registry("") is REGISTRY
    assert load_registry("handlers:REGISTRY") is REGISTRY


@pytest.mark.parametrize(
    ("named", "says"),
    [
        ("no_such_module:REGISTRY", "cannot import 'no_such_module:REGISTRY'"),
        ("handlers:NOTHING", "cannot import 'handlers:NOTHING'"),
        ("handlers", "'handlers' is not of the form module:NAME, such as shop:REGISTRY"),
        (":REGISTRY", "':REGISTRY' is not of the form module:NAME"),
        ("handlers:__name__", "'handlers:__name__' is a str, not a fsm.registry.Registry"),
    ],
    ids=["module", "name", "no name", "no module", "kind"],
)
def test_registry_that_cannot_be_used_is_named_with_its_setting(named: str, says: str) -> None:
    with pytest.raises(SettingError, match=f"^CALLCHART_HANDLERS: {says}"):
        load_registry(named)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ANSWER = 42\nREGISTRY = BUNDLED.extend()\n", r"/broken\.py:2: NameError: name 'BUNDLED' is not defined$"),
        ("def asks(:\n", r"'broken:REGISTRY': SyntaxError: invalid syntax \(broken\.py, line 1\)$"),
        ("import no_such_module\n", r"/broken\.py:1: ModuleNotFoundError: No module named 'no_such_module'$"),
    ],
)
def test_a_module_that_breaks_on_import_is_told_with_file_and_line(
    text: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "broken", raising=False)

    with pytest.raises(SettingError, match=says):
        load_registry("broken:REGISTRY")


async def test_application_takes_what_the_settings_say(tmp_path: Path) -> None:
    application = build(Settings(openai_api_key="k", data_dir=tmp_path, max_calls=7, store="memory"))

    assert application.switchboard.manager.max_calls == 7
    await application.aclose()


async def test_application_that_was_started_leaves_no_task_and_may_be_closed_twice(tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    application = build(Settings(openai_api_key="k", data_dir=tmp_path))
    await application.start()
    assert (tmp_path / "calls.db").is_file()

    await application.aclose()
    await application.aclose()

    assert asyncio.all_tasks() == before


async def test_part_that_cannot_be_closed_keeps_no_other_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken() -> None:
        raise KeyError("a mistake of ours")

    before = asyncio.all_tasks()
    application = build(Settings(openai_api_key="k", data_dir=tmp_path))
    await application.start()
    with monkeypatch.context() as patched:
        for part in (application.desk, application.keeping.relay, application.keeping.bus):
            patched.setattr(part, "aclose", broken)
        with pytest.raises(KeyError, match="a mistake of ours"):
            await application.aclose()
        left = {task.get_name() for task in asyncio.all_tasks() - before}

    with pytest.raises(StoreAway, match="closed"):
        await application.store.stats()
    assert left == {"post-call relay"}
    await application.keeping.relay.aclose()


async def test_no_two_nodes_have_one_name(tmp_path: Path) -> None:
    first, second = (build(Settings(openai_api_key="k", data_dir=tmp_path, store="memory")) for _ in range(2))

    assert first.node != second.node
    assert first.node == first.keeping.bus.node == first.keeping.keeper.node
    for application in (first, second):
        await application.aclose()


async def test_bots_file_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises((ChartError, SettingError), match="nowhere"):
        build(Settings(openai_api_key="k", data_dir=tmp_path, store="memory", bots=str(tmp_path / "nowhere.yaml")))


async def test_delay_that_no_chart_has_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises((ChartError, SettingError), match="no_such_delay"):
        build(Settings(openai_api_key="k", data_dir=tmp_path, store="memory", delays={"no_such_delay": 1.0}))


async def test_tokens_are_the_same_on_every_node_that_shares_the_secret(tmp_path: Path) -> None:
    answers = []
    for secret in ("shared", "shared", "other"):
        application = build(Settings(openai_api_key="k", data_dir=tmp_path, store="memory", token_secret=secret))
        await application.start()
        async with serve(application.asgi) as address:
            answers.append(await _token(address))
        await application.drain()
        await application.aclose()

    assert answers[0] == answers[1] != answers[2]


@pytest.mark.parametrize(
    "shared", [Settings(token_secret="shared"), Settings(twilio_auth_token="shared")], ids=["secret", "auth token"]
)
async def test_ticket_of_one_node_is_taken_by_another_that_shares_the_secret(tmp_path: Path, shared: Settings) -> None:
    settings = replace(shared, openai_api_key="k", data_dir=tmp_path, store="memory", api_token="t")
    here, there = build(settings), build(settings)
    await here.start()
    await there.start()

    async with serve(here.asgi) as address, AsyncClient(base_url=f"http://{address}") as client:
        answer = await client.post("/api/v1/tickets", headers={"Authorization": "Bearer t"}, json={})
    ticket = answer.json()["ticket"]
    async with serve(there.asgi) as address, AsyncClient(base_url=f"http://{address}") as client:
        shown = await client.get("/api/v1/calls/nobody/live", params={"ticket": ticket})
        again = await client.get("/api/v1/calls/nobody/live", params={"ticket": ticket})
    for application in (here, there):
        await application.drain()
        await application.aclose()

    assert [shown.status_code, again.status_code] == [404, 401]


async def test_a_reset_of_the_calls_forgets_what_fronts_have_left(tmp_path: Path) -> None:
    application = build(Settings(openai_api_key="k", data_dir=tmp_path, store="memory"))
    await application.start()
    application.live.fronts.configure(None, Key("called", "+15550101"), {"voice": "cedar"})
    before = application.live.fronts.unclaimed

    await application.calls.reset()

    assert (before, application.live.fronts.unclaimed) == (1, 0)
    await application.aclose()


async def _token(address: str) -> str:
    async with AsyncClient(base_url=f"http://{address}") as client:
        answer = await client.post("/twilio/voice", data={"CallSid": "CA1"})
        await client.post("/twilio/status", data={"CallSid": "CA1", "CallStatus": "completed"})
    return answer.text.partition('name="token" value="')[2].partition('"')[0]
