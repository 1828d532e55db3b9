"""`callchart diagram`: draw charts, or check that the drawings are in step with them."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from adapters.cli.common import BUNDLED, load

__all__ = ["arguments", "run"]

_FOLDER = Path("diagrams")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "chart", nargs="*", default=list(BUNDLED), help="chart files or bundled names (default: all bundled)"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=_FOLDER,
        metavar="FOLDER",
        help="where the drawings lie (default: diagrams)",
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a drawing is not in step")


def run(options: argparse.Namespace) -> int:
    from adapters.diagram.files import check_diagrams, write_diagrams

    findings: list[str] = []
    for source in options.chart:
        chart = load(source)
        if options.check:
            findings += check_diagrams(chart, options.out, _command(source, options.out))
        else:
            for path in write_diagrams(chart, options.out):
                print(path)
    for finding in findings:
        print(finding, file=sys.stderr)
    return 1 if findings else 0


def _command(source: str, folder: Path) -> str:
    """Return the command that draws `source` anew."""
    words = ["callchart", "diagram"] + [source] * (source not in BUNDLED)
    return shlex.join(words if folder == _FOLDER else [*words, "--out", str(folder)])
