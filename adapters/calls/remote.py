"""What one node asks another of its calls: questions called `calls.<what>`, and the errors that come back as such."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from inspect import isawaitable
from typing import Any

from adapters.bus.contract import Bus, NodeAway
from adapters.bus.questions import Questions
from adapters.calls.contract import AlreadyThere, BadEvent, CallOver, Stale, UnknownCall, Unreachable
from adapters.calls.here import Here, NotHere
from adapters.stores.contract import StoreAway
from fsm.errors import CallchartError

__all__ = ["Nodes", "Served", "answers_of", "serve_calls"]

_TOLD: Mapping[str, type[CallchartError]] = {
    kind.__name__: kind for kind in (AlreadyThere, BadEvent, CallOver, NotHere, UnknownCall, Unreachable)
}
Served = Callable[[Mapping[str, Any]], Awaitable[Any]]


class Nodes:
    """The other nodes, as askers see them."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    @property
    def node(self) -> str:
        """The name of this one."""
        return self._bus.node

    async def ask(self, node: str, what: str, *, within: float = 2.0, **facts: Any) -> Any:
        """Ask a node, and return what it answers.

        Args:
            what: `document`, `post` …, see `serve_calls`.
            within: seconds.

        Raises:
            NodeAway: it does not answer.
            NotHere: it does not have the call.
            CallchartError: what it raised itself; see `Calls`.
        """
        answer = await self._bus.ask(node, {"op": f"calls.{what}", **facts}, within=within)
        if "raised" not in answer:
            return answer["answer"]
        raised, message = answer["raised"], answer["message"]
        if raised == "Stale":
            raise Stale(message, int(answer["current"]))
        raise _TOLD[raised](message)


def serve_calls(questions: Questions, answers: Mapping[str, Served]) -> None:
    """Have this node answer what others ask of its calls."""
    for what, answer in answers.items():
        questions.serve(f"calls.{what}", _telling(answer))


def answers_of(here: Here) -> dict[str, Served]:
    """Return what this node's calls answer, by what is asked; each takes the question's facts and gives JSON."""
    methods: Mapping[str, Callable[..., Any]] = {
        "document": here.document,
        "summaries": here.summaries,
        "lines": here.lines,
        "add_segments": here.add_segments,
        "post": here.post,
        "patch": here.patch,
        "end": here.end,
        "reset": here.reset,
    }
    return {what: _calling(method) for what, method in methods.items()}


def _calling(method: Callable[..., Any]) -> Served:
    async def answer(question: Mapping[str, Any]) -> Any:
        found = method(**{name: value for name, value in question.items() if name != "op"})
        return await found if isawaitable(found) else found

    return answer


def _telling(answer: Served) -> Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]:
    """Return `answer` with what it raises told by its kind: the bus tells only the message."""

    async def told(question: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            return {"answer": await answer(question)}
        except Stale as stale:
            return {"raised": "Stale", "message": str(stale), "current": stale.current}
        except tuple(_TOLD.values()) as error:
            return {"raised": type(error).__name__, "message": str(error)}
        except (StoreAway, NodeAway) as error:
            return {"raised": "Unreachable", "message": str(error)}

    return told
