"""The Lua scripts by which a call is changed in one step on the server (`scripts/*.lua`)."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha1
from pathlib import Path

__all__ = ["Script", "load_scripts"]

_FOLDER = Path(__file__).with_name("scripts")


@dataclass(frozen=True, slots=True)
class Script:
    """One script, and the name that a server has for it (EVALSHA)."""

    source: str
    sha: bytes


def load_scripts() -> dict[str, Script]:
    """Return every script by its name; `common.lua` stands before each of them."""
    common = (_FOLDER / "common.lua").read_text(encoding="utf-8")
    scripts = {}
    for file in _FOLDER.glob("*.lua"):
        if file.stem != "common":
            source = common + file.read_text(encoding="utf-8")
            scripts[file.stem] = Script(source, sha1(source.encode(), usedforsecurity=False).hexdigest().encode())
    return scripts
