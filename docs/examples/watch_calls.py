"""Watch calls from a program: one call, or all of them. Connects again by itself, and misses nothing.

    python watch_calls.py ws://127.0.0.1:8080                 all calls
    python watch_calls.py ws://127.0.0.1:8080 CA123           one call, until it is over

If the server has tokens, CALLCHART_API_READ_TOKEN or CALLCHART_API_TOKEN is read from the environment. Needs the
package `websockets`.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

SILENCE = 45.0  # seconds without a message, three heartbeats, after which a connection counts as lost
FIRST, LONGEST = 0.5, 30.0  # seconds before another attempt
OVER, UNKNOWN = 1000, 4404  # close codes after which there is no use in coming back


async def watch(server: str, call_id: str | None = None, *, token: str = "") -> AsyncIterator[dict[str, Any]]:
    """Yield every message, for as long as there are any.

    Raises:
        PermissionError: the server does not let us in; the text is its own.
        LookupError: there is no such call.
    """
    path = f"/api/v1/calls/{quote(call_id, safe='')}/live" if call_id else "/api/v1/calls/live"
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    last_id, wait = "", FIRST
    while True:
        address = f"{server}{path}" + (f"?after={quote(last_id)}" if last_id else "")
        try:
            async with connect(address, additional_headers=headers, max_size=None) as socket:
                while True:
                    async with asyncio.timeout(SILENCE):
                        message = json.loads(await socket.recv())
                    wait = FIRST
                    last_id = message.get("id", last_id)
                    yield message
        except (ConnectionClosed, InvalidHandshake, OSError, TimeoutError) as lost:
            if is_over(lost, call_id):
                return
        await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # jitter: not all come back at once
        wait = min(LONGEST, wait * 2)


def is_over(lost: Exception, call_id: str | None) -> bool:
    """Whether all was told, and there is no use in coming back; raises what `watch` does."""
    if isinstance(lost, InvalidStatus) and lost.response.status_code in (401, 403):
        raise PermissionError(reason(lost.response.body)) from lost
    code = lost.rcvd.code if isinstance(lost, ConnectionClosed) and lost.rcvd else 0
    if code == UNKNOWN:
        raise LookupError(f"there is no call {call_id}") from lost
    return code == OVER and call_id is not None


def reason(body: bytes | bytearray | None) -> str:
    """Return what a problem document (RFC 9457) says; of something else, a proxy's page perhaps, its beginning."""
    try:
        return str(json.loads(body or b"")["detail"])
    except (ValueError, LookupError, TypeError):
        return bytes(body or b"the server does not let us in")[:500].decode(errors="replace")


def told(message: dict[str, Any]) -> str:
    """Return one line about a message."""
    data, call_id = message["data"], message["call_id"] or ""
    match message["type"]:
        case "snapshot" if "calls" in data:
            return f"{len(data['calls'])} calls"
        case "snapshot":
            return f"{call_id}  {data['call']['status']}, {data['call']['state']}"
        case "transition":
            return f"{call_id}  {data['event']}: {data['from']} → {data['to']}"
        case "transcript.updated":
            return f"{call_id}  {data['role']}: {data['text']}"
        case "call.status_changed":
            return f"{call_id}  {data['status']} {data['endReason']}"
        case "heartbeat":
            return ""
        case other:
            return f"{call_id}  {other} {json.dumps(data, ensure_ascii=False)}"


async def main(server: str, call_id: str | None = None) -> None:
    """Print what happens."""
    token = os.environ.get("CALLCHART_API_READ_TOKEN") or os.environ.get("CALLCHART_API_TOKEN", "")
    if server.startswith("http"):
        server = server.replace("http", "ws", 1)
    async for message in watch(server.rstrip("/"), call_id, token=token):
        if line := told(message):
            print(line, flush=True)  # noqa: T201  # a program for a terminal


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    try:
        asyncio.run(main(*sys.argv[1:3]))
    except (PermissionError, LookupError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        pass
