"""The composition root: the only place that knows everything."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from secrets import token_hex
from socket import gethostname
from traceback import extract_tb

from adapters.bus.contract import Bus
from adapters.bus.local import LocalBus
from adapters.bus.questions import Questions
from adapters.calls.activity import Activity
from adapters.carriers.twilio import config as twilio_config
from adapters.carriers.twilio.calls import TwilioCalls
from adapters.carriers.twilio.endpoint import MEDIA_PATHS, media_app
from adapters.carriers.twilio.webhooks import routes as twilio_routes
from adapters.conversation import AGENTS, AgentDesk, OfflineIntents
from adapters.http.app import AsgiApp, build_api, dispatch
from adapters.media.clips import Clips
from adapters.media.line import Recorder
from adapters.ownership.desk import Desk
from adapters.ownership.keeper import Keeper
from adapters.ownership.kept import KeptCalls
from adapters.ownership.reaper import Reaper
from adapters.pipeline.relay import Relay
from adapters.pipeline.results import Results
from adapters.pipeline.runner import LocalRunner
from adapters.pipeline.stages import TranscriptFile
from adapters.settings import Settings
from adapters.stores.chosen import spool_of, store_of
from adapters.stores.contract import SessionStore
from adapters.stores.write_behind import WriteBehind
from adapters.sts.contract import StsClient, StsEvents
from adapters.sts.openai.client import OpenAiClient
from adapters.sts.openai.config import OpenAiConfig
from adapters.sts.openai.prices import estimated_cost
from adapters.switchboard import Choose, Outside, Switchboard
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
_WINDOW = 30.0  # seconds that a lost carrier is waited for where the chart does not say


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """Everything that runs in one process. `asgi` is served on the one port, once `start` has returned.

    Attributes:
        node: this process's name among all nodes; no other has it, also not after a restart.
    """

    settings: Settings
    node: str
    switchboard: Switchboard
    asgi: AsgiApp
    store: SessionStore
    write_behind: WriteBehind
    bus: Bus
    questions: Questions
    keeper: Keeper
    kept: KeptCalls
    desk: Desk
    reaper: Reaper
    activity: Activity
    runner: LocalRunner
    relay: Relay

    async def start(self) -> None:
        """Make ready to take calls. The store may be away; what is wrong with it for good is said now.

        Raises:
            SettingError: the store must not be used as it is set up.
        """
        await self.store.start()
        await self.write_behind.start()
        await self.bus.start()
        await self.keeper.start()
        await self.reaper.start()
        await self.relay.start()

    async def drain(self) -> None:
        """Refuse new calls, let those that live finish within the grace, end the rest properly."""
        await self.switchboard.manager.drain(self.settings.drain_grace)

    async def aclose(self) -> None:
        """Write what is left, and let go of store and bus; no task is left. May be called without `start`."""
        await self.reaper.aclose()
        await self.keeper.aclose()
        await self.desk.aclose()
        self.activity.aclose()
        await self.relay.aclose()
        await self.write_behind.aclose()
        await self.bus.aclose()
        await self.store.aclose()

    def store_is_away(self) -> bool:
        """Whether the store does not answer: calls are taken all the same, and none is taken over."""
        return self.keeper.store_away or self.write_behind.away


def build(
    settings: Settings,
    *,
    clock: Clock | None = None,
    registry: Registry | None = None,
    observers: tuple[Observer, ...] = (),
    make_recorder: Callable[[str], Recorder | None] = lambda call_id: None,
    store: SessionStore | None = None,
    bus: Bus | None = None,
) -> Application:
    """Return the application, not started; needs a running event loop.

    Args:
        store, bus: instead of those that the settings choose.

    Raises:
        SettingError: something is missing; the message says which setting.
        ChartError: a chart or the bots file is wrong.
    """
    warn_without_key(settings)
    known = registry or load_registry(settings.handlers)
    clock = clock or LoopClock()
    bots = load_bots(settings.bots or None, known, delays=settings.delays, agents=AGENTS)
    choose = machines(bots, known)

    # -- who keeps calls -------------------------------------------------------------------------
    bus = bus or bus_of(settings, f"{gethostname()}-{os.getpid()}-{token_hex(4)}")
    store = store or store_of(settings, clock)
    activity = Activity(clock=clock, timeout=settings.call_session_timeout)
    keeper = Keeper(store, node=bus.node, lease=settings.lease, max_active=settings.max_sessions)
    write_behind = WriteBehind(
        store,
        node=bus.node,
        clock=clock,
        spool=spool_of(settings, clock),
        facts=activity.facts,
        on_fenced=keeper.fenced,
    )
    keeper.writer = write_behind
    calls_folder = settings.data_dir / "calls"
    runner = LocalRunner(store, (TranscriptFile(calls_folder),), Results(calls_folder), clock=clock)
    relay = Relay(store, runner, write_behind)

    # -- what calls do ---------------------------------------------------------------------------
    switchboard = Switchboard(
        clock=clock,
        choose=choose,
        outside=Outside(
            make_client=model_clients(settings, clock),
            clips=Clips(),
            intents=OfflineIntents(),
            agents=AgentDesk(AGENTS),
            transcripts=relay,
            fronts=_NoFronts(),
            make_recorder=make_recorder,
            cost=estimated_cost,
        ),
        observers=(activity, write_behind, keeper, relay, CallLog(), *observers),
        journal=write_behind,
        max_calls=settings.max_calls,
    )

    # -- whose calls they are --------------------------------------------------------------------
    kept = KeptCalls(
        store,
        choose=choose,
        registry=known,
        clock=clock,
        max_age=settings.resume_max_age,
        resume_window=lambda bot, called: bots.find(bot=bot, called=called).chart.delays.get("resume_window", _WINDOW),
    )
    desk = Desk(
        board=switchboard,
        store=store,
        keeper=keeper,
        kept=kept,
        bus=bus,
        registry=known,
        on_reopen=activity.restore,
    )
    reaper = Reaper(
        store=store,
        keeper=keeper,
        clock=clock,
        recover=desk.recover,
        window=kept.resume_window,
        every=settings.lease / 3,
        cleanup_interval=settings.cleanup_interval,
    )
    questions = Questions()
    questions.serve("fenced", keeper.answer_fenced)
    questions.serve("post", desk.answer_post)
    bus.serve(questions)

    # -- who brings them, and who asks for them --------------------------------------------------
    twilio = twilio_config.TwilioConfig(
        auth_token=settings.twilio_auth_token, token_secret=settings.token_secret, public_url=settings.public_url
    )
    seen = TwilioCalls(twilio)
    switchboard.on_over = seen.forget
    media = media_app(twilio, desk, seen)
    api = build_api(switchboard.manager, twilio_routes(twilio, desk, seen))
    asgi = dispatch(api, dict.fromkeys(MEDIA_PATHS, media))
    return Application(
        settings=settings,
        node=bus.node,
        switchboard=switchboard,
        asgi=asgi,
        store=store,
        write_behind=write_behind,
        bus=bus,
        questions=questions,
        keeper=keeper,
        kept=kept,
        desk=desk,
        reaper=reaper,
        activity=activity,
        runner=runner,
        relay=relay,
    )


def warn_without_key(settings: Settings) -> None:
    """Say so where every caller would hear an apology; the rest of the process has its use without a model."""
    if not settings.openai_api_key and settings.openai_url.startswith(_OPENAI):
        hint = "callers will hear an apology; set OPENAI_API_KEY, or try a call without any key: callchart demo"
        log.warning("openai_api_key_missing", extra={"hint": hint})


def machines(bots: Bots, registry: Registry) -> Choose:
    """Return what finds the machine and the settings of a bot; each chart is compiled once, now."""
    compiled = {bot.name: (compile_chart(bot.chart, registry), bot.settings) for bot in bots.by_name.values()}

    def choose(called: str, bot: str = "") -> tuple[Machine, BotSettings]:
        return compiled[bots.find(called=called, bot=bot).name]

    return choose


def bus_of(settings: Settings, node: str) -> Bus:
    """Return how this node talks to others: over Redis, or not at all."""
    if settings.store != "redis":
        return LocalBus(node)
    from adapters.bus.redis import redis_bus

    return redis_bus(settings, node)


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
