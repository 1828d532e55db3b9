"""What other nodes may ask this one: one question, one answer, by its `op`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapters.bus.contract import Answer
from fsm.errors import CallchartError

__all__ = ["Questions"]


class Questions:
    """Serves `bus.serve(questions)`; whoever can answer registers with `serve`."""

    def __init__(self) -> None:
        self._answers: dict[str, Answer] = {}

    def serve(self, op: str, answer: Answer) -> None:
        """Have `answer` serve the questions that are called `op`.

        Raises:
            ValueError: somebody serves them already.
        """
        if op in self._answers:
            raise ValueError(f"questions called {op!r} are served already")
        self._answers[op] = answer

    async def __call__(self, question: Mapping[str, Any]) -> Mapping[str, Any]:
        """Answer a question of another node.

        Raises:
            CallchartError: nobody here can.
        """
        answer = self._answers.get(str(question.get("op", "")))
        if answer is None:
            raise CallchartError(
                f"this node serves no question called {question.get('op')!r}; it may run another version"
            )
        return await answer(question)
