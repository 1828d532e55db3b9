"""`callchart serve` as a process of its own, whose log lines are what a test waits for."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from adapters.simulators.waiting import Watch

__all__ = ["Line", "Node"]

Line = Mapping[str, Any]
_ROOT = Path(__file__).parents[2]
_KEPT = ("PATH", "HOME", "LANG", "PYTHONPATH", "VIRTUAL_ENV", "TMPDIR")
_DULL = ("level", "logger")
_LAST = 60
_STARTS_S = 15.0
_ENDS_S = 10.0


class Node:
    """One server process.

    Attributes:
        name: what the test calls it.
        address: host and port it listens on.
        folder: where its files are.
        lines: what it logged, parsed.
    """

    def __init__(self, name: str, folder: Path, settings: Mapping[str, str]) -> None:
        self.name = name
        self.folder = folder
        self.address = ("", 0)
        self.lines: list[Line] = []
        self._settings = {**settings, "CALLCHART_DATA_DIR": str(folder), "CALLCHART_PORT": "0", "LOG_LEVEL": "INFO"}
        self._watch = Watch()
        self._process: Process | None = None
        self._reading: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"http://{self.address[0]}:{self.address[1]}"

    async def start(self) -> None:
        """Start the process, and return once it listens."""
        environ = {name: os.environ[name] for name in _KEPT if name in os.environ} | self._settings
        command = (sys.executable, "-m", "adapters", "serve")
        self._process = await asyncio.create_subprocess_exec(*command, cwd=_ROOT, env=environ, stdout=PIPE, stderr=PIPE)
        assert self._process.stdout is not None
        self._reading = asyncio.create_task(self._read(), name=f"log of {self.name}")
        try:
            async with asyncio.timeout(_STARTS_S):
                said = (await self._process.stdout.readline()).decode()
        except TimeoutError:
            said = "nothing"
        url = said.strip().rpartition("listening on http://")[2]
        if not said.startswith("listening on"):
            await self.kill()
            raise AssertionError(f"{self.name} does not listen; it said {said!r} and logged {self.lines[-5:]}")
        host, _, port = url.rpartition(":")
        self.address = (host, int(port))

    # -- what becomes of it ----------------------------------------------------------------------

    async def kill(self) -> None:
        """End it as a power failure does; no harm if it has ended."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> int:
        """Have it drain, and return its exit code; it is killed if it does not end."""
        self._send(signal.SIGCONT)
        return await self._end(signal.SIGTERM)

    def pause(self) -> None:
        """Let it stand still: its sockets stay open."""
        self._send(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it run again."""
        self._send(signal.SIGCONT)

    # -- what it logged --------------------------------------------------------------------------

    def said(self, event: str, **fields: Any) -> list[Line]:
        """Return the lines of this event with these fields."""
        return [line for line in self.lines if _fits(line, event, fields)]

    async def until(self, event: str, *, times: int = 1, within: float = 15.0, **fields: Any) -> Line:
        """Return the line of this event with these fields, the `times`-th, once it is there. Raises TimeoutError."""
        await self.wait_for(lambda: len(self.said(event, **fields)) >= times, within=within)
        return self.said(event, **fields)[times - 1]

    async def wait_for(self, happened: Callable[[], bool], *, within: float = 15.0) -> None:
        """Return once `happened()`, looked at after every line. Raises TimeoutError."""
        if happened():
            return
        async with asyncio.timeout(within):
            with self._watch.expecting(happened) as expected:
                await expected

    def story(self) -> str:
        """Return the last lines as text, for whoever has to find out why a test failed."""
        plain = [{name: value for name, value in line.items() if name not in _DULL} for line in self.lines[-_LAST:]]
        return "\n".join(str(line) for line in plain)

    # -- inside ----------------------------------------------------------------------------------

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, number)  # asyncio's own would reap what its watcher waits for

    async def _end(self, number: signal.Signals) -> int:
        process, reading = self._process, self._reading
        if process is None or reading is None:
            return 0
        self._send(number)
        try:
            async with asyncio.timeout(_ENDS_S):
                await process.wait()
        except TimeoutError:
            self._send(signal.SIGKILL)
            await process.wait()
        await reading
        return process.returncode or 0

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        async for text in self._process.stderr:
            try:
                self.lines.append(json.loads(text))
            except ValueError:
                self.lines.append({"event": "not JSON", "level": "error", "text": text.decode(errors="replace")})
            self._watch.changed()


def _fits(line: Line, event: str, fields: Mapping[str, Any]) -> bool:
    return line.get("event") == event and all(line.get(name) == value for name, value in fields.items())
