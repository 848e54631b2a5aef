"""Cap and beanie."""

from __future__ import annotations

import math

from drawings.canvas import Canvas
from drawings.colours import shade_of
from drawings.look import Look
from drawings.outline import CENTRE, Point, box, curve, loop
from drawings.photograph import FLOOR
from drawings.relief import Fold


def cap(canvas: Canvas, look: Look) -> None:
    """Draw a peaked cap, turned a little to the left."""
    x, y, r = CENTRE + 11, FLOOR - 8, look.between(44, 49)
    tall = look.between(56, 64)
    cloth = look.cloth("woven")
    look.states(style="cap", cloth="woven", brim="peak", trim="stitching")
    crown = [*curve((x - r, y - 6), (x - r * 0.97, y - tall * 0.45), (x - r * 0.66, y - tall * 0.86),
        (x - 2, y - tall), (x + r * 0.62, y - tall * 0.86), (x + r * 0.96, y - tall * 0.42),
        (x + r, y - 2)), *curve((x + r, y - 2), (x + r * 0.4, y + 5), (x - r * 0.3, y + 1), (x - r,
        y - 6))]  # fmt: skip
    canvas.panel(crown, cloth, puff=15, lift=0, crumple=1.0,
        folds=[Fold((x + r * 0.5, y - 8), (x + r * 0.8, y - tall * 0.4), 3, 1.4),
        Fold((x - 8, y - 8), (x + 6, y - 26), 3, 1.0)])  # fmt: skip
    tip: Point = (x - 2, y - tall)
    for end, bow in (
        ((x - r * 0.42, y - 2), -0.46),
        ((x + r * 0.52, y + 2), 0.62),
        ((x + r * 0.95, y - 8), 0.88),
    ):
        middle = (x + r * bow, y - tall * 0.5)
        line = curve(tip, (tip[0] + (middle[0] - tip[0]) * 0.66, y - tall * 0.84), middle, end)
        canvas.seam(line, strength=0.34)
        canvas.stitches([(px + 1.5, py) for px, py in line], look.thread, alpha=0.5, length=1.3)
    for spot in ((x - r * 0.06, y - tall * 0.66), (x + r * 0.76, y - tall * 0.56)):
        canvas.disc(spot, 1.6, shade_of(look.colour, 0.7), shine=0.1)
    canvas.panel(
        loop((x - 6, y - tall + 0.5), (x - 2, y - tall - 2.4), (x + 3, y - tall + 0.5), (x - 2, y - tall + 2)),
        cloth.plain(),
        puff=1.5,
        lift=0.2,
    )
    reach = look.between(20, 27)
    brim = [
        *curve((x + r * 0.26, y + 3), (x - r * 0.3, y - 6), (x - r * 0.98, y - 9)),
        *curve(
            (x - r * 0.98, y - 9),
            (x - r - reach * 0.7, y - 2),
            (x - r - reach, y + 8),
            (x - r - reach * 0.75, y + 13),
        ),
        *curve(
            (x - r - reach * 0.75, y + 13),
            (x - r * 0.85, y + 10),
            (x - r * 0.25, y + 10),
            (x + r * 0.26, y + 3),
        ),
    ]
    canvas.panel(brim, cloth if look.pattern != "floral" else cloth.plain(), turn=8, puff=4, lift=0.35, crumple=0.3)
    for step in range(1, 4):
        share = step / 4
        row = curve(
            (x + r * 0.2 - share * 6, y + 3 + share * 2),
            (x - r * 0.45 - share * 9, y - 3 + share * 9),
            (x - r * 0.95 - share * reach * 0.9, y - 6 + share * 14),
        )
        canvas.stitches(row, look.thread, alpha=0.4, length=1.3)


def beanie(canvas: Canvas, look: Look) -> None:
    """Draw a ribbed knitted hat with a turned-up brim, some with a pompom."""
    x, y = CENTRE, 160.0
    width, tall, brim = look.between(40, 45), look.between(70, 80), look.between(22, 28)
    cloth = look.cloth("rib")
    look.states(style="beanie", cloth="rib knit", brim="turn-up")
    if look.chance(0.45):
        look.states(trim="pompom")
        _pompom(canvas, look, (x, y - tall - 6), look.between(15, 19))
    dome = [*curve((x - width, y - brim + 4), (x - width * 0.98, y - tall * 0.6),
        (x - width * 0.6, y - tall * 0.92), (x, y - tall), (x + width * 0.6, y - tall * 0.92),
        (x + width * 0.98, y - tall * 0.6), (x + width, y - brim + 4))]  # fmt: skip
    ribs = [
        Fold((x + width * share * 0.96, y - brim), (x + width * share * 0.28, y - tall + 3), 1.3, -1.3)
        for share in (-0.9, -0.7, -0.5, -0.3, -0.1, 0.1, 0.3, 0.5, 0.7, 0.9)
    ]
    canvas.panel(dome, cloth, puff=12, lift=0.1, folds=ribs, crumple=0.6)
    band = [
        *curve((x - width - 1.5, y - brim), (x, y - brim + 2.5), (x + width + 1.5, y - brim)),
        *curve((x + width + 1.5, y - brim), (x + width + 2, y - brim * 0.4), (x + width, y)),
        *curve((x + width, y), (x, y + 3), (x - width, y)),
        *curve((x - width, y), (x - width - 2, y - brim * 0.4), (x - width - 1.5, y - brim)),
    ]
    ribs = [
        Fold((x + width * share, y - brim), (x + width * share, y + 2), 1.4, -1.5)
        for share in [n / 6.5 for n in range(-6, 7)]
    ]
    canvas.panel(band, cloth, puff=5, lift=0.32, folds=ribs, crumple=0.3)
    if look.chance(0.3):
        canvas.fill(
            box(x - 6, y - brim * 0.62, x + 6, y - brim * 0.3, 0.6),
            (238, 236, 230) if not look.light else (52, 52, 56),
            0.95,
        )


def _pompom(canvas: Canvas, look: Look, centre: Point, radius: float) -> None:
    x, y = centre
    dark, pale = shade_of(look.colour, 0.78), shade_of(look.colour, 1.25)
    ball = loop(
        *[
            (
                x + radius * look.between(0.93, 1.05) * math.cos(math.tau * n / 14),
                y + radius * look.between(0.93, 1.05) * math.sin(math.tau * n / 14),
            )
            for n in range(14)
        ]
    )
    canvas.panel(ball, look.trim("wool", 0.96), puff=radius * 0.8, lift=0, crumple=1.5)
    for _hair in range(110):
        angle, start = look.between(0, math.tau), radius * look.between(0.15, 0.86)
        bend = angle + look.between(-0.35, 0.35)
        root = (x + start * math.cos(angle), y + start * math.sin(angle))
        tip = (root[0] + radius * 0.26 * math.cos(bend), root[1] + radius * 0.26 * math.sin(bend))
        canvas.stroke([root, tip], pale if math.sin(angle) < 0.2 and look.chance(0.6) else dark, width=0.45, alpha=0.5)
