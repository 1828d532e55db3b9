"""Live events over WebSocket: of one call until it is over, or of all calls."""

from __future__ import annotations

from contextlib import aclosing

from adapters.calls.contract import UnknownCall
from adapters.live.hub import Lagged
from adapters.live.messages import Bind, Configure, Ping, SessionUpdate
from adapters.live.watching import Watcher
from adapters.live.wire import BadMessage, Close, Gone, Wire, together
from fsm.errors import CallchartError

__all__ = ["AGAIN", "OVER", "UNKNOWN", "watch"]

OVER = 1000
"""Close code: the call is over, and all was told (RFC 6455 section 7.4.1: normal closure)."""
AGAIN = 1013
"""Close code: connect again, after the last id (IANA registry of close codes: try again later)."""
UNKNOWN = 4404
"""Close code: there is no such call."""


async def watch(wire: Wire, watcher: Watcher) -> None:
    """Tell what `watcher` tells, and answer pings, until one side has enough; then close."""
    try:
        await together(_tell(wire, watcher), wire.serve(lambda said: _take(wire, said)))
    except Gone:
        return
    except Close as close:
        await wire.close(close.code, str(close))
    except UnknownCall as unknown:
        await wire.close(UNKNOWN, str(unknown))
    except CallchartError as error:
        await wire.close(AGAIN, str(error) if isinstance(error, Lagged) else "connect again, after the last id")
    finally:
        watcher.close()


async def _tell(wire: Wire, watcher: Watcher) -> None:
    if await watcher.start():
        async with aclosing(watcher.messages()) as messages:
            async for told in messages:
                await wire.send(told.text)
    raise Close(OVER, "the call is over")


async def _take(wire: Wire, said: Configure | SessionUpdate | Bind | Ping) -> None:
    if not isinstance(said, Ping):
        raise BadMessage("read_only", f"{said.type} is for /logs; here only a ping is answered")
    await wire.beat()
