"""Who watches calls: one structure, many renderings (log line, journal, metric, trace, live stream).

An observer that raises is logged and ignored; one that blocks delays every call, so it only enqueues.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from fsm.compile import Bound
    from fsm.session import Session
    from fsm.step import Refusal, Step
    from fsm.triggers import Trigger

__all__ = ["Effect", "Journal", "Observer", "skip"]


class Effect(NamedTuple):
    """How one action of a step ended.

    Attributes:
        block: `exit`, `transition` or `entry`.
        outcome: `done`, `failed`, `timed_out`, `preempted` (cancelled by a hang-up), `abandoned` (it swallowed its
            cancellation) or `skipped`.
        error: what it raised, by type; empty otherwise.
        began, ended: the clock's seconds.
    """

    name: str
    block: str
    outcome: str
    error: str
    began: float
    ended: float


def skip(block: str, actions: tuple[Bound, ...], effects: list[Effect] | None) -> None:
    """Note actions that were not begun."""
    if effects is not None:
        effects.extend(Effect(action.name, block, "skipped", "", 0.0, 0.0) for action in actions)


class Observer:
    """Override what you watch. Called on the event loop, in the order things happen."""

    def on_commit(self, session: Session, step: Step) -> None:
        """A step was committed; its actions have not begun."""

    def on_effects(self, session: Session, step: Step, effects: list[Effect]) -> None:
        """The actions of a step are over."""

    def on_refusal(self, session: Session, refusal: Refusal) -> None:
        """No active state took a trigger."""

    def on_stale(self, session: Session, trigger: Trigger) -> None:
        """A timer, a service or an answer came for a visit that is over."""

    def on_overflow(self, session: Session, trigger: Trigger) -> None:
        """The inbox was full, and the trigger was dropped."""

    def on_settled(self, session: Session) -> None:
        """Nothing of the call is left here: it is closed, or (`session.given_up`) goes on elsewhere."""


class Journal(Observer):
    """An observer that keeps what it sees."""

    async def durable(self, call_id: str, seq: int) -> None:
        """Return once step `seq` of the call is kept."""

    async def stored(self, call_id: str, seq: int) -> None:
        """Return once step `seq` of the call is kept where all nodes find it; by default, that is what kept means."""
        await self.durable(call_id, seq)
