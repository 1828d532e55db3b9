"""`callchart demo`: a whole call on this machine, with the server as it is and both its neighbours simulated."""

from __future__ import annotations

import argparse
import math
import os

__all__ = ["arguments", "run"]

_SPEED = 5.0


def arguments(parser: argparse.ArgumentParser) -> None:
    pace = parser.add_mutually_exclusive_group()
    pace.add_argument(
        "--speed",
        type=_speed,
        default=_SPEED,
        metavar="N",
        help=f"seconds of the call in one of yours (default: {_SPEED:g}; 0: as fast as it goes)",
    )
    pace.add_argument("--real-time", action="store_const", dest="speed", const=1.0, help="as long as a real call takes")
    parser.add_argument(
        "--data-dir", metavar="FOLDER", help="where the call's files are written (CALLCHART_DATA_DIR, .callchart)"
    )


def run(options: argparse.Namespace) -> int:
    from adapters.cli.demo_call import demo_call
    from adapters.settings import read_settings
    from adapters.simulators.virtual_time import run as run_in_time
    from adapters.telemetry.logs import set_up_logging

    chosen = options.data_dir or os.environ.get("CALLCHART_DATA_DIR", "")
    folder = read_settings({"CALLCHART_DATA_DIR": chosen}).data_dir  # no other setting counts: it is our own call
    set_up_logging("WARNING", readable=True)
    return run_in_time(demo_call(folder), speed=options.speed or math.inf)


def _speed(text: str) -> float:
    try:
        speed = float(text)
    except ValueError:
        speed = -1.0
    if not 0 <= speed < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a speed; use a number such as 1 or 10")
    return speed
