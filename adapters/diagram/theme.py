"""How a picture looks: colours by CSS class, so that a page which shows the picture may choose others."""

from __future__ import annotations

__all__ = ["FAMILIES", "ICONS", "LEGEND", "LEGEND_CHANGES", "LEGEND_TRAIL", "STYLE"]

FAMILIES = ("sky", "green", "amber", "violet", "rose", "teal")
"""Colours of states, in reading order; the initial and final ones are slate."""

_FILLS = {
    "slate": ("#f1f5f9", "#64748b"),
    "sky": ("#e0f2fe", "#0369a1"),
    "green": ("#dcfce7", "#15803d"),
    "amber": ("#fef9c3", "#a16207"),
    "violet": ("#f3e8ff", "#7e22ce"),
    "rose": ("#ffe4e6", "#be123c"),
    "teal": ("#ccfbf1", "#0f766e"),
}

STYLE = "\n".join(
    [
        "text{font-family:Helvetica,Arial,'Liberation Sans',sans-serif;font-size:12px;fill:#1e293b;white-space:pre}",
        ".name{font-size:15px;font-weight:bold;fill:#0f172a}.any{font-size:12px;font-style:italic;fill:#475569}",
        ".event,.new,.steps{font-weight:bold}.guard{fill:#b45309}.about{fill:#64748b}.was{text-decoration:line-through;fill:#64748b}",
        ".state rect{stroke-width:1.5}.state .final{fill:none}",
        *(f".{name} rect{{fill:{fill};stroke:{line}}}" for name, (fill, line) in _FILLS.items()),
        ".any-state rect{fill:#fff;stroke:#64748b;stroke-dasharray:5 4}",
        ".frame rect{fill:#f8fafc;stroke:#94a3b8;stroke-width:1.5}.frame .name{fill:#475569}",
        ".edge path{fill:none;stroke:#475569;stroke-width:1.4}.edge .head{fill:#475569;stroke:none}",
        ".edge.main path{stroke-width:2.6;stroke:#0f172a}.edge.main .head{fill:#0f172a;stroke:none}",
        ".edge.outer path{stroke:#64748b;stroke-dasharray:6 4}.edge.outer .head,.port{fill:#64748b;stroke:none}",
        ".label-box{fill:#fff;fill-opacity:0}",
        ".initial{fill:#0f172a}.icon{fill:none;stroke:#475569;stroke-width:1.3}",
        ".edge.added path{stroke:#16a34a;stroke-width:2.6}.edge.added .head{fill:#16a34a;stroke:none}",
        ".edge.removed path{stroke:#dc2626;stroke-width:2;stroke-dasharray:6 4}",
        ".edge.removed .head{fill:#dc2626;stroke:none}",
        ".edge.changed path{stroke:#d97706;stroke-width:2.6}.edge.changed .head{fill:#d97706;stroke:none}",
        ".state.added rect,.frame.added rect{stroke:#16a34a;stroke-width:3}",
        ".state.removed rect,.frame.removed rect{stroke:#dc2626;stroke-width:2;stroke-dasharray:6 4}",
        ".state.changed rect,.frame.changed rect{stroke:#d97706;stroke-width:3}",
        ".line.added text,.line.added tspan{fill:#15803d}.line.removed text,.line.removed tspan{fill:#b91c1c}",
        ".line.removed text{text-decoration:line-through}.line.changed text,.line.changed tspan{fill:#b45309}",
        ".visited.edge path{stroke:#1d4ed8;stroke-width:3.2}.visited.edge .head{fill:#1d4ed8;stroke:none}",
        ".visited.state rect{stroke:#1d4ed8;stroke-width:3}.steps{fill:#1d4ed8}.line.visited text{fill:#1d4ed8}",
        ".unvisited{opacity:.38}.badge{fill:#1d4ed8}.badge-text{fill:#fff;font-weight:bold}",
        ".legend text{fill:#475569}.legend-frame{fill:none;stroke:#cbd5e1}",
    ]
)
"""The picture's own style sheet."""

ICONS = {
    "timer": '<path class="icon" d="M{x} {y}m-4.5 0.5a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0m4.5 -2.5v2.5h2m-3.5 -7h3"/>',
    "invoke": '<path class="icon" d="M{x} {y}m-3 0a3 3 0 1 0 6 0a3 3 0 1 0 -6 0m3 -5v2m0 6v2m-5 -5h2m6 0h2'
    'm-8.5 -3.5l1.4 1.4m4.2 4.2l1.4 1.4m0 -7l-1.4 1.4m-4.2 4.2l-1.4 1.4"/>',
    "loop": '<path class="icon" d="M{x} {y}m3.6 -2.6a4.5 4.5 0 1 0 0.9 2.6m-1 -5.4v3h-3"/>',
}
"""Small drawings instead of characters that many fonts lack; `{x} {y}` is their centre."""

LEGEND = (
    ("main", "on the way through a call"),
    ("plain", "event [condition] that leads on"),
    ("outer", "from every state of a frame, unless a state says otherwise"),
    ("timer", "time-out and where it leads"),
    ("invoke", "work that runs meanwhile"),
    ("loop", "leaves the state and enters it again"),
)
"""Each sign with its meaning."""
LEGEND_CHANGES = (("added", "+ added"), ("removed", "− removed"), ("changed", "~ changed"))
LEGEND_TRAIL = (("visited", "taken, at these steps"), ("unvisited", "not taken"))
