"""For walks in the mountains: hiking boots, rain jacket, backpack."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from drawings.canvas import Canvas
from drawings.colours import Colour, shade_of
from drawings.fabric import Fabric
from drawings.look import Look
from drawings.outline import CENTRE, Point, box, curve, mirror, moved
from drawings.photograph import FLOOR
from drawings.relief import Fold
from drawings.torso import Cut, body_folds, body_outline, both_sleeves, hood, shoulder_seams, side_hem, sleeve_outline

_Place = Callable[..., list[Point]]  # points of a boot, as they stand or as a curve, moved to where it stands
_BLACK_RUBBER: Colour = (42, 42, 44)
_GUM: Colour = (150, 112, 74)
_METAL: Colour = (176, 176, 180)


def hiking_boots(canvas: Canvas, look: Look) -> None:
    """Draw laced hiking boots of leather or suede, with a padded collar and a thick treaded sole."""
    suede = look.chance(0.5)
    look.states(style="hiking boots", cloth="suede" if suede else "leather", closure="laces", sole="treaded")
    cloth = look.cloth("wool" if suede else "leather")
    capped = look.chance(0.5)
    look.states(toe="cap" if capped else "")
    sole = _BLACK_RUBBER if look.chance(0.75) else _GUM
    lace = look.rng.choice(((196, 58, 48), (226, 176, 70), (226, 222, 214), (70, 70, 74)))
    for dx, dy in ((13.0, -19.0), (-5.0, 0.0)):
        _hiking_boot(canvas, look, cloth, dx, FLOOR + 10 + dy, sole=sole, lace=lace, capped=capped)


def _hiking_boot(
    canvas: Canvas, look: Look, cloth: Fabric, dx: float, floor: float, *, sole: Colour, lace: Colour, capped: bool
) -> None:
    def at(*points: Point) -> list[Point]:
        return moved(points, dx, floor)

    def arc(*points: Point) -> list[Point]:
        return curve(*at(*points))

    gloss = 0.2 if cloth.texture == "leather" else 0.0
    dark = cloth.plain(factor=0.72)
    inside = Fabric(shade_of(look.colour, 0.45), look.second, "solid", "woven")
    canvas.panel([*arc((88, -92), (110, -100), (133, -96)), *at((131, -84), (92, -82))], inside, puff=2, lift=0)
    tongue = [*arc((76, -74), (78, -94), (84, -104), (94, -104)), *arc((94, -104), (98, -88), (92, -60), (70, -44))]
    canvas.panel(tongue, cloth.plain("woven", 0.8), puff=4, lift=0.25)
    upper = [
        *arc((89, -92), (110, -89), (133, -94)),
        *arc((133, -94), (131.5, -70), (131, -54), (135, -30), (135, -8)),
        *arc((26, -8), (22, -16), (26, -27), (38, -34), (54, -38), (66, -45), (77, -58), (84, -76), (89, -92)),
    ]
    folds = [
        Fold((74 + dx, floor - 46), (98 + dx, floor - 40), 2.4, 1.8),
        Fold((82 + dx, floor - 62), (110 + dx, floor - 56), 2.6, 1.6),
        Fold((60 + dx, floor - 38), (66 + dx, floor - 14), 2.4, -1.4),
    ]
    canvas.panel(upper, cloth, turn=-8, puff=8, lift=0.3, folds=folds, crumple=0.8, gloss=gloss)
    collar = [
        *arc((90, -96), (110, -92), (134, -98)),
        *arc((134, -98), (136, -90), (132, -79)),
        *arc((132, -79), (110, -76), (88, -80), (90, -96)),
    ]
    canvas.panel(collar, cloth.plain("woven", 0.76), puff=5, lift=0.2, crumple=0.6)
    canvas.seam(arc((111, -92), (110, -84), (109, -77)), strength=0.3)
    heel = [
        *arc((133, -54), (122, -48), (112, -30), (108, -9)),
        *at((135, -9)),
        *arc((135, -9), (135, -30), (133, -54)),
    ]
    canvas.panel(heel, dark, puff=2.4, lift=0.2, crumple=0.3, gloss=gloss)
    canvas.stitches(arc((131, -50), (122, -45), (114, -29), (110.5, -11)), look.thread, alpha=0.6, length=1.3)
    if capped:
        toe = [*arc((56, -9), (53, -24), (46, -36)), *arc((46, -36), (30, -31), (22, -18), (26, -9))]
        canvas.panel(toe, Fabric(shade_of(sole, 1.1), sole, "solid", "smooth"), puff=4, lift=0.2, crumple=0.2)
    else:
        canvas.seam(arc((60, -10), (57, -24), (49, -36)), strength=0.4)
        canvas.stitches(arc((62, -11), (59, -25), (51.5, -36.5)), look.thread, alpha=0.6, length=1.3)
    stay = [
        *arc((54, -37), (66, -44), (77, -57), (84, -76), (87, -84)),
        *arc((87, -84), (97, -80), (93, -62), (84, -46), (68, -34), (54, -37)),
    ]
    canvas.panel(stay, dark, puff=1.4, lift=0.25, crumple=0.1, gloss=gloss)
    _hooks_and_laces(canvas, at, lace)
    _treaded_sole(canvas, at, arc, sole, pale=look.light or look.chance(0.4))


def _hooks_and_laces(canvas: Canvas, at: _Place, lace: Colour) -> None:
    ladder = ((59, -39), (66, -44), (73, -51), (78, -59), (82, -68), (85, -77), (87.5, -86))
    for number, (x, y) in enumerate(ladder):
        reach, drop = 9.5 + number * 0.3, 7.5 - number * 0.8
        line = at((x - 3, y - 1.5), (x + reach * 0.5, y + drop * 0.35), (x + reach, y + drop))
        canvas.stroke([(px + 0.5, py + 1.0) for px, py in line], (0, 0, 0), width=2.0, alpha=0.3, soft=0.5)
        canvas.stroke(line, lace, width=2.0)
        canvas.disc(line[-1], 1.5, _METAL)
    bow = at((88, -88), (76, -90), (73, -80), (86, -85), (82, -70), (79, -62))
    canvas.stroke(curve(*bow), shade_of(lace, 0.9), width=1.5)


def _treaded_sole(canvas: Canvas, at: _Place, arc: _Place, sole: Colour, *, pale: bool) -> None:
    middle = (212, 206, 194) if pale else shade_of(sole, 1.28)
    rubber = Fabric(sole, sole, "solid", "smooth")
    band = [
        *arc((21, -14), (60, -12), (100, -12), (138, -15)),
        *at((138, -6), (22, -6)),
    ]
    canvas.panel(band, Fabric(middle, middle, "solid", "smooth"), puff=2.4, lift=0.3, crumple=0.1)
    lugs: list[Point] = [(138, -9), (138.5, -1)]
    steps = 11
    for step in range(steps):
        right = 137 - step * 114 / steps
        lugs += [(right, 0), (right - 6.4, 0), (right - 7.2, -3.6), (right - 9.4, -3.6)]
    lugs += [(21, -4), (20, -9)]
    canvas.panel(at(*lugs), rubber, puff=1.6, lift=0.2, crumple=0.1)


def rain_jacket(canvas: Canvas, look: Look) -> None:
    """Draw a rain jacket: a hood, a zip under a flap with press-studs, flap pockets."""
    studded = look.chance(0.55)
    look.states(style="rain jacket", cloth="coated", hood="hood", closure="press-studs" if studded else "zip")
    look.states(sleeves="long", pockets="flap")
    cut = Cut(
        top=look.between(52, 57),
        neck=14,
        neck_depth=10,
        shoulder=look.between(37, 40),
        slope=look.between(11, 13),
        armpit=42,
        chest=look.between(40, 43),
        waist=look.between(39, 42),
        hem=look.between(42, 46),
        length=look.between(130, 142),
        hem_sag=1.5,
        sleeve="long",
        sleeve_length=look.between(106, 114),
        spread=look.between(17, 21),
        cuff=9.2,
    )
    cloth = look.cloth("satin")
    light: dict[str, float] = {"crumple": 1.1, "gloss": 0.28}
    both_sleeves(canvas, look, cut, cloth, **light)
    _cuff_tabs(canvas, cloth, cut)
    front = body_outline(replace(cut, neck_depth=2))
    canvas.panel(front, cloth, puff=4.5, lift=0.2, folds=body_folds(look, cut, strength=1.1), **light)
    shoulder_seams(canvas, cut, 0.32)
    x, y, low = CENTRE, cut.top, cut.bottom
    yoke = curve((x - cut.shoulder - 1, y + 36), (x, y + 40), (x + cut.shoulder + 1, y + 36))
    canvas.seam(yoke, strength=0.32)
    side_hem(canvas, cut)
    flap = box(x - 5, y + 8, x + 5, low + cut.hem_sag)
    canvas.panel(flap, cloth, puff=1.4, lift=0.3, crumple=0.4, gloss=0.28)
    if studded:
        for number in range(6):
            canvas.disc((x, y + 18 + number * (low - y - 28) / 5), 1.8, (198, 198, 202))
    else:
        canvas.stroke([(x - 5.4, y + 10), (x - 5.4, low)], (70, 70, 74), width=1.5)
        canvas.stitches([(x - 5.4, y + 10), (x - 5.4, low)], (206, 206, 210), alpha=0.95, length=1.1)
    for side in (-1, 1):
        left, right = sorted((x + side * 11, x + side * 33))
        top = low - 48
        canvas.panel(box(left, top, right, top + 25, 1.5), cloth, puff=1.2, lift=0.12, crumple=0.4, gloss=0.2)
        canvas.panel(box(left - 0.8, top - 3, right + 0.8, top + 6, 1), cloth, puff=1.3, lift=0.34, crumple=0.2)
        canvas.disc(((left + right) / 2, top + 3.4), 1.5, (198, 198, 202))
    hood(canvas, look, cloth, cut, 28)
    cord = (236, 234, 228) if not look.light else (90, 90, 94)
    for side in (-1, 1):
        start: Point = (x + side * 8, y + 15)
        canvas.stroke(
            curve(start, (start[0] + side * 1.4, start[1] + 8), (start[0] + side * 0.6, start[1] + 17)), cord, width=1.2
        )
        canvas.disc((start[0] + side * 0.6, start[1] + 17), 1.6, (60, 60, 64))


def _cuff_tabs(canvas: Canvas, cloth: Fabric, cut: Cut) -> None:
    _, outer, inner = sleeve_outline(cut)
    seam = [(outer[0] - 0.4, outer[1] - 7), (inner[0] - 0.6, inner[1] - 7)]
    tab = [
        (outer[0] - 0.5, outer[1] - 6),
        (outer[0] - 8.5, outer[1] - 5.4),
        (outer[0] - 8.5, outer[1] - 1.4),
        (outer[0], outer[1] - 2),
    ]
    for flip in (False, True):
        canvas.seam(mirror(seam) if flip else seam, strength=0.3)
        canvas.panel(mirror(tab) if flip else tab, cloth, puff=0.8, lift=0.3, crumple=0)


def backpack(canvas: Canvas, look: Look) -> None:
    """Draw a backpack from the front: a top handle, a zip or a flap with two buckles, a front pocket."""
    buckled = look.chance(0.5)
    look.states(style="backpack", cloth="canvas", handles="backpack straps", pockets="front")
    look.states(closure="buckles" if buckled else "zip")
    cloth = look.cloth("woven")
    x, bottom = CENTRE, FLOOR + 26
    wide, tall = look.between(45, 51), look.between(112, 124)
    top = bottom - tall
    strap = cloth.plain(factor=0.68)
    for side in (-1, 1):
        path = [
            *curve(
                (x + side * 16, top + 6),
                (x + side * (wide + 3), top + 26),
                (x + side * (wide + 9), top + 66),
                (x + side * (wide - 4), bottom - 16),
            ),
            *curve(
                (x + side * (wide - 12), bottom - 18),
                (x + side * (wide - 2), top + 66),
                (x + side * (wide - 8), top + 30),
                (x + side * 8, top + 12),
            ),
        ]
        canvas.panel(path, strap, puff=3, lift=0.2, crumple=0.3)
    handle = curve((x - 11, top + 5), (x - 8, top - 10), (x + 8, top - 10), (x + 11, top + 5))
    canvas.stroke(handle, shade_of(look.colour, 0.62), width=4.2)
    canvas.stroke([(px - 0.5, py - 0.6) for px, py in handle], (255, 255, 255), width=0.7, alpha=0.22)
    body = [
        *curve((x - wide, top + 46), (x - wide + 4, top + 16), (x - 24, top + 1), (x, top - 2)),
        *curve((x, top - 2), (x + 24, top + 1), (x + wide - 4, top + 16), (x + wide, top + 46))[1:],
        *curve((x + wide, top + 46), (x + wide + 1, bottom - 22), (x + wide - 6, bottom - 2), (x + 20, bottom))[1:],
        *curve((x - 20, bottom), (x - wide + 6, bottom - 2), (x - wide - 1, bottom - 22), (x - wide, top + 46)),
    ]
    folds = [Fold((x + side * wide * 0.8, top + 40), (x + side * wide * 0.7, bottom - 8), 5, 1.8) for side in (-1, 1)]
    canvas.panel(body, cloth, puff=7, lift=0.25, folds=folds, crumple=0.9)
    for side in (-1, 1):
        left, right = sorted((x + side * (wide - 9), x + side * (wide + 4)))
        canvas.panel(box(left, bottom - 42, right, bottom - 4, 4), cloth.plain(factor=0.86), puff=3, lift=0.2)
    pocket = box(x - 31, bottom - 52, x + 31, bottom - 5, 8)
    canvas.panel(pocket, cloth, puff=4.5, lift=0.32, crumple=0.6)
    _zip_line(canvas, curve((x - 27, bottom - 43), (x, bottom - 46), (x + 27, bottom - 43)))
    if not buckled:
        arch = curve((x - wide + 6, top + 52), (x - wide + 9, top + 22), (x - 20, top + 10), (x, top + 8))
        _zip_line(canvas, [*arch, *reversed(mirror(arch))])
        return
    edge = curve((x + wide - 1, top + 22), (x + wide - 3, top + 44), (x + wide - 14, top + 54), (x, top + 56))
    flap = [
        *curve((x - wide + 5, top + 14), (x - 22, top - 1), (x, top - 4), (x + 22, top - 1), (x + wide - 5, top + 14)),
        *edge,
        *reversed(mirror(edge)),
    ]
    canvas.panel(flap, cloth, puff=5, lift=0.42, crumple=0.7)
    inner = [(px + (x - px) * 0.05, py - 2) for px, py in edge]
    canvas.stitches([*inner, *reversed(mirror(inner))], look.thread, alpha=0.6, length=1.3)
    for side in (-1, 1):
        middle = x + side * 20
        canvas.panel(box(middle - 3.2, top + 30, middle + 3.2, top + 78, 1), strap, puff=1.4, lift=0.32, crumple=0.1)
        canvas.fill(box(middle - 5, top + 58, middle + 5, top + 66, 1.5), _METAL)
        canvas.fill(box(middle - 3, top + 60, middle + 3, top + 64), shade_of(look.colour, 0.6))


def _zip_line(canvas: Canvas, line: list[Point]) -> None:
    canvas.stroke(line, (0, 0, 0), width=2.8, alpha=0.28, soft=0.6)
    canvas.stroke(line, (72, 72, 76), width=1.4)
    canvas.stitches(line, (206, 206, 210), alpha=0.9, length=1.1)
    x, y = line[-1]
    canvas.fill(box(x - 1.1, y - 1, x + 1.1, y + 6.5, 0.8), _METAL)
