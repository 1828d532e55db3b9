"""Business agents: coroutines that work on a caller's wish, and may ask the caller for more.

An agent is `async def (desk: AgentCall) -> str`: it returns what the caller is to be told, or raises `AgentGaveUp`.
It is cancelled, wherever it waits, when the caller hangs up or the chart goes elsewhere.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from fsm.context import CallContext
from fsm.errors import CallchartError
from fsm.session import Session
from fsm.triggers import (
    AgentCompleted,
    AgentFailed,
    AgentNeedsInfo,
    AgentProgress,
    AgentSaid,
    ToolCall,
    TransferRequested,
    Trigger,
)

__all__ = ["Agent", "AgentCall", "AgentDesk", "AgentGaveUp"]

_UNHEARD = 20  # answers that wait for an agent that does not ask
_KEY_PAUSE = 3.0  # seconds without another key that end a number
_DEADLINE = 120.0  # seconds an agent may take, unless its intent says otherwise


class AgentGaveUp(CallchartError):
    """An agent cannot serve the caller. `reason` is a short name, not a sentence for the caller."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the agent gave up: {reason}")


class AgentCall:
    """A call as an agent sees it.

    Attributes:
        call: what was known of the call when the agent began.
        entities: what the caller, or the model's function call, has said already, by slot.
    """

    def __init__(self, call: CallContext, entities: Mapping[str, str], post: Callable[[Trigger], None]) -> None:
        self.call = call
        self.entities = entities
        self._post = post
        self._heard: asyncio.Queue[str] = asyncio.Queue(_UNHEARD)

    def say(self, text: str) -> None:
        """Have `text` said to the caller, and go on."""
        self._post(AgentSaid(text=text))

    def progress(self, **reached: Any) -> None:
        """Keep what has been reached with the call; nobody speaks. Values are JSON-able."""
        self._post(AgentProgress(data=reached))

    def transfer(self, target: str, reason: str = "") -> None:
        """Ask for a human; the chart takes it from there, and this agent is cancelled."""
        self._post(TransferRequested(target=target, reason=reason))

    async def ask(self, question: str, slot: str = "") -> str:
        """Put `question` to the caller and return what they say, or the keys they press, up to `#` or a pause.

        What was said before does not count: a question is answered by what comes after it.
        """
        while not self._heard.empty():
            self._heard.get_nowait()
        self._post(AgentNeedsInfo(question=question, slot=slot))
        answer = await self._heard.get()
        return await self._number(answer) if _is_keys(answer) else answer

    def tell(self, text: str) -> None:
        """Take what the caller said or pressed."""
        if not self._heard.full():
            self._heard.put_nowait(text)

    async def _number(self, keys: str) -> str:
        while "#" not in keys:
            try:
                more = await asyncio.wait_for(self._heard.get(), _KEY_PAUSE)
            except TimeoutError:
                break
            if not _is_keys(more):
                return more  # they would rather say it
            keys += more
        return keys.partition("#")[0]


def _is_keys(text: str) -> bool:
    return bool(text) and set(text) <= set("0123456789*#")


Agent: TypeAlias = Callable[[AgentCall], Awaitable[str]]


class AgentDesk:
    """An `AgentPort`: the agents of this process by name, one at work for a call at a time.

    An intent names its agent (`agent`) and how many seconds it may take (`deadline`, 120). A function call of the
    model is served by the agent of the tool's name, or of the intent of that name.
    """

    def __init__(self, agents: Mapping[str, Agent]) -> None:
        self._agents = dict(agents)
        self._at_work: dict[str, AgentCall] = {}

    async def run(self, session: Session) -> AgentCompleted | AgentFailed:
        """Serve the pending function calls of the model, or else the caller's intent, until that is done."""
        call = session.context
        try:
            if call.tool_calls:
                return await self._serve_tools(session, call)
            result = await self._serve(session, call.agent_type, call.entities, call.intent)
        except AgentGaveUp as failure:
            return AgentFailed(reason=failure.reason)
        return AgentCompleted(result=result)

    def tell(self, call_id: str, text: str) -> None:
        """Give the agent of this call what the caller said or pressed; ignored if none is at work."""
        if desk := self._at_work.get(call_id):
            desk.tell(text)

    async def _serve(self, session: Session, name: str, entities: Mapping[str, str], intent: str) -> str:
        agent = self._agents.get(name)
        if agent is None:
            raise AgentGaveUp("unknown_agent")
        call = session.context
        desk = self._at_work[call.call_id] = AgentCall(call, entities, session.post)
        deadline = float(call.bot.intent(intent).get("deadline", _DEADLINE))
        try:
            return await asyncio.wait_for(_work(agent, desk), deadline)
        except TimeoutError:
            raise AgentGaveUp("timed_out") from None
        finally:
            if self._at_work.get(call.call_id) is desk:
                del self._at_work[call.call_id]

    async def _serve_tools(self, session: Session, call: CallContext) -> AgentCompleted:
        """Serve one function call after the other. One that fails does not keep the others from their results."""
        results: dict[str, str] = {}
        failures: dict[str, str] = {}
        for tool in call.tool_calls:
            try:
                results[tool.call_id] = await self._serve_tool(session, call, tool)
            except AgentGaveUp as failure:
                failures[tool.call_id] = failure.reason
        if not results:
            raise AgentGaveUp(", ".join(failures.values()))
        outputs = {tool: {"result": result} for tool, result in results.items()}
        outputs |= {tool: {"error": reason} for tool, reason in failures.items()}
        return AgentCompleted(result=" ".join(results.values()), data={"tool_outputs": outputs})

    async def _serve_tool(self, session: Session, call: CallContext, tool: ToolCall) -> str:
        name = tool.tool if tool.tool in self._agents else call.bot.intent(tool.tool).get("agent", "")
        return await self._serve(session, name, _arguments(tool), tool.tool)


async def _work(agent: Agent, desk: AgentCall) -> str:
    return await agent(desk)


def _arguments(tool: ToolCall) -> dict[str, str]:
    """Return a function call's arguments by name, as text; the model may have written anything."""
    try:
        arguments = json.loads(tool.arguments)
    except ValueError:
        raise AgentGaveUp("bad_arguments") from None
    if not isinstance(arguments, dict):
        raise AgentGaveUp("bad_arguments")
    return {name: str(value) for name, value in arguments.items() if value is not None}
