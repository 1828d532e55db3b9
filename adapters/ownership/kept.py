"""Calls that are kept and that nobody serves: whether they may go on, and what they go on from."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, TypeAlias

import orjson

from adapters.stores.contract import Commit, Kept, SessionStore
from adapters.stores.paging import log_pages
from adapters.switchboard import Choose
from fsm.clock import Clock
from fsm.context import BY_API, BotSettings
from fsm.document import SCHEMA, iso, read_document
from fsm.errors import CallchartError
from fsm.journal import begun_as
from fsm.registry import Registry
from fsm.stored import StoredCall, check_state, rebuild

__all__ = ["KeptCalls", "NewerSchema", "WhyNot"]

log = logging.getLogger(__name__)
_LONGEST_LOG = 100_000  # entries that a call is rebuilt from, at most

WhyNot: TypeAlias = Literal["", "ended", "expired", "foreign"]
"""Why a call may not go on with a new socket; empty: it may."""


class NewerSchema(CallchartError):
    """A newer version of callchart keeps this call: it is not for us to touch."""


class KeptCalls:
    """Reads kept calls.

    Args:
        max_age: seconds since a call's last activity after which it is not resumed. Those in which no server ran do
            not count, as far as this process knows: from the end of the call's lease until it started.
        resume_window: seconds that the chart of a bot waits for a lost carrier; of a bot's name and a called number.
    """

    def __init__(
        self,
        store: SessionStore,
        *,
        choose: Choose,
        registry: Registry,
        clock: Clock,
        max_age: float,
        resume_window: Callable[[str, str], float],
    ) -> None:
        self._store = store
        self._choose = choose
        self._registry = registry
        self._clock = clock
        self._max_age = max_age
        self._resume_window = resume_window
        self._started_at = clock.wall()

    def why_not(self, kept: Kept, *, carrier: str = "") -> WhyNot:
        """Tell why a call may not be resumed.

        Args:
            carrier: who brings it; empty: any.
        """
        if kept.head.over:
            return "ended"
        if carrier and kept.head.carrier and carrier != kept.head.carrier:
            return "foreign"
        if kept.lease_left < 0 and self._clock.wall() - kept.head.active_at - self._downtime(kept) > self._max_age:
            return "expired"
        return ""

    def spent(self, kept: Kept) -> float:
        """Return how many seconds a call has lasted, as far as anybody served it."""
        return max(0.0, kept.head.active_at - kept.head.created_at)

    def resume_window(self, kept: Kept) -> float:
        """Return for how many seconds the carrier of a call is waited for; one that is over, or has none, is not."""
        if kept.head.over or kept.head.carrier == BY_API:
            return 0.0
        return self._resume_window(kept.head.bot, kept.head.called)

    async def read(self, kept: Kept) -> StoredCall:
        """Return what a call goes on from: its document, or else its log.

        Raises:
            NewerSchema: leave it to the version that wrote it.
            CallchartError: it cannot be read; the message says why.
            StoreAway
        """
        if kept.document is None:
            stored = await self._rebuilt(kept)
        else:
            said = _parsed(kept.document, kept.call_id)
            schema = said.get("schema")
            if isinstance(schema, int) and schema > SCHEMA:
                raise NewerSchema(
                    f"call {kept.call_id}: it was kept with schema {schema}, and this version reads up to {SCHEMA}; "
                    "run the version of callchart that wrote it until the call is over"
                )
            stored = read_document(said, self._settings)
        check_state(self._choose(stored.context.called, stored.context.bot.name)[0], stored)
        return stored

    def written_off(self, kept: Kept, *, node: str, fence: int) -> Commit:
        """Return what closes a call in the store that cannot go on: it would be looked at for ever.

        What was said in it can be read all the same: if it was answered, the post-call work is done for it.
        """
        now = self._clock.wall()
        try:
            known = _parsed(kept.document or b"{}", kept.call_id)
        except CallchartError:
            known = {}
        end = {"status": "error", "end_reason": "error", "ended_at": iso(now), "settled": True}
        return Commit(
            call_id=kept.call_id,
            owner=node,
            fence=fence,
            first=kept.version + 1,
            entries=(),
            document=orjson.dumps({"call_id": kept.call_id, **known, **end}),
            head=replace(
                kept.head, status="error", settled=True, ended_at=now, handed_over=known.get("answered") is False
            ),
        )

    async def _rebuilt(self, kept: Kept) -> StoredCall:
        records: list[dict[str, Any]] = []
        async for page in log_pages(self._store, kept.call_id, most=_LONGEST_LOG):
            records += [_parsed(entry.record, kept.call_id) for entry in page]
        machine, _ = self._choose(kept.head.called, kept.head.bot)
        log.warning("call_rebuilt", extra={"call_id": kept.call_id, "entries": len(records)})
        began = begun_as(records[0] if records else {}, self._settings)
        return rebuild(machine, self._registry, began, records)

    def _settings(self, name: str, called: str) -> BotSettings:
        return self._choose(called, name)[1]

    def _downtime(self, kept: Kept) -> float:
        lease_ended_at = self._clock.wall() + kept.lease_left
        return max(0.0, self._started_at - lease_ended_at)


def _parsed(text: bytes, call_id: str) -> dict[str, Any]:
    try:
        said = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise CallchartError(f"call {call_id}: what is kept of it is not JSON: {error}") from error
    if not isinstance(said, dict):
        raise CallchartError(f"call {call_id}: what is kept of it is no JSON object")
    return said
