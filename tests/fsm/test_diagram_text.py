"""Charts as Mermaid, Graphviz and tables."""

from __future__ import annotations

from fsm.chart import Chart
from fsm.diagram import RENDERER, delay_table, dot, markdown, mermaid, transition_table
from fsm.diagram.words import row_words
from tests.fsm.diagram_charts import SMALL, chart_of

ODD = """
id: odd
initial: end
states:
  end: {on: {'e;x': {guard: 'a"b<c>', target: any_of_live}}}
  any_of_live: {on: {e: leaf}}
  live: {initial: inner, on: {f: end}, states: {inner: {initial: leaf, states: {leaf: {on: {e: end}}}}}}
"""


def test_mermaid_of_a_chart() -> None:
    assert mermaid(chart_of(SMALL)) == (
        """stateDiagram-v2
    direction TB
    [*] --> waiting
    state "waiting<br/>⏱ 20s → over" as waiting
    state "over" as over
    state "any state" as any_state
    state "live" as live {
        state "any of live" as any_of_live
        state "talking<br/>↻ user.transcript [else]" as talking
        state "helping<br/>⚙ run_agent<br/>⏱ 1.5s [is_slow]" as helping
    }
    any_state --> over: call.ended
    waiting --> over: call.started [at_capacity]
    waiting --> talking: call.started [else]
    talking --> helping: tool.called<br/>user.transcript [confidence_at_least 0.6]<br/>user.transcript [not is_blank]
    any_of_live --> over: sts.failed
    helping --> talking: agent.completed
    over --> [*]
    classDef outer fill:#fff,stroke:#64748b,stroke-dasharray:5 4
    classDef final stroke-width:3px
    class any_of_live,any_state outer
    class over final
"""
    )


def test_mermaid_escapes_what_it_cannot_take() -> None:
    text = mermaid(chart_of(ODD))

    assert '"end" as s_end' in text
    assert "s_end --> any_of_live: e#59;x [a#34;b#60;c#62;]" in text


def test_mermaid_names_are_unique_and_plain() -> None:
    text = mermaid(chart_of(ODD))

    assert '"any_of_live" as any_of_live\n' in text
    assert '"any of live" as any_of_live_\n' in text
    assert "any_of_live_ --> s_end: f" in text


def test_table_has_a_line_for_every_row_with_everything_in_it() -> None:
    assert transition_table(chart_of(SMALL)) == (
        """| state | event | guard | target | actions |
| --- | --- | --- | --- | --- |
| small (any state) | call.ended |  | over |  |
| waiting | call.started | at_capacity | over | say_busy |
| waiting | call.started | else | talking |  |
| waiting | ⏱ 20s (ring) |  | over |  |
| live | (entry) |  |  | start_sts |
| live | (exit) |  |  | stop_sts |
| live | call.dtmf |  | (stays) | tell_agent |
| live | sts.failed |  | over | apologise |
| live | tool.called |  | helping |  |
| talking | user.transcript | is_duplicate | (stays) | (nothing) |
| talking | user.transcript | confidence_at_least(threshold: 0.6) | helping | answer |
| talking | user.transcript | not is_blank | helping | clarify |
| talking | user.transcript | else | talking (entered again) |  |
| helping | (invoke agent) |  |  | run_agent |
| helping | agent.completed |  | talking | truncate_history(keep: 20) |
| helping | tool.called |  | (stays) | refuse_tool |
| helping | user.transcript |  | (stays) | (nothing) |
| helping | ⏱ 1.5s | is_slow | (stays) | hold_the_line |
| over | (entry) |  |  | hang_up |
"""
    )


def test_table_cell_keeps_its_column_whatever_is_in_it() -> None:
    chart = chart_of("{id: c, initial: a, states: {a: {on: {'x|y.*': {guard: {type: g, params: {on: true}}}}}}}")

    assert "| a | x\\|y.\\* | g(on: true) | (stays) | (nothing) |" in transition_table(chart)


def test_page_never_holds_html_of_the_chart() -> None:
    chart = chart_of(
        "{id: c, version: <i>, description: '<b>&</b>', initial: a,"
        " states: {a: {on: {call.dtmf: {guard: {type: g, params: {of: '<u>'}}}}}}}"
    )

    page = markdown(chart)

    assert "&lt;b&gt;&amp;&lt;/b&gt; Version &lt;i&gt;. " in page
    assert "g(of: &lt;u&gt;)" in transition_table(chart)


def test_delays_name_the_states_that_wait() -> None:
    assert delay_table(chart_of(SMALL)) == (
        "| delay | time | waited for in |\n| --- | --- | --- |\n| quick | 500ms |  |\n| ring | 20s | waiting |\n"
    )


def test_page_holds_picture_tables_and_stamp() -> None:
    chart = chart_of(SMALL)

    page = markdown(chart)

    assert page.startswith("# small\n\n")
    assert f"```mermaid\n{mermaid(chart)}```" in page
    assert transition_table(chart) in page + "\n"
    assert delay_table(chart) in page
    assert "`call.ended` jump the queue" in page
    assert page.endswith(f"<!-- callchart diagram of small, chart {chart.hash}, renderer {RENDERER} -->\n")


def test_page_of_a_chart_without_delays_says_nothing_of_them() -> None:
    page = markdown(Chart(id="c", root=chart_of("{id: c, initial: a, states: {a: {type: final}}}").root))

    assert "Time-outs" not in page
    assert "Never waits" not in page


def test_dot_of_a_chart() -> None:
    text = dot(chart_of(SMALL))

    assert text.startswith('digraph "small" {\n')
    assert '  "waiting" [label="waiting\\n⏱ 20s → over"]\n' in text
    assert '  "over" [label="over", peripheries=2]\n' in text
    assert '  subgraph "cluster_live" {\n    label="live"\n    "any of live" [style="rounded,dashed"]\n' in text
    assert '  "any of live" -> "over" [label="sts.failed", style=dashed]\n' in text


def test_dot_of_a_frame_that_nothing_starts_at_is_only_a_frame() -> None:
    text = dot(chart_of(ODD))

    assert '"any of inner"' not in text
    assert '"any of live"' in text


def test_row_in_words_has_guard_target_and_actions() -> None:
    row = chart_of(SMALL).state("talking").on["user.transcript"][1]

    assert row_words(row) == "user.transcript [confidence_at_least(threshold: 0.6)] → helping / answer"
