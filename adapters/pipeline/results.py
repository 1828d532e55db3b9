"""What came of the stages, as files: `<folder>/<call id>/results/<stage>.json`.

Each says for which transcript it was made (`transcript_hash`), so that the same work is not done twice.
"""

from __future__ import annotations

import logging
import os
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from secrets import token_hex
from typing import Any, Literal

import orjson

from adapters.call_folder import call_folder

__all__ = ["Result", "Results", "write_atomically"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of one stage.

    Attributes:
        run: the id of the run that did it.
        attempts: how many it took.
        at: when it was through, ISO 8601 in UTC.
        error: what the last attempt raised; empty if it is done.
    """

    call_id: str
    stage: str
    transcript_hash: str
    status: Literal["done", "failed"]
    run: str
    attempts: int
    at: str
    result: Any = None
    error: str = ""


class Results:
    """The results of all calls in one folder. Its methods block on the disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, call_id: str, stage: str) -> Result | None:
        """Return what came of a stage, or None; a file that cannot be read counts as none, and is written anew."""
        path = self._path(call_id, stage)
        try:
            said = orjson.loads(path.read_bytes())
            return Result(**{name: said[name] for name in _FIELDS})
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            log.warning("result_unreadable", extra={"file": str(path)})
            return None

    def all(self, call_id: str) -> list[Result]:
        """Return what came of every stage that was run for a call, by name."""
        names = sorted(path.stem for path in self._path(call_id, "x").parent.glob("*.json"))
        return [result for name in names if (result := self.get(call_id, name)) is not None]

    def put(self, result: Result) -> None:
        """Write a result, in the place of an earlier one.

        Raises:
            OSError: it could not be written.
            TypeError: what the stage returned is no JSON.
        """
        text = orjson.dumps(asdict(result), option=orjson.OPT_INDENT_2)
        write_atomically(self._path(result.call_id, result.stage), text)

    def forget(self, call_id: str) -> None:
        """Delete the folder of a call, with all that lies in it."""
        shutil.rmtree(call_folder(self._folder, call_id), ignore_errors=True)

    def call_id(self, folder: Path) -> str:
        """Return whose results lie in `folder`; empty if that is no call's. Its name does not tell a long id."""
        for path in folder.glob("results/*.json"):
            with suppress(OSError, ValueError, KeyError, TypeError):
                return str(orjson.loads(path.read_bytes())["call_id"])
        return ""

    def _path(self, call_id: str, stage: str) -> Path:
        return call_folder(self._folder, call_id) / "results" / f"{stage}.json"


def write_atomically(path: Path, text: bytes) -> None:
    """Write a file so that whoever reads it sees the old one or the new one, never a half. Makes its folder.

    Nobody else on the machine may read it: it may hold what callers said.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    other = path.with_name(f".{token_hex(8)}.tmp")
    try:
        with open(other, "xb", opener=_private) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())  # or a power failure may leave the new name with nothing in it
        other.replace(path)
    except BaseException:
        other.unlink(missing_ok=True)
        raise


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


_FIELDS = tuple(field.name for field in fields(Result))
