"""What was said in a call, complete and in order, kept as a file when the call is over."""

from __future__ import annotations

import logging
from pathlib import Path
from threading import Thread

import orjson

from adapters.call_folder import call_folder
from fsm.context import CallContext
from fsm.history import Message
from fsm.observe import Observer
from fsm.session import Session
from fsm.step import Step

__all__ = ["TranscriptFiles"]

log = logging.getLogger(__name__)


class TranscriptFiles(Observer):
    """A `TranscriptPort` that watches histories grow: theirs is bounded, the transcript is not.

    Writes `<folder>/<call id>/transcript.json`: `{"call_id", "messages": [{"role", "text", "item_id", …}]}`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._said: dict[str, list[Message]] = {}
        self._writing: list[Thread] = []

    def messages(self, call_id: str) -> tuple[Message, ...]:
        """Return what has been said so far in a call that has not settled."""
        return tuple(self._said.get(call_id, ()))

    def on_commit(self, session: Session, step: Step) -> None:
        before, after = step.before.context.history, step.after.context.history
        if after is before:
            return
        said = self._said.setdefault(session.call_id, list(before))
        known = set(map(id, before))  # one that is equal may be said again
        for message in after:
            if id(message) not in known:
                _add(said, message)

    def on_settled(self, session: Session) -> None:
        self._said.pop(session.call_id, None)

    def save(self, call: CallContext) -> None:
        said = self.messages(call.call_id)
        if said:
            self._writing = [thread for thread in self._writing if thread.is_alive()]
            thread = Thread(target=self._write, args=(call.call_id, said), name="transcript")
            self._writing.append(thread)
            thread.start()

    def close(self) -> None:
        """Wait until everything is written."""
        for thread in self._writing:
            thread.join()

    def _write(self, call_id: str, said: tuple[Message, ...]) -> None:
        folder = call_folder(self._folder, call_id)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            text = orjson.dumps({"call_id": call_id, "messages": said}, option=orjson.OPT_INDENT_2)
            (folder / "transcript.json").write_bytes(text)
        except (OSError, TypeError):  # TypeError: orjson cannot write a text, such as half a surrogate pair
            log.exception("transcript_not_written", extra={"folder": str(folder)})


def _add(said: list[Message], message: Message) -> None:
    """Add a message; one of the same role and item amends what it repeats, in its place."""
    if message.item_id:
        for place in reversed(range(len(said))):
            if (said[place].item_id, said[place].role) == (message.item_id, message.role):
                said[place] = message
                return
    said.append(message)
