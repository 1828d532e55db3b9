"""The default runner: the stages of a call one after the other, in this process, a few calls at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from secrets import token_hex
from typing import Any

import orjson

from adapters.calls.transcripts import read_transcript
from adapters.pipeline.contract import OverCall, Stage
from adapters.pipeline.results import Result, Results
from adapters.stores.contract import SessionStore, StoreAway
from fsm.clock import Clock
from fsm.document import iso

__all__ = ["Limits", "LocalRunner"]

log = logging.getLogger(__name__)
_REMEMBERED = 1000  # runs whose end is known for whoever asks late


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much the runner takes upon itself; times in seconds.

    Attributes:
        at_once: calls that are worked on.
        waits: before each further attempt of a stage that failed.
        stage: what one attempt of a stage may take.
        closing: what runs under way get when the process ends.
    """

    at_once: int = 4
    waits: tuple[float, ...] = (1.0, 5.0, 25.0)
    stage: float = 300.0
    closing: float = 5.0


class _NotOverError(Exception):
    """The end of the call waits in a spool: nobody has the whole of what was said."""


class LocalRunner:
    """A `Runner` (contract.py) without a queue of its own: what it has not finished is for the next one that looks.

    A stage that fails is tried again, and then recorded as failed; the others go on. Nothing is recorded twice for one
    transcript, unless it is asked for.

    Attributes:
        done, failed: stages that came to this end since the process began.
    """

    def __init__(
        self,
        store: SessionStore,
        stages: Sequence[Stage],
        results: Results,
        *,
        clock: Clock,
        limits: Limits | None = None,
    ) -> None:
        self.done = self.failed = 0
        self._store = store
        self._stages = tuple(stages)
        self._results = results
        self._clock = clock
        self._limits = limits or Limits()
        self._room = asyncio.Semaphore(self._limits.at_once)
        self._ids: dict[str, str] = {}
        self._tasks: dict[str, asyncio.Task[bool]] = {}
        self._ended: dict[str, bool] = {}

    # -- Runner ----------------------------------------------------------------------------------

    async def run(self, call_id: str, *, again: bool = False) -> str:
        run_id = self._ids.get(call_id)
        if run_id is None:
            run_id = self._ids[call_id] = token_hex(8)
            task = asyncio.create_task(self._work(call_id, run_id, again=again), name=f"post-call work {call_id}")
            self._tasks[run_id] = task
            task.add_done_callback(lambda task: self._over(call_id, run_id, task))
        return run_id

    async def kept(self, run_id: str) -> bool:
        task = self._tasks.get(run_id)
        if task is None:
            return self._ended.get(run_id, False)
        await asyncio.wait([task])
        return _succeeded(task)

    async def forget(self, call_id: str) -> None:
        task = self._tasks.get(self._ids.get(call_id, ""))
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        await asyncio.to_thread(self._results.forget, call_id)

    async def aclose(self) -> None:
        running = list(self._tasks.values())
        if not running:
            return
        _, late = await asyncio.wait(running, timeout=self._limits.closing)
        for task in late:
            task.cancel()
        if late:
            log.warning("post_call_work_given_up", extra={"calls": len(late)})
            await asyncio.wait(late)

    # -- one call --------------------------------------------------------------------------------

    async def _work(self, call_id: str, run_id: str, *, again: bool) -> bool:
        """Return whether everything was done, or recorded as failed."""
        async with self._room:
            try:
                call = await self._load(call_id)
            except (StoreAway, _NotOverError) as error:
                log.warning("post_call_work_waits", extra={"call_id": call_id, "cause": str(error)})
                return False
            if call is None:
                log.warning("post_call_work_without_call", extra={"call_id": call_id})
                return True
            recorded = [await self._stage(stage, call, run_id, again=again) for stage in self._stages]
            return all(recorded)

    async def _load(self, call_id: str) -> OverCall | None:
        kept = await self._store.get(call_id)
        if kept is None:
            return None
        if not kept.head.over:
            raise _NotOverError("the store does not know yet that the call is over")
        transcript = await read_transcript(self._store, call_id, began=kept.head.created_at)
        lines = tuple(transcript.lines())
        return OverCall(
            call_id=call_id,
            document=orjson.loads(kept.document) if kept.document else {},
            lines=lines,
            transcript_hash=sha256(orjson.dumps(lines)).hexdigest(),
        )

    # -- one stage -------------------------------------------------------------------------------

    async def _stage(self, stage: Stage, call: OverCall, run_id: str, *, again: bool) -> bool:
        """Return whether it is known what came of the stage."""
        if not again and await self._is_done(stage, call):
            return True
        waits = self._limits.waits
        for attempt, wait in enumerate((*waits, 0.0), start=1):
            try:
                async with asyncio.timeout(self._limits.stage):
                    made = await stage.run(call)
                await self._record(stage, call, run_id, attempt, result=made)
            except Exception as error:  # noqa: BLE001  # whatever a stage raises is tried again, then recorded
                _log_failure(stage, call, attempt, error)
                if attempt > len(waits):
                    return await self._give_up(stage, call, run_id, attempt, error)
                await asyncio.sleep(wait)
            else:
                self.done += 1
                log.info("stage_done", extra={"call_id": call.call_id, "stage": stage.name, "attempt": attempt})
                return True
        raise AssertionError("the last attempt has returned")

    async def _is_done(self, stage: Stage, call: OverCall) -> bool:
        known = await asyncio.to_thread(self._results.get, call.call_id, stage.name)
        return known is not None and known.status == "done" and known.transcript_hash == call.transcript_hash

    async def _give_up(self, stage: Stage, call: OverCall, run_id: str, attempt: int, error: Exception) -> bool:
        self.failed += 1
        try:
            await self._record(stage, call, run_id, attempt, error=f"{type(error).__name__}: {error}")
        except OSError as problem:
            log.error("result_not_written", extra={"call_id": call.call_id, "stage": stage.name, "cause": str(problem)})  # noqa: TRY400  # its message says all
            return False
        return True

    async def _record(
        self, stage: Stage, call: OverCall, run_id: str, attempts: int, *, result: Any = None, error: str = ""
    ) -> None:
        made = Result(
            call_id=call.call_id,
            stage=stage.name,
            transcript_hash=call.transcript_hash,
            status="failed" if error else "done",
            run=run_id,
            attempts=attempts,
            at=iso(self._clock.wall()) or "",
            result=result,
            error=error,
        )
        await asyncio.to_thread(self._results.put, made)

    # -- the end of a run ------------------------------------------------------------------------

    def _over(self, call_id: str, run_id: str, task: asyncio.Task[bool]) -> None:
        del self._ids[call_id], self._tasks[run_id]
        self._ended[run_id] = _succeeded(task)
        if len(self._ended) > _REMEMBERED:
            del self._ended[next(iter(self._ended))]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("post_call_work_broken", extra={"call_id": call_id}, exc_info=error)


def _succeeded(task: asyncio.Task[bool]) -> bool:
    return not task.cancelled() and task.exception() is None and task.result()


def _log_failure(stage: Stage, call: OverCall, attempt: int, error: Exception) -> None:
    """What a stage raises may hold a caller's words: its type is logged, the rest stands in the result."""
    log.warning(
        "stage_failed",
        extra={"call_id": call.call_id, "stage": stage.name, "attempt": attempt, "cause": type(error).__name__},
    )
