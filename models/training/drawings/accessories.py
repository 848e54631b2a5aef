"""Scarf and socks."""

from __future__ import annotations

import math

from drawings.canvas import Canvas
from drawings.colours import shade_of
from drawings.fabric import Fabric
from drawings.look import Look
from drawings.outline import CENTRE, Point, curve, loop
from drawings.relief import Fold


def scarf(canvas: Canvas, look: Look) -> None:
    """Draw a scarf laid in a loop, both ends hanging, fringed."""
    x, top = CENTRE, look.between(26, 34)
    cloth = look.cloth("wool")
    look.states(style="scarf", cloth="wool", trim="fringes", length="long")
    ring = loop(
        (x - 38, top + 34),
        (x - 28, top + 9),
        (x, top),
        (x + 28, top + 9),
        (x + 38, top + 34),
        (x + 31, top + 66),
        (x, top + 84),
        (x - 31, top + 66),
    )
    lengths = look.between(196, 206), look.between(184, 200)
    for side, end in ((-1, lengths[0]), (1, lengths[1])):
        inner, outer = x + side * 2, x + side * 36
        spread = look.between(2, 8)
        _fringe(canvas, look, sorted((inner + side * 1, outer + side * spread)), end)
        tail = [(x + side * 5, top + 52), *curve((x + side * 30, top + 46), (x + side * 35, top + 80),
            (x + side * (33 + spread * 0.4), top + 120), (outer + side * spread, end)),
            *curve((inner + side * 1, end + 1.5), (x + side * 3, top + 110), (x + side * 5,
            top + 52))]  # fmt: skip
        folds = [
            Fold(
                (x + side * (10 + 6 * n), top + 58),
                (x + side * (8 + 8 * n + look.between(-3, 3)), end),
                look.between(1.6, 2.8),
                look.between(1.0, 2.2),
            )
            for n in range(4)
        ]
        canvas.panel(tail, cloth, turn=-side * 3, puff=4, lift=0.3, folds=folds, crumple=0.8)
    hole = loop(
        (x - 15, top + 34),
        (x - 10, top + 23),
        (x, top + 20),
        (x + 10, top + 23),
        (x + 15, top + 34),
        (x + 9, top + 46),
        (x, top + 50),
        (x - 9, top + 46),
    )
    # The loop is two half rings, so that its middle stays open and shows the inside of the cloth.
    canvas.panel(ring, cloth.plain(factor=0.7), puff=6, lift=0.3)
    for side in (-1, 1):
        wrap = [
            *[point for point in ring if (point[0] - x) * side >= -8],
        ]
        wrap = _wound(wrap, (x, top + 40))
        folds = [
            Fold(
                (x + side * (10 + 4 * n), top + 10 + 5 * n),
                (x + side * (8 + 6 * n), top + 76 - 2 * n),
                look.between(1.6, 2.6),
                look.between(1.2, 2.4) * (1 if n % 2 else -0.6),
            )
            for n in range(5)
        ]
        canvas.panel(wrap, cloth, turn=side * 24, puff=7, lift=0.3, folds=folds, crumple=1.0)
    canvas.panel(hole, cloth.plain(factor=0.55), puff=5, lift=0, crumple=0.5)
    canvas.stroke([*hole, hole[0]], (0, 0, 0), width=3, alpha=0.3, soft=1.6)


def socks(canvas: Canvas, look: Look) -> None:
    """Draw a pair of socks, toes to the left."""
    cloth = look.cloth("knit")
    tall = look.between(96, 122)
    tipped = look.pattern == "solid" and look.chance(0.35)
    look.states(style="socks", cloth="knit", cuff="ribbed", trim="contrasting heel and toe" if tipped else "")
    trim = Fabric(look.second, look.colour, "solid", "knit") if tipped else look.trim("knit", 0.92)
    for dx, dy in ((22.0, -7.0), (-14.0, 5.0)):
        x, top = CENTRE + dx, 48 + dy
        heel = top + tall
        outline = [(x - 15, top), (x + 15, top), *curve((x + 15, top), (x + 14.5, top + tall * 0.5),
            (x + 15.5, heel - 18), (x + 17.5, heel + 4), (x + 10, heel + 17), (x - 6, heel + 22)),
            *curve((x - 6, heel + 22), (x - 26, heel + 31), (x - 42, heel + 36), (x - 53, heel + 30),
            (x - 54, heel + 18), (x - 44, heel + 9)), *curve((x - 44, heel + 9), (x - 28, heel + 1),
            (x - 17, heel - 12), (x - 14.5, heel - 34), (x - 15, top + tall * 0.4), (x - 15,
            top))]  # fmt: skip
        folds = [Fold((x - 15, heel - 8), (x + 6, heel - 4), 1.6, 1.6), Fold((x - 18, heel - 1),
            (x + 5, heel + 4), 1.6, 1.5), Fold((x - 14, heel - 18), (x + 8, heel - 16), 1.8,
            1.0)]  # fmt: skip
        canvas.panel(outline, cloth, puff=5, lift=0.3, folds=folds, crumple=0.5)
        patch = [
            *curve((x + 15.6, heel - 16), (x + 17.6, heel + 4), (x + 10, heel + 17), (x - 1, heel + 20.5)),
            *curve((x - 1, heel + 20.5), (x + 4, heel + 4), (x + 15.6, heel - 16)),
        ]
        toe = [
            *curve(
                (x - 33, heel + 33.5),
                (x - 42, heel + 36),
                (x - 53, heel + 30),
                (x - 54, heel + 18),
                (x - 44, heel + 9),
            ),
            *curve((x - 44, heel + 9), (x - 36, heel + 20), (x - 33, heel + 33.5)),
        ]
        for piece in (patch, toe):
            canvas.panel(piece, trim, puff=2.5, lift=0, crumple=0.2)
        canvas.panel([(x - 15.4, top - 1), (x + 15.4, top - 1), (x + 15, top + 15), (x - 15, top + 15)],
            Fabric(trim.colour if tipped else shade_of(look.colour, 0.96), look.second, "solid", "rib"),
            puff=2.5, lift=0.12, crumple=0.2)  # fmt: skip


def _fringe(canvas: Canvas, look: Look, span: list[float], end: float) -> None:
    count = int((span[1] - span[0]) / 2.6)
    for number in range(count + 1):
        x = span[0] + 1 + (span[1] - span[0] - 2) * number / count
        tip = (x + look.between(-1.6, 1.6), end + look.between(11, 15))
        canvas.stroke(
            curve((x, end - 1), (x + look.between(-0.8, 0.8), end + 6), tip),
            shade_of(look.colour, look.between(0.8, 0.98)),
            width=1.25,
        )


def _wound(points: list[Point], centre: Point) -> list[Point]:
    """Return points in order of their angle about ``centre``, starting at the widest gap."""
    ordered = sorted(points, key=lambda point: math.atan2(point[1] - centre[1], point[0] - centre[0]))
    gaps = [math.dist(ordered[index - 1], ordered[index]) for index in range(len(ordered))]
    start = gaps.index(max(gaps))
    return ordered[start:] + ordered[:start]
