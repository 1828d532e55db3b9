"""What a new session has to be told, so that a conversation goes on where an old one ended. Pure.

A session cannot be resumed and a reply's audio cannot be given back, so the history is told as text. The caller may
still be hearing a reply, or its words may still be on their way, while the session changes: such a message is told
when the call's history has it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from adapters.sts.openai import translate
from adapters.sts.openai.translate import Body
from fsm.context import CallContext
from fsm.triggers import ToolCall

__all__ = ["Memory"]

_LINES_KEPT = 20
_CALLS_KEPT = 64
_ITEMS_KEPT = 64


class Memory:
    """The conversation as far as a model must know it."""

    def __init__(self, call: CallContext) -> None:
        self.call = call
        self._lines: deque[str] = deque(maxlen=_LINES_KEPT)
        self._new_lines: deque[str] = deque(maxlen=_LINES_KEPT)
        self._calls: dict[str, ToolCall] = {}
        self._here: set[str] = set()
        """Function calls that the open session knows."""
        self._results: dict[str, str] = {}
        """Answers that no session has been told yet."""
        self._items: dict[str, None] = {}
        """Items of the open session, oldest first."""
        self._missed: dict[str, None] = {}
        """Items of former sessions whose words the open one has not been told."""

    def noticed(self, item_id: str) -> None:
        """The open session has made an item that somebody speaks, or has spoken."""
        self._items[item_id] = None
        _bound(self._items, _ITEMS_KEPT)

    def called(self, call: ToolCall) -> None:
        """The open session has made a function call."""
        self._calls[call.call_id] = call
        self._here.add(call.call_id)
        _bound(self._calls, _CALLS_KEPT)
        self._here &= self._calls.keys()

    def session_lost(self) -> None:
        """The open session is gone, with all that it knew."""
        self._missed.update(self._items)
        _bound(self._missed, _ITEMS_KEPT)
        self._items.clear()
        self._here.clear()

    def replay(self) -> Iterator[Body]:
        """Yield the items that a new session is told, in order."""
        for line in self._lines:
            yield translate.system_line(line)
        for item_id, item in translate.history_items(self.call.history):
            self._missed.pop(item_id, None)
            if item["type"] == "function_call":
                self._here.add(item_id)
            elif item["type"] == "function_call_output":
                self._results.pop(item_id, None)
            yield item
        for line in self._new_lines:
            yield translate.system_line(line)
        self._lines.extend(self._new_lines)
        self._new_lines.clear()
        results, self._results = self._results, {}
        for call_id, output in results.items():
            yield from self.answer(call_id, output)

    def remember(self, call: CallContext) -> Iterator[Body]:
        """Take `call`, and yield what the open session missed and can be told now."""
        self.call = call
        for message in call.history if self._missed else ():
            item = translate.spoken_item(message) if message.item_id in self._missed else None
            if item is not None:
                del self._missed[message.item_id]
                yield item

    def tell(self, text: str, *, is_open: bool) -> Iterator[Body]:
        """Keep a system line; yield it if a session is open."""
        if not is_open:
            self._new_lines.append(text)
            return
        self._lines.append(text)
        yield translate.system_line(text)

    def keep_answer(self, call_id: str, output: str) -> None:
        """Keep the answer to a function call until a session is open."""
        self._results[call_id] = output

    def answer(self, call_id: str, output: str) -> Iterator[Body]:
        """Yield the answer to a function call, behind the call if the open session does not know it."""
        if call_id not in self._here and (call := self._find(call_id)) is not None:
            self._here.add(call_id)
            yield translate.function_call(call)
        yield translate.function_output(call_id, output)

    def _find(self, call_id: str) -> ToolCall | None:
        if call_id in self._calls:
            return self._calls[call_id]
        for pending in self.call.tool_calls:
            if pending.call_id == call_id:
                return pending
        for message in self.call.history:
            if message.role == "tool_call" and message.item_id == call_id:
                return translate.tool_call(message)
        return None


def _bound(kept: dict[str, ToolCall] | dict[str, None], limit: int) -> None:
    while len(kept) > limit:
        del kept[next(iter(kept))]
