"""What waits for a call, in the order in which it is taken. A preempting trigger (hang-up) goes to the front."""

from __future__ import annotations

from collections import deque
from collections.abc import Container
from typing import TypeAlias

from fsm.step import Step
from fsm.triggers import ActionFailed, Trigger

__all__ = ["Inbox", "Stamp", "put_failure", "put_first"]

Stamp: TypeAlias = tuple[int, int]
"""(node, visit): what a late answer is compared by."""
Inbox: TypeAlias = deque[tuple[Trigger | Step, Stamp | None]]


def put_first(inbox: Inbox, trigger: Trigger, preempt: Container[str]) -> bool:
    """Put a preempting trigger in front, but behind others of its kind and behind what attached its socket.

    Returns:
        Whether something that attached a socket stands before it.
    """
    place, behind_socket = 0, False
    for index, (item, _) in enumerate(inbox):
        if isinstance(item, Step) or item.attaches:
            place, behind_socket = index + 1, True
        elif index == place and item.name in preempt:
            place = index + 1
    inbox.insert(place, (trigger, None))
    return behind_socket


def put_failure(inbox: Inbox, failure: ActionFailed, preempt: Container[str]) -> None:
    """Put the failure of the running step's action before all that waits, but for what preempts."""
    place = next((i for i, (t, _) in enumerate(inbox) if isinstance(t, Step) or t.name not in preempt), len(inbox))
    inbox.insert(place, (failure, None))
