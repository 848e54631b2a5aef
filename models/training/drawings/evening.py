"""For an evening out: heels, evening gown, clutch."""

from __future__ import annotations

from drawings.canvas import Canvas
from drawings.colours import Colour, shade_of
from drawings.fabric import Fabric
from drawings.look import Look
from drawings.outline import CENTRE, Point, box, curve, ellipse, mirror, moved
from drawings.photograph import FLOOR
from drawings.relief import Fold

_GOLD: Colour = (206, 178, 116)


def heels(canvas: Canvas, look: Look) -> None:
    """Draw pumps with a stiletto or a block heel, some with a strap round the ankle."""
    thin, strapped = look.chance(0.6), look.chance(0.4)
    suede = look.chance(0.35)
    look.states(style="pumps", cloth="suede" if suede else "leather", heel="stiletto" if thin else "block")
    look.states(toe="pointed" if thin else "rounded", closure="ankle strap" if strapped else "")
    cloth = look.cloth("wool" if suede else "leather")
    for dx, dy in ((16.0, -24.0), (-4.0, 0.0)):
        _pump(canvas, look, cloth, dx, FLOOR + 4 + dy, thin=thin, strapped=strapped)


def _pump(canvas: Canvas, look: Look, cloth: Fabric, dx: float, floor: float, *, thin: bool, strapped: bool) -> None:
    def at(*points: Point) -> list[Point]:
        return moved(points, dx, floor)

    def arc(*points: Point) -> list[Point]:
        return curve(*at(*points))

    gloss = 0.1 if cloth.texture == "wool" else 0.45
    lining = Fabric((196, 168, 138) if not look.light else (168, 140, 112), look.second, "solid", "smooth")
    far = [
        *arc((58, -22), (80, -42), (104, -60), (124, -78), (133, -80)),
        *arc((133, -76), (126, -56), (100, -34), (74, -22), (58, -20)),
    ]
    canvas.panel(far, lining, puff=2, lift=0, crumple=0.1)
    if thin:
        heel = [
            *arc((112, -45), (119, -30), (123.5, -14), (124.5, 0)),
            *at((128.5, 0)),
            *arc((128.5, 0), (130, -20), (134, -44), (135, -56)),
        ]
    else:
        heel = [*arc((104, -38), (108, -20), (108, 0)), *at((131, 0)), *arc((131, 0), (133, -24), (135, -56))]
    toe = (13, -4) if thin else (20, -5)
    upper = [
        *arc(toe, (26 if thin else 24, -13 if thin else -17), (42, -20), (60, -24)),
        *arc((60, -24), (76, -25), (98, -38), (118, -60), (132, -79)),
        *arc((132, -79), (136.5, -68), (136, -56), (133, -46)),
        *arc((133, -46), (116, -44), (98, -32), (78, -12), (62, -4), (40, -2), toe),
    ]
    folds = [
        Fold((40 + dx, floor - 16), (70 + dx, floor - 10), 4, 1.2),
        Fold((124 + dx, floor - 70), (118 + dx, floor - 48), 4, 1.4),
    ]
    canvas.panel(heel, cloth.plain(factor=0.9), puff=2.6, lift=0.1, crumple=0, gloss=gloss)
    canvas.panel(upper, cloth, turn=-20, puff=6, lift=0.3, folds=folds, crumple=0.2, gloss=gloss)
    canvas.seam(
        [(px, py + 1.6) for px, py in arc((60, -24), (76, -25), (98, -38), (118, -60), (131, -78))], strength=0.25
    )
    sole = [
        *arc(toe, (40, -2.4), (62, -4.4), (78, -12), (98, -32), (114, -43)),
        *arc((114, -41.6), (96, -29.6), (77, -9), (62, -1.4), (40, 0), (toe[0] + 4, -0.6), toe),
    ]
    canvas.panel(sole, Fabric((60, 48, 42), (60, 48, 42), "solid", "smooth"), puff=0.8, lift=0, crumple=0)
    if strapped:
        ring = at(*[(x, y) for x, y in ellipse(117, -87, 18, 5.2)])
        canvas.stroke([*ring[20:], ring[0]], shade_of(look.colour, 0.72), width=3.0)
        canvas.stroke(arc((133, -74), (134.5, -80), (134.5, -87)), cloth.colour, width=4.4)
        front = ring[:21]
        canvas.stroke([(px + 0.4, py + 1) for px, py in front], (0, 0, 0), width=3, alpha=0.2, soft=0.6)
        canvas.stroke(front, cloth.colour, width=3.4)
        canvas.disc(at((112, -82.2))[0], 2.2, _GOLD)


def evening_gown(canvas: Canvas, look: Look) -> None:
    """Draw a floor-length satin gown: narrow straps, strapless or one-shouldered, some with a slit."""
    style = look.rng.choice(("narrow straps", "strapless", "one shoulder"))
    slit = look.chance(0.45)
    look.states(style="evening gown", cloth="satin", sleeves=style, length="floor", cut="fitted waist")
    look.states(skirt="slit" if slit else "")
    top, bottom = look.between(10, 16), look.between(226, 232)
    bust, waist_y = top + 24, top + look.between(62, 68)
    waist, hip, hem = look.between(17.5, 20), look.between(25, 28), look.between(40, 50)
    x = CENTRE
    cloth = look.cloth("satin")
    canvas.panel([(x - 15, bust + 1), (x, bust - 1), (x + 15, bust + 1), (x, bust + 22)], look.inside, puff=2, lift=0)
    if style == "narrow straps":
        for side in (-1, 1):
            strap = curve((x + side * 15, bust + 3), (x + side * 16.5, top + 10), (x + side * 14, top))
            canvas.stroke(strap, cloth.colour, width=1.9)
    side_line = [
        *curve((x + 16, bust), (x + 20, bust + 6), (x + 25.5, bust + 12)),
        *curve(
            (x + 25.5, bust + 12),
            (x + 23.5, bust + 24),
            (x + waist, waist_y),
            (x + hip, waist_y + 36),
            (x + hip + 1.5, waist_y + 70),
            (x + (hip + hem) / 2, bottom - 48),
            (x + hem, bottom - 3),
        )[1:],
    ]
    front = curve((x - 16, bust), (x - 8, bust + 3), (x, bust + 9), (x + 8, bust + 3), (x + 16, bust))
    if style == "one shoulder":
        front = [*curve((x - 26, bust + 11), (x - 8, bust + 2), (x + 6, top + 12), (x + 11, top + 1)), (x + 18, top)]
        side_line = [*curve((x + 18, top), (x + 19, top + 16), (x + 25.5, bust + 12)), *side_line[15:]]
    hem_points = [
        (x + hem * share, bottom - 3 + 5 * (1 - share * share) + (0.8 if step % 2 else -0.8))
        for step in range(13)
        for share in (1 - step / 6,)
    ]
    left = list(reversed(mirror(side_line if style != "one shoulder" else [(x + 26, bust + 11), *side_line[15:]])))
    folds = [
        Fold(
            (x + waist * share * 0.8, waist_y + look.between(6, 40)),
            (x + hem * (share + look.between(-0.05, 0.05)), bottom + 8),
            look.between(2.2, 3.8),
            look.between(1.6, 2.8) * (1 if number % 2 else -1),
        )
        for number, share in enumerate((-0.9, -0.65, -0.4, -0.15, 0.1, 0.35, 0.6, 0.85))
    ]
    for side in (-1, 1):
        folds += [
            Fold(
                (x + side * 21, bust + look.between(12, 30)),
                (x - side * 4, waist_y + look.between(-6, 8)),
                look.between(1.4, 2.2),
                look.between(0.9, 1.7),
            )
            for _each in range(2)
        ]
    outline = [*front, *side_line, *hem_points[1:-1], *left]
    canvas.panel(outline, cloth, puff=4, lift=0.16, folds=folds, crumple=0.6, gloss=0.5)
    canvas.seam(curve((x - waist, waist_y), (x, waist_y + 2), (x + waist, waist_y)), strength=0.26)
    if slit:
        cut = [
            *curve((x + 12, waist_y + 62), (x + 14, bottom - 60), (x + 11, bottom + 1)),
            *curve((x + 25, bottom), (x + 20, bottom - 50), (x + 12, waist_y + 62)),
        ]
        canvas.panel(cut, look.inside, puff=3, lift=0.05, crumple=0.4)
        canvas.stroke(cut[: len(cut) // 2], (0, 0, 0), width=1.4, alpha=0.3, soft=0.8)


def clutch(canvas: Canvas, look: Look) -> None:
    """Draw a clutch: an envelope with a flap or a box with a metal frame, some with a chain."""
    envelope, chained = look.chance(0.55), look.chance(0.45)
    satin = look.chance(0.5)
    look.states(style="clutch bag", cloth="satin" if satin else "leather", closure="flap" if envelope else "clasp")
    look.states(handles="chain" if chained else "")
    cloth = look.cloth("satin" if satin else "leather")
    x, bottom = CENTRE, FLOOR + 4
    wide, tall = look.between(52, 60), look.between(50, 62)
    top = bottom - tall
    if chained:
        path = curve(
            (x - wide + 5, top + 6),
            (x - wide * 0.7, top - 34),
            (x, top - 52),
            (x + wide * 0.7, top - 34),
            (x + wide - 5, top + 6),
        )
        for number, spot in enumerate(path):
            canvas.disc(spot, 1.9 if number % 2 else 1.4, _GOLD)
    canvas.panel(
        box(x - wide, top, x + wide, bottom, 4 if envelope else 8), cloth, puff=5, lift=0.2, crumple=0.7, gloss=0.4
    )
    if envelope:
        tip = top + tall * look.between(0.62, 0.76)
        flap = [
            (x - wide, top + 3),
            *curve((x - wide + 3, top - 1.5), (x, top - 2), (x + wide - 3, top - 1.5)),
            (x + wide, top + 3),
            *curve((x + 6, tip - 3), (x, tip), (x - 6, tip - 3)),
        ]
        canvas.panel(flap, cloth, puff=3, lift=0.45, crumple=0.5, gloss=0.45)
        canvas.seam([(x - wide + 4, top + 4), (x, tip - 4), (x + wide - 4, top + 4)], strength=0.16)
        canvas.disc((x, tip - 6), 3.4, _GOLD, shine=0.5)
        return
    frame = [
        *curve(
            (x - wide + 2, top + 9),
            (x - wide + 5, top - 1),
            (x, top - 3),
            (x + wide - 5, top - 1),
            (x + wide - 2, top + 9),
        )
    ]
    canvas.stroke([(px, py + 1.2) for px, py in frame], (0, 0, 0), width=3.4, alpha=0.3, soft=0.7)
    canvas.stroke(frame, _GOLD, width=3.6)
    canvas.stroke([(px, py - 0.8) for px, py in frame], (255, 246, 214), width=0.9, alpha=0.7)
    for side in (-1, 1):
        canvas.disc((x + side * 3, top - 6.5), 3.1, _GOLD, shine=0.55)
