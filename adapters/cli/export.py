"""`callchart export`: a chart for another tool, on standard output."""

from __future__ import annotations

import argparse
import json

from adapters.cli.common import load

__all__ = ["arguments", "run"]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("chart", help="a chart file, or a bundled one by name")
    parser.add_argument(
        "--format",
        choices=("xstate", "mermaid", "dot"),
        default="xstate",
        help="xstate: JSON that createMachine takes (Stately Studio opens it); mermaid, dot: text to draw",
    )


def run(options: argparse.Namespace) -> int:
    chart = load(options.chart)
    if options.format == "xstate":
        from fsm.xstate import xstate_config

        print(json.dumps(xstate_config(chart), indent=2, ensure_ascii=False))
        return 0
    from fsm import diagram

    print((diagram.mermaid if options.format == "mermaid" else diagram.dot)(chart))
    return 0
