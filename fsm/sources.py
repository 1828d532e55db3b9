"""From a path or a bundled name to one merged tree of values; `extends` is an RFC 7396 merge patch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from fsm.errors import ChartError, Position
from fsm.names import did_you_mean
from fsm.yaml_source import Node, read_yaml

__all__ = ["BUNDLED", "bundled_names", "find_source", "read_file", "read_merged"]

BUNDLED = Path(__file__).parent / "charts"
_SUFFIXES = ("", ".yaml", ".yml", ".json")
_LARGEST = 2_000_000  # bytes; a chart is a page


def bundled_names() -> list[str]:
    """Return the names of the charts that come with callchart."""
    return sorted(path.stem for path in BUNDLED.glob("*.yaml") if path.stem != "bots")


def find_source(
    source: str | Path, *, by: Path | None = None, at: Position | None = None, path: str = "extends"
) -> Path:
    """Return the file `source` means: a path as it is, a bundled name, or either without its suffix.

    Args:
        source: a path or a name.
        by: the file that names it: paths are beside it, and a file that extends its own name extends the bundled one.
        at: where it is named.
        path: the path of the place where it is named.

    Raises:
        ChartError: there is no such file.
    """
    named = Path(source)
    written = (by.parent if by else Path()) / named
    bundled = [BUNDLED / f"{named}{suffix}" for suffix in _SUFFIXES] if named.name == str(named) else []
    for found in (written, *bundled, *(Path(f"{written}{suffix}") for suffix in _SUFFIXES[1:])):
        if _is_file(found) and not (by is not None and found.resolve() == by.resolve() and found not in bundled):
            return found
    at, path = at or Position(str(source)), path if by else ""
    if by is not None and _is_file(written):
        raise ChartError("the chart extends itself", at=at, path=path, code="extends-circle")
    if written.name == "" or _is_folder(written):
        raise ChartError(f"{str(source)!r} is a folder, not a chart", at=at, path=path, code="no-file")
    hint = did_you_mean(named.stem, [*bundled_names(), *_siblings(written)])
    raise ChartError(f"there is no chart {str(source)!r}{hint}", at=at, path=path, code="no-file")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name too long, or with a NUL
        return False


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def _siblings(wrong: Path) -> list[str]:
    if not _is_folder(wrong.parent):
        return []
    return sorted(path.name for path in wrong.parent.iterdir() if path.suffix in _SUFFIXES[1:])


def read_file(path: Path) -> Node:
    """Return what a file says.

    Raises:
        ChartError: it cannot be read, or is not what `read_yaml` takes.
    """
    file = shown(path)
    try:
        with path.open("rb") as opened:
            raw = opened.read(_LARGEST + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ChartError(f"the file cannot be read: {reason}", at=Position(file), code="no-file") from error
    if len(raw) > _LARGEST:
        raise ChartError(f"the file is larger than {_LARGEST} bytes", at=Position(file), code="no-file")
    return read_yaml(raw, file)


def shown(path: Path) -> str:
    """Return how messages call a file: bundled ones by their place in the project."""
    return f"fsm/charts/{path.name}" if path.parent == BUNDLED else str(path)


def read_merged(path: Path) -> Node:
    """Return what a chart file says, merged over what it extends; every value keeps the place where it stands.

    Raises:
        ChartError: a file of the chain is missing or wrong, or the chain is a circle.
    """
    chain = [path.resolve()]
    merged = read_file(path)
    patches = [merged]
    while (extends := patches[-1].fields.get("extends")) is not None:
        if not isinstance(extends.value, str) or not extends.value:
            _refuse(f"`extends` names a chart, not {extends.kind}", extends, code="shape")
        path = find_source(extends.value, by=path, at=extends.at)
        if path.resolve() in chain:
            _refuse(
                f"the chart extends itself: {' → '.join(p.name for p in [*chain, path])}",
                extends,
                code="extends-circle",
            )
        chain.append(path.resolve())
        base = read_file(path)
        if not isinstance(base.value, dict):
            raise ChartError(f"a chart is a mapping, not {base.kind}", at=base.at, code="shape")
        patches.append(base)
    merged = patches.pop()
    while patches:
        merged = _merge(merged, patches.pop())
    return merged


def _merge(target: Node | None, patch: Node) -> Node:
    """Apply RFC 7396, section 2: `null` removes, mappings merge, everything else replaces."""
    if not isinstance(patch.value, dict):
        return patch
    fields = dict(target.fields) if target is not None else {}
    for key, value in patch.value.items():
        if value.value is None:
            fields.pop(key, None)
        else:
            fields[key] = _merge(fields.get(key), value)
    return replace(patch, value=fields)


def _refuse(message: str, node: Node, *, code: str) -> NoReturn:
    raise ChartError(message, at=node.at, path="extends", code=code)
