"""T-shirt, vest top, sweater, cardigan, shirt, hoodie."""

from __future__ import annotations

from dataclasses import replace

from drawings.canvas import Canvas
from drawings.colours import shade_of
from drawings.fabric import Fabric
from drawings.look import Look
from drawings.outline import CENTRE, Point, box, curve, mirror
from drawings.torso import (
    NECKLINES,
    Cut,
    Neck,
    back_of_neck,
    body_folds,
    body_outline,
    both_sleeves,
    cuffs,
    hem_rib,
    hood,
    neck_band,
    neckline,
    shoulder_seams,
    side_hem,
    straps,
)


def t_shirt(canvas: Canvas, look: Look) -> None:
    """Draw a T-shirt with a round or V neck, sometimes with a breast pocket."""
    necks: tuple[Neck, ...] = ("round", "round", "v", "scoop")
    shape = look.rng.choice(necks)
    cut = Cut(top=look.between(44, 50), neck=look.between(15, 18), neck_depth={"round": 10.0, "v": 21.0,
        "scoop": 17.0}[shape], neck_shape=shape, shoulder=look.between(35, 39), slope=look.between(10, 13),
        chest=look.between(38, 43), waist=look.between(35, 41), hem=look.between(38, 43),
        length=look.between(122, 140), sleeve_length=look.between(34, 44),
        sleeve_width=look.between(18, 21), spread=look.between(17, 22))  # fmt: skip
    look.states(style="T-shirt", cloth="jersey", neckline=NECKLINES[shape], sleeves="short")
    cloth = look.cloth("jersey")
    back_of_neck(canvas, look, cut)
    both_sleeves(canvas, look, cut, cloth)
    canvas.panel(body_outline(cut), cloth, puff=4, lift=0.14, folds=body_folds(look, cut), crumple=0.55)
    shoulder_seams(canvas, cut)
    side_hem(canvas, cut)
    if shape == "round" and look.pattern != "floral" and look.chance(0.25):
        pocket = box(CENTRE + 8, cut.top + 38, CENTRE + 23, cut.top + 55, 2)
        look.states(pockets="chest")
        canvas.panel(pocket, cloth, puff=1.2, lift=0.12, crumple=0.2)
        canvas.seam([(CENTRE + 8, cut.top + 41), (CENTRE + 23, cut.top + 41)], strength=0.2)
    neck_band(canvas, look.trim(), cut, 2.6)


def vest_top(canvas: Canvas, look: Look) -> None:
    """Draw a vest top with straps and a deep neck."""
    x, top = CENTRE, look.between(34, 42)
    strap_x, strap = look.between(18, 22), look.between(2.2, 6)
    chest, hem, bottom = look.between(33, 37), look.between(34, 40), top + look.between(122, 142)
    armpit, depth = top + look.between(40, 46), look.between(28, 36)
    look.states(style="vest top", cloth="jersey", sleeves=straps(strap, 3.4, 4.6), neckline="scoop")
    cloth = look.cloth("jersey")
    back_depth = depth * 0.55
    back = [*curve((x - strap_x, top), (x - strap_x * 0.7, top + back_depth * 0.8), (x, top + back_depth),
        (x + strap_x * 0.7, top + back_depth * 0.8), (x + strap_x, top)), (x + strap_x + strap, top),
        (x + chest - 3, armpit), (x - chest + 3, armpit), (x - strap_x - strap, top)]  # fmt: skip
    canvas.panel(back, look.inside, puff=2, lift=0)
    armhole = curve(
        (x + strap_x + strap, top),
        (x + strap_x + strap - 0.5, top + 16),
        (x + chest - 7, armpit - 9),
        (x + chest, armpit),
    )
    side = curve((x + chest, armpit), (x + chest - 2, armpit + 34), (x + hem, bottom))
    half = [*armhole, *side[1:], (x, bottom + 1.5)]
    front = curve((x - strap_x, top), (x - strap_x + 1.5, top + depth * 0.55),
        (x - strap_x * 0.5, top + depth * 0.93), (x, top + depth), (x + strap_x * 0.5, top + depth * 0.93),
        (x + strap_x - 1.5, top + depth * 0.55), (x + strap_x, top))  # fmt: skip
    cut = Cut(top=top, chest=chest, hem=hem, armpit=armpit - top, length=bottom - top, shoulder=strap_x)
    canvas.panel([*front, *half, *reversed(mirror(half))], cloth, puff=3.2, folds=body_folds(look, cut, strength=0.9))
    for line in (front, armhole, mirror(armhole)):
        canvas.seam([(px, py + 1.6) for px, py in line], strength=0.22)
    side_hem(canvas, cut)


def sweater(canvas: Canvas, look: Look) -> None:
    """Draw a knitted sweater: round neck, V neck or polo neck."""
    style = look.rng.choice(("round", "round", "v", "polo"))
    cut = _long_sleeved(look, neck=look.between(15, 18), blouson=1.6)
    cut = replace(cut, neck_shape="v" if style == "v" else "round", neck_depth=22.0 if style == "v" else 9.0)
    look.states(style="sweater", cloth="knit", neckline="polo" if style == "polo" else NECKLINES[cut.neck_shape])
    look.states(sleeves="long", trim="ribbing")
    cloth = look.cloth("knit")
    rib = look.trim("rib", 0.96)
    back_of_neck(canvas, look, cut, band=4)
    both_sleeves(canvas, look, cut, cloth)
    cuffs(canvas, rib, cut, depth=10)
    canvas.panel(body_outline(cut), cloth, puff=5, lift=0.18, folds=body_folds(look, cut, strength=0.9), crumple=0.7)
    shoulder_seams(canvas, cut, 0.34)
    hem_rib(canvas, rib, cut)
    if style == "polo":
        x, y, w = CENTRE, cut.top, cut.neck
        tube = [*curve((x - w - 1, y + 4), (x - w + 1.5, y - 5), (x - w + 1, y - 13)),
                *curve((x - w + 1, y - 13), (x, y - 10.5), (x + w - 1, y - 13)),
                *curve((x + w - 1, y - 13), (x + w - 1.5, y - 5), (x + w + 1, y + 4)),
                *curve((x + w + 1, y + 4), (x, y + 12), (x - w - 1, y + 4))]  # fmt: skip
        canvas.panel(tube, rib, puff=4, lift=0.25, crumple=0.3)
        canvas.seam(curve((x - w, y + 1), (x, y + 7), (x + w, y + 1)), strength=0.25)
    else:
        neck_band(canvas, rib, cut, 4.2)


def cardigan(canvas: Canvas, look: Look) -> None:
    """Draw a buttoned cardigan with a deep V neck."""
    cut = replace(
        _long_sleeved(look, neck=look.between(12, 14), blouson=1.2),
        neck_shape="v",
        neck_depth=look.between(44, 62),
    )
    look.states(style="cardigan", cloth="knit", neckline="V-neck", sleeves="long", closure="buttons")
    cloth, rib = look.cloth("knit"), look.trim("rib", 0.95)
    back_of_neck(canvas, look, cut, band=4)
    both_sleeves(canvas, look, cut, cloth)
    cuffs(canvas, rib, cut, depth=10)
    canvas.panel(body_outline(cut), cloth, puff=5, lift=0.18, folds=body_folds(look, cut, strength=0.9), crumple=0.7)
    shoulder_seams(canvas, cut, 0.34)
    hem_rib(canvas, rib, cut)
    x, y, end = CENTRE, cut.top, cut.bottom + 9 + cut.hem_sag
    for side in (-1, 1):
        inner = [(x + side * (cut.neck - 3), y - 0.5), (x + side * (cut.neck - 3) * 0.55,
            y + cut.neck_depth * 0.5), (x + 2.2 * (1 if side > 0 else -0.4),
            y + cut.neck_depth + 2)]  # fmt: skip
        outer = [(px + side * 4.4, py) for px, py in inner]
        canvas.panel([*inner, *reversed(outer)], rib, puff=1.6, lift=0.2, crumple=0)
    canvas.panel(box(x - 2.6, y + cut.neck_depth, x + 2.6, end), rib, puff=1.4, lift=0.2, crumple=0)
    count = look.rng.randint(4, 6)
    for number in range(count):
        spot = y + cut.neck_depth + 5 + number * (end - y - cut.neck_depth - 10) / (count - 1)
        canvas.disc((x, spot), 1.7, look.buttons, holes=4)
    if look.chance(0.5):
        look.states(pockets="patch")
        for side in (-1, 1):
            left, right = sorted((x + side * 9, x + side * 26))
            pocket = box(left, cut.bottom - 24, right, cut.bottom - 3)
            canvas.panel(pocket, cloth, puff=1.2, lift=0.14, crumple=0.2)
            canvas.panel(box(left, cut.bottom - 26, right, cut.bottom - 21.5), rib, puff=0.8, lift=0.1, crumple=0)


def shirt(canvas: Canvas, look: Look) -> None:
    """Draw a buttoned shirt with a turned-down collar, long or short sleeves."""
    short = look.chance(0.25)
    cut = Cut(top=look.between(44, 49), neck=12.5, neck_depth=10, shoulder=look.between(36, 39), slope=12,
        armpit=39, chest=look.between(39, 42), waist=look.between(37, 40), hem=look.between(39, 42),
        length=look.between(128, 142), hem_sag=look.between(6, 11), sleeve="short" if short else "long",
        sleeve_length=look.between(44, 50) if short else look.between(112, 122), sleeve_width=20, cuff=8.4,
        spread=21 if short else look.between(17, 22))  # fmt: skip
    look.states(style="shirt", cloth="woven", neckline="collar", sleeves="short" if short else "long")
    look.states(closure="buttons")
    cloth = look.cloth("woven", vertical=True)
    collar_back(canvas, look, cut)
    both_sleeves(canvas, look, cut, cloth)
    if not short:
        cuffs(canvas, cloth.plain() if look.pattern == "floral" else cloth, cut, depth=11, buttoned=True)
    canvas.panel(body_outline(cut), cloth, puff=3.6, lift=0.16, folds=body_folds(look, cut, strength=1.15), crumple=0.7)
    shoulder_seams(canvas, cut, 0.28)
    button_front(canvas, look, cut, cloth, button=1.25)
    if look.chance(0.5):
        look.states(pockets="chest")
        pocket = [(CENTRE + 9, cut.top + 42), (CENTRE + 25, cut.top + 42), (CENTRE + 25, cut.top + 57),
                  (CENTRE + 17, cut.top + 61), (CENTRE + 9, cut.top + 57)]  # fmt: skip
        canvas.panel(pocket, cloth, puff=1, lift=0.12, crumple=0.2)
    collar(canvas, cloth, cut)


def hoodie(canvas: Canvas, look: Look) -> None:
    """Draw a hoodie with a pouch pocket and cords, pulled on or zipped."""
    zipped = look.chance(0.4)
    look.states(style="hoodie", cloth="sweatshirt", hood="hood", closure="zip" if zipped else "")
    look.states(sleeves="long", pockets="kangaroo")
    cut = replace(
        _long_sleeved(look, neck=15, blouson=2.4),
        top=look.between(60, 64),
        length=look.between(104, 116),
        neck_depth=10,
    )
    cloth, rib = look.cloth("jersey"), look.trim("rib", 0.95)
    both_sleeves(canvas, look, cut, cloth)
    cuffs(canvas, rib, cut, depth=10)
    canvas.panel(
        body_outline(replace(cut, neck_depth=2)),
        cloth,
        puff=5,
        lift=0.18,
        folds=body_folds(look, cut),
        crumple=0.8,
    )
    shoulder_seams(canvas, cut, 0.3)
    hem_rib(canvas, rib, cut)
    x, low = CENTRE, cut.bottom
    pouch = [(x - 15, low - 34), (x + 15, low - 34), *curve((x + 15, low - 34), (x + 20, low - 22),
        (x + 27, low - 12)), (x + 27, low), (x - 27, low), *curve((x - 27, low - 12), (x - 20, low - 22),
        (x - 15, low - 34))]  # fmt: skip
    canvas.panel(pouch, cloth, puff=2, lift=0.25, crumple=0.4)
    for side in (-1, 1):
        edge = [(x + side * 16.4, low - 33), (x + side * 21.4, low - 22), (x + side * 28, low - 12)]
        canvas.seam(edge, strength=0.25)
    if zipped:
        zipper(canvas, cut.top + 10, low + 10)
    hood(canvas, look, cloth, cut)
    cord = shade_of(look.colour, 1.7) if look.chance(0.5) else shade_of(look.colour, 0.6 if look.light else 1.25)
    for side in (-1, 1):
        start: Point = (x + side * 6.5, cut.top + 15)
        canvas.disc(start, 1.0, (150, 150, 152))
        drop = look.between(26, 34)
        line = curve(start, (start[0] + side * 1.6, start[1] + drop * 0.5), (start[0] + side * 0.4, start[1] + drop))
        canvas.stroke([(px + 0.5, py + 0.8) for px, py in line], (0, 0, 0), width=1.4, alpha=0.22, soft=0.6)
        canvas.stroke(line, cord, width=1.3)


def button_front(canvas: Canvas, look: Look, cut: Cut, cloth: Fabric, *, button: float, plain: bool = False) -> None:
    """Draw the button band down the middle."""
    x, y = CENTRE, cut.top + cut.neck_depth - 1
    end = cut.bottom + cut.hem_sag - 0.3
    canvas.panel(box(x - 3, y, x + 3, end), cloth.plain() if plain else cloth, puff=0.9, lift=0.16, crumple=0.2)
    for edge in (-2.4, 2.4):
        canvas.stroke([(x + edge, y), (x + edge, end)], look.thread, width=0.25, alpha=0.5)
    count = look.rng.randint(6, 7)
    for number in range(count):
        spot = y + 7 + number * (end - y - 22) / (count - 1)
        canvas.disc((x, spot), button, (226, 224, 218) if look.light else look.buttons, holes=4)


def collar_back(canvas: Canvas, look: Look, cut: Cut) -> None:
    """Draw the back half of a turned-down collar, seen from the inside."""
    x, y, w = CENTRE, cut.top, cut.neck
    rim = curve((x - w + 1, y - 7), (x - w * 0.5, y - 8.6), (x, y - 9), (x + w * 0.5, y - 8.6), (x + w - 1, y - 7))
    canvas.panel([*rim, *reversed(neckline(cut, -1.5))], look.trim("woven", 0.8), puff=3, lift=0, crumple=0.2)
    canvas.seam(curve((x - w, y), (x, y - 1.5), (x + w, y)), strength=0.3)
    canvas.fill(box(x - 3, y - 0.6, x + 3, y + 3.2), (60, 60, 64) if look.light else (228, 226, 222), 0.8)


def collar(canvas: Canvas, cloth: Fabric, cut: Cut, *, size: float = 1.0) -> None:
    """Draw a turned-down collar: a stand and two points."""
    x, y, w = CENTRE, cut.top, cut.neck
    for side in (-1, 1):
        stand = [(x + side * (w - 1), y - 5), (x + side * (w - 3), y + 1), (x, y + cut.neck_depth + 1.5),
            (x, y + cut.neck_depth - 3), (x + side * (w - 5), y - 3)]  # fmt: skip
        canvas.panel(stand, cloth.plain(factor=0.93), puff=1, lift=0.1, crumple=0)
        leaf = [
            (x + side * (w - 3.5), y - 8),
            *curve((x + side * (w + 0.5), y - 6), (x + side * (w + 3), y), (x + side * (w + 5), y + 4)),
            (x + side * (w + 1) * size, y + 18 * size),
            *curve(
                (x + side * 1.0, y + cut.neck_depth),
                (x + side * (w * 0.55), y + 1.5),
                (x + side * (w - 3.5), y - 8),
            ),
        ]
        canvas.panel(leaf, cloth, turn=side * 28, puff=1.3, lift=0.3, crumple=0.1)
        canvas.seam(
            [
                (x + side * (w + 3.6), y + 4.5),
                (x + side * w * size, y + 16.4 * size),
                (x + side * 2.4, y + cut.neck_depth),
            ],
            strength=0.18,
        )


def zipper(canvas: Canvas, start: float, end: float) -> None:
    """Draw a metal zip down the middle."""
    x = CENTRE
    canvas.stroke([(x, start), (x, end)], (0, 0, 0), width=3.4, alpha=0.25, soft=0.6)
    canvas.stroke([(x, start), (x, end)], (92, 92, 96), width=1.7)
    canvas.stitches([(x, start), (x, end)], (206, 206, 210), alpha=0.95, length=1.1)
    canvas.fill(box(x - 1.0, start + 1, x + 1.0, start + 6.5, 0.8), (176, 176, 180))


def _long_sleeved(look: Look, *, neck: float, blouson: float) -> Cut:
    return Cut(top=look.between(46, 51), neck=neck, shoulder=look.between(36, 39),
        slope=look.between(11, 14), armpit=40, chest=look.between(39, 43), waist=look.between(38, 42),
        hem=look.between(36, 40), length=look.between(118, 130), sleeve="long",
        sleeve_length=look.between(106, 118), spread=look.between(17, 23), cuff=8.2,
        blouson=blouson)  # fmt: skip
