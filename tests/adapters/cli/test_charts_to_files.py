"""`callchart diff`, `diagram`, `export`, `schema`: what they print and write, and how they exit."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.adapters.cli.conftest import Command

SHOP = """\
id: shop
extends: voice_call
delays: {farewell: 30s}
states:
  live:
    states:
      listening:
        on:
          call.dtmf: {actions: [sing_a_song]}
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop.yaml").write_text(SHOP, encoding="utf-8")
    return "shop.yaml"


def test_diff_is_markdown_also_of_names_that_are_not_registered(callchart: Command, shop: str) -> None:
    ran = callchart("diff", "voice_call", shop)
    assert ran.code == 0
    assert ran.out.startswith("# voice_call version 1 → shop version 1\n")
    assert "sing_a_song" in ran.out
    assert "```mermaid" in ran.out


def test_diff_of_the_same_says_so(callchart: Command) -> None:
    ran = callchart("diff", "voice_call", "voice_call", "--exit-code")
    assert ran.code == 0
    assert "No difference" in ran.out


def test_diff_exits_1_where_that_is_asked_for(callchart: Command, shop: str) -> None:
    assert callchart("diff", "voice_call", shop, "--exit-code").code == 1


def test_diff_for_a_machine(callchart: Command, shop: str) -> None:
    ran = callchart("diff", "voice_call", shop, "--json")
    told = json.loads(ran.out)
    assert (told["old"], told["new"]) == ("voice_call version 1", "shop version 1")
    (delay,) = (change for change in told["changes"] if change["kind"] == "delay")
    assert (delay["mark"], delay["where"], delay["new"]) == ("~", "farewell", "30s")


def test_diff_draws_what_differs(callchart: Command, shop: str, tmp_path: Path) -> None:
    ran = callchart("diff", "voice_call", "eager", "--svg", "change.svg")
    assert ran.code == 0
    root = ElementTree.fromstring((tmp_path / "change.svg").read_bytes())
    assert any("removed" in part.get("class", "").split() for part in root.iter())


def test_diff_with_what_cannot_be_loaded(callchart: Command) -> None:
    ran = callchart("diff", "voice_call", "nowhere")
    assert (ran.code, ran.out) == (1, "")
    assert "there is no chart 'nowhere'" in ran.err


def test_a_file_that_cannot_be_written_is_named(callchart: Command, shop: str) -> None:
    ran = callchart("diff", "voice_call", "eager", "--svg", "no/such/folder.svg")
    assert ran.code == 2
    assert ran.err == "callchart: no/such/folder.svg: No such file or directory\n"


def test_diagrams_are_written_and_then_in_step(callchart: Command, shop: str, tmp_path: Path) -> None:
    assert callchart("diagram", "--check").code == 1
    ran = callchart("diagram")
    written = [f"diagrams/{name}.{kind}" for name in ("voice_call", "eager", "listen") for kind in ("md", "svg")]
    assert (ran.code, ran.out.splitlines()) == (0, written)
    assert callchart("diagram", "--check").code == 0
    page = tmp_path / "diagrams" / "eager.md"
    page.write_text(page.read_text("utf-8") + "more", encoding="utf-8")
    ran = callchart("diagram", "--check")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("diagrams/eager.md: is not what the chart says")


def test_what_is_not_in_step_is_told_with_the_command_that_draws_it(
    callchart: Command, shop: str, tmp_path: Path
) -> None:
    (tmp_path / "quick.yaml").write_text("id: quick\nextends: eager.yaml\n", encoding="utf-8")

    assert "`callchart diagram`" in callchart("diagram", "--check").err
    assert "`callchart diagram quick.yaml`" in callchart("diagram", "quick.yaml", "--check").err
    assert "`callchart diagram --out pictures`" in callchart("diagram", "eager", "--check", "--out", "pictures").err


def test_one_chart_is_drawn_where_one_likes(callchart: Command, shop: str) -> None:
    ran = callchart("diagram", "eager", "--out", "pictures")
    assert (ran.code, ran.out.split()) == (0, ["pictures/eager.md", "pictures/eager.svg"])


def test_export_for_xstate_is_json(callchart: Command) -> None:
    ran = callchart("export", "eager")
    assert ran.code == 0
    assert {"id", "initial", "states"} <= set(json.loads(ran.out))


@pytest.mark.parametrize(("form", "beginning"), [("mermaid", "stateDiagram-v2"), ("dot", "digraph")])
def test_export_as_text(callchart: Command, form: str, beginning: str) -> None:
    ran = callchart("export", "voice_call", "--format", form)
    assert ran.code == 0
    assert beginning in ran.out.splitlines()[0] + ran.out.splitlines()[1]


def test_the_bundled_schema_is_in_step(callchart: Command) -> None:
    assert callchart("schema", "--check").code == 0


def test_a_schema_of_ones_own(callchart: Command, shop: str, tmp_path: Path) -> None:
    ran = callchart("schema", "--check", "--out", "chart.schema.json")
    assert ran.code == 1
    assert (
        ran.err == "chart.schema.json is not in step with the handlers; run: callchart schema --out chart.schema.json\n"
    )
    ran = callchart("schema", "--out", "chart.schema.json")
    assert (ran.code, ran.out) == (0, "chart.schema.json\n")
    assert callchart("schema", "--check", "--out", "chart.schema.json").code == 0
    assert callchart("schema", "--out", "-").out == (tmp_path / "chart.schema.json").read_text("utf-8")


def test_handlers_are_listed_with_their_parameters(callchart: Command) -> None:
    ran = callchart("handlers")
    assert ran.code == 0
    assert "  confidence_at_least(threshold)  Whether " in ran.out
    assert "  says_goodbye(threshold=0.6)  Whether " in ran.out
    assert "\nEvents:\n  call.started  " in ran.out


def test_handlers_for_a_machine(callchart: Command) -> None:
    listed = {(one["kind"], one["name"]): one for one in json.loads(callchart("handlers", "--json").out)}
    assert listed["guard", "says_goodbye"]["params"]["threshold"]["default"] == 0.6
    assert listed["action", "start_sts"]["opens"] == ["sts"]
    assert "intent.detected" in listed["service", "detect_intent"]["produces"]
    assert listed["event", "call.dtmf"]["fields"] == {"digits": "str"}


@pytest.mark.parametrize("chart", ["nowhere", "shop.yaml"])
def test_a_simulation_needs_a_chart_that_loads(callchart: Command, shop: str, chart: str) -> None:
    ran = callchart("simulate", chart, "--events", "cases.jsonl", "--json")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith(chart)


def test_a_simulation_is_told_which_file_is_missing(callchart: Command, shop: str) -> None:
    ran = callchart("simulate", "voice_call", "--events", "cases.jsonl")
    assert ran.code == 2
    assert "cases.jsonl" in ran.err


def test_a_bad_line_of_a_simulation_is_named(callchart: Command, shop: str, tmp_path: Path) -> None:
    (tmp_path / "cases.jsonl").write_text('[]\n[{"event": 7}]\n', encoding="utf-8")
    ran = callchart("simulate", "--loose", shop, "--events", "cases.jsonl")
    assert ran.code == 2
    assert "cases.jsonl: line 2: " in ran.err
    assert json.loads(ran.out.splitlines()[0])["trace"][0]["state"] == "created"
