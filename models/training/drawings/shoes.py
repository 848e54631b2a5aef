"""Sneakers and boots, in profile, toes to the left, the pair's other half behind."""

from __future__ import annotations

from drawings.canvas import Canvas
from drawings.colours import Colour, shade_of
from drawings.fabric import Fabric
from drawings.look import Look
from drawings.outline import Point, curve, moved
from drawings.photograph import FLOOR
from drawings.relief import Fold

_RUBBER: Colour = (240, 239, 234)
_BLACK_RUBBER: Colour = (40, 40, 42)
_PAIR: Point = (9.0, -23.0)  # where the farther shoe stands


def sneakers(canvas: Canvas, look: Look) -> None:
    """Draw low lace-up sneakers with a pale rubber sole."""
    cloth = look.cloth("leather" if look.chance(0.4) else "woven")
    capped = look.chance(0.45)
    sole = _RUBBER if look.chance(0.85) else shade_of(look.colour, 0.6)
    high = 16.0 if look.chance(0.25) else 0.0
    look.states(style="high-top sneakers" if high else "sneakers", closure="laces", toe="cap" if capped else "")
    look.states(
        cloth="leather" if cloth.texture == "leather" else "canvas", sole="white" if sole == _RUBBER else "dark"
    )
    for dx, dy in (_PAIR, (-4.0, 0.0)):
        _sneaker(canvas, look, cloth, dx, dy + FLOOR - 160, sole=sole, capped=capped, high=high)


def boots(canvas: Canvas, look: Look) -> None:
    """Draw boots: flat ankle boots with elastic, heeled ankle boots, or tall ones."""
    cloth = look.cloth("leather")
    style = look.rng.choice(("flat", "heel", "tall"))
    shaft = {"flat": 44.0, "heel": 48.0, "tall": 98.0}[style]
    heel = 17.0 if style == "heel" else 7.0
    look.states(style="tall boots" if style == "tall" else "ankle boots", cloth="leather")
    look.states(heel="block" if style == "heel" else "low", closure="elastic" if style == "flat" else "")
    floor = FLOOR + (28 if style == "tall" else 4)
    for dx, dy in ((_PAIR[0] + 6, _PAIR[1] + 6), (-4.0, 0.0)):
        _boot(canvas, look, cloth, dx, dy + floor, shaft=shaft, heel=heel, elastic=style == "flat")


def _sneaker(
    canvas: Canvas,
    look: Look,
    cloth: Fabric,
    dx: float,
    dy: float,
    *,
    sole: Colour,
    capped: bool,
    high: float,
) -> None:
    def at(*points: Point) -> list[Point]:
        return moved(points, dx, dy)

    def arc(*points: Point) -> list[Point]:
        return curve(*at(*points))

    lining = [
        *arc((98, 104 - high), (108, 107 - high), (122, 107 - high), (131, 103 - high)),
        *at((130, 120), (100, 120)),
    ]
    canvas.panel(lining, Fabric(shade_of(look.colour, 0.6), look.second, "solid", "woven"), puff=3, lift=0)
    tongue = [
        *arc((86, 114), (91, 103 - high), (97, 98 - high), (104, 100 - high)),
        *arc((104, 100 - high), (103, 108), (98, 118), (70, 132)),
    ]
    canvas.panel(tongue, cloth.plain(factor=0.94), puff=3, lift=0.25)
    upper = [
        *arc((133, 152), (135.5, 138), (132.5, 122), (133.5, 106 - high)),
        *arc(
            (133.5, 106 - high),
            (127, 110 - high * 0.9),
            (116, 113.5 - high * 0.8),
            (106, 110 - high),
            (100, 106 - high),
        ),
        *arc((100, 106 - high), (88, 115 - high * 0.3), (70, 126), (50, 131), (35, 134), (26.5, 142), (26, 153)),
    ]
    folds = [Fold((72 + dx, 130 + dy), (60 + dx, 146 + dy), 2.4, -1.6), Fold((60 + dx, 133 + dy),
        (50 + dx, 146 + dy), 2.0, -1.2), Fold((112 + dx, 114 + dy), (104 + dx, 140 + dy), 4,
        1.2)]  # fmt: skip
    canvas.panel(
        upper,
        cloth,
        turn=-14,
        puff=8,
        lift=0.25,
        folds=folds,
        crumple=0.5,
        gloss=0.12 if cloth.texture == "leather" else 0.0,
    )
    quarter = arc((64, 152), (72, 142), (90, 130), (99, 120), (106, 111 - high))
    canvas.seam(quarter, strength=0.35)
    canvas.stitches([(px + 1.6, py + 1.2) for px, py in quarter], look.thread, alpha=0.6, length=1.3)
    stay = [
        *arc((100, 106.5 - high), (88, 115.5 - high * 0.3), (71, 128.5)),
        *arc((71, 128.5), (77, 131.5), (92, 122), (105, 111 - high)),
    ]
    canvas.panel(stay, cloth.plain(factor=0.92), puff=1.2, lift=0.22, crumple=0)
    heel_tab = [
        *arc((134, 105 - high), (133, 122), (135.5, 140)),
        *arc((135.5, 140), (126, 139), (124, 124), (126, 109.5 - high)),
    ]
    canvas.panel(heel_tab, cloth.plain(factor=0.84), puff=1.6, lift=0.2, crumple=0)
    canvas.seam(
        arc((133, 109 - high), (127, 113 - high * 0.9), (116, 116.5 - high * 0.8), (106, 113 - high)),
        strength=0.25,
    )
    lace = (244, 243, 240) if look.colour_name != "white" else (222, 221, 218)
    rows = 6 if high else 5
    for row in range(rows):
        share = row / (rows - 1)
        x, y = 73 + 25.5 * share, 126 - (19 + high) * share
        line = at((x + 3.6, y + 4.6), (x - 1.5, y + 0.6), (x - 5.5, y - 1.8))
        canvas.stroke([(px + 0.5, py + 0.9) for px, py in line], (0, 0, 0), width=1.8, alpha=0.25, soft=0.5)
        canvas.stroke(line, lace, width=1.9)
    bow = at(
        (95, 103 - high),
        (86, 104 - high),
        (84, 111 - high),
        (94, 106 - high),
        (99, 114 - high),
        (104, 122 - high),
    )
    canvas.stroke(curve(*bow), shade_of(lace, 0.93), width=1.4)
    if capped:
        toe = [*arc((54, 152), (52, 142), (45, 132.2)), *arc((45, 132.2), (35, 134), (26.5, 142), (26, 153))]
        canvas.panel(toe, Fabric(_RUBBER, _RUBBER, "solid", "smooth"), puff=4, lift=0.2, crumple=0.1, gloss=0.1)
    base = [
        *arc((24.5, 147), (50, 151), (96, 150), (136.5, 147)),
        *arc((136.5, 147), (138.5, 153), (136, 160)),
        *arc((136, 160), (80, 160.5), (34, 160), (26.5, 156), (24.5, 147)),
    ]
    canvas.panel(base, Fabric(sole, sole, "solid", "smooth"), puff=2.6, lift=0.3, crumple=0.1)
    canvas.stroke(arc((26, 153.5), (60, 156), (110, 155.5), (137, 153.5)), (0, 0, 0), width=0.5, alpha=0.22)
    canvas.stroke(arc((30, 158.8), (60, 160), (110, 160), (136, 159.2)), (0, 0, 0), width=1.2, alpha=0.35)


def _boot(
    canvas: Canvas,
    look: Look,
    cloth: Fabric,
    dx: float,
    floor: float,
    *,
    shaft: float,
    heel: float,
    elastic: bool,
) -> None:
    def at(*points: Point) -> list[Point]:
        return moved(points, dx, floor)

    def arc(*points: Point) -> list[Point]:
        return curve(*at(*points))

    rise = heel - 4
    ankle, top = -52 - rise * 0.6, -52 - shaft
    front, back = 88.0, 131.0
    mouth = [
        *arc((front - 2, top), (110, top - 5), (back + 1, top - 1)),
        *arc((back + 1, top - 1), (110, top + 5), (front - 2, top)),
    ]
    canvas.panel(mouth, Fabric(shade_of(look.colour, 0.5), look.second, "solid", "smooth"), puff=2, lift=0)
    if shaft < 60:
        canvas.stroke(
            arc((back - 4, top + 3), (back + 3, top - 9), (back + 1, top + 4)),
            shade_of(look.colour, 0.75),
            width=2.2,
        )
    upper = [*arc((front - 2, top), (110, top + 4.5), (back + 1, top - 1)), *arc((back + 1, top - 1),
        (back - 0.5, (top + ankle) / 2), (back - 2, ankle + 10), (back + 1.5, -24 - rise),
        (back + 0.5, -3 - rise)), *arc((back - 4, -3 - rise), (86, -5 - rise * 0.5), (50, -3), (26, -3)),
        *arc((26, -4), (26.5, -17), (38, -26), (57, -31 - rise * 0.3), (76, -41 - rise * 0.6),
        (86, ankle - 6), (front - 1, (top + ankle) / 2), (front - 2, top))]  # fmt: skip
    folds = [Fold((80 + dx, floor - 40 - rise * 0.6), (104 + dx, floor - 34), 2.0, 2.2),
        Fold((84 + dx, floor + ankle), (110 + dx, floor + ankle + 6), 2.2, 1.8), Fold((56 + dx, floor - 27),
        (66 + dx, floor - 8), 2.2, -1.4), Fold((102 + dx, floor + top + 8), (100 + dx, floor + ankle), 5,
        2.0)]  # fmt: skip
    if shaft > 60:
        folds += [
            Fold(
                (front + dx, floor + y),
                (back - 8 + dx, floor + y + look.between(-5, 8)),
                2.4,
                look.between(0.8, 1.8),
            )
            for y in (ankle - 12, ankle - 28)
        ]
    canvas.panel(upper, cloth, turn=-6, puff=7, lift=0.28, folds=folds, crumple=0.7, gloss=0.3)
    canvas.seam([(px, py + 3) for px, py in arc((front - 1, top), (110, top + 4.5), (back, top - 1))], strength=0.3)
    canvas.seam(arc((back - 14, -6 - rise * 0.8), (back - 18, -24 - rise), (back - 1, -34 - rise)), strength=0.3)
    if elastic:
        gore = [
            *arc((101, top + 5), (100, top + 22), (106, ankle + 12)),
            *arc((106, ankle + 12), (116, top + 24), (119, top + 3)),
            *arc((119, top + 3), (110, top + 5), (101, top + 5)),
        ]
        canvas.panel(
            gore,
            Fabric(shade_of(look.colour, 0.6), look.second, "solid", "rib"),
            puff=1.2,
            lift=0.15,
            crumple=0,
        )
    elif shaft > 60:
        canvas.seam(arc((112, top + 4), (111, (top + ankle) / 2), (110, ankle + 6)), strength=0.35)
    sole = _BLACK_RUBBER if look.chance(0.7) else (96, 70, 50)
    base = [
        *arc((24.5, -6), (54, -5), (88, -6.5 - rise * 0.5), (back + 1, -4 - rise)),
        *at((back + 1, -1 - rise)),
        *arc((back - 26, -1 - rise), (84, -2 - rise * 0.4), (64, 0), (31, 0), (24.5, -6)),
    ]
    block = at((back - 25, -3 - rise), (back + 1.5, -3 - rise), (back - 1.5, 0), (back - 19, 0))
    for piece in (block, base):
        canvas.panel(piece, Fabric(sole, sole, "solid", "smooth"), puff=1.6, lift=0.15, crumple=0)
