"""The page of a chart in `diagrams/`, and the text of a difference: what reviewers read."""

from __future__ import annotations

from fsm.chart import Chart
from fsm.diagram.difference import Change, Difference, Kind
from fsm.diagram.mermaid import mermaid, mermaid_of
from fsm.diagram.table import delay_table, plain, transition_table

__all__ = ["RENDERER", "difference_markdown", "markdown", "stamp"]

RENDERER = "1"
"""Grows when the same chart is drawn differently, so that `callchart diagram --check` asks for new pictures."""
_KINDS: tuple[tuple[Kind, str], ...] = (
    ("chart", "The call as a whole"),
    ("state", "States"),
    ("block", "What states do"),
    ("row", "Transitions"),
    ("delay", "Time-outs"),
)
_SIGNS = {"+": "+", "-": "−", "~": "~", "": ""}


def stamp(chart: Chart) -> str:
    """Return what says of which chart, and by which renderer, something was drawn."""
    return f"callchart diagram of {chart.id}, chart {chart.hash}, renderer {RENDERER}"


def markdown(chart: Chart) -> str:
    """Return the page of `chart`: picture, time-outs, every row, and a stamp."""
    about = chart.root.description.strip() or "The life of a call, as its chart says."
    parts = [
        f"# {chart.id}",
        f"{plain(about)} Version {plain(str(chart.version))}. Written by `callchart diagram`; "
        "change the chart, not this page.",
        _fenced(mermaid(chart)),
        "A dashed box stands for every state of its frame, unless a state says otherwise. ⏱ time-out, ⚙ work that runs "
        "meanwhile, ↻ leaves the state and enters it again. What stays in its state is in the table only.",
    ]
    if chart.delays:
        parts.append("## Time-outs\n\n" + delay_table(chart).rstrip())
    if chart.preempt:
        events = ", ".join(f"`{event}`" for event in chart.preempt)
        parts.append(f"## Never waits\n\n{events} jump the queue and cancel an action that is still running.")
    parts.append("## Transitions\n\n" + transition_table(chart).rstrip())
    parts.append(f"<!-- {stamp(chart)} -->")
    return "\n\n".join(parts) + "\n"


def difference_markdown(difference: Difference) -> str:
    """Return the difference for a pull request: a summary, the marked picture, and every change in words."""
    title = f"# {difference.old} → {difference.new}"
    if not difference:
        return f"{title}\n\nNo difference: both charts mean the same.\n"
    counts = {mark: sum(change.mark == mark for change in difference.changes) for mark in "+-~"}
    summary = f"{counts['+']} added (+), {counts['-']} removed (−), {counts['~']} changed (~)."
    parts = [title, summary, _fenced(mermaid_of(difference.sketch))]
    for kind, heading in _KINDS:
        changes = difference.of(kind)
        if changes:
            parts.append(f"## {heading}\n\n" + "\n".join(_change(change) for change in changes))
    return "\n\n".join(parts) + "\n"


def _change(change: Change) -> str:
    name = f"**{change.where}**" + (f" {change.event}:" if change.kind == "block" else ":")
    words = [f"- `{_SIGNS[change.mark]}`", name]
    if change.old:
        words.append(f"~~{_code(change.old)}~~")
    if change.new:
        words.append(_code(change.new))
    if change.parts:
        words.append(f"({', '.join(change.parts)})")
    return " ".join(words)


def _code(text: str) -> str:
    return f"`{text.replace('`', '')}`"


def _fenced(diagram: str) -> str:
    return f"```mermaid\n{diagram}```"
