"""For sports: leggings and a sports top."""

from __future__ import annotations

from drawings.bottoms import leg_pair, waist_back
from drawings.canvas import Canvas
from drawings.colours import Colour, lightness, shade_of
from drawings.look import Look
from drawings.outline import CENTRE, box, curve, mirror
from drawings.torso import Cut, body_folds


def leggings(canvas: Canvas, look: Look) -> None:
    """Draw sports leggings: a high waistband, tight legs, some with a contrasting stripe or with mesh at the shins."""
    trim = look.rng.choice(("", "side stripes", "mesh"))
    look.states(style="sports leggings", cloth="stretch", waist="high", legs="tight", trim=trim)
    top, bottom = look.between(20, 26), look.between(208, 216)
    waist, hip, ankle = look.between(20.5, 22.5), look.between(25.5, 28), look.between(5.6, 6.8)
    cloth = look.cloth("jersey")
    waist_back(canvas, look, top, waist)
    leg_pair(canvas, look, cloth, top=top, bottom=bottom, waist=waist, hip=hip, ankle=ankle)
    x, middle = CENTRE, CENTRE + hip * 0.62
    knee = top + 56 + (bottom - top - 56) * 0.45
    outer = curve(
        (x + waist, top),
        (x + hip - 1, top + 31),
        (x + hip + 1.5, top + 56),
        ((middle + ankle + x + hip) / 2, knee),
        (middle + ankle, bottom),
    )
    accent = _accent(look)
    for flip in (False, True):
        if trim == "side stripes":
            stripe = [(px - 2.6, py) for px, py in outer]
            canvas.stroke(mirror(stripe) if flip else stripe, accent, width=2.4)
        if trim == "mesh":
            shin = [
                (middle - ankle - 1.4, bottom - 46),
                (middle + ankle + 3.6, bottom - 52),
                (middle + ankle - 0.2, bottom - 3),
                (middle - ankle + 0.2, bottom - 3),
            ]
            canvas.panel(mirror(shin) if flip else shin, cloth.plain("woven", 0.66), puff=2, lift=0, crumple=0.3)
    upper = curve((x - waist, top), (x, top + 2.2), (x + waist, top))
    lower = curve((x - waist - 2.2, top + 20), (x, top + 23), (x + waist + 2.2, top + 20))
    canvas.panel([*upper, *reversed(lower)], cloth.plain(), puff=2.6, lift=0.22, crumple=0.3)
    canvas.seam(lower, strength=0.32)
    canvas.fill(box(x + waist - 9, top + 9, x + waist - 3, top + 11.6), accent, 0.9)


def sports_top(canvas: Canvas, look: Look) -> None:
    """Draw a sports top with broad straps and contrasting edges, short or hip-length."""
    short = look.chance(0.5)
    look.states(style="sports top", cloth="stretch", sleeves="wide straps", trim="contrasting edges", neckline="scoop")
    look.states(length="cropped" if short else "")
    x, top = CENTRE, look.between(56, 62) if short else look.between(36, 42)
    strap_x, strap = look.between(15, 17), look.between(8, 10)
    chest = look.between(33, 36)
    waist, hem = chest - look.between(4, 6), chest - (3 if short else look.between(0, 3))
    armpit, depth = top + look.between(40, 44), look.between(24, 30)
    bottom = top + (look.between(80, 90) if short else look.between(124, 138))
    cloth = look.cloth("jersey")
    accent = _accent(look)
    # The back runs together between the shoulders, and is seen above the front.
    back = [
        (x - strap_x - strap, top),
        *curve((x - strap_x, top), (x - 7, top + 9), (x, top + 10), (x + 7, top + 9), (x + strap_x, top)),
        (x + strap_x + strap, top),
        *curve(
            (x + chest - 5, armpit),
            (x + 13, armpit - 12),
            (x, armpit - 8),
            (x - 13, armpit - 12),
            (x - chest + 5, armpit),
        ),
    ]
    canvas.panel(back, look.inside, puff=2, lift=0)
    armhole = curve(
        (x + strap_x + strap, top),
        (x + strap_x + strap - 2.5, top + 16),
        (x + chest - 9, armpit - 10),
        (x + chest, armpit),
    )
    side = curve((x + chest, armpit), (x + waist, (armpit + bottom) / 2), (x + hem, bottom))
    front = curve(
        (x - strap_x, top),
        (x - strap_x + 2, top + depth * 0.5),
        (x - strap_x * 0.5, top + depth * 0.92),
        (x, top + depth),
        (x + strap_x * 0.5, top + depth * 0.92),
        (x + strap_x - 2, top + depth * 0.5),
        (x + strap_x, top),
    )
    half = [*armhole, *side[1:], (x, bottom + 1)]
    cut = Cut(top=top, chest=chest, hem=hem, armpit=armpit - top, length=bottom - top, shoulder=strap_x)
    folds = body_folds(look, cut, strength=0.7)
    canvas.panel([*front, *half, *reversed(mirror(half))], cloth, puff=3.4, folds=folds, crumple=0.5, gloss=0.1)
    for line in (front, armhole, mirror(armhole)):
        canvas.stroke(line, accent, width=2.2)
        canvas.seam([(px, py + 1.6) for px, py in line], strength=0.15)
    if short:
        band = [
            (x - hem + 0.2, bottom - 9),
            (x + hem - 0.2, bottom - 9),
            (x + hem - 0.8, bottom + 1),
            (x - hem + 0.8, bottom + 1),
        ]
        canvas.panel(band, cloth.plain("rib", 0.9), puff=2, lift=0.16, crumple=0.1)
    else:
        for flip in (False, True):
            seam = [(x + chest - 7, armpit + 4), (x + waist - 7, (armpit + bottom) / 2), (x + hem - 6, bottom)]
            canvas.seam(mirror(curve(*seam)) if flip else curve(*seam), strength=0.24)
    canvas.fill(box(x + 13, armpit + 2, x + 19, armpit + 4.4), accent, 0.9)


def _accent(look: Look) -> Colour:
    if look.colour_name in ("white", "grey", "beige", "yellow", "light blue", "pink"):
        return (52, 54, 62)
    return (236, 236, 234) if lightness(look.colour) < 0.5 else shade_of(look.colour, 0.4)
