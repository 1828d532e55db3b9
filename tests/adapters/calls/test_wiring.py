"""Operators' calls as the composition root puts them together: a call from its beginning until it is erased."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.bootstrap import machines
from adapters.call_folder import call_folder
from adapters.calls.contract import UnknownCall
from adapters.calls.wiring import book_of, here_of
from adapters.keeping import keep
from adapters.media.clips import Clips
from adapters.ownership.wiring import own
from adapters.settings import Settings
from adapters.switchboard import Outside, Switchboard
from fsm.bots import load_bots
from fsm.clock import LoopClock
from handlers import REGISTRY
from tests.fakes import FakeAgents, FakeFronts, FakeIntents, elapse


async def test_a_call_is_begun_told_worked_on_and_erased_with_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, clock = Settings(store="memory", data_dir=tmp_path), LoopClock()
    bots = load_bots(None, REGISTRY)
    choose = machines(bots, REGISTRY)
    keeping = keep(settings, clock)
    here = here_of(keeping, registry=REGISTRY, clock=clock)
    board = Switchboard(
        clock=clock,
        choose=choose,
        outside=Outside(
            make_client=lambda events: pytest.fail("no model is opened"),
            clips=Clips(),
            intents=FakeIntents([]),
            agents=FakeAgents([]),
            transcripts=keeping.relay,
            fronts=FakeFronts([]),
        ),
        observers=(keeping.activity, keeping.write_behind, keeping.keeper, keeping.relay, here),
        journal=keeping.write_behind,
    )
    ownership = own(settings, keeping, board=board, bots=bots, choose=choose, registry=REGISTRY, clock=clock)
    book = book_of(here, keeping, ownership, board=board, bots=bots, choose=choose, clock=clock)
    await keeping.start()
    folder = call_folder(tmp_path / "calls", "API1")

    created = await book.create(call_id="API1", bot="", metadata={})
    await book.add_segments("API1", [{"text": "hello"}])
    await book.end("API1")
    await elapse(1)
    written = (folder / "transcript.json").read_text(encoding="utf-8")
    run = await book.run_pipeline("API1")
    await elapse(1)
    delete = keeping.store.delete

    async def while_work_is_done(call_id: str) -> bool:
        assert await keeping.runner.kept(await keeping.runner.run(call_id, again=True))
        return await delete(call_id)

    monkeypatch.setattr(keeping.store, "delete", while_work_is_done)
    await book.erase("API1")

    assert (created.state, (await keeping.store.stats()).live) == ("listening", 0)
    assert "hello" in written
    assert run
    assert not folder.exists()
    with pytest.raises(UnknownCall):
        await book.get("API1")
    await here.aclose()
    await ownership.aclose()
    await keeping.aclose()
