"""Ids of a picture's elements: the same for the same chart, whatever else it holds."""

from __future__ import annotations

import re

__all__ = ["element_id"]


def element_id(*parts: str) -> str:
    """Return an id that XML, CSS and a URL take: `edge-listening-intent-1`."""
    return re.sub(r"[^\w.-]+", "_", "-".join(parts))
