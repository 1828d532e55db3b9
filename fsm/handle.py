"""A call as its handlers see it. `Session` is one; `Lease` (tasks.py) stands for one until it is revoked."""

from __future__ import annotations

from fsm.clock import Clock
from fsm.context import CallContext
from fsm.ports import (
    AgentPort,
    CallPorts,
    CarrierPort,
    FrontPort,
    IntentPort,
    MediaPort,
    SlotPort,
    StsPort,
    TranscriptPort,
)
from fsm.step import Snapshot

__all__ = ["CallHandle"]


class CallHandle:
    """What a handler may look at and use."""

    __slots__ = ("clock", "ports", "snapshot")

    clock: Clock
    ports: CallPorts
    snapshot: Snapshot

    @property
    def call_id(self) -> str:
        return self.snapshot.context.call_id

    @property
    def state(self) -> str:
        """The leaf that is committed."""
        return self.snapshot.state

    @property
    def context(self) -> CallContext:
        """As committed, with all that the running step's reducers made of it."""
        return self.snapshot.context

    @property
    def carrier(self) -> CarrierPort:
        return self.ports.carrier

    @property
    def sts(self) -> StsPort:
        return self.ports.sts

    @property
    def media(self) -> MediaPort:
        return self.ports.media

    @property
    def intents(self) -> IntentPort:
        return self.ports.intents

    @property
    def agents(self) -> AgentPort:
        return self.ports.agents

    @property
    def transcripts(self) -> TranscriptPort:
        return self.ports.transcripts

    @property
    def fronts(self) -> FrontPort:
        return self.ports.fronts

    @property
    def slot(self) -> SlotPort:
        return self.ports.slot
