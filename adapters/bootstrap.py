"""The composition root: the only place that knows everything."""

from __future__ import annotations

from importlib import import_module

from fsm.errors import SettingError
from fsm.registry import Registry

__all__ = ["load_registry"]


def load_registry(import_string: str) -> Registry:
    """Return the registry named `module:NAME`, or the bundled one if the name is empty.

    Raises:
        SettingError: it cannot be imported, or is not a registry.
    """
    module, _, name = (import_string or "handlers:REGISTRY").partition(":")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise SettingError(f"CALLCHART_HANDLERS: cannot import {import_string!r}: {error}") from error
    if not isinstance(found, Registry):
        raise SettingError(
            f"CALLCHART_HANDLERS: {import_string!r} is a {type(found).__name__}, not a fsm.registry.Registry"
        )
    return found
