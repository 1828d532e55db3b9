"""Whatever is sent to a live socket, it answers or closes: no failure, no hang, and nothing is left."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from adapters.live.messages import SERVER
from adapters.simulators.virtual_time import VirtualLoop
from tests.adapters.live.world import World, a_world
from tests.fakes import elapse

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
_NAMES = st.sampled_from(
    ["type", "call_id", "data", "session", "instructions", "voice", "language", "metadata", "called", "token"]
)
_TYPES = st.sampled_from(["configure", "session.update", "bind", "ping", "snapshot", "", "configure\u0000"])
_ALMOST = st.builds(
    lambda kind, more: {"type": kind, **more}, _TYPES, st.dictionaries(_NAMES, _JSON | st.dictionaries(_NAMES, _JSON))
)
_MESSAGES = st.lists(
    st.text().map(lambda text: text.encode("utf-8", "replace").decode())
    | st.binary()
    | _JSON.map(json.dumps)
    | _ALMOST.map(json.dumps)
    | st.just('{"type":' * 2000)
    | st.just("[" * 50_000),
    max_size=12,
)
_PATHS = st.sampled_from(
    ["/logs", "/logs?called=%2B15550100", "/logs?call_id=CA1", "/logs?call_id=%00", "/logs?token=%E2%82%AC",
     "/api/v1/calls/live", "/api/v1/calls/CA1/live", "/api/v1/calls/%F0%9F%93%9E/live?after=%00", "/logs?after=1.1"]
)  # fmt: skip


@given(path=_PATHS, messages=_MESSAGES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_sent_is_answered_or_the_socket_is_closed(
    path: str, messages: list[str | bytes], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    caplog.set_level(logging.ERROR)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(_converse(path, messages))

    assert caplog.records == []


async def _converse(path: str, messages: list[str | bytes]) -> None:
    async with a_world() as world:
        world.answer()
        await elapse(0.1)
        statuses = []
        try:
            async with world.socket(path) as socket:
                codes = await _send_all(socket, messages)
        except InvalidStatus as refused:
            statuses, codes = [refused.response.status_code], []
        assert statuses in ([], [400], [404]), statuses
        assert set(codes) <= {1000, 1008, 1013, 4404}, codes
        await elapse(1)
        assert world.live.hub.watched == 0
        await _still_serves(world)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, left


async def _send_all(socket: ClientConnection, messages: list[str | bytes]) -> list[int]:
    """Send everything, and take what comes until a last ping is answered, or the socket is closed: return its code."""
    try:
        for message in messages:
            await socket.send(message)
        await socket.send('{"type": "ping"}')
        async with asyncio.timeout(10):
            await _until(socket, lambda said: said["type"] == "heartbeat")
    except ConnectionClosed as closed:
        return [closed.rcvd.code if closed.rcvd is not None else 1006]
    return []


async def _until(socket: ClientConnection, wanted: Callable[[dict[str, Any]], bool]) -> None:
    while True:
        said = json.loads(await socket.recv())
        SERVER.validate_python(said)
        if wanted(said):
            return


async def _still_serves(world: World) -> None:
    async with world.socket("/api/v1/calls/live") as socket:
        await _until(socket, lambda said: said["type"] == "snapshot")
