"""`callchart check`: what is wrong with charts and bots files, for people, programs and pull requests."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.cli.common import BUNDLED, registry

if TYPE_CHECKING:
    from fsm.chart import Chart
    from fsm.errors import Problem

__all__ = ["arguments", "run"]

_OF_CHARTS = ("states", "initial", "id", "extends")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "Exit code 1 if there is an error or a warning, or a file that cannot be loaded."
    parser.add_argument(
        "file",
        nargs="*",
        help="charts and bots files, or bundled names (default: all that is bundled, and CALLCHART_BOTS)",
    )
    parser.add_argument(
        "--bots", action="append", default=[], metavar="FILE", help="a bots file, whatever it looks like"
    )
    parser.add_argument("--loose", action="store_true", help="accept names that are not registered")
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--format",
        choices=tuple(_FORMATS),
        default="text",
        help="text: one line a finding; json: a list; github: annotations of a pull request",
    )
    form.add_argument("--json", action="store_const", dest="format", const="json", help="the same as --format json")


def run(options: argparse.Namespace) -> int:
    sources = [(source, False) for source in options.file] + [(source, True) for source in options.bots]
    if not sources:
        named = os.environ.get("CALLCHART_BOTS", "").strip()
        sources = [(name, False) for name in BUNDLED] + [(name, True) for name in ("bots", named) if name]
    found: list[Problem] = []
    for source, is_bots in sources:
        found += _check(source, is_bots=is_bots, loose=options.loose)
    found = list(dict.fromkeys(found))  # two files may name one chart
    _FORMATS[options.format](found, len(sources))
    return 1 if found else 0


def _check(source: str, *, is_bots: bool, loose: bool) -> list[Problem]:
    from fsm.errors import ChartError
    from fsm.load import read_chart
    from fsm.sources import find_source, read_file

    try:
        path = find_source(source)
        if is_bots or not _is_chart(read_file(path).value):
            return _check_bots(path, loose=loose)
    except ChartError as error:
        return list(error.problems)
    chart, found = read_chart(source, registry=registry(), loose=loose)
    return found + (_lint(chart, loose=loose) if chart is not None else [])


def _is_chart(value: object) -> bool:
    """Whether a file's content is a chart's. One that is no mapping is neither, and is told so as a chart."""
    return not isinstance(value, dict) or any(key in value for key in _OF_CHARTS)


def _check_bots(path: Path, *, loose: bool) -> list[Problem]:
    """Check a bots file and the charts that it names."""
    from adapters.conversation import AGENTS
    from fsm.bots import check_bots, load_bots

    known = registry()
    found = check_bots(path, known, agents=AGENTS, loose=loose)
    if any(problem.severity == "error" for problem in found):
        return found
    charts = {bot.chart.hash: bot.chart for bot in load_bots(path, known, loose=loose).by_name.values()}
    for chart in charts.values():
        found += _lint(chart, loose=loose)
    return found


def _lint(chart: Chart, *, loose: bool) -> list[Problem]:
    from fsm.check import check_names
    from fsm.lint import lint

    known = registry()
    excused: set[Problem] = set()
    if loose:
        excused = set(check_names(chart, known)) - set(check_names(chart, known, loose=True))
    return [problem for problem in lint(chart, known) if problem not in excused]


# -- how it is told ------------------------------------------------------------------------------------


def _text(found: Sequence[Problem], files: int) -> None:
    for problem in found:
        print(problem)
    print(_summary(found, files))


def _json(found: Sequence[Problem], files: int) -> None:
    print(json.dumps([problem.to_json() for problem in found], indent=2, ensure_ascii=False))


def _github(found: Sequence[Problem], files: int) -> None:
    """Print workflow commands (GitHub, Workflow commands for GitHub Actions: setting an error message)."""
    for problem in found:
        at = problem.at
        where = {"file": at.file, "line": at.line, "col": at.column, "title": problem.code}
        told = ",".join(f"{name}={_escaped(str(value), _IN_PROPERTY)}" for name, value in where.items() if value)
        print(f"::{problem.severity} {told}::{_escaped(problem.message, _IN_DATA)}")
    print(_summary(found, files))


_IN_DATA = (("%", "%25"), ("\r", "%0D"), ("\n", "%0A"))
_IN_PROPERTY = (*_IN_DATA, (":", "%3A"), (",", "%2C"))


def _escaped(text: str, replacements: Iterable[tuple[str, str]]) -> str:
    for raw, escape in replacements:
        text = text.replace(raw, escape)
    return text


def _summary(found: Sequence[Problem], files: int) -> str:
    errors = sum(problem.severity == "error" for problem in found)
    told = [_count(errors, "error"), _count(len(found) - errors, "warning")] if found else ["nothing found"]
    return f"{', '.join(told)} in {_count(files, 'file')}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


_FORMATS: dict[str, Callable[[Sequence[Problem], int], None]] = {"text": _text, "json": _json, "github": _github}
