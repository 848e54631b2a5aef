"""Trousers, jeans, shorts, skirt."""

from __future__ import annotations

from drawings.canvas import Canvas
from drawings.colours import shade_of
from drawings.fabric import Fabric
from drawings.look import Look
from drawings.outline import CENTRE, Point, box, curve, mirror
from drawings.relief import Fold, mirrored

_ORANGE_THREAD = (206, 148, 84)


def trousers(canvas: Canvas, look: Look) -> None:
    """Draw trousers: pressed chinos or joggers with ribbed ankles."""
    joggers = look.pattern == "melange" or (look.pattern == "solid" and look.chance(0.3))
    top, bottom = look.between(24, 32), look.between(206, 216)
    waist, hip = look.between(24, 27), look.between(31, 34)
    ankle = look.between(10, 13) if joggers else look.between(10.5, 18)
    cloth = look.cloth("jersey" if joggers else "woven")
    if joggers:
        look.states(style="joggers", cloth="jersey", waist="drawstring", trim="ribbing", pockets="side")
    else:
        look.states(style="trousers", cloth="woven", closure="fly", legs=legs(ankle, 12.5, 15.5), pockets="side")
        look.states(trim="creases")
    waist_back(canvas, look, top, waist)
    leg_pair(canvas, look, cloth, top=top, bottom=bottom, waist=waist, hip=hip, ankle=ankle, crease=not joggers)
    if joggers:
        for side in (-1, 1):
            middle = CENTRE + side * (hip * 0.62)
            canvas.panel(
                box(middle - ankle * 0.86, bottom - 1, middle + ankle * 0.86, bottom + 9, 1.5),
                look.trim("rib", 0.95),
                puff=2,
                lift=0.2,
            )
        _waistband(canvas, look.trim("rib", 0.96), top, waist, 8)
        _cords(canvas, look, top + 6)
    else:
        _waistband(canvas, cloth.plain() if look.pattern == "floral" else cloth, top, waist, 7)
        _belt_loops(canvas, cloth, top, waist)
        canvas.disc((CENTRE + 0.4, top + 4.6), 1.5, look.buttons, holes=4)
    _fly(canvas, look, top + 7, thread=look.thread)
    _slash_pockets(canvas, top + 8, waist)


def jeans(canvas: Canvas, look: Look) -> None:
    """Draw five-pocket jeans, washed over the thighs."""
    top, bottom = look.between(24, 30), look.between(208, 216)
    waist, hip = look.between(24, 27), look.between(31, 34)
    ankle = look.rng.choice((look.between(9.5, 11.5), look.between(13, 19)))
    look.states(style="jeans", cloth="denim", closure="fly", legs=legs(ankle, 12, 16), pockets="five")
    cloth = look.cloth("denim")
    wash = look.between(0.10, 0.26) if look.colour_name != "black" else 0.06
    thread = _thread(look)
    waist_back(canvas, look, top, waist)
    leg_pair(
        canvas,
        look,
        cloth,
        top=top,
        bottom=bottom,
        waist=waist,
        hip=hip,
        ankle=ankle,
        fade=wash,
        whiskers=True,
    )
    for side in (-1, 1):
        middle = CENTRE + side * (hip * 0.62)
        canvas.stitches([(middle - ankle, bottom - 3), (middle + ankle, bottom - 3)], thread)
    _five_pockets(canvas, cloth, top, waist, thread)
    _fly(canvas, look, top + 7, thread=thread)


def shorts(canvas: Canvas, look: Look) -> None:
    """Draw shorts: denim, or with a drawstring waist."""
    top = look.between(66, 76)
    waist, hip, length = look.between(34, 38), look.between(45, 49), look.between(66, 92)
    denim = look.pattern == "denim"
    look.states(style="denim shorts" if denim else "shorts", cloth="denim" if denim else "jersey")
    look.states(
        closure="fly" if denim else "", waist="" if denim else "drawstring", pockets="five" if denim else "side"
    )
    cloth = look.cloth("jersey")
    waist_back(canvas, look, top, waist)
    leg_pair(canvas, look, cloth, top=top, bottom=top + length, waist=waist, hip=hip,
        ankle=look.between(24.6, 26.2), rise=40, fade=look.between(0.08, 0.2) if denim else 0.0,
        whiskers=denim)  # fmt: skip
    thread = _thread(look) if denim else look.thread
    for side in (-1, 1):
        middle = CENTRE + side * (hip * 0.56)
        line = [(middle - 24, top + length - 4), (middle + 24, top + length - 4)]
        canvas.stitches(line, thread, alpha=0.6)
        canvas.seam([(px, py + 1) for px, py in line], strength=0.15)
    if denim:
        _five_pockets(canvas, cloth, top, waist, thread)
        _fly(canvas, look, top + 7, thread=thread)
    else:
        _waistband(canvas, look.trim("rib", 0.97) if look.pattern in ("solid", "melange") else cloth, top, waist, 9)
        for number in range(-7, 8):
            spot = CENTRE + number * waist / 7.6
            canvas.stroke(
                [(spot, top + 9), (spot + number * 0.25, top + 15)], (0, 0, 0), width=0.7, alpha=0.3, soft=0.6
            )
        _cords(canvas, look, top + 6)
        _slash_pockets(canvas, top + 10, waist + 2)


def legs(ankle: float, slim: float, wide: float) -> str:
    """Return the fact of legs by half the width of an ankle."""
    return "slim" if ankle < slim else "wide" if ankle > wide else "straight"


def skirt(canvas: Canvas, look: Look) -> None:
    """Draw a skirt: flared or pleated, or a straight one of denim."""
    x = CENTRE
    denim = look.pattern == "denim"
    straight = denim or look.chance(0.2)
    top = look.between(52, 62)
    length = look.between(84, 100) if straight else look.between(84, 138)
    waist = look.between(31, 35)
    hem = waist + (look.between(9, 14) if straight else look.between(18, 30))
    cloth = look.cloth("woven" if straight else "satin")
    bottom = top + length
    look.states(style="denim skirt" if denim else "skirt", skirt="straight" if straight else "flared")
    look.states(cloth="denim" if denim else "woven" if straight else "flowing")
    look.states(length="" if straight else "short" if length < 98 else "long" if length > 120 else "knee")
    look.states(closure="fly" if denim else "", pockets="five" if denim else "")
    waist_back(canvas, look, top, waist)
    waves = 0.0 if straight else look.between(0.3, 1.1)
    side = curve(
        (x + waist, top),
        (x + waist + (hem - waist) * 0.55 + (4 if straight else 0), top + length * 0.32),
        (x + hem, bottom - 4),
    )
    hem_points: list[Point] = []
    steps = look.rng.randint(5, 8)
    for step in range(2 * steps + 1):
        share = 1 - step / steps
        sag = 6.0 * (1 - share * share) * (0.4 if straight else 1.0)
        hem_points.append((x + hem * share, bottom - 4 + sag + (waves if step % 2 else -waves)))
    outline = [*side, *curve(*hem_points)[1:-1], *reversed(mirror(side))]
    folds = []
    if not straight:
        for step in range(2 * steps + 1):
            share = 1 - step / steps
            lean = look.between(-0.03, 0.03)
            folds.append(Fold((x + waist * share * 0.92, top + look.between(2, 16)),
                (x + hem * (share + lean) * 0.97, bottom + 10), look.between(2.2, 3.8),
                look.between(2.0, 3.4) * (1 if step % 2 else -1)))  # fmt: skip
    else:
        for fold_side in (-1, 1):
            folds.append(
                Fold(
                    (x + fold_side * waist * 0.7, top + 18),
                    (x + fold_side * 6, top + look.between(22, 34)),
                    2,
                    1.4,
                )
            )
            folds.append(
                Fold((x + fold_side * hem * 0.6, top + 40), (x + fold_side * hem * 0.55, bottom + 6), 3.5, 1.2)
            )
    canvas.panel(outline, cloth, puff=3.6, folds=folds, crumple=0.6, fade=look.between(0.06, 0.18) if denim else 0.0)
    if denim:
        thread = _thread(look)
        canvas.stitches([(x - hem + 2, bottom - 6), (x, bottom - 3.6), (x + hem - 2, bottom - 6)], thread)
        _five_pockets(canvas, cloth, top, waist, thread)
        _fly(canvas, look, top + 7, thread=thread)
        canvas.seam([(x, top + 32), (x, bottom)], strength=0.35)
        return
    _waistband(canvas, cloth.plain() if look.pattern in ("floral", "dots") else cloth, top, waist, look.between(5, 9))


def leg_pair(
    canvas: Canvas, look: Look, cloth: Fabric, *, top: float, bottom: float, waist: float, hip: float,
    ankle: float, rise: float = 56.0, fade: float = 0.0, crease: bool = False, whiskers: bool = False,
) -> None:  # fmt: skip
    """Draw two legs that meet below the fly; the left one lies over the right one at the crotch."""
    x = CENTRE
    crotch = top + rise
    knee = crotch + (bottom - crotch) * 0.45
    long = bottom - top > 120
    middle = x + hip * (0.62 if long else 0.56)
    gap = 2.2 if long else 0.5  # half the daylight between the legs below the crotch
    outer = curve(
        (x + waist, top), (x + hip - 1, top + rise * 0.55), (x + hip + 1.5, crotch),
        ((middle + ankle + x + hip) / 2, knee), (middle + ankle, bottom),
    )  # fmt: skip
    inner_knee: Point = ((x + gap + middle - ankle) / 2, knee)
    inner = curve((middle - ankle, bottom), inner_knee, (x + gap, crotch + 9), (x, crotch))
    leg = [*outer, (middle, bottom + 1.2), *inner, (x, top + 2)]
    for flip in (False, True):
        folds = []
        for _each in range(3):
            tilt, reach = look.between(4, 16), look.between(8, hip * 0.7)
            folds.append(Fold((x + 1, crotch + look.between(-8, 4)),
                (x + reach, crotch - tilt + look.between(-8, 14)), look.between(1.4, 2.4),
                look.between(0.9, 1.9)))  # fmt: skip
        if long:
            for share in (0.42, 0.5, 0.86, 0.94):
                y = crotch + (bottom - crotch) * (share + look.between(-0.04, 0.04))
                tilt = look.between(-6, 6)
                folds.append(
                    Fold(
                        (middle - ankle - 2, y - tilt),
                        (middle + ankle * 0.9, y + tilt),
                        look.between(1.5, 2.6),
                        look.between(0.6, 1.5),
                    )
                )
        if crease:
            folds.append(Fold((middle - 1, top + 24), (middle, bottom + 4), 0.9, 1.2))
        else:
            folds.append(Fold((middle + 3, top + 30), (middle, bottom), look.between(3, 5), look.between(0.4, 1.2)))
        if whiskers:
            for step in range(4):
                folds.append(
                    Fold(
                        (x + 3, crotch - 6 - step * 5),
                        (x + hip * 0.62, crotch - 12 - step * 6 + look.between(-3, 3)),
                        1.2,
                        0.9,
                    )
                )
        if flip:
            folds = [mirrored(fold) for fold in folds]
        canvas.panel(
            mirror(leg) if flip else leg,
            cloth,
            turn=2.5 if flip else -2.5,
            puff=4.2,
            lift=0.2,
            folds=folds,
            crumple=0.7,
            fade=fade,
        )
        hem = [
            (middle - ankle + 0.4, bottom - 3.4),
            (middle, bottom - 2.4),
            (middle + ankle - 0.4, bottom - 3.4),
        ]
        canvas.seam(mirror(hem) if flip else hem, strength=0.2)
        seam = [(px - 1.6, py) for px, py in outer]
        canvas.seam(mirror(seam) if flip else seam, strength=0.14)
    canvas.seam(curve((x, top + 4), (x + 0.5, crotch - 8), (x, crotch)), strength=0.4)


def waist_back(canvas: Canvas, look: Look, top: float, waist: float) -> None:
    """Draw the inside of the back waistband, a little above the front."""
    x = CENTRE
    rim = curve((x - waist + 0.5, top + 0.5), (x, top - 2.2), (x + waist - 0.5, top + 0.5))
    canvas.panel(
        [*rim, (x + waist - 1, top + 8), (x, top + 12), (x - waist + 1, top + 8)],
        look.inside,
        puff=2,
        lift=0,
        crumple=0.2,
    )


def _waistband(canvas: Canvas, cloth: Fabric, top: float, waist: float, depth: float) -> None:
    x = CENTRE
    upper = curve((x - waist, top), (x, top + 2.2), (x + waist, top))
    lower = curve((x - waist - 1, top + depth), (x, top + depth + 2.2), (x + waist + 1, top + depth))
    canvas.panel([*upper, *reversed(lower)], cloth, puff=1.8, lift=0.2, crumple=0.2)
    canvas.seam(lower, strength=0.32)


def _belt_loops(canvas: Canvas, cloth: Fabric, top: float, waist: float) -> None:
    for share in (-0.62, 0.62):
        spot = CENTRE + waist * share
        canvas.panel(box(spot - 1.2, top + 0.4, spot + 1.2, top + 9.4), cloth.plain(), puff=0.6, lift=0.3, crumple=0)


def _cords(canvas: Canvas, look: Look, y: float) -> None:
    cord = (
        (238, 236, 232) if not look.light and look.chance(0.5) else shade_of(look.colour, 0.72 if look.light else 1.3)
    )
    for side in (-1, 1):
        length = look.between(18, 26)
        line = curve(
            (CENTRE + side * 3, y),
            (CENTRE + side * look.between(4, 7), y + length * 0.5),
            (CENTRE + side * look.between(3, 8), y + length),
        )
        canvas.stroke([(px + 0.5, py + 0.8) for px, py in line], (0, 0, 0), width=1.2, alpha=0.22, soft=0.5)
        canvas.stroke(line, cord, width=1.2)


def _fly(canvas: Canvas, look: Look, y: float, *, thread: tuple[int, int, int]) -> None:
    x = CENTRE
    canvas.seam([(x, y), (x + 0.3, y + 40)], strength=0.4)
    if look.pattern in ("solid", "denim", "check", "stripe"):
        line = curve((x + 7, y + 1), (x + 7, y + 18), (x + 5, y + 27), (x + 0.5, y + 32))
        canvas.stitches(line, thread, alpha=0.6)


def _slash_pockets(canvas: Canvas, y: float, waist: float) -> None:
    for side in (-1, 1):
        line = [(CENTRE + side * (waist - 7), y), (CENTRE + side * (waist + 3.4), y + 26)]
        canvas.seam(line, strength=0.45)


def _five_pockets(canvas: Canvas, cloth: Fabric, top: float, waist: float, thread: tuple[int, int, int]) -> None:
    x = CENTRE
    for side in (-1, 1):
        mouth = curve(
            (x + side * waist * 0.42, top + 8),
            (x + side * waist * 0.56, top + 17),
            (x + side * (waist + 3), top + 21),
        )
        canvas.seam(mouth, strength=0.5)
        canvas.stitches([(px, py + 1.3) for px, py in mouth], thread)
        canvas.disc((x + side * waist * 0.46, top + 10.4), 0.8, (186, 150, 110))
    _waistband(canvas, cloth, top, waist, 7)
    for inset in (1.2, 5.9):
        canvas.stitches(
            curve((x - waist, top + inset), (x, top + inset + 2.2), (x + waist, top + inset)),
            thread,
            alpha=0.7,
        )
    _belt_loops(canvas, cloth, top, waist)
    canvas.disc((x + 0.4, top + 5.8), 2.0, (170, 146, 112))


def _thread(look: Look) -> tuple[int, int, int]:
    return _ORANGE_THREAD if look.colour_name not in ("black", "grey") else shade_of(look.colour, 1.3)
