"""Calls in Redis, for several nodes: each change of a call is one script on its server, and one round trip.

`redis_layout.py` says what lies where. The indices are hints. A server that has all keys keeps them in the same step
as the call; of a cluster they are in another slot, and follow in a step of their own. `owed` is written before a call
comes to exist or ends there, so that a node that dies between the two steps leaves a trace.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from adapters.settings import Settings
from adapters.stores import redis_layout as layout
from adapters.stores.contract import CallRefused, Claim, Commit, Entry, Kept, Outcome, Page, StoreAway, StoreCounts
from adapters.stores.redis_layout import Layout, commit_args, read_entry, read_kept
from adapters.stores.rules import read_cursor, write_cursor
from fsm.errors import SettingError

if TYPE_CHECKING:
    from adapters.stores.redis_link import Command, Link, Target

__all__ = ["RedisStore", "redis_store", "redis_target"]

log = logging.getLogger(__name__)
_PAGE = 500  # calls that are looked at in one round trip
_PROBE_MS = 60_000  # that what is written to see whether anything is written stays there


def redis_target(settings: Settings) -> Target:
    """Return which Redis the settings name.

    Raises:
        SettingError: its client is not installed.
    """
    try:
        from adapters.stores.redis_link import Target
    except ModuleNotFoundError as error:
        raise SettingError(
            f"CALLCHART_STORE: redis needs its client ({error.name} is missing): pip install callchart[redis]"
        ) from error
    return Target(
        url=settings.redis_url,
        password=settings.redis_password,
        db=settings.redis_db,
        sentinels=settings.redis_sentinels,
        sentinel_service=settings.redis_sentinel_service,
        cluster=settings.redis_cluster,
    )


def redis_store(settings: Settings) -> RedisStore:
    """Return the store that the settings name; nothing is connected yet.

    Raises:
        SettingError: its client is not installed, or the settings cannot be.
    """
    target = redis_target(settings)
    from adapters.stores.redis_link import Link

    return RedisStore(
        Link(target),
        prefix=settings.session_prefix,
        session_ttl=settings.session_ttl,
        retention=settings.retention,
    )


class RedisStore:
    """A `SessionStore` in Redis.

    Args:
        session_ttl: seconds that the document of a live call outlives its last commit or renewal.
        retention: seconds that a call is kept after its end.
    """

    def __init__(
        self,
        link: Link,
        *,
        prefix: str = "call_session:",
        session_ttl: float = 3600.0,
        retention: float = 30 * 86400.0,
    ) -> None:
        self._link = link
        self._layout = Layout(prefix)
        self._split = link.target.cluster
        self._ttl = _ms(session_ttl)
        self._retention = _ms(retention)
        self._has_looked = False

    @property
    def away(self) -> bool:
        """Whether Redis did not answer when it was last asked, or must not be used."""
        return self._link.away

    @property
    def reason(self) -> str:
        """Return why it is away; empty if it is not."""
        return self._link.reason

    async def start(self) -> None:
        await self._link.start()
        if not self._link.away:
            with suppress(StoreAway):  # it was there a moment ago; calls are served all the same
                await self._see_that_indices_are_ours()

    async def aclose(self) -> None:
        await self._link.aclose()

    # -- writing ---------------------------------------------------------------------------------

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        if self._split:
            await self._expect(commit.call_id for commit in commits if _moves(commit))
        replies = await self._link.run_each([self._commit(commit) for commit in commits])
        await self._place(reply[3] for reply in replies if not isinstance(reply, CallRefused))
        return [_outcome(reply) for reply in replies]

    def _commit(self, commit: Commit) -> Command:
        keys = self._keys(commit.call_id) if _moves(commit) else self._layout.keys(commit.call_id)
        return self._link.script("commit", keys, *commit_args(commit, self._ttl, self._retention))

    async def claim(self, call_id: str, owner: str, *, lease: float, force: bool = False, max_active: int = 0) -> Claim:
        bound = max_active
        if self._split and max_active:
            args = (_raw(call_id), _ms(lease), max_active)
            (admitted,) = await self._link.run([self._link.script("admit", self._layout.indices, *args)])
            bound = 0 if admitted else -1
        refused, fence, before, kept, moved = await self._change(
            "claim", call_id, owner, _ms(lease), b"1" if force else b"0", bound
        )
        await self._place([moved])
        return Claim(refused.decode(), int(fence), before.decode(), read_kept(call_id, kept))

    async def renew(self, owner: str, fences: Collection[tuple[str, int]], *, lease: float) -> list[str]:
        replies = await self._link.run_each(
            [self._script("renew", call_id, owner, fence, _ms(lease), self._ttl) for call_id, fence in fences]
        )
        told = [(one[0], *reply) for one, reply in zip(fences, replies, strict=True) if type(reply) is not CallRefused]
        await self._place(moved for _, _, moved in told)
        return [call_id for call_id, ours, _ in told if not ours]

    async def release(self, owner: str, call_id: str, fence: int) -> None:
        await self._place(await self._change("release", call_id, owner, fence))

    async def update_activity(self, call_id: str, at: float) -> bool:
        return await self._get(call_id, document=False, touched=repr(at)) is not None

    async def delete(self, call_id: str) -> bool:
        was_kept, moved = await self._change("forget", call_id, b"always")
        await self._place([moved])
        return bool(was_kept)

    async def hand_over(self, call_id: str) -> bool:
        is_first, moved = await self._change("hand_over", call_id, self._retention)
        await self._place([moved])
        return bool(is_first)

    async def check_writes(self) -> None:
        await self._link.run([("SET", self._layout.probe, "1", "PX", _PROBE_MS)])

    async def cleanup_expired(self) -> int:
        """Forget what Redis has not let go by itself, and set the indices right."""
        count = 0
        while due := await self._due(layout.DONE):
            answers = await self._link.run_each([self._script("forget", call_id, b"expired") for call_id in due])
            replies = [reply for reply in answers if not isinstance(reply, CallRefused)]
            await self._place(moved for _, moved in replies)
            count += sum(gone for gone, _ in replies)
            if not replies:  # nobody can forget these, and they would be due again at once
                break
        await self._look_for_calls()
        return count

    # -- reading ---------------------------------------------------------------------------------

    async def get(self, call_id: str, *, touch: bool = False) -> Kept | None:
        return await self._get(call_id, document=True, touched="now" if touch else "")

    async def log(self, call_id: str, *, after: int = 0, limit: int = 1000) -> list[Entry]:
        (found,) = await self._link.run([self._link.script("log", self._layout.keys(call_id), after, limit)])
        return [read_entry(entry) for entry in found]

    async def list_active(self) -> list[str]:
        return await self._range(layout.LIVE)

    async def undelivered(self) -> list[str]:
        return await self._range(layout.UNDELIVERED)

    async def find(
        self, *, live: bool | None = None, state: str = "", q: str = "", cursor: str = "", limit: int = 50
    ) -> Page:
        last = read_cursor(cursor) if cursor else None
        index = layout.LIVE if live else layout.CALLS
        found: list[Kept] = []
        while len(found) <= limit and (page := await self._older(index, last)):
            last = page[-1]
            for kept in await self._all(call_id for _, call_id in page):
                if _is_wanted(kept, live, state, q):
                    found.append(kept)
        more = len(found) > limit
        found = await self._with_documents(found[:limit])
        return Page(
            tuple(found), write_cursor(found[-1].head.created_at, found[-1].call_id) if more and found else None
        )

    async def unsettled(self) -> list[Kept]:
        found = await self._all(await self._due(layout.OWED, limit=1_000_000), correct=True)
        left = [kept for kept in found if kept.lease_left <= 0 and not (kept.head.over and kept.head.settled)]
        return sorted(left, key=lambda kept: (kept.head.created_at, kept.call_id))

    async def stats(self) -> StoreCounts:
        indices = (layout.CALLS, layout.LIVE, layout.INITIATED, layout.FAILED)
        calls, live, initiated, failed = await self._link.run(
            [("ZCARD", self._layout.indices[index]) for index in indices]
        )
        return StoreCounts(
            initiated=initiated, active=max(0, live - initiated), ended=max(0, calls - live - failed), error=failed
        )

    async def everything(self) -> AsyncIterator[Kept]:
        last: tuple[float, str] | None = None
        while page := await self._older(layout.CALLS, last):
            last = page[-1]
            for kept in await self._all((call_id for _, call_id in page), documents=True):
                yield kept

    # -- one call --------------------------------------------------------------------------------

    def _keys(self, call_id: str) -> tuple[bytes, ...]:
        """Return the keys of a script that changes where a call belongs."""
        keys = self._layout.keys(call_id)
        return keys if self._split else keys + self._layout.indices

    def _script(self, name: str, call_id: str, *args: Any) -> Command:
        return self._link.script(name, self._keys(call_id), _raw(call_id), *args)

    async def _change(self, name: str, call_id: str, *args: Any) -> Any:
        (reply,) = await self._link.run([self._script(name, call_id, *args)])
        return reply

    def _kept(self, call_id: str, document: bool, touched: str = "") -> Command:
        return self._link.script("kept", self._layout.keys(call_id), b"1" if document else b"0", touched)

    async def _get(self, call_id: str, *, document: bool, touched: str) -> Kept | None:
        ((said,),) = await self._link.run([self._kept(call_id, document, touched)])
        return read_kept(call_id, said)

    # -- many calls ------------------------------------------------------------------------------

    async def _all(self, ids: Iterable[str], *, documents: bool = False, correct: bool = False) -> list[Kept]:
        """Return those of these calls that are kept; indices that know more are corrected."""
        asked = list(ids)
        replies = await self._link.run_each([self._kept(call_id, documents) for call_id in asked])
        found = [
            (call_id, read_kept(call_id, reply[0]))
            for call_id, reply in zip(asked, replies, strict=True)
            if not isinstance(reply, CallRefused)
        ]
        await self._correct(call_id for call_id, kept in found if kept is None or (correct and kept.lease_left > 0))
        return [kept for _, kept in found if kept is not None]

    async def _with_documents(self, found: list[Kept]) -> list[Kept]:
        replies = await self._link.run_each([("GET", self._layout.keys(kept.call_id)[0]) for kept in found])
        return [
            kept._replace(document=None if isinstance(document, CallRefused) else document)
            for kept, document in zip(found, replies, strict=True)
        ]

    # -- indices ---------------------------------------------------------------------------------

    async def _see_that_indices_are_ours(self) -> None:
        """Raise SettingError if something else lies under their names: no commit would succeed."""
        kinds = await self._link.run([("TYPE", key) for key in self._layout.indices])
        for key, kind in zip(self._layout.indices, kinds, strict=True):
            if kind not in (b"none", b"zset"):
                raise SettingError(
                    f"SESSION_PREFIX: under {_text(key)} Redis has something that is not callchart's "
                    f"({kind.decode()}); choose another prefix, or delete that key"
                )

    async def _place(self, moved: Iterable[Any]) -> None:
        """Write what the scripts could not, as they were not given the indices."""
        args = [part for said in moved if said is not None for part in said]
        if not args:
            return
        try:
            await self._link.run([self._link.script("place", self._layout.indices, *args)])
        except CallRefused as refused:  # the calls themselves are written
            log.error("calls_not_indexed", extra={"why": str(refused)})  # noqa: TRY400  # it says all

    async def _expect(self, ids: Iterable[str]) -> None:
        expected = [part for call_id in ids for part in (0, _raw(call_id))]
        if expected:
            await self._link.run([("ZADD", self._layout.indices[layout.OWED], "NX", *expected)])

    async def _correct(self, ids: Iterable[str]) -> None:
        replies = await self._link.run_each([self._script("note", call_id) for call_id in ids])
        await self._place(reply[0] for reply in replies if not isinstance(reply, CallRefused))

    async def _range(self, index: int) -> list[str]:
        (ids,) = await self._link.run([("ZRANGE", self._layout.indices[index], 0, -1)])
        return [_text(raw) for raw in ids]

    async def _due(self, index: int, limit: int = _PAGE) -> list[str]:
        (ids,) = await self._link.run([self._link.script("due", self._layout.indices[index : index + 1], limit)])
        return [_text(raw) for raw in ids]

    async def _older(self, index: int, last: tuple[float, str] | None) -> list[tuple[float, str]]:
        """Return (created at, id) of calls that come after `last`, newest first; none: there are no more."""
        key = self._layout.indices[index]
        place: tuple[Any, ...] = () if last is None else (repr(last[0]), _raw(last[1]))
        (said,) = await self._link.run([self._link.script("page", (key,), _PAGE, *place)])
        page = [(float(score), _text(raw)) for raw, score in zip(said[::2], said[1::2], strict=True)]
        return [one for one in page if last is None or one < last]

    async def _look_for_calls(self) -> None:
        """Write the indices anew from the leases, once in a life and whenever they are lost."""
        (there,) = await self._link.run([("EXISTS", self._layout.marker)])
        if there and self._has_looked:
            return
        batch: list[str] = []
        async for lease in self._link.scan(self._layout.leases):
            batch.append(self._layout.call_id(lease))
            if len(batch) == _PAGE:
                await self._correct(batch)
                batch.clear()
        await self._correct(batch)
        await self._link.run([("SET", self._layout.marker, "1")])
        self._has_looked = True


def _outcome(reply: Any) -> Outcome:
    if isinstance(reply, CallRefused):
        return Outcome("refused", 0, 0)
    verdict, version, fence, _ = reply
    return Outcome(verdict.decode(), int(version), int(fence))


def _moves(commit: Commit) -> bool:
    """Whether a commit is likely to change where its call belongs."""
    return commit.first == 1 or commit.rebase or commit.head.over


def _is_wanted(kept: Kept, live: bool | None, state: str, q: str) -> bool:
    head = kept.head
    return (
        (live is None or head.over != live)
        and (not state or head.state == state)
        and (not q or kept.call_id == q or head.caller.startswith(q) or head.called.startswith(q))
    )


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _raw(call_id: str) -> bytes:
    return call_id.encode("utf-8", "surrogatepass")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogatepass")
