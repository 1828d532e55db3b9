"""Everything of one process that decides which call is whose."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.keeping import Keeping
from adapters.ownership.desk import Desk
from adapters.ownership.kept import KeptCalls
from adapters.ownership.reaper import Reaper
from adapters.settings import Settings
from adapters.switchboard import Choose, Switchboard
from fsm.bots import Bots
from fsm.clock import Clock
from fsm.registry import Registry

__all__ = ["Ownership", "own"]

_WINDOW = 30.0  # seconds that a lost carrier is waited for where the chart does not say


@dataclass(frozen=True, slots=True, kw_only=True)
class Ownership:
    """Who brings calls, and who sees to those that nobody has."""

    kept: KeptCalls
    desk: Desk
    reaper: Reaper

    async def start(self) -> None:
        """Begin to look for calls that nobody has."""
        await self.reaper.start()

    async def aclose(self) -> None:
        """Stop. May be called without `start`, and twice."""
        await self.reaper.aclose()
        await self.desk.aclose()


def own(
    settings: Settings,
    keeping: Keeping,
    *,
    board: Switchboard,
    bots: Bots,
    choose: Choose,
    registry: Registry,
    clock: Clock,
) -> Ownership:
    """Return who decides which call is whose, not started."""

    def resume_window(bot: str, called: str) -> float:
        return bots.find(bot=bot, called=called).chart.delays.get("resume_window", _WINDOW)

    kept = KeptCalls(
        keeping.store,
        choose=choose,
        registry=registry,
        clock=clock,
        max_age=settings.resume_max_age,
        resume_window=resume_window,
    )
    desk = Desk(
        board=board,
        store=keeping.store,
        keeper=keeping.keeper,
        kept=kept,
        bus=keeping.bus,
        registry=registry,
        on_reopen=keeping.activity.restore,
    )
    keeping.questions.serve("post", desk.answer_post)
    return Ownership(kept=kept, desk=desk, reaper=_reaper(settings, keeping, kept, desk, clock))


def _reaper(settings: Settings, keeping: Keeping, kept: KeptCalls, desk: Desk, clock: Clock) -> Reaper:
    return Reaper(
        store=keeping.store,
        keeper=keeping.keeper,
        clock=clock,
        recover=desk.recover,
        window=kept.resume_window,
        every=settings.lease / 3,
        cleanup_interval=settings.cleanup_interval,
    )
