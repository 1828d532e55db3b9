"""The page that is shipped, in a real browser: another origin, a ticket, a real socket."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import FileResponse
from starlette.routing import Route

from adapters.http.access import Access
from tests.adapters.live.chromium import Page, a_page, program
from tests.adapters.live.world import NUMBER, World, a_world
from tests.fakes import elapse
from tests.serve import serve

_PAGE = Path(__file__).parents[3] / "docs" / "examples" / "logs.html"
_CHROMIUM = program()
_CONNECTED = 'document.getElementById("link").textContent === "connected"'
_TOKEN = "token-of-the-desk"

pytestmark = [
    pytest.mark.real_time,
    pytest.mark.timeout(60),  # a browser starts
    pytest.mark.skipif(
        _CHROMIUM is None, reason="there is no Chromium to show the page (Debian: apt install chromium)"
    ),
]


@asynccontextmanager
async def a_desk(folder: Path, *, allowed: bool = True) -> AsyncGenerator[tuple[World, Page]]:
    """Give a node, and a browser with the page; the page comes from another origin, which the node has allowed."""
    assert _CHROMIUM is not None
    page_host = Starlette(routes=[Route("/", lambda request: FileResponse(_PAGE))])
    async with serve(page_host) as host:
        access = Access(token=_TOKEN, origins=[f"http://{host}"] if allowed else [])
        async with a_world(access=access) as world, a_page(_CHROMIUM, folder) as page:
            await page.load(f"http://{host}/")
            yield world, page
        assert page.trouble == []


async def watch(page: Page, world: World, *, token: str = _TOKEN) -> None:
    await page.fill("server", f"http://{world.url}")
    await page.fill("token", token)
    await page.fill("wanted", NUMBER)
    await page.press("which")


async def shown(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = await page.evaluate("""({
      status: document.getElementById("status").textContent,
      state: document.getElementById("state").textContent,
      path: [...document.querySelectorAll("#path li")].map((item) => item.textContent),
      said: [...document.querySelectorAll("#transcript li")].map((item) => [item.dataset.role, item.textContent]),
    })""")
    return found


def has(text: str) -> str:
    return f"document.body.innerText.includes({text!r})"


async def test_a_page_leaves_a_configuration_and_shows_its_call_and_the_same_when_it_is_loaded_again(
    tmp_path: Path,
) -> None:
    async with a_desk(tmp_path) as (world, page):
        await watch(page, world)
        await page.until(has("waiting for a call"))
        await page.fill("instructions", "Be brief.")
        await page.press("job")
        await page.until(has("waits for the call, for 10 minutes"))
        session = world.answer()
        await page.until(has("call CA1: greeting"))
        world.say("<b>Hello?</b>")
        await page.until(has("<b>Hello?</b>"))
        before = await shown(page)
        await page.reload()
        await page.until(_CONNECTED)
        after = await shown(page)
        world.say("Still there?")
        await page.until(has("Still there?"))

    assert session.context.instructions == "Be brief."
    assert (before["status"], before["said"][0]) == ("active", ["caller", "<b>Hello?</b>"])
    assert before["path"][-1] == "greeting"
    assert after == before


@pytest.mark.parametrize("loads_again", [False, True])
async def test_a_page_follows_its_number_from_one_call_to_the_next(loads_again: bool, tmp_path: Path) -> None:
    async with a_desk(tmp_path) as (world, page):
        await watch(page, world)
        await page.until(has("waiting for a call"))
        world.answer()
        world.say("first")
        await page.until(has("first"))
        if loads_again:
            await page.reload()
            await page.until(_CONNECTED)
            await page.look_out(f"!({_CONNECTED})")  # it comes back as one that waits for the number
        world.hang_up()
        await page.until(has("ended: caller_hung_up"))
        if loads_again:
            await page.seen()
            await page.until(_CONNECTED)
        world.answer("CA2")
        await page.until(has("call CA2: greeting"))
        second = await shown(page)

    assert second["said"] == []
    assert second["status"] == "active"


async def test_a_page_that_opens_late_shows_the_call_from_its_beginning(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as (world, page):
        world.answer()
        world.say("early")
        await elapse(0.1)
        await page.fill("server", f"http://{world.url}")
        await page.fill("token", _TOKEN)
        await page.fill("wanted", "CA1")
        await page.press("which")
        await page.until(has("early"))
        late = await shown(page)

    assert late["path"][:2] == ["created", "greeting"]


async def test_a_page_says_why_it_is_not_let_in(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as (world, page):
        await watch(page, world, token="wrong")
        await page.until(has("this token is none of ours"))
        await watch(page, world)
        await page.until(has("waiting for a call"))
        assert not await page.evaluate(has("none of ours"))


@pytest.mark.parametrize("token", ["", _TOKEN])
async def test_a_page_of_an_origin_that_is_not_allowed_says_what_to_set(token: str, tmp_path: Path) -> None:
    async with a_desk(tmp_path, allowed=False) as (world, page):
        world.answer()
        await watch(page, world, token=token)
        await page.until(has("CALLCHART_ALLOWED_ORIGINS"))

        assert (await shown(page))["said"] == []
        assert world.live.fronts.waiting == 0
