"""Time jumps, sockets stay real."""

import asyncio
import time

import pytest


async def test_two_minutes_of_silence_cost_nothing() -> None:
    loop = asyncio.get_running_loop()
    began, real = loop.time(), time.monotonic()

    await asyncio.sleep(120)

    assert loop.time() - began == pytest.approx(120)
    assert time.monotonic() - real < 5


async def test_bytes_arrive_before_time_jumps() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(4))
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    began = asyncio.get_running_loop().time()

    writer.write(b"ping")
    async with asyncio.timeout(0.01):
        answer = await reader.readexactly(4)

    assert answer == b"ping"
    assert asyncio.get_running_loop().time() - began < 0.01
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()


async def test_work_in_a_thread_is_waited_for() -> None:
    began = asyncio.get_running_loop().time()

    async with asyncio.timeout(1):
        result = await asyncio.to_thread(sum, range(1000))

    assert result == 499500
    assert asyncio.get_running_loop().time() - began < 1
