"""Who may write what, as every store decides it. Pure: no store is named here.

- A commit with a lower fence than the call's is refused, and one with the same fence by another owner: no fence has
  two owners. A higher fence than the store knows comes from a claim that the store has lost; it is taken, and counts
  from then on.
- What was handed over stays handed over, whatever a later commit of the owner still believes.
- A call was active when its latest commit or touch says so, whichever is later.
"""

from __future__ import annotations

import base64
import json
import math
from dataclasses import replace
from typing import NamedTuple

from adapters.stores.contract import Commit, Head, Refused, Verdict

__all__ = ["NOBODY", "Standing", "is_done", "judge_claim", "judge_commit", "merged", "read_cursor", "write_cursor"]


class Standing(NamedTuple):
    """How far a call has come, and whose it is."""

    version: int
    fence: int
    owner: str


NOBODY = Standing(0, 0, "")
"""Of a call that is neither kept nor claimed."""


def judge_commit(commit: Commit, standing: Standing) -> tuple[Verdict, int]:
    """Return what becomes of a commit, and how many of its entries are there already."""
    _, fence, owner = standing
    if commit.fence < fence or (commit.fence == fence and owner and commit.owner != owner):
        return "fenced", 0
    there = standing.version + 1 - commit.first
    if there < 0 and not commit.rebase:
        return "gap", 0
    if there > 0 and there >= len(commit.entries):
        return "repeated", len(commit.entries)
    return "applied", max(0, there)


def judge_claim(head: Head | None, standing: Standing, asker: str, *, leased: bool, force: bool) -> Refused:
    """Return why a claim is refused, or nothing.

    Args:
        head: None: nothing was committed yet.
        leased: whether the lease of the owner runs.
    """
    if head is not None and head.over and (head.settled or force):
        return "ended"
    if leased and not force and standing.owner != asker:
        return "owned"
    return ""


def merged(head: Head, *, active_at: float, handed_over: bool) -> Head:
    """Return a commit's head with what the store knows better."""
    if head.active_at >= active_at and (head.handed_over or not handed_over):
        return head
    return replace(head, active_at=max(head.active_at, active_at), handed_over=head.handed_over or handed_over)


def is_done(head: Head) -> bool:
    """Whether nothing will happen to a call any more, so that it may be forgotten when its time has come."""
    return head.over and head.settled and head.handed_over


def write_cursor(created_at: float, call_id: str) -> str:
    """Return what stands for a place in a list of calls, newest first: all calls after this one."""
    return base64.urlsafe_b64encode(json.dumps([float(created_at), call_id]).encode()).decode().rstrip("=")


def read_cursor(cursor: str) -> tuple[float, str]:
    """Return (created at, call id) of the last call that was seen.

    Raises:
        ValueError: it is none of ours.
    """
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        said = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, RecursionError):  # of ASCII, base64, UTF-8 or JSON
        said = None
    match said:
        case [float() as created_at, str() as call_id] if math.isfinite(created_at):
            return created_at, call_id
        case _:
            raise ValueError("the cursor is none of ours; use `next_cursor` of the page before, as it is")
