"""The work after a call: stages that look at a call that is over, and who runs them.

A runner may run a stage more than once (a node that crashed had not told that it was through; two nodes may race): a
stage is idempotent by call, stage and the hash of the transcript.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from adapters.calls.contract import TranscriptLine

__all__ = ["OverCall", "Runner", "Stage"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OverCall:
    """What a stage gets: a call that is over, as the store has it.

    Attributes:
        document: see `fsm/document.py`; empty if only the log of the call is left.
        lines: everything that was said, in order, complete.
        transcript_hash: of `lines`, hexadecimal; late pieces of a transcript make another one.
    """

    call_id: str
    document: Mapping[str, Any]
    lines: tuple[TranscriptLine, ...]
    transcript_hash: str


class Stage(Protocol):
    """One piece of the work.

    Attributes:
        name: a word that may be the name of a file.
    """

    @property
    def name(self) -> str: ...

    async def run(self, call: OverCall) -> Any:
        """Do it, and return what came of it, JSON-able. What it raises is tried again, a few times."""
        ...


class Runner(Protocol):
    """Has the stages run for calls that are over."""

    async def run(self, call_id: str, *, again: bool = False) -> str:
        """Begin the work of a call and return an id of the run; that of the run that is under way, if there is one.

        Args:
            again: also the stages that are done already.
        """
        ...

    async def kept(self, run_id: str) -> bool:
        """Return once nobody else has to care for the run: True. False: it was given up, and is to be begun again.

        A runner in this process keeps a run by finishing it, failures recorded; one with a queue of its own, by having
        it in there.
        """
        ...

    async def forget(self, call_id: str) -> None:
        """Stop working on a call, and delete all that was made of it."""
        ...

    async def aclose(self) -> None:
        """Finish or give up what runs, in bounded time; may be called twice."""
        ...
