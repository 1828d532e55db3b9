"""A small `Calls` in memory, for the API's tests: it keeps the contract's words, and remembers what it was asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from adapters.calls.contract import (
    AlreadyThere,
    BadEvent,
    CallOver,
    CallsPage,
    Created,
    Stale,
    Totals,
    TranscriptLine,
    UnknownCall,
    Unreachable,
    Validity,
)
from fsm.document import iso

__all__ = ["BEGAN", "FakeCalls"]

BEGAN = 1_777_888_800.0  # 2026-05-04T10:00:00Z
_OVER = ("ended", "error")


class FakeCalls:
    """Calls that nobody makes.

    Attributes:
        away: whether nothing can be reached.
        records: of every call's journal; none: records that tell no more than their step.
        asked: what was asked for last, as the API handed it on.
    """

    def __init__(self) -> None:
        self.known: dict[str, dict[str, Any]] = {}
        self.said: dict[str, list[TranscriptLine]] = {}
        self.away = False
        self.records: list[dict[str, Any]] = []
        self.asked: Any = None

    def add(self, call_id: str, *lines: TranscriptLine, status: str = "active", **more: Any) -> None:
        """Have a call."""
        ended = iso(BEGAN + 60) if status in _OVER else None
        self.said[call_id] = list(lines)
        self.known[call_id] = {
            "call_id": call_id, "status": status, "state": "listening", "created_at": iso(BEGAN),
            "last_activity": iso(BEGAN + 5), "ended_at": ended, "duration": 5.0, "metadata": {}, "metadata_version": 0,
            "seq": 1, **more,
        }  # fmt: skip

    async def get(self, call_id: str) -> dict[str, Any]:
        if self.away:
            raise Unreachable("the store does not answer; try again")
        try:
            return self.known[call_id]
        except KeyError:
            raise UnknownCall("there is no such call") from None

    async def find(
        self, *, live: bool | None = None, state: str = "", q: str = "", cursor: str = "", limit: int = 50
    ) -> CallsPage:
        self.asked = {"live": live, "state": state, "q": q, "cursor": cursor, "limit": limit}
        first = int(cursor) if cursor else 0  # raises ValueError, as the contract says
        found = [call for call in self.known.values() if live is None or live is (call["status"] not in _OVER)]
        following = str(first + limit) if 0 <= first < first + limit < len(found) else None
        return CallsPage(found[max(0, first) : max(0, first) + limit], following, complete=not self.away)

    async def active(self) -> CallsPage:
        shown = {"cumulative_transcript": "", "total_audio_duration": 0.0, "segment_count": 0}
        calls = [
            {"call_id": call["call_id"], "start_time": call["created_at"], "last_activity": call["last_activity"],
             "status": call["status"], "state": call["state"], **shown}
            for call in self._live()
        ]  # fmt: skip
        return CallsPage(calls, None, complete=not self.away)

    async def totals(self) -> Totals:
        ids = [call["call_id"] for call in self._live()]
        return Totals(
            active_sessions=len(ids),
            total_audio_duration=2.5 * len(ids),
            total_segments=0,
            average_duration_per_session=5.0,
            session_list=ids,
            complete=not self.away,
        )

    async def lines(self, call_id: str) -> list[TranscriptLine]:
        await self.get(call_id)
        return self.said[call_id]

    async def segments(self, call_id: str) -> list[TranscriptLine]:
        return [line for line in await self.lines(call_id) if line.role == "segment"]

    async def journal(
        self, call_id: str, *, after: int = 0, limit: int = 500
    ) -> tuple[list[dict[str, Any]], int | None]:
        last = (await self.get(call_id))["seq"]
        versions = range(after + 1, min(after + limit, last) + 1)
        told = self.records or [{"seq": version} for version in range(1, last + 1)]
        return [{"version": version, **told[version - 1]} for version in versions], (
            after + limit if after + limit < last else None
        )

    async def create(self, *, call_id: str, bot: str, metadata: Mapping[str, Any]) -> Created:
        call_id = call_id or f"call-{len(self.known) + 1}"
        if call_id in self.known:
            raise AlreadyThere(f"there is a call {call_id!r}")
        if bot not in ("", "listener"):
            raise BadEvent(f"no bot is called {bot!r}")
        self.add(call_id, metadata=dict(metadata))
        return Created(call_id, "listening", "active")

    async def add_segments(self, call_id: str, segments: Sequence[Mapping[str, Any]]) -> int:
        self.asked = list(segments)
        call = await self._not_over(call_id)
        for segment in segments:
            call["seq"] += 1
            self.said[call_id].append(TranscriptLine(role="segment", text=segment["text"], at=BEGAN, seq=call["seq"]))
        return int(call["seq"])

    async def post(self, call_id: str, event: str, data: Mapping[str, Any]) -> int:
        call = await self._not_over(call_id)
        if event != "user.transcript":
            raise BadEvent(f"no event is called {event!r}")
        call["seq"] += 1
        return int(call["seq"])

    async def end(self, call_id: str, reason: str = "") -> Literal["ending", "over"]:
        call = await self.get(call_id)
        if call["status"] in _OVER:
            return "over"
        call["status"] = "ended"
        return "ending"

    async def patch(self, call_id: str, metadata: Mapping[str, Any], *, version: int | None) -> dict[str, Any]:
        call = await self.get(call_id)
        current = call["metadata_version"]
        if version is not None and version != current:
            raise Stale(f"the metadata are of version {current}", current)
        call["metadata"] = {key: value for key, value in {**call["metadata"], **metadata}.items() if value is not None}
        call["metadata_version"] = current + 1
        return {"metadata": call["metadata"], "metadata_version": current + 1}

    async def erase(self, call_id: str) -> None:
        await self.get(call_id)
        del self.known[call_id], self.said[call_id]

    async def validate(self, call_id: str) -> Validity:
        call = self.known.get(call_id)
        reason = "unknown" if call is None else "ended" if call["status"] in _OVER else ""
        return Validity(not reason, reason)

    async def run_pipeline(self, call_id: str) -> str:
        if (await self.get(call_id))["status"] not in _OVER:
            raise BadEvent(f"call {call_id} is not over")
        return "run-1"

    async def reset(self, *, wait: bool = False) -> int:
        self.asked = {"wait": wait}
        live = self._live()
        for call in live:
            call["status"] = "ended"
        return len(live)

    def _live(self) -> list[dict[str, Any]]:
        return [call for call in self.known.values() if call["status"] not in _OVER]

    async def _not_over(self, call_id: str) -> dict[str, Any]:
        call = await self.get(call_id)
        if call["status"] in _OVER:
            raise CallOver(f"call {call_id} has ended")
        return call
