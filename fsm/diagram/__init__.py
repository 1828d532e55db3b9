"""Charts as text: what is to be seen of them, in the languages of pictures and tables. No pixel is decided here."""

from fsm.diagram.difference import Change, Difference, compare
from fsm.diagram.dot import dot
from fsm.diagram.mermaid import mermaid
from fsm.diagram.page import RENDERER, difference_markdown, markdown, stamp
from fsm.diagram.table import delay_table, transition_table

__all__ = [
    "RENDERER",
    "Change",
    "Difference",
    "compare",
    "delay_table",
    "difference_markdown",
    "dot",
    "markdown",
    "mermaid",
    "stamp",
    "transition_table",
]
