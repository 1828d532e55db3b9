"""Widths of text without a font."""

from __future__ import annotations

import pytest

from adapters.diagram.measure import shortened, text_width


@pytest.mark.parametrize(
    ("text", "bold", "width"),
    [
        ("", False, 0),
        ("il", False, 4.44),
        ("il", True, 5.56),
        ("W", False, 9.44),
        ("a b", False, 13.9),
        ("a\u00a0b", False, 13.9),
        ("→", False, 10),
        ("電話", False, 20),
        ("e\u0301", False, 5.56),
        ("é", False, 6.6),
    ],
)
def test_width_of_text(text: str, bold: bool, width: float) -> None:
    assert text_width(text, 10, bold=bold) == pytest.approx(width)


def test_every_printable_ascii_character_has_a_width_of_its_own() -> None:
    strange = [
        chr(code)
        for code in range(32, 127)
        if 660 in (text_width(chr(code), 1000), text_width(chr(code), 1000, bold=True))
    ]

    assert strange == []


@pytest.mark.parametrize(("text", "short"), [("listening", "listening"), ("listening to", "listening…")])
def test_long_text_ends_in_an_ellipsis(text: str, short: str) -> None:
    assert shortened(text, 10) == short
