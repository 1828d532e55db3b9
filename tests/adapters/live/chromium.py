"""A real Chromium without a screen, and one page in it, over its debugging protocol (Chrome DevTools Protocol)."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

__all__ = ["Page", "a_page", "program"]

_QUIET = (
    "--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars",
    "--remote-debugging-port=0",
)  # fmt: skip
_LISTENING = b"DevTools listening on "


def program() -> str | None:
    """Return the path of a Chromium, or None if there is none."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next((path for name in names if (path := shutil.which(name))), None)


class Page:
    """One tab."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._loaded = asyncio.Event()
        self._session: str | None = None
        self.trouble: list[str] = []
        """What its script has not caught."""

    async def start(self) -> None:
        """Open an empty page."""
        target = await self._ask("Target.createTarget", url="about:blank")
        attached = await self._ask("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        await self._ask("Page.enable")
        await self._ask("Runtime.enable")

    async def load(self, url: str) -> None:
        """Go to a page; return once it is there."""
        self._loaded.clear()
        await self._ask("Page.navigate", url=url)
        await self._loaded.wait()

    async def reload(self) -> None:
        """Load the page again."""
        self._loaded.clear()
        await self._ask("Page.reload")
        await self._loaded.wait()

    async def fill(self, id: str, text: str) -> None:
        """Write into a field."""
        await self.evaluate(f"document.getElementById({json.dumps(id)}).value = {json.dumps(text)}")

    async def press(self, form: str) -> None:
        """Press the button of a form."""
        await self.evaluate(f"document.querySelector({json.dumps(f'#{form} button')}).click()")

    async def until(self, condition: str) -> None:
        """Return once a condition holds; it is asked whenever the page has changed."""
        await self.evaluate(_when(condition))

    async def look_out(self, condition: str) -> None:
        """Begin to wait for a condition: `seen` returns once it has held."""
        await self.evaluate(f"void (window.lookedOut = {_when(condition)})")

    async def seen(self) -> None:
        """Return once the condition of `look_out` has held, though perhaps only for a moment."""
        await self.evaluate("window.lookedOut")

    async def evaluate(self, script: str) -> Any:
        """Return the value of an expression, or of its promise."""
        answer = await self._ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def listen(self) -> None:
        """Take what the browser says, until it is gone."""
        async for text in self._socket:
            said = json.loads(text)
            if (answer := self._answers.pop(said.get("id", 0), None)) is not None:
                answer.set_result(said)
            elif said.get("method") == "Page.loadEventFired":
                self._loaded.set()
            elif said.get("method") == "Runtime.exceptionThrown":
                self.trouble.append(str(said["params"]["exceptionDetails"]))

    async def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._ids)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        session = {} if self._session is None else {"sessionId": self._session}
        await self._socket.send(json.dumps({"id": number, "method": method, "params": parameters, **session}))
        said = await answer
        assert "error" not in said, said["error"]
        result: dict[str, Any] = said["result"]
        return result


def _when(condition: str) -> str:
    return f"""new Promise((done) => {{
      const look = () => {{ if ({condition}) {{ changes.disconnect(); done(true); }} }};
      const changes = new MutationObserver(look);
      changes.observe(document, {{ subtree: true, childList: true, characterData: true, attributes: true }});
      look();
    }})"""


@asynccontextmanager
async def a_page(path: str, folder: Path) -> AsyncGenerator[Page]:
    """Give a page of a browser of its own, whose program is at `path` and whose profile lies in `folder`."""
    unconfined = ("--no-sandbox",) if os.geteuid() == 0 else ()  # its sandbox refuses to run as root
    run = (path, *_QUIET, *unconfined, f"--user-data-dir={folder}", "--window-size=1100,800", "about:blank")
    silent = asyncio.subprocess.DEVNULL
    browser = await asyncio.create_subprocess_exec(*run, stdin=silent, stdout=silent, stderr=asyncio.subprocess.PIPE)
    assert browser.stderr is not None
    draining: asyncio.Task[bytes] | None = None
    try:
        while not (line := await browser.stderr.readline()).startswith(_LISTENING):
            assert line, "the browser has not started"
        draining = asyncio.create_task(browser.stderr.read())
        address = line.removeprefix(_LISTENING).decode().strip()
        async with connect(address, max_size=None, compression=None, proxy=None) as socket:
            page = Page(socket)
            listening = asyncio.create_task(page.listen())
            try:
                await page.start()
                yield page
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)
    finally:
        browser.kill()
        await browser.wait()
        if draining is not None:
            await draining
