"""`callchart simulate`: a chart over cases, dry."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable

from adapters.cli.common import load, registry

__all__ = ["arguments", "run"]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        'A step is {"event": "user.transcript", "data": {"text": "Hello"}, "guards": {"is_blank": false}} or '
        '{"advance": 8000}, in milliseconds; it may name guards, too. Guards that a step does not name are false. '
        "Exit code 2 if a line is not a case; it is named."
    )
    parser.add_argument("chart", help="a chart file, or a bundled one by name")
    parser.add_argument(
        "--events", required=True, metavar="FILE", help="one case a line, a JSON list of steps; - reads standard input"
    )
    parser.add_argument("--loose", action="store_true", help="accept names that are not registered")
    parser.add_argument("--json", action="store_true", help="one line of JSON a case (the only form there is)")


def run(options: argparse.Namespace) -> int:
    import orjson

    from fsm.compile import compile_chart
    from fsm.simulate import SimulateError, simulate

    known = registry()
    chart = load(options.chart, loose=options.loose)
    machine = compile_chart(chart)
    try:
        lines = _lines(options.events)
    except OSError as error:
        print(f"callchart: cannot read --events {options.events}: {error}", file=sys.stderr)
        return 2
    try:
        for line in simulate(machine, lines, registry=known, loose=options.loose, loads=orjson.loads):
            sys.stdout.write(line + "\n")
    except SimulateError as error:
        sys.stdout.flush()
        print(f"callchart: {options.events}: {error}", file=sys.stderr)
        return 2
    return 0


def _lines(source: str) -> Iterable[bytes]:
    """Return the lines of a file; only a newline ends one: other separators may stand in a JSON text.

    They stay bytes, so that one which is not UTF-8 is a bad line with a number, and not the whole file's end.
    """
    if source == "-":
        return sys.stdin.buffer.read().split(b"\n")
    with open(source, "rb") as file:
        return file.read().split(b"\n")
