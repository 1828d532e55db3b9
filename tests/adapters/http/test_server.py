"""A signal: the process takes no new call, lets those that live finish, says good-bye to the rest, and exits 0."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest

from adapters.http.server import DrainingServer, bind
from adapters.simulators.realtime import RealtimePeer, Script
from adapters.simulators.realtime.script import Rule
from adapters.simulators.twilio import TwilioCaller
from adapters.simulators.webhook import post_form
from fsm.errors import SettingError

_SCRIPT = Script(default_reply="Good-bye.", rules=[Rule(purpose="greeting", answer="Welcome to the Corner Shop.")])


@dataclass
class Served:
    """`callchart serve` as a process."""

    process: asyncio.subprocess.Process
    url: str

    async def over(self) -> tuple[int, list[dict[str, object]]]:
        """Return the exit code and the log, once the process is gone."""
        _, log = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, [orjson.loads(line) for line in log.splitlines()]


@asynccontextmanager
async def served(folder: Path, model: str, **environ: str) -> AsyncIterator[Served]:
    known = {"PATH": os.environ["PATH"], "OPENAI_API_KEY": "k", "OPENAI_REALTIME_URL": model}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "adapters", "serve", "--port", "0",
        env={**known, "CALLCHART_DATA_DIR": str(folder), **environ},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        url = (await process.stdout.readline()).decode().removeprefix("listening on ").strip()
        yield Served(process, url)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.real_time
async def test_signal_ends_a_call_with_a_good_bye_and_the_process_with_0(tmp_path: Path) -> None:
    async with RealtimePeer(_SCRIPT) as peer, served(tmp_path, peer.url, DRAIN_GRACE="1s") as it:
        async with TwilioCaller(it.url) as caller:
            await caller.heard_more(500)
            await caller.heard_silence()
            heard = caller.heard_ms
            it.process.send_signal(signal.SIGTERM)
            refused = await _voice_until_busy(it.url)
            outcome = await caller.over()
        code, log = await it.over()

    assert "<Reject" in refused
    assert outcome == "ended"
    assert caller.heard_ms > heard + 200
    assert code == 0
    (settled,) = [line for line in log if line["event"] == "call_settled" and line["call_id"] == caller.call_sid]
    assert settled["reason"] == "shutdown"
    assert peer.open_sockets == 0


async def _voice_until_busy(url: str) -> str:
    """Announce calls until one is told that we are busy: the signal takes a moment to arrive."""
    for number in range(1000):
        form = {"CallSid": f"CA{number}", "From": "+15550100", "To": "+15550101"}
        answer = (await post_form(f"{url}/twilio/voice", form, {})).body
        if "<Reject" in answer:
            return answer
        await post_form(f"{url}/twilio/status", {"CallSid": f"CA{number}", "CallStatus": "completed"}, {})
    return ""


@pytest.mark.real_time
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
async def test_process_without_calls_ends_at_once(number: signal.Signals, tmp_path: Path) -> None:
    async with served(tmp_path, "ws://127.0.0.1:9") as it:
        it.process.send_signal(number)
        code, log = await it.over()

    assert code == 0
    assert [line["event"] for line in log] == ["draining"]


@pytest.mark.real_time
async def test_second_signal_does_not_wait_for_calls(tmp_path: Path) -> None:
    """Waiting out the grace would take three times the test's own time-out."""
    async with RealtimePeer(_SCRIPT) as peer, served(tmp_path, peer.url, DRAIN_GRACE="60s") as it:
        caller = TwilioCaller(it.url, broken_stream="end")
        await caller.dial()
        await caller.heard_more(200)
        it.process.send_signal(signal.SIGTERM)
        await _voice_until_busy(it.url)
        it.process.send_signal(signal.SIGTERM)
        await it.over()
        await caller.over()


# -- listening ----------------------------------------------------------------------------------------


def test_port_in_use_is_said_with_the_setting_to_change() -> None:
    with bind("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingError, match=rf"cannot listen on 127.0.0.1:{port}: .*CALLCHART_PORT"):
            bind("127.0.0.1", port)


def test_address_of_another_machine_is_said() -> None:
    with pytest.raises(SettingError, match=r"cannot listen on 192.0.2.1:0: .*CALLCHART_HOST"):
        bind("192.0.2.1", 0)


async def test_address_of_version_6_is_announced_in_brackets() -> None:
    said: list[str] = []

    async def drain() -> None:
        return None

    async def app(scope: object, receive: object, send: object) -> None:
        return None

    try:
        listener = bind("::1", 0)
    except SettingError:  # this machine has no IPv6
        pytest.skip("no IPv6 here")
    server = DrainingServer(app, drain=drain, listening=said.append)
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    port = listener.getsockname()[1]
    await server.startup([listener])
    await server.shutdown([listener])

    assert said == [f"http://[::1]:{port}"]
    assert listener.family == socket.AF_INET6


async def test_signal_before_anything_is_served_stops_at_once() -> None:
    async def drain() -> None:
        raise AssertionError("nothing to drain")

    async def app(scope: object, receive: object, send: object) -> None:
        return None

    server = DrainingServer(app, drain=drain, listening=lambda url: None)
    server.handle_exit(signal.SIGTERM, None)

    assert (server.should_exit, server.force_exit) == (True, True)


async def test_drain_that_fails_does_not_keep_the_process(caplog: pytest.LogCaptureFixture) -> None:
    async def drain() -> None:
        raise KeyError("a mistake of ours")

    async def app(scope: object, receive: object, send: object) -> None:
        return None

    listening = asyncio.Event()
    server = DrainingServer(app, drain=drain, listening=lambda url: listening.set())
    with bind("127.0.0.1", 0) as listener:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        await listening.wait()
        server.handle_exit(signal.SIGTERM, None)
        await serving

    assert (server.should_exit, server.force_exit) == (True, False)
    assert "drain_failed" in [line.message for line in caplog.records]
