"""Pictures in a folder, kept in step with their chart: written by `callchart diagram`, compared by its `--check`."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from adapters.diagram.svg import svg
from fsm.chart import Chart
from fsm.diagram import RENDERER, markdown

__all__ = ["check_diagrams", "write_diagrams"]


def write_diagrams(chart: Chart, folder: Path) -> list[Path]:
    """Write `<chart>.md` and `<chart>.svg` into `folder`, which is made if need be, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    page, picture = folder / f"{chart.id}.md", folder / f"{chart.id}.svg"
    page.write_text(markdown(chart), encoding="utf-8", newline="\n")
    picture.write_text(svg(chart), encoding="utf-8", newline="\n")
    return [page, picture]


def check_diagrams(chart: Chart, folder: Path, command: str = "callchart diagram") -> list[str]:
    """Return what is not in step with `chart`, one sentence each, with the `command` that mends it; empty if all is.

    The page is compared as text. A picture's stamp must name this chart and this renderer and the picture must be
    XML: another version of Graphviz may move its lines, and that is no reason to fail.
    """
    findings = []
    for path, judge in ((folder / f"{chart.id}.md", _page), (folder / f"{chart.id}.svg", _picture)):
        if not path.is_file():
            findings.append(f"{path}: is missing; write it with `{command}`")
        elif reason := judge(chart, path):
            findings.append(f"{path}: {reason}; write it again with `{command}`")
    return findings


def _page(chart: Chart, path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return "is not UTF-8 text"
    return "" if text == markdown(chart) else "is not what the chart says"


def _picture(chart: Chart, path: Path) -> str:
    try:
        root = ElementTree.fromstring(path.read_bytes())
    except ElementTree.ParseError:
        return "cannot be read as SVG"
    if root.get("data-hash") != chart.hash or root.get("data-chart") != chart.id:
        return "shows another version of the chart"
    return "" if root.get("data-renderer") == RENDERER else "was drawn by another version of the renderer"
