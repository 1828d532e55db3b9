"""`callchart serve`: how it starts, why it does not, and how it ends."""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from adapters.http.server import DrainingServer
from tests.adapters.cli.conftest import Command

KEY = "sk-none"


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_listens_and_ends_on_a_signal(tmp_path: Path, end: signal.Signals) -> None:
    environ = {
        **os.environ,
        "OPENAI_API_KEY": KEY,
        "OPENAI_REALTIME_URL": "ws://127.0.0.1:9/v1/realtime",  # nobody listens there
        "CALLCHART_DATA_DIR": str(tmp_path / "data"),
    }
    command = [sys.executable, "-m", "adapters", "serve", "--port", "0"]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said, _, url = process.stdout.readline().strip().rpartition(" ")
            assert said == "listening on"
            assert url.startswith("http://127.0.0.1:")
            assert fetched(f"{url}/livez") == {"status": "ok"}
            assert fetched(f"{url}/api/health")["sessions"] == {"active_count": 0, "uuids": []}
            process.send_signal(end)
            _, told = process.communicate(timeout=10)
        finally:
            process.kill()
    assert process.returncode == 0, told
    assert KEY not in told


def fetched(url: str) -> dict[str, object]:
    with urllib.request.urlopen(url, timeout=5) as answer:
        body: dict[str, object] = json.load(answer)
        return body


def test_a_port_that_is_taken_is_told(callchart: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = callchart("serve", "--port", str(port))
    assert ran.code == 2
    assert f"cannot listen on 127.0.0.1:{port}" in ran.err


def test_an_address_that_is_not_ours_is_told(callchart: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    ran = callchart("serve", "--host", "192.0.2.1", "--port", "0")  # RFC 5737: of documentation
    assert ran.code == 2
    assert "CALLCHART_HOST" in ran.err


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CALLCHART_PORT", "http"),
        ("MAX_CALLS", "0"),
        ("LOG_LEVEL", "chatty"),
        ("DRAIN_GRACE", "soon"),
        ("OPENAI_REALTIME_URL", "https://example.net"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(
    callchart: Command, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv(name, value)
    ran = callchart("serve")
    assert ran.code == 2
    assert ran.err.startswith(f"callchart: {name}: ")


def test_the_option_is_named_by_its_setting(callchart: Command) -> None:
    ran = callchart("serve", "--port", "70000")
    assert ran.code == 2
    assert ran.err.startswith("callchart: CALLCHART_PORT: '70000' is not a port")


def test_a_bots_file_that_is_wrong_keeps_it_from_starting(
    callchart: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bots = tmp_path / "bots.yaml"
    bots.write_text("shop: {chart: nowhere}\n", encoding="utf-8")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("CALLCHART_BOTS", str(bots))
    ran = callchart("serve", "--port", "0")
    assert ran.code == 1
    assert ran.err.startswith(f"{bots}:1:")


def test_what_is_there_when_it_starts_is_not_looked_through_again_while_calls_speak(
    callchart: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    left_alone = []

    async def served(server: DrainingServer, sockets: list[socket.socket]) -> None:
        left_alone.append(gc.get_freeze_count())

    monkeypatch.setattr(DrainingServer, "serve", served)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("CALLCHART_DATA_DIR", str(tmp_path / "data"))
    try:
        assert callchart("serve", "--port", "0").code == 0
    finally:
        gc.unfreeze()
    assert left_alone
    assert left_alone[0] > 10_000
