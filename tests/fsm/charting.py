"""Charts written in a test: text in, problems or a chart out, and a small registry to name things from."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any, Literal

from fsm.chart import Chart
from fsm.context import CallContext
from fsm.errors import Problem
from fsm.load import load_chart, read_chart
from fsm.registry import Action, Registry, Service
from fsm.triggers import (
    AgentCompleted,
    AgentProgress,
    CallEnded,
    CallLost,
    Trigger,
    UserSilent,
    UserSpeaking,
    UserTranscript,
)
from fsm.yaml_source import read_yaml


def is_blank(call: CallContext, trigger: UserTranscript) -> bool:
    """Whether nothing was said."""
    return not trigger.text


def is_duplicate(call: CallContext, trigger: UserTranscript | UserSilent) -> bool:
    """Whether it was heard before."""
    return trigger is None


def retries_left(call: CallContext, trigger: Trigger, *, counter: Literal["silence", "clarify"], of: int = 2) -> bool:
    """Whether the caller may be asked again.

    Args:
        counter: what is counted.
        of: how often it may be.
    """
    return call.counters.get(counter, 0) < of


def count_retry(call: CallContext, trigger: Trigger, *, counter: str) -> CallContext:
    """Count one more."""
    return call


def reset_retries(call: CallContext, trigger: Trigger, *, counter: str) -> CallContext:
    """Count from the start."""
    return call


def truncate_history(call: CallContext, trigger: Trigger, *, keep: int = 20) -> CallContext:
    """Keep the newest `keep` messages."""
    return call


def note_end(call: CallContext, trigger: CallEnded | CallLost) -> CallContext:
    """Keep why the call ended."""
    return call


def answer(session: Any, trigger: Trigger) -> None:
    """Answer the caller."""


def speak(session: Any, trigger: UserSpeaking) -> None:
    """Say what is to be said."""


def start_sts(session: Any, trigger: Trigger) -> None:
    """Open the model's session."""


def stop_sts(session: Any, trigger: Trigger) -> None:
    """Close the model's session."""


def hang_up(session: Any, trigger: Trigger) -> None:
    """End the call at the carrier."""


async def run_agent(session: Any, trigger: Trigger, *, deadline: float = 10.0) -> Trigger | None:
    """Serve the caller's wish."""


async def wave(session: Any, trigger: Trigger) -> None:
    """Wave to the caller."""


REGISTRY = Registry(
    guards=(is_blank, is_duplicate, retries_left),
    reducers=(count_retry, reset_retries, truncate_history, note_end),
    actions=(
        Action(answer, needs=("sts",)),
        speak,
        Action(start_sts, opens=("sts",)),
        Action(stop_sts, closes=("sts",)),
        Action(hang_up, needs=("carrier",)),
    ),
    services=(Service(run_agent, produces=(AgentCompleted, AgentProgress), needs=("sts",)), wave),
)


def write(folder: Path, text: str, name: str = "c.yaml") -> Path:
    """Write a chart into `folder` and return its path."""
    path = folder / name
    path.write_text(dedent(text), encoding="utf-8")
    return path


def load(folder: Path, text: str, **options: Any) -> Chart:
    """Load a chart."""
    return load_chart(write(folder, text), **options)


def wrong(folder: Path, text: str, **options: Any) -> list[Problem]:
    """Return what is wrong with a chart that must not load."""
    chart, problems = read_chart(write(folder, text), **options)
    assert chart is None
    return problems


def told(problem: Problem) -> tuple[str, int, int, str]:
    """Return a problem's code and place."""
    return problem.code, problem.at.line, problem.at.column, problem.path


def cases(name: str) -> list[Any]:
    """Return the cases of a file in `tests/fsm/charts`."""
    path = Path(__file__).parent / "charts" / f"{name}.yaml"
    return list(read_yaml(path.read_bytes(), path.name).plain())
