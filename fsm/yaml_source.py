"""YAML 1.2 text to values that know where they stand. It knows nothing of charts.

ruamel.yaml's parser gives the events; what they mean is decided here by the core schema (YAML 1.2.2, section 10.3):
`on` and `12:30` are text. Keys are always text. Stricter than YAML: one document, no key twice, no tags but `!!str`,
no merge keys; aliases are fine, but not without end. JSON is YAML, so JSON files are read as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NoReturn, TypeAlias

from fsm.errors import ChartError, Position

__all__ = ["Node", "Scalar", "read_yaml"]

Scalar: TypeAlias = str | int | float | bool | None
_DEEPEST = 60
_LARGEST = 100_000  # values, aliases counted as often as they stand for something

_NULL = ("", "~", "null", "Null", "NULL")
_TRUE = ("true", "True", "TRUE")
_FALSE = ("false", "False", "FALSE")
_INT = re.compile(r"[-+]?[0-9]{1,30}")
_OTHER_BASE = re.compile(r"0o[0-7]{1,30}|0x[0-9a-fA-F]{1,30}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"([-+]?)\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_CONTROL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What neither a page nor a picture can hold (XML 1.0, production 2, `Char`)."""
_STR_TAG = "tag:yaml.org,2002:str"


@dataclass(frozen=True, slots=True)
class Node:
    """A value and its place.

    Attributes:
        at: where the value stands.
        key_at: where its key stands; the value's place if it has none.
    """

    value: Scalar | list[Node] | dict[str, Node]
    at: Position
    key_at: Position

    @property
    def fields(self) -> dict[str, Node]:
        """Its fields; none if it is not a mapping."""
        return self.value if isinstance(self.value, dict) else {}

    @property
    def items(self) -> list[Node]:
        """Its items; itself if it is not a list: where XState takes a list it takes one item as well."""
        return self.value if isinstance(self.value, list) else [self]

    @property
    def kind(self) -> str:
        """What it is, for an error message."""
        match self.value:
            case dict():
                return "a mapping"
            case list():
                return "a list"
            case None:
                return "nothing"
            case str():
                return f"the text {shorten(self.value)}"
            case _:
                return f"{self.value!r}".lower()

    def plain(self) -> Any:
        """Return the value without places."""
        if isinstance(self.value, dict):
            return {key: child.plain() for key, child in self.value.items()}
        if isinstance(self.value, list):
            return [child.plain() for child in self.value]
        return self.value

    def places(self, path: str = "") -> Iterator[tuple[str, Position]]:
        """Yield every path below this and where it stands: a field by its key, an item by itself."""
        if isinstance(self.value, list):
            children = [(str(index), child) for index, child in enumerate(self.value)]
        else:
            children = list(self.fields.items())
        for key, child in children:
            below = f"{path}.{key}" if path else key
            yield below, child.key_at
            yield from child.places(below)


def shorten(text: str) -> str:
    """Return `text` quoted, and not longer than a line bears."""
    return repr(text if len(text) <= 60 else text[:57] + "…")


def read_yaml(raw: bytes, file: str) -> Node:
    """Return what `raw`, the content of `file`, says.

    Raises:
        ChartError: it is not UTF-8, not YAML, or uses what is refused here; with its place.
    """
    text = _decoded(raw, file)
    return _Builder(file, _events(text, file)).document()


def _decoded(raw: bytes, file: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        at = Position(file, before.count(b"\n") + 1, error.start - before.rfind(b"\n"))
        raise ChartError("the file is not UTF-8 text", at=at, code="encoding") from error


def _events(text: str, file: str) -> Iterator[Any]:
    """Yield the parser's events; its errors become ours."""
    from ruamel.yaml import YAML  # takes 0.1 s to import: only who reads a chart pays
    from ruamel.yaml.error import MarkedYAMLError, YAMLError
    from ruamel.yaml.reader import ReaderError

    try:
        yield from YAML(typ="safe", pure=True).parse(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = Position(file, mark.line + 1, mark.column + 1) if mark else Position(file, 1, 1)
        what = ", ".join(str(part) for part in (error.context, error.problem) if part)
        raise ChartError(f"this is not YAML: {what}", at=at, code="syntax") from error
    except ReaderError as error:
        before = text[: int(error.position)]
        at = Position(file, before.count("\n") + 1, len(before) - before.rfind("\n"))
        raise ChartError("this is not YAML: it holds a control character", at=at, code="syntax") from error
    except (YAMLError, ValueError, OverflowError, AssertionError) as error:
        # An escape beyond Unicode, or a `%YAML` of a version that the parser does not know, has no place of its own.
        raise ChartError(f"this is not YAML: {error}", at=Position(file, 1, 1), code="syntax") from error


class _Builder:
    """Events to one `Node`, by recursive descent."""

    def __init__(self, file: str, events: Iterator[Any]) -> None:
        self._file = file
        self._events = events
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._size = 0

    def document(self) -> Node:
        """Return the one document of the stream."""
        next(self._events)  # the stream's start
        event = next(self._events)
        if type(event).__name__ == "StreamEndEvent":
            self._refuse("the file is empty", Position(self._file, 1, 1), code="empty")
        node = self._node(next(self._events), 0)
        next(self._events)  # the document's end
        event = next(self._events)
        if type(event).__name__ == "DocumentStartEvent":
            self._refuse("a second document (`---`); a file holds one", self._at(event))
        return node

    def _node(self, event: Any, depth: int) -> Node:
        at = self._at(event)
        if depth > _DEEPEST:
            self._refuse(f"nested deeper than {_DEEPEST} levels", at)
        before = self._size
        self._size += 1
        kind = type(event).__name__
        if kind == "AliasEvent":
            return self._alias(event, at)
        if event.tag not in (None, "!", _STR_TAG):
            self._refuse(f"the tag {event.tag!r}; a chart has no tags", at, code="tag")
        if kind == "ScalarEvent":
            node = Node(self._scalar(event, at), at, at)
        elif kind == "MappingStartEvent":
            node = Node(self._mapping(depth), at, at)
        else:
            node = Node(self._sequence(depth), at, at)
        if event.anchor:
            self._anchors[event.anchor] = (node, self._size - before)
        return node

    def _alias(self, event: Any, at: Position) -> Node:
        if event.anchor not in self._anchors:
            self._refuse(f"the alias `*{event.anchor}` stands for nothing that was complete before it", at)
        node, size = self._anchors[event.anchor]
        self._size += size
        if self._size > _LARGEST:
            self._refuse("aliases make the file too large", at)
        return node

    def _mapping(self, depth: int) -> dict[str, Node]:
        fields: dict[str, Node] = {}
        while type(event := next(self._events)).__name__ != "MappingEndEvent":
            at = self._at(event)
            key = self._key(event, at)
            if key in fields:
                first = fields[key].key_at
                self._refuse(
                    f"the key {shorten(key)} again; it stands in line {first.line} already", at, code="duplicate-key"
                )
            fields[key] = replace(self._node(next(self._events), depth + 1), key_at=at)
        return fields

    def _sequence(self, depth: int) -> list[Node]:
        items = []
        while type(event := next(self._events)).__name__ != "SequenceEndEvent":
            item = self._node(event, depth + 1)
            items.append(replace(item, key_at=self._at(event)))
        return items

    def _key(self, event: Any, at: Position) -> str:
        if type(event).__name__ != "ScalarEvent":
            self._refuse("a key must be text", at)
        key = self._text(str(event.value), at)
        if key == "<<" and not event.style:
            self._refuse("merge keys (`<<`) are no part of YAML 1.2; use `extends`", at)
        return key

    def _scalar(self, event: Any, at: Position) -> Scalar:
        text = self._text(str(event.value), at)
        return text if event.style or event.tag else _resolved(text)

    def _text(self, text: str, at: Position) -> str:
        r"""Return `text` with JSON's surrogate pairs (`\ud83d\ude00`) joined."""
        try:
            text = text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            self._refuse("half a surrogate pair is no character", at, code="encoding")
        if found := _CONTROL.search(text):
            self._refuse(f"the control character U+{ord(found[0]):04X} is no text", at, code="encoding")
        return text

    def _at(self, event: Any) -> Position:
        return Position(self._file, event.start_mark.line + 1, event.start_mark.column + 1)

    def _refuse(self, message: str, at: Position, *, code: str = "syntax") -> NoReturn:
        raise ChartError(message, at=at, code=code)


def _resolved(text: str) -> Scalar:
    """Return what plain text stands for in the core schema."""
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _INT.fullmatch(text):
        return int(text)
    if _OTHER_BASE.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    if special := _SPECIAL.fullmatch(text):
        return float(special[1] + "inf") if special[2] else float("nan")
    return text
