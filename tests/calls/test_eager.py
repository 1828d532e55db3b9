"""The bundled chart `eager`: an answer at once, and one only, whenever its words come."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.simulators.realtime import Reply, Script, Utterance
from tests.calls.world import a_world

_REPLIES = (Reply(text="Hello there."), Reply(text="Answer one is here."), Reply(text="Answer two is here."))


@pytest.mark.parametrize("delay_s", [0.3, 1.5, 4.5], ids=["soon", "after the answer began", "later than its limit"])
async def test_each_turn_is_answered_once_whenever_its_words_come(delay_s: float, tmp_path: Path) -> None:
    bots = tmp_path / "bots.yaml"
    bots.write_text("default: {chart: eager, idle_after: 60s}\n", encoding="utf-8")
    words = (Utterance(text="one thing", delay_s=delay_s), Utterance(text="another thing", delay_s=delay_s))
    async with a_world(Script(utterances=words, replies=_REPLIES), bots=str(bots)) as world:
        call = await world.call()
        await call.heard_silence()
        for question in ("Hello, what are your opening hours?", "Where is my order?"):
            await call.say(question)
            await call.heard_more(500)
            await call.heard_silence()
        await call.elapse(6000)

        assert len(world.peer.received_of("response.create")) == 3  # the greeting, and one for each turn
        assert [m.text for m in world.context(call).history if m.role == "caller"] == ["one thing", "another thing"]
        await call.hang_up()
        await world.over(call)
