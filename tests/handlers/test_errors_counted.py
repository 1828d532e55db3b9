"""What fails in a call is counted in `errors` wherever `last_error` tells of it, in each bundled chart that answers."""

from __future__ import annotations

import pytest

from fsm.compile import compile_chart
from fsm.context import CallContext
from fsm.load import load_chart
from fsm.step import Step, begin, step
from fsm.triggers import ActionFailed, InvokeFailed, Trigger
from handlers import REGISTRY

MACHINES = {name: compile_chart(load_chart(name, registry=REGISTRY), REGISTRY) for name in ("voice_call", "eager")}


FAILURES: list[tuple[str, Trigger]] = [
    ("listening", ActionFailed(name="error.action.greet", error="KeyError")),
    ("listening", ActionFailed(name="error.action.start_sts", error="KeyError")),
    ("listening", ActionFailed(name="error.action.attach_listeners", error="KeyError")),
    ("listening", ActionFailed(name="error.action.open_media", error="KeyError")),
    ("ending", ActionFailed(name="error.action.transfer", error="KeyError")),
    ("intent", InvokeFailed(name="error.invoke.detect", error="KeyError")),
    ("agent", InvokeFailed(name="error.invoke.agent", error="KeyError")),
    ("ending", InvokeFailed(name="error.invoke.farewell", error="KeyError")),
]


@pytest.mark.parametrize(
    ("chart", "state", "failed"),
    [(chart, *failure) for chart in MACHINES for failure in FAILURES if failure[0] in MACHINES[chart].leaves],
    ids=lambda value: value.name if isinstance(value, Trigger) else value,
)
def test_each_failure_is_counted_once(chart: str, state: str, failed: Trigger) -> None:
    before = begin(MACHINES[chart], CallContext(call_id="CA1", answered=True)).after._replace(state=state)

    done = step(MACHINES[chart], before, failed)

    assert isinstance(done, Step)
    assert (done.after.context.errors, done.after.context.last_error) == (1, f"{failed.name}: KeyError")
