"""Every mistake in a chart is told with its place and the nearest right name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fsm.check import describe
from fsm.errors import ChartError, Position
from fsm.load import load_chart
from tests.fsm.charting import REGISTRY, cases, told, write, wrong

HEAD = "id: tiny\ninitial: a\nstates:\n"
B = "  b: {type: final}\n"


@pytest.mark.parametrize("case", cases("wrong_states"), ids=lambda case: case["state"])
def test_a_wrong_state_is_told(tmp_path: Path, case: dict[str, Any]) -> None:
    name = case["state"].partition(":")[0]
    rest = "" if name == "a" else "  a: {}\n"
    code, column, path = case["told"]

    problem = wrong(tmp_path, f"{HEAD}  {case['state']}\n{rest}{B}", registry=REGISTRY)[0]

    assert told(problem) == (code, 4, column, f"states.{name}" + (f".{path}" if path else ""))
    assert problem.message.startswith(case["message"])
    assert problem.severity == "error"


@pytest.mark.parametrize("case", cases("wrong_charts"), ids=lambda case: case["message"])
def test_a_wrong_chart_is_told(tmp_path: Path, case: dict[str, Any]) -> None:
    problem = wrong(tmp_path, case["chart"])[0]

    assert list(told(problem)) == case["told"]
    assert problem.message.startswith(case["message"])


@pytest.mark.parametrize(
    ("raw", "code", "line", "column", "message"),
    [
        (b"", "empty", 1, 1, "the file is empty"),
        (b"# nothing\n", "empty", 1, 1, "the file is empty"),
        (
            b"id: t\n\tinitial: a",
            "syntax",
            2,
            1,
            "this is not YAML: while scanning for the next token, found character",
        ),
        (b"id: 'x", "syntax", 1, 7, "this is not YAML: while scanning a quoted scalar"),
        (b"id: t\nx: caf\xe9", "encoding", 2, 7, "the file is not UTF-8 text"),
        (b"\xff\xfei\x00d\x00", "encoding", 1, 1, "the file is not UTF-8 text"),
        (b"id: t\nx: \x01", "syntax", 2, 4, "this is not YAML: it holds a control character"),
        (b'x: "\\UFFFFFFFF"', "syntax", 1, 1, "this is not YAML: "),
        (b'id: t\nx: ["\\0"]', "encoding", 2, 5, "the control character U+0000 is no text"),
        (b'id: t\n"\\uffff": 1', "encoding", 2, 1, "the control character U+FFFF is no text"),
        (b"%YAML 1.3\n---\nid: t", "syntax", 1, 1, "this is not YAML: version minor part can only be 2 or 1"),
        (b'x: "\\ud83d"', "encoding", 1, 4, "half a surrogate pair is no character"),
        (b"id: t\nid: u", "duplicate-key", 2, 1, "the key 'id' again; it stands in line 1 already"),
        (b"id: t\n---\nid: u", "syntax", 2, 1, "a second document (`---`); a file holds one"),
        (
            b"id: !!python/name:os.system x",
            "tag",
            1,
            5,
            "the tag 'tag:yaml.org,2002:python/name:os.system'; a chart has no tags",
        ),
        (b"id: !mine x", "tag", 1, 5, "the tag '!mine'; a chart has no tags"),
        (b"x: *y", "syntax", 1, 4, "the alias `*y` stands for nothing that was complete before it"),
        (b"x: &x [*x]", "syntax", 1, 8, "the alias `*x` stands for nothing that was complete before it"),
        (b"<<: {}", "syntax", 1, 1, "merge keys (`<<`) are no part of YAML 1.2; use `extends`"),
        (b"[x]: y", "syntax", 1, 1, "a key must be text"),
        (b"[" * 70, "syntax", 1, 62, "nested deeper than 60 levels"),
        (
            b"id: t\n"
            + b"x: &a [1,1,1,1,1,1,1,1,1,1]\n"
            + b"".join(b"%c: &%c [%s]\n" % (98 + i, 98 + i, b",".join([b"*%c" % (97 + i)] * 10)) for i in range(6)),
            "syntax",
            6,
            29,
            "aliases make the file too large",
        ),
    ],
)
def test_what_is_not_yaml_is_told(tmp_path: Path, raw: bytes, code: str, line: int, column: int, message: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(raw)

    with pytest.raises(ChartError) as caught:
        load_chart(path)

    assert told(caught.value.problems[0]) == (code, line, column, "")
    assert caught.value.message.startswith(message)


def test_an_alias_stands_for_its_anchor(tmp_path: Path) -> None:
    chart = load_chart(
        write(tmp_path, f"{HEAD}  a: {{on: {{call.ended: &x {{target: b}}, call.lost: *x}}}}\n{B}"),
    )

    assert [row.target for row in chart.state("a").rows()] == ["b", "b"]


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + f"{HEAD}  a: {{}}\n".encode())

    assert load_chart(path).id == "tiny"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("voice_cal", "there is no chart 'voice_cal'; did you mean 'voice_call'?"),
        ("no/such/thing.yaml", "there is no chart 'no/such/thing.yaml'"),
        ("", "'' is a folder, not a chart"),
        ("x" * 5000, "there is no chart 'xxx"),
        ("a\0b", "there is no chart 'a"),
    ],
)
def test_a_missing_file_is_told(source: str, message: str) -> None:
    with pytest.raises(ChartError) as caught:
        load_chart(source)

    assert caught.value.message.startswith(message)
    assert caught.value.at == Position(source)


def test_a_folder_is_no_chart(tmp_path: Path) -> None:
    with pytest.raises(ChartError, match="is a folder, not a chart"):
        load_chart(tmp_path)


def test_a_missing_file_is_told_with_its_neighbour(tmp_path: Path) -> None:
    write(tmp_path, HEAD, "shopping.yaml")

    with pytest.raises(ChartError, match=r"did you mean 'shopping.yaml'"):
        load_chart(tmp_path / "shoping.yaml")


def test_a_file_may_be_too_large(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(b"#" * 2_000_001)

    with pytest.raises(ChartError, match="larger than 2000000 bytes"):
        load_chart(path)


def test_a_file_that_goes_away_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, HEAD)

    def vanish(*arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", vanish)

    with pytest.raises(ChartError, match="cannot be read: Permission denied"):
        load_chart(path)


@pytest.mark.parametrize(
    ("annotation", "words"),
    [(int | None, "a whole number or nothing"), (bool, "true or false"), (list[str], "list"), (Position, "Position")],
)
def test_what_a_parameter_takes_is_told_in_words(annotation: object, words: str) -> None:
    assert describe(annotation) == words


@pytest.mark.parametrize(("value", "kind"), [("[a]", "a list"), ("3", "3"), ("{}", "a mapping")])
def test_an_initial_state_that_is_no_text_is_told(tmp_path: Path, value: str, kind: str) -> None:
    problem = wrong(tmp_path, f"id: tiny\ninitial: {value}\nstates:\n  a: {{}}\n{B}")[0]

    assert problem.message.startswith(f"`initial` is text, not {kind}")


def test_one_reading_tells_wrong_targets_and_wrong_names(tmp_path: Path) -> None:
    text = "id: tiny\ninitial: a\nstates:\n  a: {on: {call.ended: {target: c, guard: is_blnk}, call.lots: b}}\n" + B

    problems = wrong(tmp_path, text, registry=REGISTRY)

    assert [(problem.code, problem.path) for problem in problems] == [
        ("unknown-state", "states.a.on.call.ended.target"),
        ("unknown-guard", "states.a.on.call.ended.guard"),
        ("unknown-event", "states.a.on.call.lots"),
    ]
