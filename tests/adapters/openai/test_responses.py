"""The serial worker of responses, without a socket."""

from __future__ import annotations

from dataclasses import replace

from adapters.carriers.contract import MediaFormat
from adapters.sts.openai import events as e
from adapters.sts.openai.config import OpenAiConfig
from adapters.sts.openai.reports import Reports
from adapters.sts.openai.responses import Responses
from fsm.clock import LoopClock
from fsm.triggers import ToolCall
from tests.adapters.openai.peer import Notes, elapse, silence

PCMU = MediaFormat("pcmu", 8000)
SECOND = silence(1000 // 3 * 3)


class Line:
    """A worker of responses, what it has sent, and what it has given up."""

    def __init__(self) -> None:
        self.notes = Notes()
        self.sent: list[e.Command] = []
        self.given_up: list[str] = []
        self.calls: list[ToolCall] = []
        self.worker = Responses(
            Reports(self.notes),
            LoopClock(),
            OpenAiConfig(api_key="k"),
            send=self.send,
            called=self.calls.append,
            give_up=self.given_up.append,
        )

    def send(self, command: e.Command) -> str:
        self.sent.append(command)
        return f"c{len(self.sent)}"

    def ends(self) -> list[tuple[str, str]]:
        return [(end.status, end.reason) for (end,) in self.notes.of("end")]


async def test_a_reply_is_asked_for_in_three_sessions_and_no_more() -> None:
    line = Line()
    line.worker.request("answer", "")
    for _ in range(4):
        line.worker.opened()
        line.worker.lost()

    assert [type(c).__name__ for c in line.sent] == ["CreateResponse"] * 3
    assert line.ends() == [("failed", "lost")]
    assert line.worker.idle


async def test_a_request_cancelled_before_it_was_taken_up_is_forgotten_with_its_session() -> None:
    line = Line()
    line.worker.request("answer", "")
    line.worker.opened()
    line.worker.cancel()
    line.worker.lost()

    assert line.ends() == []
    assert line.worker.idle


async def test_a_lost_response_keeps_its_whole_function_calls() -> None:
    line = Line()
    line.worker.request("answer", "")
    line.worker.opened()
    line.worker.take(e.ResponseCreated("r1", {}))
    call = e.OutputItem("i", "function_call", "completed", "call_1", "bill", "{}")
    line.worker.take(e.ItemDone("r1", call))
    line.worker.take(e.ItemDone("r_other", replace(call, call_id="call_2")))
    line.worker.lost()
    line.worker.close()

    assert line.ends() == [("incomplete", "lost")]
    assert [c.call_id for c in line.calls] == ["call_1"]


async def test_the_conversation_is_that_of_the_newest_response_of_ours() -> None:
    line = Line()
    line.worker.request("answer", "")
    line.worker.opened()
    before = line.worker.conversation_id
    line.worker.take(e.ResponseCreated("r1", {}, "conv_1"))
    line.worker.take(e.ResponseCreated("r2", {}, "conv_2"))
    line.worker.close()

    assert (before, line.worker.conversation_id) == ("", "conv_1")


async def test_while_one_response_is_made_another_is_cancelled() -> None:
    line = Line()
    line.worker.request("answer", "")
    line.worker.opened()
    line.worker.take(e.ResponseCreated("r1", {}))
    line.worker.take(e.ResponseCreated("r2", {}))
    active = line.worker.active_id
    line.worker.close()

    assert active == "r1"
    assert line.sent[1:] == [e.CancelResponse("r2")]


async def test_errors_about_other_things_do_not_end_a_response() -> None:
    line = Line()
    error = e.PeerError("invalid_request_error", "invalid_value", "c99")
    before = line.worker.refused(error)
    line.worker.request("answer", "")
    line.worker.opened()
    line.worker.take(e.ResponseCreated("r1", {}))
    during = line.worker.refused(error)
    taken = line.worker.refused(e.PeerError("", "conversation_already_has_active_response", "c1"))
    line.worker.close()

    assert [before, during, taken] == [False, False, False]
    assert line.ends() == []


async def test_a_request_that_is_always_refused_as_too_early_is_given_up_and_asked_ever_more_seldom() -> None:
    line = Line()
    line.worker.request("answer", "")
    line.worker.opened()
    for _ in range(44):
        line.worker.refused(e.PeerError("", "conversation_already_has_active_response", f"c{len(line.sent)}"))
        await elapse(0.25)

    assert line.given_up == ["stalled"]
    assert line.ends() == [("failed", "stalled")]
    assert sum(isinstance(command, e.CreateResponse) for command in line.sent) == 6


async def test_text_of_another_response_is_not_shown() -> None:
    line = Line()
    line.worker.request("answer", "")
    line.worker.opened()
    line.worker.take(e.ResponseCreated("r1", {"request": "r1"}))
    shown = [line.worker.text(e.TextDelta(r, "i", "x")) for r in ("r1", "r2")]
    line.worker.close()

    assert shown == [True, False]


async def test_many_responses_leave_a_bounded_trace() -> None:
    line = Line()
    line.worker.opened()
    for number in range(70):
        line.worker.request("answer", "")
        line.worker.take(e.ResponseCreated(f"r{number}", {}))
        line.worker.take(e.ResponseDone(f"r{number}", "strange", "", (), None))

    assert line.ends() == [("failed", "")] * 70
    assert line.worker.idle
