"""Timers, services and undos belong to one visit of one node."""

from __future__ import annotations

from typing import Any

import pytest

from fsm.observe import Journal
from fsm.registry import Service
from fsm.session import Session
from fsm.triggers import CallEnded, CallLost, SessionShutdown, Trigger, UserSilent, UserSpeaking
from tests.fakes import elapse
from tests.fsm.running import END, LOG, REGISTRY, a_machine, a_session, ended, notes, swallows

NESTED = """
    id: nested
    initial: x
    preempt: [call.ended, session.shutdown]
    delays: {short: 1s, long: 3s, longest: 10s}
    on:
      call.ended: {target: end}
      session.shutdown: {target: y}
      error.action.*: {}
    after:
      longest: {target: end, actions: [c]}
    states:
      x:
        on: {user.speaking: {target: y}, user.silent: {target: x, reenter: true}}
        after:
          short: {actions: [a]}
          long: {target: y}
      up:
        initial: y
        entry: [in_up]
        exit: [out_up]
        after:
          long: {target: end, actions: [b]}
        states:
          y:
            on: {user.speaking: {target: y, reenter: true}}
            after:
              short: {actions: [a]}
      end: {type: final}
"""


async def test_timers_fire_each_at_its_own_time_and_chained_ones_too() -> None:
    watch = notes()
    session = a_session(a_machine(NESTED), observers=(watch,))
    began = session.clock.now()

    await session.wait_settled()

    assert watch.seen == [
        "init:  -> x",
        "after.short: x -> x",
        "after.long: x -> y",
        "after.short: y -> y",
        "after.long: y -> end",
        "settled",
    ]
    assert session.clock.now() - began == 6.0


async def test_a_re_entered_node_starts_its_timers_anew() -> None:
    session = a_session(a_machine(NESTED))
    await elapse(0.9)

    session.post(UserSilent())
    await elapse(0.9)

    assert "a" not in LOG
    await elapse(0.2)
    assert "a" in LOG
    session.post(END)
    await session.wait_settled()


async def test_a_parents_timer_runs_on_while_its_children_change() -> None:
    session = a_session(a_machine(NESTED))
    session.post(UserSpeaking())
    began = session.clock.now()
    for _ in range(3):
        await elapse(0.9)
        session.post(UserSpeaking())

    await session.wait_settled()

    assert session.clock.now() - began == 3.0
    assert LOG == ["in_up", "out_up", "b"]


async def test_timers_due_together_fire_parents_first() -> None:
    chart = """
        id: ties
        initial: up
        delays: {one: 2s, two: 2s, three: 2000ms}
        on: {call.ended: {target: end}}
        after: {three: {actions: [a]}}
        states:
          up:
            initial: y
            after: {two: {actions: [b]}}
            states:
              y: {after: {one: {actions: [c]}}}
          end: {type: final}
    """
    session = a_session(a_machine(chart))

    await elapse(2.5)

    assert LOG == ["a", "b", "c"]
    session.post(END)
    await session.wait_settled()


async def test_of_two_timers_due_together_the_second_is_stale_once_the_first_has_left() -> None:
    chart = """
        id: ties
        initial: y
        delays: {one: 2s, two: 2s}
        on: {call.ended: {target: end}}
        after: {one: {target: x}}
        states:
          y: {after: {two: {target: end}}}
          x: {}
          end: {type: final}
    """
    watch = notes()
    session = a_session(a_machine(chart), observers=(watch,))

    await elapse(2.5)

    assert session.state == "x"
    assert session.stale == 1
    assert watch.seen[-1] == "stale after.two"
    session.post(END)
    await session.wait_settled()


async def test_timers_never_start_when_a_hang_up_cut_the_entry_and_start_if_the_node_stays() -> None:
    chart = NESTED.replace("entry: [in_up]", "entry: [in_up, slow]").replace(
        "exit: [out_up]", "exit: [out_up]\n        on: {session.shutdown: {target: y}}"
    )
    session = a_session(a_machine(chart))
    session.post(UserSpeaking())
    await elapse(0.5)
    began = session.clock.now() - 0.5

    session.post(SessionShutdown())  # leads out of y into y, inside `up`: its timer starts after all
    await session.wait_settled()

    assert LOG[:3] == ["in_up", "slow begins", "slow cancelled"]
    assert session.clock.now() - began == pytest.approx(3.0)


SERVING = """
    id: serving
    initial: x
    preempt: [call.ended]
    on:
      call.ended: {target: end}
      call.lost: {target: y}
      agent.progress: {actions: [a]}
      agent.said: {actions: [b]}
    states:
      x:
        invoke: {id: job, src: SERVICE}
        on:
          done.invoke.job: {actions: [in_x]}
          error.invoke.job: {actions: [out_x]}
          agent.completed: {actions: [c]}
          user.speaking: {target: y}
      y: {}
      end: {type: final}
"""


@pytest.mark.parametrize(
    ("service", "said"),
    [
        ("work", ["work begins", "in_x"]),
        ("agent", ["a", "c"]),
        ("fails", ["out_x"]),
        ("quits", ["out_x"]),
    ],
)
async def test_a_service_ends_with_the_trigger_that_its_end_means(service: str, said: list[str]) -> None:
    session = a_session(a_machine(SERVING.replace("SERVICE", service)))

    await elapse(2)

    assert said == LOG
    session.post(END)
    await session.wait_settled()


async def test_a_service_is_cancelled_when_its_state_is_left() -> None:
    session = a_session(a_machine(SERVING.replace("SERVICE", "work")))
    await elapse(0.5)

    session.post(UserSpeaking())
    await elapse(0)

    assert LOG == ["work begins", "work cancelled"]
    session.post(END)
    await session.wait_settled()
    assert LOG == ["work begins", "work cancelled"]


async def test_what_a_service_says_too_late_is_counted_not_obeyed() -> None:
    session = a_session(a_machine(SERVING.replace("SERVICE", "hangs_on")))
    await elapse(0.5)

    session.post(UserSpeaking())
    await elapse(1)

    assert LOG == []
    assert session.stale == 1
    assert session.abandoned == 0
    session.post(END)
    await session.wait_settled()


async def test_a_service_swallowing_its_cancellation_is_abandoned_and_the_call_goes_on() -> None:
    async def stubborn(session: Session, trigger: Trigger, *, times: int = 1) -> None:
        await swallows(session, trigger, times=times)

    registry = REGISTRY.extend(services=(Service(stubborn),))
    machine = a_machine(
        SERVING.replace("{id: job, src: SERVICE}", "{id: job, src: stubborn, params: {times: 3}}"), registry
    )
    session = a_session(machine)
    await elapse(0.5)

    session.post(UserSpeaking())
    await elapse(0)
    assert session.state == "y"
    await elapse(2)

    assert session.abandoned == 1
    assert LOG[-1] == "HandleRevokedError"
    session.post(END)
    await session.wait_settled()


async def test_a_hang_up_is_committed_while_a_service_runs() -> None:
    session = a_session(a_machine(SERVING.replace("SERVICE", "work")))
    await elapse(0.5)
    began = session.clock.now()

    session.post(END)
    await session.wait_closed()

    assert session.clock.now() == began
    await session.wait_settled()
    assert LOG[-1] == "work cancelled"


async def test_work_that_must_not_run_twice_starts_once_its_step_is_kept() -> None:
    class Slow(Journal):
        async def durable(self, call_id: str, seq: int) -> None:
            LOG.append(f"durable {call_id} {seq}")
            await elapse(5)

    session = a_session(a_machine(SERVING.replace("SERVICE", "agent")), journal=Slow())

    await elapse(5.5)

    assert LOG == ["durable CA1 1", "a"]
    session.post(END)
    await session.wait_settled()


async def test_undos_run_when_their_node_is_left_the_newest_first() -> None:
    chart = """
        id: scopes
        initial: x
        entry: [{type: undoing, params: {name: root}}]
        on: {call.ended: {target: end}}
        states:
          x:
            entry: [{type: undoing, params: {name: x1}}, {type: undoing, params: {name: x2, fails: true}}]
            exit: [out_x]
            on: {user.speaking: {target: y, actions: [{type: undoing, params: {name: row}}]}}
          y: {}
          end: {type: final, entry: [in_end]}
    """
    session = a_session(a_machine(chart))
    session.post(UserSpeaking())
    await elapse(0)
    assert LOG == ["out_x", "undo x2", "undo x1"]

    session.post(END)
    await session.wait_settled()

    assert LOG[3:] == ["undo row", "in_end", "undo root"]
    assert session.faults == ("undo: ZeroDivisionError",)


async def test_a_late_answer_of_an_earlier_visit_is_stale_even_in_the_same_state() -> None:
    session = a_session(a_machine(NESTED))
    await elapse(0)
    stamp = (1, session.snapshot.visits[1])

    session.post(UserSilent())
    await elapse(0)
    session.post(UserSpeaking(), stamp=stamp)
    await elapse(0)

    assert (session.state, session.stale) == ("x", 1)
    session.post(CallEnded())
    session.post(CallLost())
    await session.wait_settled()


async def answers_oddly(session: Session, trigger: Trigger) -> Trigger | None:
    return "agent.completed"  # type: ignore[return-value]  # what a slip of the pen looks like


async def opens_something(session: Session, trigger: Trigger) -> Trigger | None:
    await elapse(1)
    session.on_leave(lambda: LOG.append("service's undo"))
    await elapse(1e9)
    return None


SERVED = """
    id: served
    initial: x
    preempt: [call.ended]
    on:
      call.ended: {target: end}
      user.silent: {actions: [a]}
    states:
      x:
        invoke: {id: work, src: SERVICE}
        on: {error.invoke.work: {target: y}, user.speaking: {target: y}}
      y: {entry: [in_y]}
      end: {type: final, entry: [in_end]}
"""


def served_by(service: Any) -> Session:
    registry = REGISTRY.extend(services=(Service(service),))
    return a_session(a_machine(SERVED.replace("SERVICE", service.__name__), registry))


async def test_a_service_that_returns_no_trigger_has_failed() -> None:
    session = served_by(answers_oddly)
    await elapse(0.1)

    assert session.state == "y"
    assert session.context.last_error == "error.invoke.work: returned str, not a Trigger"
    await ended(session)


async def test_what_a_service_opens_is_closed_when_its_own_node_is_left() -> None:
    chart = """
        id: nested
        initial: up
        preempt: [call.ended]
        on: {call.ended: {target: end}}
        states:
          up:
            initial: x
            invoke: {id: work, src: opens_something}
            on: {call.lost: {target: z}}
            states:
              x: {on: {user.silent: {target: y}}}
              y: {entry: [in_y], on: {user.speaking: {target: x}}}
          z: {}
          end: {type: final, entry: [in_end]}
    """
    session = a_session(a_machine(chart, REGISTRY.extend(services=(Service(opens_something),))))
    session.post(UserSilent())
    await elapse(2)  # it opens something while a child of its node is the last that was entered
    session.post(UserSpeaking())
    await elapse(0.1)
    assert LOG == ["in_y"]
    assert session.leftovers()["listeners"] == 1

    session.post(CallLost())
    await elapse(0.1)

    assert LOG == ["in_y", "service's undo"]
    await ended(session)


async def test_a_full_inbox_drops_neither_a_timer_nor_the_end_of_a_service() -> None:
    chart = """
        id: full
        initial: x
        preempt: [call.ended]
        delays: {patience: 1200ms}
        on: {call.ended: {target: end}}
        states:
          x:
            invoke: {id: work, src: work}
            on:
              user.silent: {actions: [slow]}
              user.speaking: {actions: [c]}
              done.invoke.work: {actions: [a]}
            after: {patience: {actions: [b]}}
          end: {type: final, entry: [in_end]}
    """
    session = a_session(a_machine(chart), inbox_limit=1)
    await elapse(0.5)
    session.post(UserSilent())
    await elapse(0.1)
    for _ in range(3):
        session.post(UserSpeaking())  # one waits, and the inbox is full
    await elapse(2)

    assert LOG == ["work begins", "slow begins", "slow ends", "c", "a", "b"]
    assert session.dropped == 2
    await ended(session)
