"""`callchart diff`: what differs between two charts, as Markdown for a reviewer."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.cli.common import load

if TYPE_CHECKING:
    from fsm.diagram import Difference

__all__ = ["arguments", "run"]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "Names need not be registered: a chart may be older than the handlers."
    parser.add_argument("old", help="a chart file, or a bundled one by name")
    parser.add_argument("new", help="the same")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw the new chart with what differs in colour")
    parser.add_argument("--json", action="store_true", help="for a machine to read, instead of Markdown")
    parser.add_argument("--exit-code", action="store_true", help="exit 1 if the charts differ")


def run(options: argparse.Namespace) -> int:
    from fsm.diagram import compare, difference_markdown

    old, new = load(options.old, loose=True), load(options.new, loose=True)
    difference = compare(old, new)
    if options.svg is not None:
        from adapters.diagram.svg import svg

        options.svg.write_text(svg(new, difference=difference), encoding="utf-8", newline="\n")
    if options.json:
        print(json.dumps(_described(difference), indent=2, ensure_ascii=False))
    else:
        sys.stdout.write(difference_markdown(difference))
    return 1 if difference and options.exit_code else 0


def _described(difference: Difference) -> dict[str, object]:
    return {
        "old": difference.old,
        "new": difference.new,
        "changes": [asdict(change) for change in difference.changes],
    }
