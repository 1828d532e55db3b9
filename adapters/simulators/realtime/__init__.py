"""A simulated OpenAI Realtime server. Read `peer.py` first, then `script.py`."""

from adapters.simulators.realtime.faults import Faults
from adapters.simulators.realtime.peer import RealtimePeer
from adapters.simulators.realtime.script import FunctionCall, Reply, Request, Rule, Script, Utterance

__all__ = ["Faults", "FunctionCall", "RealtimePeer", "Reply", "Request", "Rule", "Script", "Utterance"]
