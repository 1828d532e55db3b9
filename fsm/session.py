"""One call, running. (Skeleton: what handlers may rely on.)"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fsm.clock import Clock
    from fsm.context import CallContext
    from fsm.ports import AgentPort, CarrierPort, FrontPort, IntentPort, MediaPort, SlotPort, StsPort, TranscriptPort
    from fsm.triggers import Trigger


class Session:
    """The call as a handler sees it."""

    call_id: str
    state: str
    context: CallContext
    clock: Clock
    carrier: CarrierPort
    sts: StsPort
    media: MediaPort
    intents: IntentPort
    agents: AgentPort
    transcripts: TranscriptPort
    fronts: FrontPort
    slot: SlotPort

    def post(self, trigger: Trigger) -> None:
        raise NotImplementedError
