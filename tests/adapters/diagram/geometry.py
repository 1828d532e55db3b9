"""Reads a picture back: where its boxes, labels and lines are, and what collides."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from xml.etree import ElementTree

_SVG = "{http://www.w3.org/2000/svg}"


@dataclass(frozen=True)
class Box:
    name: str
    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: Box) -> bool:
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )

    def crossed_by(self, one: tuple[float, float], other: tuple[float, float]) -> bool:
        """Whether a straight line, upright or level, runs through the inside of the box."""
        (x1, x2), (y1, y2) = sorted((one[0], other[0])), sorted((one[1], other[1]))
        return x1 < self.right and self.left < x2 and y1 < self.bottom and self.top < y2


def read(picture: str) -> ElementTree.Element:
    return ElementTree.fromstring(picture)


def groups(root: ElementTree.Element, kind: str) -> dict[str, ElementTree.Element]:
    """Return the groups of a class by id."""
    named = [group for group in root.iter(f"{_SVG}g") if group.get("id")]
    return {group.get("id", ""): group for group in named if kind in (group.get("class") or "").split()}


def boxes(root: ElementTree.Element, kind: str) -> list[Box]:
    """Return the outer rectangle of each group of a class; of an edge that of its label."""
    found = []
    for name, group in groups(root, kind).items():
        rect = group.find(f"{_SVG}rect")
        if rect is not None:
            x, y, width, height = (float(rect.get(key, "")) for key in ("x", "y", "width", "height"))
            found.append(Box(name, x, y, x + width, y + height))
    return found


def titles(root: ElementTree.Element) -> list[Box]:
    """Return the room that the texts of each frame's title take."""
    found = []
    for name, group in groups(root, "frame").items():
        for text in group.iter(f"{_SVG}text"):
            x, y, width = (float(text.get(key, "")) for key in ("x", "y", "textLength"))
            found.append(Box(f"title of {name}", x, y - 11, x + width, y + 2))
    return found


def lines(root: ElementTree.Element) -> dict[str, list[tuple[tuple[float, float], tuple[float, float]]]]:
    """Return the straight pieces of each edge's lines, its rounded corners taken as sharp ones."""
    found = {}
    for name, group in groups(root, "edge").items():
        pieces: list[tuple[tuple[float, float], tuple[float, float]]] = []
        for path in group.findall(f"{_SVG}path"):
            if path.get("class") is None:
                points = list(_points(path.get("d", "")))
                pieces += zip(points, points[1:], strict=False)
        found[name] = pieces
    return found


def _points(path: str) -> Iterator[tuple[float, float]]:
    for _, words in re.findall(r"([MLQ])([^MLQ]*)", path):
        numbers = [float(word) for word in words.split()]
        yield from zip(numbers[::2], numbers[1::2], strict=True)


def collisions(picture: str) -> list[str]:
    """Return what lies over what: labels, boxes and titles over each other, lines through any of them."""
    root = read(picture)
    solid = [*boxes(root, "edge"), *boxes(root, "state"), *titles(root)]
    found = [f"{one.name} over {other.name}" for one, other in combinations(solid, 2) if one.overlaps(other)]
    for name, pieces in lines(root).items():
        for box in solid:
            if any(box.crossed_by(*piece) for piece in pieces):
                found.append(f"{name} runs through {box.name}")
    frames = boxes(root, "frame")
    for box in solid:
        for frame in frames:
            if frame.overlaps(box) and not (frame.left <= box.left and box.right <= frame.right):
                found.append(f"{box.name} across {frame.name}")
    return found


def outside(picture: str) -> list[str]:
    """Return what sticks out of the picture."""
    root = read(picture)
    whole = Box("picture", 0, 0, float(root.get("width", "")), float(root.get("height", "")))
    solid = [*boxes(root, "edge"), *boxes(root, "state"), *boxes(root, "frame")]
    return [
        box.name
        for box in solid
        if box.left < whole.left or box.top < whole.top or box.right > whole.right or box.bottom > whole.bottom
    ]
