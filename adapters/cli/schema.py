"""`callchart schema`: the JSON Schema of charts, made from the registry."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from adapters.cli.common import registry

__all__ = ["arguments", "run"]

_BUNDLED = Path(__file__).resolve().parents[2] / "fsm" / "charts" / "voice_call.schema.json"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out",
        type=Path,
        default=_BUNDLED,
        metavar="FILE",
        help="where it lies (default: beside the bundled chart); - prints it",
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the file is not in step")


def run(options: argparse.Namespace) -> int:
    from fsm.schema import schema_text

    text = schema_text(registry())
    if str(options.out) == "-":
        sys.stdout.write(text)
        return 0
    if options.check:
        if not options.out.is_file() or options.out.read_text(encoding="utf-8") != text:
            again = "callchart schema" if options.out == _BUNDLED else f"callchart schema --out {options.out}"
            print(f"{options.out} is not in step with the handlers; run: {again}", file=sys.stderr)
            return 1
        return 0
    options.out.write_text(text, encoding="utf-8")
    print(options.out)
    return 0
