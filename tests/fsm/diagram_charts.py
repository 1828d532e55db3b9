"""Small charts for tests of pictures, written as chart files are."""

from __future__ import annotations

import tempfile
from pathlib import Path

from fsm import load_chart
from fsm.chart import Chart


def chart_of(text: str) -> Chart:
    """Return the chart that a file with this text holds; any name may stand in it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "chart.yaml"
        path.write_text(text, encoding="utf-8")
        return load_chart(path, loose=True)


SMALL = """
id: small
initial: waiting
preempt: [call.ended]
delays: {ring: 20s, quick: 500ms}
on:
  call.ended: {target: over}
states:
  waiting:
    on:
      call.started:
        - {guard: at_capacity, target: over, actions: [say_busy]}
        - {target: talking}
    after:
      ring: {target: over}
  live:
    initial: talking
    entry: [start_sts]
    exit: [stop_sts]
    on:
      tool.called: {target: helping}
      sts.failed: {target: over, actions: [apologise]}
      call.dtmf: {actions: [tell_agent]}
    states:
      talking:
        on:
          user.transcript:
            - {guard: is_duplicate}
            - {guard: {type: confidence_at_least, params: {threshold: 0.6}}, target: helping, actions: [answer]}
            - {guard: {not: is_blank}, target: helping, actions: [clarify]}
            - {target: talking, reenter: true}
      helping:
        invoke: {id: agent, src: run_agent}
        on:
          tool.called: {actions: [refuse_tool]}
          agent.completed: {target: talking, actions: [{type: truncate_history, params: {keep: 20}}]}
        ignore: [user.transcript]
        after:
          "1500": {guard: is_slow, actions: [hold_the_line]}
  over:
    type: final
    entry: [hang_up]
"""
