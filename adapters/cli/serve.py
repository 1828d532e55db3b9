"""`callchart serve`: answer calls."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
from collections.abc import Callable
from dataclasses import replace

__all__ = ["arguments", "run"]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", help="address to listen on (CALLCHART_HOST, 127.0.0.1)")
    parser.add_argument("--port", help="port to listen on, 0: any free one (CALLCHART_PORT or PORT, 8080)")


def run(options: argparse.Namespace) -> int:
    from adapters.settings import read_settings
    from adapters.telemetry.logs import set_up_logging

    environ = dict(os.environ)
    if options.port is not None:
        environ["CALLCHART_PORT"] = options.port
    settings = read_settings(environ)
    settings = replace(settings, host=options.host or settings.host)
    set_up_logging(settings.log_level)

    async def serve() -> None:
        from adapters.bootstrap import build
        from adapters.http.server import DrainingServer, bind

        application = build(settings)
        listener = bind(settings.host, settings.port)
        try:
            await application.start()
            _keep_for_good()
            server = DrainingServer(application.asgi, drain=application.drain, listening=_announce)
            await server.serve(sockets=[listener])
        finally:
            listener.close()
            await application.aclose()

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(serve())
    return 0


def _keep_for_good() -> None:
    """Have the garbage collector leave alone what is there now: it stays, and to look through it holds up all calls."""
    gc.collect()
    gc.freeze()


def _announce(url: str) -> None:
    print(f"listening on {url}", flush=True)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # no build for this platform
        return None
    return uvloop.new_event_loop
