"""Checks the shape of a JSON value and names the first thing that is wrong with it, as the Realtime API would.

A shape is a function of a value and its path. Nothing here knows what the values mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

__all__ = [
    "Problem", "Shape", "anything", "boolean", "each", "either", "integer", "mapping", "nullable", "number", "one_of",
    "record", "tagged", "text",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Problem:
    """Why an event is refused: `code` and `param` as in the API's `error` event."""

    code: str
    param: str
    message: str


Shape: TypeAlias = Callable[[Any, str], Problem | None]


def anything(value: Any, path: str) -> Problem | None:
    """Accept everything."""
    return None


def text(value: Any, path: str) -> Problem | None:
    """Accept a string."""
    return None if isinstance(value, str) else _wrong_type(path, "a string", value)


def boolean(value: Any, path: str) -> Problem | None:
    """Accept true or false."""
    return None if isinstance(value, bool) else _wrong_type(path, "a boolean", value)


def integer(low: int, high: int) -> Shape:
    """Accept whole numbers from `low` to `high`."""

    def check(value: Any, path: str) -> Problem | None:
        if isinstance(value, bool) or not isinstance(value, int):
            return _wrong_type(path, "an integer", value)
        return _out_of_range(path, low, high) if not low <= value <= high else None

    return check


def number(low: float, high: float) -> Shape:
    """Accept numbers from `low` to `high`."""

    def check(value: Any, path: str) -> Problem | None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return _wrong_type(path, "a number", value)
        return _out_of_range(path, low, high) if not low <= value <= high else None

    return check


def one_of(*values: Any) -> Shape:
    """Accept these values only."""

    def check(value: Any, path: str) -> Problem | None:
        if any(value == known and type(value) is type(known) for known in values):
            return None
        return Problem("invalid_value", path, f"Invalid value for '{path}': supported values are {list(values)}.")

    return check


def nullable(shape: Shape) -> Shape:
    """Accept null too."""
    return lambda value, path: None if value is None else shape(value, path)


def either(first: Shape, second: Shape) -> Shape:
    """Accept what one of the two accepts; the second names the problem."""
    return lambda value, path: None if first(value, path) is None else second(value, path)


def each(shape: Shape, *, least: int = 0, most: int = 1000) -> Shape:
    """Accept a list of `least` to `most` such values."""

    def check(value: Any, path: str) -> Problem | None:
        if not isinstance(value, list):
            return _wrong_type(path, "an array", value)
        if not least <= len(value) <= most:
            return Problem("invalid_value", path, f"'{path}' must have {least} to {most} elements.")
        return next(filter(None, (shape(one, f"{path}[{index}]") for index, one in enumerate(value))), None)

    return check


def mapping(*, most: int, longest: int) -> Shape:
    """Accept an object of at most `most` strings, each at most `longest` characters."""

    def check(value: Any, path: str) -> Problem | None:
        if not isinstance(value, dict):
            return _wrong_type(path, "an object", value)
        if len(value) > most:
            return Problem("invalid_value", path, f"'{path}' has more than {most} entries.")
        for name, one in value.items():
            if problem := text(one, f"{path}.{name}"):
                return problem
            if len(one) > longest:
                return Problem("invalid_value", f"{path}.{name}", f"'{path}.{name}' is longer than {longest}.")
        return None

    return check


def record(required: Mapping[str, Shape], optional: Mapping[str, Shape] | None = None) -> Shape:
    """Accept an object with these fields and no other."""
    fields = {**required, **(optional or {})}

    def check(value: Any, path: str) -> Problem | None:
        if not isinstance(value, dict):
            return _wrong_type(path, "an object", value)
        for name in value:
            if name not in fields:
                inner = _inside(path, name)
                return Problem("unknown_parameter", inner, f"Unknown parameter: '{inner}'.")
        for name in required:
            if name not in value:
                inner = _inside(path, name)
                return Problem("missing_required_parameter", inner, f"Missing required parameter: '{inner}'.")
        return next(filter(None, (fields[name](one, _inside(path, name)) for name, one in value.items())), None)

    return check


def tagged(tag: str, shapes: Mapping[str, Shape]) -> Shape:
    """Accept an object whose field `tag` says which of `shapes` it has."""
    choose = one_of(*shapes)

    def check(value: Any, path: str) -> Problem | None:
        if not isinstance(value, dict):
            return _wrong_type(path, "an object", value)
        if tag not in value:
            inner = _inside(path, tag)
            return Problem("missing_required_parameter", inner, f"Missing required parameter: '{inner}'.")
        return choose(value[tag], _inside(path, tag)) or shapes[value[tag]](value, path)

    return check


def _inside(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _wrong_type(path: str, wanted: str, value: Any) -> Problem:
    return Problem("invalid_type", path, f"Invalid type for '{path}': expected {wanted}, got {type(value).__name__}.")


def _out_of_range(path: str, low: float, high: float) -> Problem:
    return Problem("invalid_value", path, f"Invalid value for '{path}': expected {low} to {high}.")
