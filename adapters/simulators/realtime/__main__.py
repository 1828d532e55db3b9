"""`python -m adapters.simulators.realtime`: a Realtime server for trying things out, until it is interrupted.

Then: `OPENAI_REALTIME_URL=ws://127.0.0.1:9000/v1/realtime OPENAI_API_KEY=x callchart serve`.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import suppress

from adapters.simulators.realtime import RealtimePeer
from adapters.simulators.scenario import load_scenario

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> None:
    """Serve the model's part of a scenario to every connection anew."""
    parser = argparse.ArgumentParser(prog="python -m adapters.simulators.realtime", description=main.__doc__)
    parser.add_argument("scenario", nargs="?", default="demo", help="a YAML file, or a bundled scenario (demo)")
    parser.add_argument("--port", type=int, default=9000, help="0: any free one")
    parser.add_argument("--speed", type=float, default=1.0, help="how much faster than real time it speaks")
    options = parser.parse_args(arguments)
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(options.scenario, options.port, options.speed))


async def _serve(scenario: str, port: int, speed: float) -> None:
    script = load_scenario(scenario).script()
    async with RealtimePeer(script, port=port, speed=speed, one_call=False) as peer:
        sys.stdout.write(f"listening on {peer.url}\n")
        sys.stdout.flush()
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    main()
