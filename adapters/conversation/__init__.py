"""What a caller wants, and who serves it: an intent detector and small agents that need no network and no key."""

from __future__ import annotations

from collections.abc import Mapping

from adapters.conversation.agents import Agent, AgentCall, AgentDesk, AgentGaveUp
from adapters.conversation.intents import OfflineIntents
from adapters.conversation.order_status import order_status

__all__ = ["AGENTS", "Agent", "AgentCall", "AgentDesk", "AgentGaveUp", "OfflineIntents"]

AGENTS: Mapping[str, Agent] = {"order_status": order_status}
"""The agents that come with the product, by the name that an intent's `agent` gives."""
