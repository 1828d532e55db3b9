"""What may be registered, and what is said of what may not; the errors that carry their facts."""

from __future__ import annotations

from functools import partial

import pytest

from fsm.context import CallContext
from fsm.errors import CallchartError, PortError, ProtocolError
from fsm.registry import Action, Registry
from fsm.session import Session
from fsm.triggers import ActionFailed, InvokeDone, InvokeFailed, Trigger
from tests.fsm.running import REGISTRY, agent, quick, yes


async def thinks(call: CallContext, trigger: Trigger) -> bool:
    return True


def hurries(session: Session, trigger: Trigger) -> None:
    return None


def test_two_functions_of_one_name_are_refused() -> None:
    with pytest.raises(CallchartError, match="two functions are called 'yes'"):
        Registry(guards=(yes,), reducers=(yes,))


@pytest.mark.parametrize("kind", ["guards", "reducers"])
def test_what_computes_cannot_wait(kind: str) -> None:
    with pytest.raises(CallchartError, match="'thinks' is `async def`; make it a service"):
        Registry(**{kind: (thinks,)})  # type: ignore[arg-type]


def test_service_that_cannot_wait_is_an_action() -> None:
    with pytest.raises(CallchartError, match="the service 'hurries' must be `async def`; or register it as an action"):
        Registry(services=(hurries,))


def test_handler_is_found_by_its_kind_only() -> None:
    assert REGISTRY.get("guard", "yes") is not None
    assert REGISTRY.get("action", "yes") is None
    assert REGISTRY.get("guard", "nobody") is None
    assert {handler.kind for handler in REGISTRY.all("guard", "service")} == {"guard", "service"}


def test_dependency_may_be_bound_with_partial() -> None:
    def answer(line: str, session: Session, trigger: Trigger) -> None:
        return None

    found = Registry(actions=(partial(partial(answer), "line"),)).get("action", "answer")

    assert found is not None
    assert not found.is_async


def test_extension_replaces_what_it_names_and_keeps_the_rest() -> None:
    extended = REGISTRY.extend(actions=(Action(quick, deadline=9.0),))
    known, replaced = REGISTRY.get("action", "quick"), extended.get("action", "quick")

    assert known is not None
    assert replaced is not None
    assert (known.deadline, replaced.deadline) == (2.0, 9.0)
    assert len(extended.all()) == len(REGISTRY.all())
    assert REGISTRY.get("service", agent.__name__) == extended.get("service", agent.__name__)


def test_events_of_handlers_and_invokes_exist_beside_the_declared_ones() -> None:
    assert REGISTRY.event_type("error.action.quick") is ActionFailed
    assert REGISTRY.event_type("error.action.nobody") is None
    assert REGISTRY.event_type("done.invoke.any") is InvokeDone
    assert REGISTRY.event_type("error.invoke.any") is InvokeFailed
    assert REGISTRY.event_type("call.exploded") is None


def test_errors_say_whose_fault_it_is_in_attributes() -> None:
    broken = ProtocolError("a binary frame", peer="twilio", close_code=1003)
    failed = PortError("no such number", port="carrier", retryable=False)

    assert (str(broken), broken.peer, broken.close_code) == ("twilio: a binary frame", "twilio", 1003)
    assert (str(failed), failed.port, failed.retryable) == ("carrier: no such number", "carrier", False)
