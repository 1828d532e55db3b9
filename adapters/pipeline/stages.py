"""The stages that callchart brings. A stage of your own implements `Stage` of `contract.py`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson

from adapters.call_folder import call_folder
from adapters.pipeline.contract import OverCall
from adapters.pipeline.results import write_atomically

__all__ = ["TranscriptFile"]


class TranscriptFile:
    """Writes everything that was said as `<folder>/<call id>/transcript.json`; no file if nobody said anything."""

    name = "transcript"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def run(self, call: OverCall) -> dict[str, Any]:
        """Return how many messages there are, and the name of the file."""
        messages = [
            {
                "role": line.role,
                "text": line.text,
                "item_id": line.id,
                "interrupted": line.interrupted,
                "tool": line.tool,
            }
            for line in call.lines
        ]
        if not messages:
            return {"messages": 0, "file": None}
        path = call_folder(self._folder, call.call_id) / "transcript.json"
        text = orjson.dumps({"call_id": call.call_id, "messages": messages}, option=orjson.OPT_INDENT_2)
        await asyncio.to_thread(write_atomically, path, text)
        return {"messages": len(messages), "file": path.name}
