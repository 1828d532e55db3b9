from __future__ import annotations

import asyncio
import signal
import sys

import pytest

from tests.adapters.simulators.rawclient import client_of


@pytest.mark.real_time
async def test_the_peer_runs_as_a_process_until_it_is_interrupted() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "adapters.simulators.realtime", "--port", "0", "--speed", "50",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None

    url = (await process.stdout.readline()).decode().removeprefix("listening on ").strip()
    async with client_of(url) as client:
        await client.send("response.create", response={"metadata": {"purpose": "greeting"}})
        await client.until("response.done")
    process.send_signal(signal.SIGINT)
    code = await process.wait()

    said = client.of("response.output_audio_transcript.done")[0]["transcript"]
    assert said == "Welcome to the Corner Shop. How can I help you?"
    assert (code, await process.stderr.read()) == (0, b"")
