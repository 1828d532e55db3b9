"""The call of `callchart demo`: the server as it is, a caller and a model that are simulated, real sockets between.

    caller -> Twilio's wire format -> callchart -> OpenAI's wire format -> model

It knows its own settings only: a key, a token or a bots file in the environment must not change it.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from adapters.bootstrap import Application, build
from adapters.call_folder import call_folder
from adapters.diagram.svg import svg
from adapters.http.server import DrainingServer, bind
from adapters.media.recorder import CallRecorder
from adapters.settings import Settings
from adapters.simulators.realtime import RealtimePeer
from adapters.simulators.scenario import Result, Scenario, load_scenario, run_scenario
from adapters.stores.paging import log_pages
from adapters.telemetry.terminal import Terminal, wants_colour
from fsm.bots import load_bots
from fsm.observe import Observer
from fsm.session import Session
from fsm.step import Refusal, Step

__all__ = ["demo_call"]

_BOT = "demo"
_SETTLES_S = 10.0  # of the call: far more than closing takes


class _Watch(Observer):
    """Remembers the call's path, and the call itself."""

    def __init__(self) -> None:
        self.path: list[tuple[str, str, str]] = []
        self.refused: list[str] = []
        self.session: Session | None = None

    def on_commit(self, session: Session, step: Step) -> None:
        self.session = session
        if step.before.state:
            self.path.append((step.before.state, step.trigger.name, step.after.state))

    def on_refusal(self, session: Session, refusal: Refusal) -> None:
        self.refused.append(f"{refusal.trigger.name} in {refusal.at.state}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Over:
    """The call when it is over, and what it still holds."""

    result: Result
    watch: _Watch
    violations: tuple[str, ...]
    held: dict[str, int]


async def demo_call(folder: Path) -> int:
    """Run the bundled scenario, show it on standard output and keep its files below `folder`.

    Returns:
        0, or 1 if the call did not go as described; standard error says how.
    """
    scenario = load_scenario("demo")
    print(f"{scenario.description} {scenario.caller} calls {scenario.called}; caller and model are simulated.\n")
    before = asyncio.all_tasks()
    over = await _carry(scenario, folder)
    over.held["tasks"] = max(len(asyncio.all_tasks() - before), over.held.get("tasks", 0))
    files = _files(folder, over)
    print()
    for name, path in files.items():
        print(f"{name:<11}{path}")
    held = ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in over.held.items())
    print(f"left open  {held} after a call of {over.result.duration_ms / 1000:.1f} s")
    problems = _problems(over) + [f"{path} was not written" for path in files.values() if not path.is_file()]
    for problem in problems:
        print(f"callchart: the demo went wrong: {problem}", file=sys.stderr)
    return 1 if problems else 0


async def _carry(scenario: Scenario, folder: Path) -> _Over:
    watch = _Watch()
    terminal = Terminal(sys.stdout, colour=wants_colour(sys.stdout))
    async with RealtimePeer(scenario.script()) as peer:
        settings = Settings(data_dir=folder, openai_api_key="none-needed", openai_url=peer.url)
        application = build(settings, observers=(watch, terminal), make_recorder=_recorder(folder))
        manager = application.switchboard.manager
        async with _serving(application) as (url, server):
            result = await run_scenario(scenario, url, status_path="/twilio/status")
            await manager.idle(_SETTLES_S)
            await _write_journal(application, result.call_sid, folder)
            held = {
                "sessions": len(manager),
                "slots": manager.slots_taken,
                "sockets": peer.open_sockets + len(server.server_state.connections),
            }
        violations = tuple(map(str, peer.violations))
    leftovers = watch.session.leftovers() if watch.session is not None else {}
    return _Over(result=result, watch=watch, violations=violations, held={**held, **leftovers})


async def _write_journal(application: Application, call_id: str, folder: Path) -> None:
    """Write what the store has of the call's journal, a record a line, beside its other files."""
    own = call_folder(folder / "calls", call_id)
    own.mkdir(parents=True, exist_ok=True)
    await application.write_behind.flushed()
    with (own / "journal.jsonl").open("wb") as file:
        async for page in log_pages(application.store, call_id):
            file.writelines(entry.record + b"\n" for entry in page)


def _recorder(folder: Path) -> Callable[[str], CallRecorder]:
    def recorder(call_id: str) -> CallRecorder:
        own = call_folder(folder / "calls", call_id)
        own.mkdir(parents=True, exist_ok=True)
        return CallRecorder(own / "recording.wav")

    return recorder


@asynccontextmanager
async def _serving(application: Application) -> AsyncIterator[tuple[str, DrainingServer]]:
    """Serve without `serve()`: its signal handlers would drain at Ctrl-C, and a demo is to stop."""
    urls: list[str] = []
    server = DrainingServer(application.asgi, drain=application.drain, listening=urls.append)
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    await application.start()
    listener = bind("127.0.0.1", 0)
    await server.startup(sockets=[listener])
    try:
        yield urls[0], server
    finally:
        await server.shutdown(sockets=[listener])
        await application.aclose()


def _files(folder: Path, over: _Over) -> dict[str, Path]:
    """Draw the call's own diagram, and return where everything about it lies."""
    own = call_folder(folder / "calls", over.result.call_sid)
    diagram = own / "diagram.svg"
    if over.watch.session is not None:
        chart = load_bots().find(bot=_BOT).chart
        diagram.write_text(svg(chart, visited=over.watch.path), encoding="utf-8", newline="\n")
    return {
        "recording": own / "recording.wav",
        "transcript": own / "transcript.json",
        "journal": own / "journal.jsonl",
        "diagram": diagram,
    }


def _problems(over: _Over) -> list[str]:
    """Say how the call went otherwise than described."""
    problems = [*over.result.problems, *over.violations, *(f"unexpected: {refused}" for refused in over.watch.refused)]
    session = over.watch.session
    if session is None:
        return [*problems, "the call never came"]
    if session.context.bot.name != _BOT:
        problems.append(f"the bot {session.context.bot.name!r} answered, not {_BOT!r}")
    if over.result.outcome != "ended" or session.context.end_reason != "goodbye":
        why = session.context.end_reason or session.state
        problems.append(f"the call was to end with a good-bye, and is {over.result.outcome} ({why})")
    problems += [f"{count} {what} left open" for what, count in over.held.items() if count]
    return problems + list(session.faults)
