"""Every `async def` test runs in virtual time and must leave no task behind; `@pytest.mark.real_time` opts out of
the first."""

from __future__ import annotations

import asyncio
import gc
import inspect
from typing import Any

import pytest

from adapters.simulators.virtual_time import VirtualLoop


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "real_time: run this async test on the ordinary event loop")
    config.addinivalue_line("markers", "leaves_tasks: the test is about tasks that cannot be ended")


def pytest_collection_finish() -> None:
    """Have full garbage collections pass over modules and tests, which are there for good."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(inspect.unwrap(pyfuncitem.obj)):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    factory = None if pyfuncitem.get_closest_marker("real_time") else VirtualLoop
    lenient = pyfuncitem.get_closest_marker("leaves_tasks") is not None
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_strictly(pyfuncitem.obj, arguments, lenient))
    return True


async def _strictly(test: Any, arguments: dict[str, Any], lenient: bool) -> None:
    await test(**arguments)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if left and not lenient:
        pytest.fail(
            f"the test left {len(left)} task(s) running: {sorted(t.get_name() + ' ' + str(t.get_coro()) for t in left)}"
        )
