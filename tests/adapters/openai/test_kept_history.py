"""What a call that was kept as JSON tells a new session of the model: everything, tool calls with their results."""

from __future__ import annotations

import json
from dataclasses import asdict

from adapters.sts.openai.memory import Memory
from fsm.context import BotSettings, CallContext
from fsm.document import Facts, document, read_document
from fsm.history import Message
from fsm.stored import StoredCall

HISTORY = (
    Message(role="caller", text="Where is my order?", item_id="u1"),
    Message(role="tool_call", text='{"order": 7}', item_id="call_1", tool="order_status"),
    Message(role="tool_result", text='{"error": "interrupted"}', item_id="call_1", tool="order_status"),
    Message(role="assistant", text="One mom", item_id="a1", interrupted=True),
)


def kept(context: CallContext) -> CallContext:
    """Return a call as it comes back from JSON."""
    stored = StoredCall(
        chart_id="c", chart_version=1, chart_hash="h", state="listening", seq=9, visits={}, timers=(), context=context
    )
    text = json.dumps(document(stored, Facts(), closed=False), default=asdict)
    return read_document(json.loads(text), lambda name, called: BotSettings(name=name)).context


def test_a_kept_history_is_replayed_as_it_was_with_tool_calls_and_their_results() -> None:
    fresh = list(Memory(CallContext(call_id="CA1", history=HISTORY)).replay())

    again = list(Memory(kept(CallContext(call_id="CA1", history=HISTORY))).replay())

    assert again == fresh
    assert [item["type"] for item in again] == ["message", "function_call", "function_call_output", "message"]
    assert (again[1]["call_id"], again[1]["name"], again[1]["arguments"]) == ("call_1", "order_status", '{"order": 7}')
    assert (again[2]["call_id"], again[2]["output"]) == ("call_1", '{"error": "interrupted"}')
