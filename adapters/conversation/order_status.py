"""An agent that tells where an order is, and asks for its number if it was not said. Its orders are examples."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from adapters.conversation.agents import AgentCall, AgentGaveUp
from adapters.conversation.words import longest_number

__all__ = ["ORDERS", "order_status"]

ORDERS: Mapping[str, str] = MappingProxyType(
    {
        "123": "left the warehouse this morning and arrives tomorrow before noon",
        "456": "was delivered yesterday and left with a neighbour",
        "789": "is being packed and leaves the warehouse this evening",
    }
)
"""What became of each order, by its number."""
_QUESTIONS = 3  # times the caller is asked before the agent gives up


async def order_status(desk: AgentCall) -> str:
    """Find the order that the caller means and say where it is.

    Raises:
        AgentGaveUp: the caller was asked three times and no such order exists.
    """
    number = longest_number(desk.entities.get("order_number", ""))
    for _ in range(_QUESTIONS):
        if number in ORDERS:
            break
        wrong = f"There is no order {' '.join(number)}. " if number else ""
        answer = await desk.ask(f"{wrong}What is the number of your order?", "order_number")
        number = longest_number(answer)
    if number not in ORDERS:
        raise AgentGaveUp("no_such_order")
    desk.progress(order_number=number)
    return f"Order {' '.join(number)} {ORDERS[number]}."
