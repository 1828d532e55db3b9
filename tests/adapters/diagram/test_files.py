"""Pictures in a folder, kept in step with their chart."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.diagram.files import check_diagrams, write_diagrams
from fsm import load_chart
from tests.fsm.diagram_charts import SMALL, chart_of

FOLDER = Path(__file__).parents[3] / "diagrams"


@pytest.mark.parametrize("name", ["voice_call", "eager", "listen"])
def test_committed_diagrams_are_in_step(name: str) -> None:
    assert check_diagrams(load_chart(name, loose=True), FOLDER) == []


def test_what_was_written_is_in_step(tmp_path: Path) -> None:
    chart = chart_of(SMALL)

    written = write_diagrams(chart, tmp_path / "new")

    assert [path.name for path in written] == ["small.md", "small.svg"]
    assert check_diagrams(chart, tmp_path / "new") == []


def test_missing_files_are_told_with_the_command_that_makes_them(tmp_path: Path) -> None:
    findings = check_diagrams(chart_of(SMALL), tmp_path)

    assert findings == [
        f"{tmp_path / 'small.md'}: is missing; write it with `callchart diagram`",
        f"{tmp_path / 'small.svg'}: is missing; write it with `callchart diagram`",
    ]


def test_other_chart_is_out_of_step(tmp_path: Path) -> None:
    write_diagrams(chart_of(SMALL), tmp_path)

    page, picture = check_diagrams(chart_of(SMALL.replace("ring: 20s", "ring: 30s")), tmp_path)

    assert "is not what the chart says; write it again with `callchart diagram`" in page
    assert "shows another version of the chart" in picture


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("</svg>", "", "cannot be read as SVG"),
        ('data-renderer="', 'data-renderer="0.', "was drawn by another version of the renderer"),
    ],
)
def test_broken_or_old_picture_is_out_of_step(old: str, new: str, reason: str, tmp_path: Path) -> None:
    _, picture = write_diagrams(chart_of(SMALL), tmp_path)
    picture.write_text(picture.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")

    (finding,) = check_diagrams(chart_of(SMALL), tmp_path)

    assert reason in finding


def test_page_that_is_no_text_is_out_of_step(tmp_path: Path) -> None:
    page, _ = write_diagrams(chart_of(SMALL), tmp_path)
    page.write_bytes(b"\xff\xfe")

    (finding,) = check_diagrams(chart_of(SMALL), tmp_path)

    assert "is not UTF-8 text" in finding


def test_lines_that_another_graphviz_draws_elsewhere_are_in_step(tmp_path: Path) -> None:
    _, picture = write_diagrams(chart_of(SMALL), tmp_path)
    picture.write_text(picture.read_text(encoding="utf-8").replace("M", "M1", 1), encoding="utf-8")

    assert check_diagrams(chart_of(SMALL), tmp_path) == []
