"""A call at a terminal: colours only where they are wanted, long lines broken, what goes wrong said."""

from __future__ import annotations

import io

import pytest

from adapters.telemetry.terminal import Terminal, wants_colour
from fsm.clock import LoopClock
from fsm.compile import compile_chart
from fsm.context import CallContext, changed
from fsm.history import Message
from fsm.load import load_chart
from fsm.observe import Effect
from fsm.session import Session
from fsm.step import Refusal, begin
from fsm.triggers import CallDtmf
from handlers import REGISTRY


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def a_session() -> Session:
    machine = compile_chart(load_chart("voice_call", registry=REGISTRY), REGISTRY)
    return Session(machine, CallContext(call_id="CA1"), clock=LoopClock())


@pytest.mark.parametrize(
    ("stream", "environ", "wanted"),
    [
        (Screen(), {"TERM": "xterm"}, True),
        (Screen(), {"NO_COLOR": "1"}, False),
        (Screen(), {"NO_COLOR": ""}, True),
        (Screen(), {"TERM": "dumb"}, False),
        (io.StringIO(), {"TERM": "xterm"}, False),
    ],
)
def test_colours_are_for_terminals_whose_user_wants_them(
    stream: io.StringIO, environ: dict[str, str], wanted: bool
) -> None:
    assert wants_colour(stream, environ) is wanted


async def test_what_is_said_stands_under_the_step_with_the_speaker_and_what_cut_it() -> None:
    session, screen = a_session(), io.StringIO()
    first = begin(session.machine, session.context)
    text = " ".join(["and so on"] * 20)
    said = changed(session.context, history=(Message(role="assistant", text=text, interrupted=True),))
    Terminal(screen, colour=False).on_commit(session, first._replace(after=first.after._replace(context=said)))
    step, *lines = screen.getvalue().splitlines()
    assert step.split() == ["0.00", "init", "created"]
    assert lines[0].startswith("         assistant: and so on")
    assert all(line.startswith(" " * 20 + "and") or line.startswith(" " * 20) for line in lines[1:])
    assert max(map(len, lines)) < 130
    assert lines[-1].endswith(" — interrupted")


async def test_a_message_without_text_is_not_shown() -> None:
    session, screen = a_session(), io.StringIO()
    first = begin(session.machine, session.context)
    said = changed(session.context, history=(Message(role="caller", text="", item_id="item_1"),))
    Terminal(screen, colour=False).on_commit(session, first._replace(after=first.after._replace(context=said)))
    assert len(screen.getvalue().splitlines()) == 1


async def test_colours_wrap_what_they_colour() -> None:
    session, screen = a_session(), Screen()
    Terminal(screen, colour=True).on_commit(session, begin(session.machine, session.context))
    assert "\x1b[1mcreated" in screen.getvalue()
    assert screen.getvalue().count("\x1b[0m") == screen.getvalue().count("\x1b[1m")


async def test_actions_that_do_not_fit_go_on_below_the_first() -> None:
    session, screen = a_session(), io.StringIO()
    actions = session.machine.table["listening"]["call.ended"][0]
    first = begin(session.machine, session.context)
    closed = first._replace(row=actions, before=first.after)
    Terminal(screen, colour=False).on_commit(session, closed)
    above, below = screen.getvalue().splitlines()
    place = above.index("interrupt_playback")
    assert below[:place].isspace()
    assert not below[place].isspace()
    assert "notify_fronts" in below


async def test_an_action_that_fails_is_told() -> None:
    session, screen = a_session(), io.StringIO()
    effects = [
        Effect("greet", "entry", "done", "", 0.0, 0.1),
        Effect("hang_up", "transition", "timed_out", "", 0.0, 5.0),
        Effect("stop_sts", "exit", "failed", "PortError", 0.0, 0.1),
    ]
    Terminal(screen, colour=False).on_effects(session, begin(session.machine, session.context), effects)
    assert screen.getvalue().split("\n") == ["         hang_up timed out", "         stop_sts failed: PortError", ""]


async def test_an_event_that_is_not_expected_is_told() -> None:
    session, screen = a_session(), io.StringIO()
    at = begin(session.machine, session.context).after
    Terminal(screen, colour=False).on_refusal(session, Refusal(CallDtmf(digits="1"), at))
    assert screen.getvalue() == "         call.dtmf is not expected in created\n"
