"""The composition root: the only place that knows everything."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib import import_module
from traceback import extract_tb

from adapters.bus.contract import Bus
from adapters.calls.book import CallBook
from adapters.calls.here import Here
from adapters.calls.wiring import book_of, here_of
from adapters.carriers.twilio import config as twilio_config
from adapters.carriers.twilio.calls import TwilioCalls
from adapters.carriers.twilio.endpoint import MEDIA_PATHS, media_app
from adapters.carriers.twilio.webhooks import routes as twilio_routes
from adapters.conversation import AGENTS, AgentDesk, OfflineIntents
from adapters.http.access import Access
from adapters.http.app import AsgiApp, build_api, dispatch
from adapters.keeping import Keeping, keep
from adapters.live.app import Live
from adapters.media.clips import Clips
from adapters.media.line import Recorder
from adapters.ownership.desk import Desk
from adapters.ownership.wiring import Ownership, own
from adapters.settings import Settings
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """Everything that runs in one process. `asgi` is served on the one port, once `start` has returned."""

    settings: Settings
    switchboard: Switchboard
    asgi: AsgiApp
    keeping: Keeping
    ownership: Ownership
    here: Here
    calls: CallBook
    live: Live

    @property
    def node(self) -> str:
        """This process's name among all nodes; no other has it, also not after a restart."""
        return self.keeping.bus.node

    @property
    def store(self) -> SessionStore:
        return self.keeping.store

    @property
    def write_behind(self) -> WriteBehind:
        return self.keeping.write_behind

    @property
    def desk(self) -> Desk:
        return self.ownership.desk

    async def start(self) -> None:
        """Make ready to take calls. The store may be away; what is wrong with it for good is said now.

        Raises:
            SettingError: the store must not be used as it is set up.
        """
        await self.keeping.start()
        self.live.hello()
        await self.ownership.start()

    async def drain(self) -> None:
        """Refuse new calls, let those that live finish within the grace, end the rest properly."""
        await self.switchboard.manager.drain(self.settings.drain_grace)
        await self.live.aclose()  # a stream that goes on would hold the server up

    async def aclose(self) -> None:
        """Write what is left; no task stays. May be called without `start`, and twice."""
        async with AsyncExitStack() as closing:  # the last first, and each of them, whatever another one raises
            for part in (self.here, self.keeping, self.live, self.ownership):
                closing.push_async_callback(part.aclose)


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
    warn_without_secret(settings)
    known = registry or load_registry(settings.handlers)
    clock = clock or LoopClock()
    bots = load_bots(settings.bots or None, known, delays=settings.delays, agents=AGENTS)
    choose = machines(bots, known)
    keeping = keep(settings, clock, store=store, bus=bus)
    here = here_of(keeping, registry=known, clock=clock)
    live = Live(clock=clock, bus=keeping.bus, journal=keeping.write_behind)
    outside = _outside(settings, clock, keeping, live, make_recorder)
    watching = (here, live.hub, CallLog(), *observers)
    board = _switchboard(settings, clock, keeping, choose=choose, outside=outside, observers=watching)
    ownership = own(settings, keeping, board=board, bots=bots, choose=choose, registry=known, clock=clock)
    clear = live.fronts.clear
    calls = book_of(here, keeping, ownership, board=board, bots=bots, choose=choose, clock=clock, on_reset=clear)
    return Application(
        settings=settings,
        switchboard=board,
        asgi=_asgi(settings, board, ownership.desk, keeping, calls, live),
        keeping=keeping,
        ownership=ownership,
        here=here,
        calls=calls,
        live=live,
    )


def _switchboard(
    settings: Settings,
    clock: Clock,
    keeping: Keeping,
    *,
    choose: Choose,
    outside: Outside,
    observers: tuple[Observer, ...],
) -> Switchboard:
    """Return who admits calls; whoever keeps them hears of a step before `observers` do."""
    keepers = (keeping.activity, keeping.write_behind, keeping.keeper, keeping.relay)
    return Switchboard(
        clock=clock,
        choose=choose,
        outside=outside,
        observers=(*keepers, *observers),
        journal=keeping.write_behind,
        max_calls=settings.max_calls,
    )


def _outside(
    settings: Settings,
    clock: Clock,
    keeping: Keeping,
    live: Live,
    make_recorder: Callable[[str], Recorder | None],
) -> Outside:
    return Outside(
        make_client=model_clients(settings, clock),
        clips=Clips(),
        intents=OfflineIntents(),
        agents=AgentDesk(AGENTS),
        transcripts=keeping.relay,
        fronts=live.hub,
        claim_job=live.fronts.claim,
        make_recorder=make_recorder,
        cost=estimated_cost,
    )


def _asgi(settings: Settings, board: Switchboard, desk: Desk, keeping: Keeping, calls: CallBook, live: Live) -> AsgiApp:
    """Return what is served: carriers' webhooks and media sockets, and the API."""
    twilio = twilio_config.TwilioConfig(
        auth_token=settings.twilio_auth_token, token_secret=settings.token_secret, public_url=settings.public_url
    )
    seen = TwilioCalls(twilio)
    board.on_over = seen.forget
    media = media_app(twilio, desk, seen)
    access = Access(
        token=settings.api_token,
        read_token=settings.api_read_token,
        origins=settings.allowed_origins,
        secret=settings.token_secret or settings.twilio_auth_token,
    )
    api = build_api(
        board.manager,
        [*twilio_routes(twilio, desk, seen), *live.routes(calls, access)],
        calls=calls,
        access=access,
        rate=settings.api_rate,
        store_away=keeping.is_away,
    )
    return dispatch(api, dict.fromkeys(MEDIA_PATHS, media))


def warn_without_key(settings: Settings) -> None:
    """Say so where every caller would hear an apology; the rest of the process has its use without a model."""
    if not settings.openai_api_key and settings.openai_url.startswith(_OPENAI):
        hint = "callers will hear an apology; set OPENAI_API_KEY, or try a call without any key: callchart demo"
        log.warning("openai_api_key_missing", extra={"hint": hint})


def warn_without_secret(settings: Settings) -> None:
    """Say so where several nodes may share calls and none of them can tell what another one has proved."""
    if settings.store == "redis" and not (settings.token_secret or settings.twilio_auth_token):
        hint = (
            "a caller whose node is gone is not taken back by another one, nor after a restart; "
            "set CALLCHART_TOKEN_SECRET, the same on every node"
        )
        log.warning("token_secret_missing", extra={"hint": hint})


def machines(bots: Bots, registry: Registry) -> Choose:
    """Return what finds the machine and the settings of a bot; each chart is compiled once, now."""
    compiled = {bot.name: (compile_chart(bot.chart, registry), bot.settings) for bot in bots.by_name.values()}

    def choose(called: str, bot: str = "") -> tuple[Machine, BotSettings]:
        return compiled[bots.find(called=called, bot=bot).name]

    return choose


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
