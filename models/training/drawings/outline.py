"""Outlines: smooth curves through a few points, in units of 1/160 of the picture's width."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

Point = tuple[float, float]

WIDTH, HEIGHT = 160.0, 240.0
CENTRE = WIDTH / 2


def curve(*points: Point, steps: int = 7) -> list[Point]:
    """Return a Catmull-Rom curve through ``points`` (open, ends included), ``steps`` pieces a segment."""
    if len(points) < 3:
        return list(points)
    padded = [points[0], *points, points[-1]]
    path: list[Point] = []
    for before, start, end, after in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        for step in range(steps):
            path.append(_catmull_rom(before, start, end, after, step / steps))
    path.append(points[-1])
    return path


def loop(*points: Point, steps: int = 7) -> list[Point]:
    """Return a closed Catmull-Rom curve through ``points``."""
    count = len(points)
    path: list[Point] = []
    for index in range(count):
        before, start, end, after = (points[(index + shift) % count] for shift in (-1, 0, 1, 2))
        path.extend(_catmull_rom(before, start, end, after, step / steps) for step in range(steps))
    return path


def mirror(points: Iterable[Point], axis: float = CENTRE) -> list[Point]:
    """Return the points reflected about a vertical axis, in the same order."""
    return [(2 * axis - x, y) for x, y in points]


def both_sides(right: Sequence[Point]) -> list[Point]:
    """Close a right half (top to bottom) into a symmetric outline, clockwise from its first point."""
    return [*right, *reversed(mirror(right))]


def moved(points: Iterable[Point], dx: float, dy: float) -> list[Point]:
    """Return the points shifted by (dx, dy)."""
    return [(x + dx, y + dy) for x, y in points]


def turned(points: Iterable[Point], pivot: Point, degrees: float) -> list[Point]:
    """Return the points turned about ``pivot``, clockwise on the picture."""
    angle = math.radians(degrees)
    cos, sin = math.cos(angle), math.sin(angle)
    return [
        (
            pivot[0] + (x - pivot[0]) * cos - (y - pivot[1]) * sin,
            pivot[1] + (x - pivot[0]) * sin + (y - pivot[1]) * cos,
        )
        for x, y in points
    ]


def between(start: Point, end: Point, share: float) -> Point:
    """Return the point ``share`` of the way from ``start`` to ``end``."""
    return (start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share)


def box(left: float, top: float, right: float, bottom: float, radius: float = 0.0) -> list[Point]:
    """Return a rectangle, its corners rounded by ``radius``."""
    if radius <= 0:
        return [(left, top), (right, top), (right, bottom), (left, bottom)]
    path: list[Point] = []
    corners = (
        (right - radius, top + radius, -90),
        (right - radius, bottom - radius, 0),
        (left + radius, bottom - radius, 90),
        (left + radius, top + radius, 180),
    )
    for x, y, first in corners:
        path.extend(
            (
                x + radius * math.cos(math.radians(first + turn)),
                y + radius * math.sin(math.radians(first + turn)),
            )
            for turn in range(0, 91, 15)
        )
    return path


def ellipse(x: float, y: float, radius_x: float, radius_y: float) -> list[Point]:
    """Return an ellipse about (x, y)."""
    steps = 40
    return [
        (x + radius_x * math.cos(math.tau * step / steps), y + radius_y * math.sin(math.tau * step / steps))
        for step in range(steps)
    ]


def dashes(path: Sequence[Point], length: float, share: float) -> Iterator[tuple[Point, Point]]:
    """Yield the pieces of a dashed line: each ``share`` of ``length`` long."""
    walked = 0.0
    for start, end in pairwise(path):
        span = math.dist(start, end)
        position = 0.0
        while position < span:
            phase = walked % length
            rest = (length * share if phase < length * share else length) - phase
            step = min(max(rest, 1e-3), span - position)
            if phase < length * share:
                a, b = position / span, (position + step) / span
                yield (
                    (start[0] + (end[0] - start[0]) * a, start[1] + (end[1] - start[1]) * a),
                    (start[0] + (end[0] - start[0]) * b, start[1] + (end[1] - start[1]) * b),
                )
            position += step
            walked += step


def _catmull_rom(before: Point, start: Point, end: Point, after: Point, share: float) -> Point:
    return (
        _spline(before[0], start[0], end[0], after[0], share),
        _spline(before[1], start[1], end[1], after[1], share),
    )


def _spline(before: float, start: float, end: float, after: float, share: float) -> float:
    return 0.5 * (
        2 * start
        + (end - before) * share
        + (2 * before - 5 * start + 4 * end - after) * share**2
        + (3 * start - before - 3 * end + after) * share**3
    )
