"""For the beach and hot days: sandals, summer dress, sun hat."""

from __future__ import annotations

import math

from drawings.canvas import Canvas
from drawings.colours import Colour, shade_of
from drawings.fabric import Fabric
from drawings.look import Look
from drawings.outline import CENTRE, Point, box, curve, ellipse, mirror, moved
from drawings.photograph import FLOOR
from drawings.relief import Fold

_CORK: Colour = (190, 152, 108)
_METAL: Colour = (200, 190, 164)


def sandals(canvas: Canvas, look: Look) -> None:
    """Draw flat sandals: two broad straps with buckles, some with a strap round the heel."""
    backed, thick = look.chance(0.5), look.chance(0.5)
    look.states(style="sandals", cloth="leather", upper="two straps", closure="heel strap" if backed else "")
    look.states(sole="thick" if thick else "flat", trim="buckles")
    cloth = look.cloth("leather")
    for dx, dy in ((13.0, -27.0), (-4.0, 0.0)):
        _sandal(canvas, look, cloth, dx, FLOOR - 14 + dy, thick=15.0 if thick else 8.5, backed=backed)


def _sandal(canvas: Canvas, look: Look, cloth: Fabric, dx: float, floor: float, *, thick: float, backed: bool) -> None:
    def at(*points: Point) -> list[Point]:
        return moved(points, dx, floor)

    def arc(*points: Point) -> list[Point]:
        return curve(*at(*points))

    t = -thick
    bed = [*arc((24, t), (60, t - 6), (104, t - 7), (137, t - 3)), *arc((137, t), (104, t + 1), (60, t + 1), (24, t))]
    canvas.panel(bed, Fabric(shade_of(_CORK, 0.86), _CORK, "solid", "wool"), puff=2, lift=0.1, crumple=0.2)
    for left, right, high, slope in ((42.0, 68.0, 17.0, 5.0), (82.0, 108.0, 27.0, 6.0)):
        brow = t - high - slope  # the instep rises from the toes to the ankle
        strap = [
            *arc((left - 2, t + 2), (left - 2.5, t - high * 0.6), (left + 1.5, t - high)),
            *arc((left + 1.5, t - high), ((left + right) / 2, (t - high + brow) / 2 - 1.5), (right + 1, brow)),
            *arc((right + 1, brow), (right + 4, t - high * 0.6), (right + 4, t + 2)),
        ]
        inner = [*arc((left - 5, t - 2), (left - 5, t - high * 0.6), (left + 2, t - high - 1.5)), *at((left + 8, t))]
        canvas.panel(inner, cloth.plain(factor=0.5), puff=2, lift=0.2, crumple=0.2)
        canvas.panel(strap, cloth, turn=12, puff=8, lift=0.3, crumple=0.4, gloss=0.3)
        for low, up, height in ((left + 1, left + 4, t - high + 1.5), (right + 1.5, right - 1.5, brow + 2.5)):
            edge = arc((low, t), ((low + up) / 2, t - high * 0.55), (up, height))
            canvas.stitches(edge, look.thread, alpha=0.6, length=1.3)
        spot = at(((left + right) / 2 + 1, t - high * 0.45))[0]
        canvas.fill(moved(box(-4.4, -3.4, 4.4, 3.4, 1.2), spot[0] + 0.4, spot[1] + 0.7), (0, 0, 0), 0.3)
        canvas.fill(moved(box(-4.4, -3.4, 4.4, 3.4, 1.2), *spot), _METAL)
        canvas.fill(moved(box(-2.6, -1.7, 2.6, 1.7, 0.6), *spot), shade_of(look.colour, 0.7))
    if backed:
        heel = [
            *arc((100, t - 20), (118, t - 27), (135, t - 30), (138, t - 22)),
            *arc((138, t - 22), (133, t - 21), (119, t - 19), (103, t - 12)),
        ]
        canvas.panel(heel, cloth, turn=6, puff=2, lift=0.25, crumple=0.2, gloss=0.25)
        canvas.panel(
            [*arc((133, t - 28), (136, t - 12), (134, t)), *arc((138, t), (140, t - 14), (138, t - 26))],
            cloth,
            puff=1.4,
        )
    sole = [
        *arc((22, t + 1), (60, t), (104, t), (138.5, t - 1)),
        *arc((138.5, t - 1), (140, t / 2), (137, -1)),
        *arc((137, -1), (104, 0), (58, 0), (27, -1), (21, t / 2), (22, t + 1)),
    ]
    canvas.panel(sole, Fabric(_CORK, _CORK, "solid", "wool"), puff=2.4, lift=0.2, crumple=0.2)
    canvas.stroke(arc((24, -1.6), (60, -0.8), (104, -0.8), (137, -1.8)), (58, 46, 38), width=2.4)


def summer_dress(canvas: Canvas, look: Look) -> None:
    """Draw a light summer dress: narrow straps, a smocked bodice, a short skirt in two or three tiers."""
    tiers, tied = look.rng.choice((2, 3)), look.chance(0.5)
    look.states(style="summer dress", cloth="cotton", sleeves="narrow straps", skirt="tiered", cut="smocking")
    look.states(trim="bows" if tied else "", length="short")
    cloth = look.cloth("woven")
    x, top = CENTRE, look.between(26, 32)
    bust, waist_y = top + 28, top + look.between(66, 72)
    bottom = waist_y + look.between(84, 96)
    chest, waist, hem = look.between(27, 29), look.between(23, 25), look.between(46, 54)
    canvas.panel([(x - 17, bust + 1), (x, bust - 2), (x + 17, bust + 1), (x, bust + 20)], look.inside, puff=2, lift=0)
    for tier in reversed(range(tiers)):
        _tier(canvas, look, cloth, tier, tiers, (waist_y, bottom), (waist, hem))
    bodice = [
        *curve((x - 18, bust), (x, bust + 2.5), (x + 18, bust)),
        *curve((x + 18, bust), (x + 23, bust + 5), (x + chest, bust + 12)),
        *curve((x + chest, bust + 12), (x + chest - 2, (bust + waist_y) / 2 + 6), (x + waist, waist_y + 1))[1:],
        *curve((x, waist_y + 3), (x - waist, waist_y + 1)),
        *reversed(
            mirror(curve((x + chest, bust + 12), (x + chest - 2, (bust + waist_y) / 2 + 6), (x + waist, waist_y + 1)))
        ),
        *reversed(mirror(curve((x + 18, bust), (x + 23, bust + 5), (x + chest, bust + 12)))),
    ]
    canvas.panel(bodice, cloth, puff=3, lift=0.16, crumple=0.5)
    for row in range(5):
        y = bust + 12 + row * (waist_y - bust - 14) / 4
        half = chest - 1 - (chest - waist) * row / 4
        canvas.seam(curve((x - half, y), (x, y + 2), (x + half, y)), strength=0.2)
    for side in (-1, 1):
        strap = curve((x + side * 17, bust + 2), (x + side * 18.5, top + 12), (x + side * 16, top))
        canvas.stroke(strap, cloth.colour, width=2.2)
        if tied:
            knot: Point = (x + side * 16, top)
            for reach, drop in ((9, -4), (-6, -5), (6, 11), (-2, 12)):
                end = (knot[0] + side * reach, knot[1] + drop)
                canvas.stroke(curve(knot, ((knot[0] + end[0]) / 2, knot[1] + drop * 0.7), end), cloth.colour, width=2.4)
            canvas.disc(knot, 2.2, shade_of(cloth.colour, 0.92), shine=0.1)


def _tier(
    canvas: Canvas,
    look: Look,
    cloth: Fabric,
    tier: int,
    tiers: int,
    span: tuple[float, float],
    widths: tuple[float, float],
) -> None:
    """Draw one tier of the skirt, gathered at its top; it hangs a little over the one below."""
    x = CENTRE
    start = span[0] + (span[1] - span[0]) * tier / tiers
    end = span[0] + (span[1] - span[0]) * (tier + 1) / tiers + 2.5
    near = widths[0] + (widths[1] - widths[0]) * tier / tiers
    far = widths[0] + (widths[1] - widths[0]) * (tier + 1) / tiers + 2.5
    side = curve((x + near, start), (x + near + (far - near) * 0.62, start + (end - start) * 0.42), (x + far, end - 3))
    waves = 7 + tier
    hem, folds = [], []
    for step in range(2 * waves + 1):
        share = 1 - step / waves
        hem.append((x + far * share, end - 3 + 4.5 * (1 - share * share) + (0.9 if step % 2 else -0.9)))
        folds.append(
            Fold(
                (x + near * share * 0.96, start + look.between(0, 4)),
                (x + far * (share + look.between(-0.03, 0.03)), end + 4),
                look.between(1.5, 2.4),
                look.between(1.2, 2.2) * (1 if step % 2 else -1),
            )
        )
    outline = [*side, *curve(*hem)[1:-1], *reversed(mirror(side))]
    canvas.panel(outline, cloth, puff=3, lift=0.28, folds=folds, crumple=0.6)
    canvas.seam(curve((x - near, start + 0.6), (x, start + 3.2), (x + near, start + 0.6)), strength=0.3)


def sun_hat(canvas: Canvas, look: Look) -> None:
    """Draw a straw hat with a wide brim and a ribbon."""
    x, y = CENTRE, FLOOR - 20
    wide, crown, tall = look.between(62, 68), look.between(32, 36), look.between(40, 47)
    bowed = look.chance(0.5)
    look.states(style="sun hat", cloth="straw", brim="wide", trim="bow" if bowed else "ribbon")
    cloth = look.cloth("knit")
    brim = curve(*ellipse(x, y + 2, wide, 19), steps=1)
    rings = [Fold((x - wide * s, y + 6), (x + wide * s, y + 6), 1.2, 0.5) for s in (0.6, 0.8)]
    canvas.panel(brim, cloth, puff=5, lift=0.2, folds=rings, crumple=1.0)
    for share in (0.72, 0.84, 0.95):
        canvas.seam([*ellipse(x, y + 2, wide * share, 19 * share), (x + wide * share, y + 2)], strength=0.13)
    canvas.stroke(
        curve((x - crown - 2, y - 1), (x, y + 9), (x + crown + 2, y - 1)), (0, 0, 0), width=5, alpha=0.3, soft=2.2
    )
    dome = [
        *curve(
            (x - crown, y - 2),
            (x - crown * 0.97, y - tall * 0.5),
            (x - crown * 0.78, y - tall * 0.9),
            (x - crown * 0.3, y - tall),
        ),
        *curve(
            (x + crown * 0.3, y - tall),
            (x + crown * 0.78, y - tall * 0.9),
            (x + crown * 0.97, y - tall * 0.5),
            (x + crown, y - 2),
        ),
        *curve((x + crown, y - 2), (x, y + 7), (x - crown, y - 2)),
    ]
    canvas.panel(dome, cloth, puff=9, lift=0.15, crumple=0.8)
    for share in (0.42, 0.62, 0.8):
        half = crown * math.sqrt(1 - (share * 0.8) ** 2)
        canvas.seam(
            curve((x - half, y - tall * share), (x, y - tall * share + 5), (x + half, y - tall * share)), strength=0.13
        )
    tone = (44, 44, 48) if look.colour_name not in ("black", "dark blue", "dark green", "brown") else (236, 230, 218)
    band = [
        *curve((x - crown - 0.4, y - 12), (x, y - 4), (x + crown + 0.4, y - 12)),
        *curve((x + crown + 0.6, y - 3), (x, y + 6), (x - crown - 0.6, y - 3)),
    ]
    ribbon = Fabric(tone, tone, "solid", "satin")
    canvas.panel(band, ribbon, puff=2, lift=0.2, crumple=0.3, gloss=0.2)
    if bowed:
        for side in (-1, 1):
            spot = x + crown * 0.5
            loop = [
                (spot, y - 4),
                *curve((spot + side * 4, y - 12), (spot + side * 14, y - 14), (spot + side * 14, y - 3)),
                (spot, y - 2),
            ]
            canvas.panel(loop, ribbon, puff=2, lift=0.3, crumple=0.3)
            tail = [(spot, y - 3), (spot + side * 9, y + 11), (spot + side * 3, y + 12)]
            canvas.panel(tail, ribbon, puff=1.2, lift=0.3, crumple=0.2)
        canvas.disc((x + crown * 0.5, y - 3.4), 2.8, tone, shine=0.15)
