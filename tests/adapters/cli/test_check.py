"""`callchart check`: what it finds, how it tells it, and how it exits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.adapters.cli.conftest import Command

SOUND = """\
id: shop
extends: voice_call
"""
WRONG = """\
id: shop
extends: voice_call
states:
  live:
    states:
      listening:
        on:
          call.dtmf: {actions: [anser]}
"""
BOTS = """\
shop:
  numbers: ["+1 555 0102"]
  chart: shop.yaml
  greeting: Welcome.
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return name


def test_everything_bundled_is_sound(callchart: Command) -> None:
    ran = callchart("check")
    assert (ran.code, ran.out, ran.err) == (0, "nothing found in 4 files\n", "")


def test_a_finding_has_its_place_code_and_path(callchart: Command, folder: Path) -> None:
    ran = callchart("check", write(folder, "wrong.yaml", WRONG))
    assert ran.code == 1
    assert ran.out == (
        "wrong.yaml:8:33: error: no action or reducer is called 'anser'; did you mean 'answer'? [unknown-action]"
        " (at states.live.states.listening.on.call.dtmf.actions.0)\n"
        "1 error, 0 warnings in 1 file\n"
    )


def test_json_is_a_list_that_a_machine_reads(callchart: Command, folder: Path) -> None:
    ran = callchart("check", "--json", write(folder, "wrong.yaml", WRONG))
    assert ran.code == 1
    (finding,) = json.loads(ran.out)
    assert finding == {
        "code": "unknown-action",
        "severity": "error",
        "file": "wrong.yaml",
        "line": 8,
        "column": 33,
        "path": "states.live.states.listening.on.call.dtmf.actions.0",
        "message": "no action or reducer is called 'anser'; did you mean 'answer'?",
    }


def test_json_of_a_sound_chart_is_an_empty_list(callchart: Command) -> None:
    ran = callchart("check", "--format", "json", "voice_call")
    assert (ran.code, json.loads(ran.out)) == (0, [])


def test_github_gets_annotations(callchart: Command, folder: Path) -> None:
    name = write(folder, "100%,a:b.yaml", WRONG)
    ran = callchart("check", "--format", "github", name)
    assert ran.code == 1
    assert ran.out.splitlines()[0] == (
        "::error file=100%25%2Ca%3Ab.yaml,line=8,col=33,title=unknown-action"
        "::no action or reducer is called 'anser'; did you mean 'answer'?"
    )


def test_lint_is_part_of_it_and_a_warning_is_a_finding(callchart: Command, folder: Path) -> None:
    chart = "id: shop\nextends: voice_call\nstates:\n  live:\n    on:\n      call.dtmf: {reenter: true}\n"
    ran = callchart("check", "--json", write(folder, "idle.yaml", chart))
    found = json.loads(ran.out)
    assert ("idle-reenter", "warning") in {(one["code"], one["severity"]) for one in found}
    assert ran.code == 1


def test_loose_excuses_names_that_are_not_registered(callchart: Command, folder: Path) -> None:
    name = write(folder, "wrong.yaml", WRONG)
    assert callchart("check", "--loose", name).code == 0


def test_a_bots_file_is_known_by_its_content(callchart: Command, folder: Path) -> None:
    write(folder, "shop.yaml", SOUND)
    ran = callchart("check", write(folder, "numbers.yaml", BOTS), "shop.yaml")
    assert (ran.code, ran.out) == (0, "nothing found in 2 files\n")


def test_what_is_wrong_in_a_bots_file_is_found_and_so_is_its_chart(callchart: Command, folder: Path) -> None:
    write(folder, "shop.yaml", WRONG)
    bots = BOTS + "  intents: [{name: order, agent: nobody}]\n"
    ran = callchart("check", "--json", write(folder, "numbers.yaml", bots))
    files = {(one["file"], one["code"]) for one in json.loads(ran.out)}
    assert ("shop.yaml", "unknown-action") in files
    assert any(file == "numbers.yaml" for file, _ in files)
    assert ran.code == 1


def test_a_chart_is_linted_through_its_bot(callchart: Command, folder: Path) -> None:
    write(folder, "shop.yaml", SOUND + "states:\n  attic: {on: {call.ended: {target: closed}}}\n")
    ran = callchart("check", "--json", "--bots", write(folder, "numbers.yaml", BOTS))
    assert "unreachable-state" in {one["code"] for one in json.loads(ran.out)}
    assert ran.code == 1


def test_the_bots_of_the_setting_are_checked_by_default(
    callchart: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLCHART_BOTS", write(folder, "numbers.yaml", "shop: {chart: nowhere}\n"))
    ran = callchart("check")
    assert ran.code == 1
    assert "numbers.yaml:1:" in ran.out
    assert ran.out.endswith("in 5 files\n")


def test_bots_is_taken_at_its_word(callchart: Command, folder: Path) -> None:
    ran = callchart("check", "--bots", write(folder, "odd.yaml", "id: {chart: voice_call}\n"))
    assert (ran.code, ran.out) == (0, "nothing found in 1 file\n")


@pytest.mark.parametrize("name", ["nowhere.yaml", "."])
def test_a_file_that_cannot_be_loaded_is_a_finding(callchart: Command, folder: Path, name: str) -> None:
    ran = callchart("check", "--json", name)
    (finding,) = json.loads(ran.out)
    assert (ran.code, finding["code"], finding["file"]) == (1, "no-file", name)


@pytest.mark.parametrize("text", ["states: [\n", "- a\n- list\n", ""])
def test_a_file_that_is_no_chart_is_a_finding(callchart: Command, folder: Path, text: str) -> None:
    ran = callchart("check", "--json", write(folder, "broken.yaml", text))
    assert ran.code == 1
    assert {one["file"] for one in json.loads(ran.out)} == {"broken.yaml"}


def test_a_chart_named_twice_is_told_once(callchart: Command, folder: Path) -> None:
    name = write(folder, "wrong.yaml", WRONG)
    assert len(json.loads(callchart("check", "--json", name, name).out)) == 1
