"""Time jumps, sockets stay real."""

import asyncio
import threading

import pytest

from adapters.simulators.virtual_time import run


async def test_two_minutes_of_silence_cost_nothing() -> None:
    """They would take six times the test's own time-out."""
    loop = asyncio.get_running_loop()
    began = loop.time()

    await asyncio.sleep(120)

    assert loop.time() - began == pytest.approx(120)


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


@pytest.mark.parametrize("speed", [10.0, 1e9])
def test_time_that_is_not_to_jump_passes_as_exactly(speed: float) -> None:
    async def a_second() -> float:
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(1)
        return asyncio.get_running_loop().time() - began

    assert run(a_second(), speed=speed) == pytest.approx(1)


def test_what_arrives_meanwhile_ends_the_wait_and_the_time_until_then_has_passed() -> None:
    async def woken() -> float:
        loop = asyncio.get_running_loop()
        came = asyncio.Event()
        bell = threading.Timer(0.05, loop.call_soon_threadsafe, [came.set])
        began = loop.time()
        bell.start()
        async with asyncio.timeout(3600):
            await came.wait()
        return loop.time() - began

    assert 0.5 <= run(woken(), speed=20.0) < 100  # 0.05 s of ours, twenty times as fast
