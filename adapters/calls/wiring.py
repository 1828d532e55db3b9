"""Everything of one process that shows calls to operators and lets them steer."""

from __future__ import annotations

from collections.abc import Callable

from adapters.calls.book import CallBook
from adapters.calls.here import Here
from adapters.calls.over import OverCalls
from adapters.calls.remote import Nodes, serve_calls
from adapters.calls.shelf import Shelf
from adapters.calls.transcripts import Transcripts
from adapters.keeping import Keeping
from adapters.ownership.wiring import Ownership
from adapters.switchboard import Choose, Switchboard
from fsm.bots import Bots
from fsm.clock import Clock
from fsm.registry import Registry

__all__ = ["book_of", "here_of"]


def here_of(keeping: Keeping, *, registry: Registry, clock: Clock) -> Here:
    """Return who answers for the calls of this node: an observer of its switchboard, behind `keeping.activity`."""
    return Here(
        journal=keeping.write_behind,
        activity=keeping.activity,
        transcripts=Transcripts(clock=clock, store=keeping.store),
        registry=registry,
    )


def book_of(
    here: Here,
    keeping: Keeping,
    ownership: Ownership,
    *,
    board: Switchboard,
    bots: Bots,
    choose: Choose,
    clock: Clock,
    on_reset: Callable[[], None] = lambda: None,
) -> CallBook:
    """Return all calls of all nodes, for operators; other nodes may ask for those of this one from now on.

    Args:
        here: an observer of `board`.
        on_reset: told when all calls are being ended.
    """
    here.manager = board.manager

    async def unwrite(call_id: str) -> None:
        await keeping.write_behind.erase(call_id)
        await keeping.keeper.forget(call_id)

    book = CallBook(
        here=here,
        shelf=Shelf(keeping.store),
        over=OverCalls(keeping.store, clock=clock, unwrite=unwrite, forget=keeping.runner.forget),
        nodes=Nodes(keeping.bus),
        desk=ownership.desk,
        bots={name: choose("", name)[0] for name in bots.by_name},
        clock=clock,
        why_not=ownership.kept.why_not,
        run_pipeline=lambda call_id: keeping.runner.run(call_id, again=True),
        on_reset=on_reset,
    )
    serve_calls(keeping.questions, book.answers)
    return book
