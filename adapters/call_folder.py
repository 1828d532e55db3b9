"""Where the files of a call lie."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

__all__ = ["call_folder"]

_LONGEST_NAME = 160  # characters; file systems take 255 bytes


def call_folder(folder: Path, call_id: str) -> Path:
    """Return where a call's files lie. A call id comes from outside: it never names a place elsewhere."""
    name = (quote(call_id, safe="") or "_").replace(".", "%2E")
    if len(name) > _LONGEST_NAME:
        name = f"{name[:_LONGEST_NAME]}-{sha256(name.encode()).hexdigest()[:32]}"
    return folder / name
