"""The composition root: the only place that knows everything."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from traceback import extract_tb

from adapters.carriers.twilio import config as twilio_config
from adapters.carriers.twilio.calls import TwilioCalls
from adapters.carriers.twilio.endpoint import MEDIA_PATHS, media_app
from adapters.carriers.twilio.webhooks import routes as twilio_routes
from adapters.conversation import AGENTS, AgentDesk, OfflineIntents
from adapters.conversation.transcripts import TranscriptFiles
from adapters.http.app import AsgiApp, build_api, dispatch
from adapters.media.clips import Clips
from adapters.media.line import Recorder
from adapters.settings import Settings
from adapters.sts.contract import StsClient, StsEvents
from adapters.sts.openai.client import OpenAiClient
from adapters.sts.openai.config import OpenAiConfig
from adapters.sts.openai.prices import estimated_cost
from adapters.switchboard import Outside, Switchboard
from adapters.telemetry.journal_files import JournalFiles
from adapters.telemetry.logs import CallLog
from fsm.bots import Bots, load_bots
from fsm.clock import Clock, LoopClock
from fsm.compile import Machine, compile_chart
from fsm.context import BotSettings
from fsm.errors import SettingError
from fsm.observe import Observer
from fsm.registry import Registry

__all__ = ["Application", "build", "load_registry"]

log = logging.getLogger(__name__)
_OPENAI = "wss://api.openai.com/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """Everything that runs in one process. `asgi` is served on the one port."""

    settings: Settings
    switchboard: Switchboard
    asgi: AsgiApp
    journal: JournalFiles | None
    transcripts: TranscriptFiles

    async def drain(self) -> None:
        """Refuse new calls, let those that live finish within the grace, end the rest properly."""
        await self.switchboard.manager.drain(self.settings.drain_grace)

    async def aclose(self) -> None:
        """Write what is left."""
        if self.journal is not None:
            await asyncio.to_thread(self.journal.close)
        await asyncio.to_thread(self.transcripts.close)


def build(
    settings: Settings,
    *,
    clock: Clock | None = None,
    registry: Registry | None = None,
    observers: tuple[Observer, ...] = (),
    make_recorder: Callable[[str], Recorder | None] = lambda call_id: None,
) -> Application:
    """Return the application; needs a running event loop.

    Raises:
        SettingError: something is missing; the message says which setting.
        ChartError: a chart or the bots file is wrong.
    """
    warn_without_key(settings)
    known = registry or load_registry(settings.handlers)
    calls_folder = settings.data_dir / "calls"
    journal = JournalFiles(calls_folder) if settings.journal else None
    transcripts = TranscriptFiles(calls_folder)
    clock = clock or LoopClock()
    switchboard = Switchboard(
        clock=clock,
        choose=machines(load_bots(settings.bots or None, known, delays=settings.delays, agents=AGENTS), known),
        outside=Outside(
            make_client=model_clients(settings, clock),
            clips=Clips(),
            intents=OfflineIntents(),
            agents=AgentDesk(AGENTS),
            transcripts=transcripts,
            fronts=_NoFronts(),
            make_recorder=make_recorder,
            cost=estimated_cost,
        ),
        observers=(transcripts, *((journal,) if journal else ()), CallLog(), *observers),
        journal=journal,
        max_calls=settings.max_calls,
    )
    twilio = twilio_config.TwilioConfig(
        auth_token=settings.twilio_auth_token, token_secret=settings.token_secret, public_url=settings.public_url
    )
    seen = TwilioCalls(twilio)
    switchboard.on_over = seen.forget
    media = media_app(twilio, switchboard, seen)
    api = build_api(switchboard.manager, twilio_routes(twilio, switchboard, seen))
    asgi = dispatch(api, dict.fromkeys(MEDIA_PATHS, media))
    return Application(settings=settings, switchboard=switchboard, asgi=asgi, journal=journal, transcripts=transcripts)


def warn_without_key(settings: Settings) -> None:
    """Say so where every caller would hear an apology; the rest of the process has its use without a model."""
    if not settings.openai_api_key and settings.openai_url.startswith(_OPENAI):
        hint = "callers will hear an apology; set OPENAI_API_KEY, or try a call without any key: callchart demo"
        log.warning("openai_api_key_missing", extra={"hint": hint})


def machines(bots: Bots, registry: Registry) -> Callable[[str], tuple[Machine, BotSettings]]:
    """Return what finds the machine and the settings of a called number; each chart is compiled once, now."""
    compiled = {bot.name: (compile_chart(bot.chart, registry), bot.settings) for bot in bots.by_name.values()}
    return lambda called: compiled[bots.find(called=called).name]


def model_clients(settings: Settings, clock: Clock) -> Callable[[StsEvents], StsClient]:
    """Return what makes a call's client of the model."""
    config = OpenAiConfig(api_key=settings.openai_api_key, url=settings.openai_url, model=settings.openai_model)
    return lambda events: OpenAiClient(config, events, clock=clock)


def load_registry(import_string: str) -> Registry:
    """Return the registry named `module:NAME`, or the bundled one if the name is empty.

    Raises:
        SettingError: it cannot be imported, or is not a registry.
    """
    module, _, name = (import_string or "handlers:REGISTRY").partition(":")
    if not (module and name):
        raise SettingError(
            f"CALLCHART_HANDLERS: {import_string!r} is not of the form module:NAME, such as shop:REGISTRY"
        )
    try:
        found = getattr(import_module(module), name)
    except Exception as error:  # the boundary of the process: a user's module may raise anything
        where, what = _raised_at(error), f"{type(error).__name__}: {error}"
        raise SettingError(f"CALLCHART_HANDLERS: cannot import {import_string!r}: {where}{what}") from error
    if not isinstance(found, Registry):
        raise SettingError(
            f"CALLCHART_HANDLERS: {import_string!r} is a {type(found).__name__}, not a fsm.registry.Registry"
        )
    return found


def _raised_at(error: Exception) -> str:
    """Return `file:line: ` of the line of the imported module that raised `error`; nothing if none did."""
    for frame in extract_tb(error.__traceback__)[1:]:
        if not frame.filename.startswith("<frozen") and "importlib" not in frame.filename:
            return f"{frame.filename}:{frame.lineno}: "
    return ""


class _NoFronts:
    """A `FrontPort` that nobody watches."""

    def notify(self, call_id: str, event: str, data: Mapping[str, object]) -> None:
        """There is no front to tell."""
