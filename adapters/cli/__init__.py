"""The command `callchart`. Its parts import what they need when they run: `callchart --help` answers at once."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

__all__ = ["main"]

_COMMANDS = {
    "serve": "answer calls: webhooks, media sockets and API on one port",
    "demo": "run a whole call offline, with simulated caller and model",
    "check": "find what is wrong with charts and bots files",
    "simulate": "run a chart dry over cases of events, guards and time",
    "diagram": "draw charts (or check that the drawings are in step)",
    "diff": "show what differs between two charts",
    "export": "print a chart for another tool",
    "schema": "write the JSON Schema that editors complete charts from",
    "handlers": "list what a chart may name",
    "store": "back up all calls, or restore them",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        0 fine, 1 findings (a chart that cannot be loaded too), 2 usage.
    """
    parser = argparse.ArgumentParser(
        prog="callchart", description="Phone calls run as state charts.", epilog="callchart COMMAND --help tells more."
    )
    parser.add_argument("--version", action=_Version, help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    arguments = list(sys.argv[1:] if argv is None else argv)
    chosen = next((word for word in arguments if not word.startswith("-")), "")
    for name, text in _COMMANDS.items():
        sub = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        if name == chosen:
            import_module(f"adapters.cli.{name}").arguments(sub)
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help(sys.stderr)
        return 2
    _find_own_handlers()
    try:
        return int(import_module(f"adapters.cli.{options.command}").run(options))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        from adapters.cli.common import explain

        code = explain(error)
        if code is None:
            raise
        return code


class _Version(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *unused: object) -> None:
        from importlib.metadata import version

        print(f"callchart {version('callchart')}")
        parser.exit()


def _find_own_handlers() -> None:
    """Let CALLCHART_HANDLERS name a module of the working folder, behind everything that is installed."""
    folder = os.getcwd()
    if os.environ.get("CALLCHART_HANDLERS") and folder not in sys.path:
        sys.path.append(folder)


if __name__ == "__main__":
    sys.exit(main())
