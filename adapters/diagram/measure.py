"""How wide a line of text is, from a table of our own: no font of the host moves a line of a picture.

The widths are those of Helvetica and of the fonts that are metrically like it (Arial, Liberation Sans), in
thousandths of the font's size. Every text of a picture also says its length (`textLength`), so that another font is
made to fit.
"""

from __future__ import annotations

import unicodedata

__all__ = ["shortened", "text_width"]

_PLAIN = {
    191: "'",
    222: "ijl",
    278: " !,./:;I[\\]ft",
    333: "()-`r",
    334: "{}",
    260: "|",
    355: '"',
    389: "*",
    469: "^",
    500: "Jcksvxyz",
    556: "#$0123456789?L_abdeghnopqu",
    584: "+<=>~−",
    611: "FTZ",
    667: "&ABEKPSVXY",
    722: "CDHNRUw",
    778: "GOQ",
    833: "Mm",
    889: "%",
    944: "W",
    1000: "→…",
    1015: "@",
}
_BOLD = {
    238: "'",
    278: " ,./I\\ijl",
    280: "|",
    333: "!()-:;[]`ft",
    389: "*r{}",
    474: '"',
    500: "z",
    556: "#$0123456789J_aceksvxy",
    584: "+<=>^~−",
    611: "?FLTZbdghnopqu",
    667: "EPSVXY",
    722: "&ABCDHKNRU",
    778: "GOQw",
    833: "M",
    889: "%m",
    944: "W",
    975: "@",
    1000: "→…",
}
_WIDTHS = {
    bold: {character: width for width, characters in table.items() for character in characters}
    for bold, table in ((False, _PLAIN), (True, _BOLD))
}
_WIDE, _OTHER = 1000, 660
"""For characters of full width (most of East Asia, emoji), and for every other one that the tables do not have."""


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """Return the width of `text` in pixels, at a font size in pixels."""
    return sum(_width(character, bold) for character in text) * size / 1000


def shortened(text: str, limit: int) -> str:
    """Return `text` with at most `limit` characters, the last of them an ellipsis if some had to go."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def _width(character: str, bold: bool) -> int:
    known = _WIDTHS[bold].get(" " if character == "\u00a0" else character)
    if known is not None:
        return known
    if unicodedata.combining(character):
        return 0
    return _WIDE if unicodedata.east_asian_width(character) in "WF" else _OTHER
