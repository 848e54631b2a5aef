"""Dress and swimsuit."""

from __future__ import annotations

from drawings.canvas import Canvas
from drawings.fabric import Fabric
from drawings.look import Look
from drawings.outline import CENTRE, Point, curve, mirror
from drawings.relief import Fold
from drawings.torso import NECKLINES, Cut, back_of_neck, both_sleeves, neck_band, neckline, straps


def dress(canvas: Canvas, look: Look) -> None:
    """Draw a dress with a fitted waist: straps, short or long sleeves, a flared skirt."""
    style = look.rng.choice(("straps", "short", "short", "long"))
    top = look.between(18, 26)
    waist_y, bottom = top + look.between(70, 78), look.between(196, 222)
    waist, hem = look.between(24, 27), look.between(44, 56)
    deep = look.chance(0.4)
    cut = Cut(top=top, neck=14.5, neck_depth=26 if deep else 13, neck_shape="v" if deep else "round",
        shoulder=31, slope=9, armpit=36, chest=31, waist=waist, hem=waist, length=waist_y - top,
        sleeve="long" if style == "long" else "short", sleeve_length=104 if style == "long" else 34,
        sleeve_width=17, spread=18, cuff=6.6)  # fmt: skip
    look.states(style="dress", cloth="flowing", cut="fitted waist", skirt="flared")
    look.states(sleeves="narrow straps" if style == "straps" else style)
    if style != "straps":
        look.states(neckline=NECKLINES[cut.neck_shape])
    cloth = look.cloth("satin")
    bodice = _strap_bodice if style == "straps" else _sleeved_bodice
    upper = bodice(canvas, look, cloth, cut)
    skirt, folds = _flare(look, waist_y, waist, bottom, hem)
    outline = [*upper[0], *skirt, *upper[1]]
    chest = [Fold((CENTRE + side * look.between(20, 26), top + look.between(34, 44)),
        (CENTRE + side * look.between(2, 10), waist_y), look.between(1.5, 2.5),
        look.between(0.8, 1.6)) for side in (-1, 1, -1, 1)]  # fmt: skip
    canvas.panel(outline, cloth, puff=3.6, lift=0.15, folds=[*folds, *chest], crumple=0.6)
    x = CENTRE
    seam = curve((x - waist, waist_y), (x, waist_y + 2), (x + waist, waist_y))
    if look.chance(0.45):
        band = [*moved_up(seam, 3), *reversed(moved_up(seam, -3))]
        canvas.panel(band, cloth.plain(), puff=1.4, lift=0.22, crumple=0.1)
    else:
        canvas.seam(seam, strength=0.36)
    for number in range(-6, 7):
        spot = x + number * waist / 6.6
        canvas.stroke(
            [(spot, waist_y + 2), (spot + number * 0.35, waist_y + 10)],
            (0, 0, 0),
            width=0.7,
            alpha=0.26,
            soft=0.6,
        )
    if style != "straps":
        neck_band(canvas, cloth.plain("woven"), cut, 1.5)


def swimsuit(canvas: Canvas, look: Look) -> None:
    """Draw a one-piece swimsuit with thin or broad straps and high-cut legs."""
    x, top = CENTRE, look.between(30, 38)
    strap_x, strap = look.between(16, 20), look.between(1.6, 5.5)
    bust_y, armpit = top + look.between(38, 46), top + look.between(46, 54)
    chest, waist, hip = look.between(28, 31), look.between(23, 26), look.between(30, 33)
    hip_y, crotch = top + look.between(120, 130), top + look.between(160, 170)
    depth = bust_y - top + look.between(2, 12)
    look.states(style="swimsuit", cloth="swim", sleeves=straps(strap, 3.0, 4.2), cut="high-cut legs")
    cloth = look.cloth("satin", vertical=look.chance(0.4))
    back = [(x - strap_x, top), *curve((x - strap_x, top), (x - 9, top + depth * 1.1),
        (x, top + depth * 1.25), (x + 9, top + depth * 1.1), (x + strap_x, top)),
        (x + strap_x + strap, top), (x + chest - 2, armpit + 4), (x + 12, armpit + 20),
        (x - 12, armpit + 20), (x - chest + 2, armpit + 4), (x - strap_x - strap, top)]  # fmt: skip
    canvas.panel(back, look.inside, puff=1.2, lift=0, crumple=0.1)
    seat = [(x - hip + 4, hip_y + 2), (x + hip - 4, hip_y + 2), *curve((x + hip - 4, hip_y + 4),
        (x + 20, hip_y + 26), (x + 6, crotch)), *curve((x - 6, crotch), (x - 20, hip_y + 26),
        (x - hip + 4, hip_y + 4))]  # fmt: skip
    canvas.panel(seat, look.inside, puff=2, lift=0, crumple=0.2)
    half: list[Point] = [*curve((x + strap_x + strap, top), (x + strap_x + strap - 0.5, bust_y - 12),
        (x + chest - 5, armpit - 6), (x + chest, armpit)), *curve((x + chest, armpit),
        (x + chest - 1.5, armpit + 16), (x + waist, (armpit + hip_y) / 2 + 4), (x + hip - 2, hip_y - 18),
        (x + hip, hip_y))[1:], *curve((x + hip, hip_y), (x + 20, hip_y + 16), (x + 10, crotch - 10),
        (x + 7, crotch))[1:]]  # fmt: skip
    front = curve(
        (x - strap_x, top), (x - strap_x + 0.8, bust_y - 14), (x - 9, top + depth - 4), (x, top + depth),
        (x + 9, top + depth - 4), (x + strap_x - 0.8, bust_y - 14), (x + strap_x, top),
    )  # fmt: skip
    folds = [Fold((x + side * waist, (armpit + hip_y) / 2 + shift),
        (x + side * look.between(2, 12), (armpit + hip_y) / 2 + shift + look.between(-6, 6)),
        look.between(1.2, 2.2), look.between(0.6, 1.6)) for side in (-1, 1) for shift in (-16, -6, 4,
        15)]  # fmt: skip
    folds += [Fold((x + side * 12, armpit - 6), (x + side * 12.5, armpit + 9), 7, 3.0) for side in (-1, 1)]
    canvas.panel(
        [*front, *half, *reversed(mirror(half))],
        cloth,
        puff=3,
        lift=0.2,
        folds=folds,
        crumple=0.4,
        gloss=0.12,
    )
    canvas.seam([(px, py + 1.3) for px, py in front], strength=0.25)
    leg = half[-21:]
    for line in (leg, mirror(leg)):
        canvas.seam([(px + (x - px) * 0.05, py - 1.2) for px, py in line], strength=0.25)


def moved_up(points: list[Point], rise: float) -> list[Point]:
    """Return the points lifted by ``rise`` units."""
    return [(px, py - rise) for px, py in points]


def _sleeved_bodice(canvas: Canvas, look: Look, cloth: Fabric, cut: Cut) -> tuple[list[Point], list[Point]]:
    """Draw the sleeves; return the outline above the skirt as its parts before and after the skirt."""
    back_of_neck(canvas, look, cut, band=1.5)
    both_sleeves(canvas, look, cut, cloth, crumple=0.6)
    shoulder, armpit = cut.shoulder_point, cut.armpit_point
    side = [*curve(shoulder, (shoulder[0] - 2, shoulder[1] + 14), (armpit[0] - 1.4, armpit[1] - 5), armpit),
        *curve(armpit, (armpit[0] - 2.5, armpit[1] + 14), (CENTRE + cut.waist, cut.bottom))[1:]]  # fmt: skip
    return [*neckline(cut), *side], list(reversed(mirror(side)))


def _strap_bodice(canvas: Canvas, look: Look, cloth: Fabric, cut: Cut) -> tuple[list[Point], list[Point]]:
    """Draw thin straps; return the outline above the skirt as its parts before and after the skirt."""
    x, top, bust = CENTRE, cut.top, cut.top + 30
    for side in (-1, 1):
        canvas.stroke(
            curve((x + side * 16, bust + 4), (x + side * 17.5, top + 12), (x + side * 15, top)),
            cloth.plain(factor=0.8).colour,
            width=1.7,
        )
        canvas.stroke(
            curve((x + side * 17, bust + 6), (x + side * 18.6, top + 12), (x + side * 16.5, top)),
            cloth.colour,
            width=1.9,
        )
    canvas.panel([(x - 27, bust + 12), (x, bust + 6), (x + 27, bust + 12), (x, bust + 34)], look.inside, puff=2, lift=0)
    front = curve((x - 17, bust), (x - 9, bust + 9), (x, bust + 14), (x + 9, bust + 9), (x + 17, bust))
    side_line = [
        *curve((x + 17, bust), (x + 22, bust + 8), (x + 29, bust + 14)),
        *curve((x + 29, bust + 14), (x + 27.5, bust + 26), (x + cut.waist, cut.bottom))[1:],
    ]
    return [*front, *side_line], list(reversed(mirror(side_line)))


def _flare(look: Look, waist_y: float, waist: float, bottom: float, hem: float) -> tuple[list[Point], list[Fold]]:
    x, steps, waves = CENTRE, look.rng.randint(5, 8), look.between(0.3, 1.1)
    side = curve(
        (x + waist, waist_y),
        (x + waist + (hem - waist) * 0.48, waist_y + (bottom - waist_y) * 0.36),
        (x + hem, bottom - 4),
    )
    points = []
    folds = []
    for step in range(2 * steps + 1):
        share = 1 - step / steps
        points.append((x + hem * share, bottom - 4 + 6 * (1 - share * share) + (waves if step % 2 else -waves)))
        folds.append(Fold((x + waist * share * 0.92, waist_y + look.between(0, 14)),
            (x + hem * (share + look.between(-0.04, 0.04)), bottom + 10), look.between(2.0, 3.6),
            look.between(1.6, 3.0) * (1 if step % 2 else -1)))  # fmt: skip
    return [*side[1:], *curve(*points)[1:-1], *reversed(mirror(side[1:]))], folds
