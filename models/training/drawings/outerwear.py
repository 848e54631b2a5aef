"""Jacket (denim, bomber, padded), blazer, coat."""

from __future__ import annotations

from dataclasses import replace

from drawings.canvas import Canvas
from drawings.colours import shade_of
from drawings.fabric import Fabric
from drawings.look import Look
from drawings.outline import CENTRE, Point, box, curve, mirror
from drawings.relief import Fold
from drawings.tops import collar, collar_back, zipper
from drawings.torso import (
    Cut,
    back_of_neck,
    body_folds,
    body_outline,
    both_sleeves,
    cuffs,
    hem_rib,
    neck_band,
    shoulder_seams,
    side_hem,
)

_ORANGE_THREAD = (206, 148, 84)


def jacket(canvas: Canvas, look: Look) -> None:
    """Draw a jacket: of denim if the pattern says so, else a bomber or a padded one."""
    if look.pattern == "denim":
        _denim_jacket(canvas, look)
    elif look.chance(0.5):
        _padded_jacket(canvas, look)
    else:
        _bomber(canvas, look)


def blazer(canvas: Canvas, look: Look) -> None:
    """Draw a single-breasted blazer with lapels and flap pockets."""
    cut = _outer_cut(look, length=look.between(128, 140), neck=13, hem_sag=4)
    cloth = look.cloth("woven")
    lapel_end, buttons = look.between(58, 72), look.rng.choice((1, 2))
    look.states(
        style="blazer", cloth="woven", neckline="lapels", closure="one button" if buttons == 1 else "two buttons"
    )
    look.states(pockets="flap")
    _open_front(canvas, look, cut, cloth, lapel_end=lapel_end, buttons=buttons)
    for side in (-1, 1):
        left, right = sorted((CENTRE + side * 10, CENTRE + side * 29))
        y = cut.top + cut.length * 0.66
        canvas.panel(
            [(left, y), (right, y + 1), (right - 0.5, y + 7.5), (left + 0.5, y + 6.5)],
            cloth,
            puff=0.9,
            lift=0.26,
            crumple=0,
        )
    canvas.seam([(CENTRE + 13, cut.top + 46), (CENTRE + 26, cut.top + 44)], strength=0.35)
    canvas.seam([(CENTRE + 13, cut.top + 49), (CENTRE + 26, cut.top + 47)], strength=0.25)


def coat(canvas: Canvas, look: Look) -> None:
    """Draw a long wool coat: belted wrap, or double-breasted."""
    belted = look.chance(0.5)
    cut = _outer_cut(look, length=look.between(172, 186), neck=12.5, hem_sag=3)
    cut = replace(
        cut,
        top=26.0,
        hem=look.between(44, 50),
        waist=look.between(35, 38),
        sleeve_length=look.between(112, 122),
    )
    cloth = look.cloth("wool")
    look.states(style="coat", cloth="wool", length="long", neckline="lapels")
    look.states(closure="belt" if belted else "double-breasted", pockets="side")
    _open_front(canvas, look, cut, cloth, lapel_end=look.between(56, 68), buttons=0)
    x, y = CENTRE, cut.top
    if belted:
        waist = y + cut.length * 0.46
        belt = [*curve((x - cut.waist - 1, waist - 4), (x, waist - 2), (x + cut.waist + 1, waist - 4)),
            *curve((x + cut.waist + 1, waist + 5), (x, waist + 7), (x - cut.waist - 1,
            waist + 5))]  # fmt: skip
        for reach, drop in ((-7, 52), (8, 44)):
            end = [
                (x + 3, waist),
                (x + 9, waist + 1),
                (x + reach + 7, waist + drop),
                (x + reach - 1, waist + drop + 1),
            ]
            canvas.panel(end, cloth, puff=1.6, lift=0.25, crumple=0.2)
        canvas.panel(belt, cloth, puff=1.8, lift=0.28, crumple=0.2)
        canvas.panel(box(x + 1, waist - 4.5, x + 11, waist + 8, 3), cloth, puff=2, lift=0.3, crumple=0.3)
    else:
        for row in range(3):
            for side in (-1, 1):
                canvas.disc((x + side * 11, y + 72 + row * 21), 2.6, look.buttons, holes=4, shine=0.22)
    for side in (-1, 1):
        top: Point = (x + side * 22, y + cut.length * 0.54)
        canvas.seam([top, (top[0] + side * 7, top[1] + 20)], strength=0.4)
    side_hem(canvas, cut)


def _denim_jacket(canvas: Canvas, look: Look) -> None:
    cut = _outer_cut(look, length=look.between(104, 116), neck=13, hem_sag=0.5)
    cut = replace(cut, top=54.0, hem=37.0)
    cloth = look.cloth("denim")
    look.states(style="denim jacket", cloth="denim", neckline="collar", closure="buttons", pockets="chest flap")
    fade = look.between(0.05, 0.16)
    thread = _ORANGE_THREAD if look.colour_name != "black" else shade_of(look.colour, 1.25)
    collar_back(canvas, look, cut)
    both_sleeves(canvas, look, cut, cloth, fade=fade, crumple=0.8)
    cuffs(canvas, cloth, cut, depth=9, buttoned=True)
    canvas.panel(body_outline(cut), cloth, puff=3.5, lift=0.2, folds=body_folds(look, cut), crumple=0.9, fade=fade)
    shoulder_seams(canvas, cut, 0.4)
    x, y, low = CENTRE, cut.top, cut.bottom
    yoke = y + 34
    canvas.seam([(x - cut.shoulder, yoke), (x + cut.shoulder, yoke)], strength=0.4)
    canvas.stitches([(x - cut.shoulder + 1, yoke + 1.2), (x + cut.shoulder - 1, yoke + 1.2)], thread)
    for side in (-1, 1):
        for near, far in ((9, 15), (27, 23)):
            line = [(x + side * near, yoke), (x + side * far, low)]
            canvas.seam(line, strength=0.35)
            canvas.stitches([(px + side, py) for px, py in line], thread)
        left, right = sorted((x + side * 10, x + side * 26))
        flap = [
            (left, yoke + 0.5),
            (right, yoke + 0.5),
            (right, yoke + 5),
            ((left + right) / 2, yoke + 9),
            (left, yoke + 5),
        ]
        canvas.panel(flap, cloth, puff=1, lift=0.3, crumple=0, fade=0.06)
        canvas.stitches([(px, py - 1) for px, py in flap[2:]], thread)
        canvas.disc(((left + right) / 2, yoke + 5.6), 1.4, (178, 150, 110))
    band = [(x - 37, low - 1), (x + 37, low - 1), (x + 36.5, low + 8), (x - 36.5, low + 8)]
    canvas.panel(band, cloth, puff=1.2, lift=0.2, crumple=0.2, fade=0.05)
    canvas.stitches([(x - 36, low + 0.8), (x + 36, low + 0.8)], thread)
    canvas.panel(box(x - 3.2, y + 8, x + 3.2, low + 8), cloth, puff=0.9, lift=0.2, crumple=0.2, fade=0.05)
    for edge in (-2.2, 2.2):
        canvas.stitches([(x + edge, y + 10), (x + edge, low + 8)], thread)
    for number in range(6):
        canvas.disc((x, y + 16 + number * (low - y - 13) / 5), 1.7, (178, 150, 110))
    collar(canvas, cloth, cut, size=1.15)


def _padded_jacket(canvas: Canvas, look: Look) -> None:
    cut = _outer_cut(look, length=look.between(112, 124), neck=14, hem_sag=1)
    cut = replace(cut, top=52.0, cuff=9.5, blouson=2.0)
    cloth = look.cloth("satin")
    look.states(style="padded jacket", cloth="nylon", neckline="stand-up collar", closure="zip", pockets="side")
    look.states(trim="quilting")
    back_of_neck(canvas, look, cut)
    step = look.between(12, 15)
    x, y = CENTRE, cut.top

    def quilting(left: float, right: float, tilt: float, first: float, last: float) -> list[Fold]:
        rows = int((last - first) / step)
        return [
            Fold((left, first + row * step - tilt), (right, first + row * step + tilt), 1.3, -3.4)
            for row in range(rows + 1)
        ]

    both_sleeves(canvas, look, cut, cloth, crumple=1.2, gloss=0.35)
    shoulder = cut.shoulder_point
    for row in range(1, int(cut.sleeve_length / step)):
        share = row * step / cut.sleeve_length
        middle = shoulder[0] + cut.spread * share * 0.86 - cut.cuff * 0.55
        line = [(middle - 11, shoulder[1] + row * step + 3), (middle + 9.5, shoulder[1] + row * step - 2)]
        for path in (line, mirror(line)):
            canvas.stroke(path, (0, 0, 0), width=0.8, alpha=0.35, soft=0.6)
            canvas.stroke([(px, py + 1.6) for px, py in path], (255, 255, 255), width=1.2, alpha=0.14, soft=0.8)
    folds = quilting(x - cut.chest - 4, x + cut.chest + 4, 0.0, y + 22, cut.bottom)
    canvas.panel(body_outline(cut), cloth, puff=6, lift=0.2, folds=folds, crumple=1.3, gloss=0.35)
    shoulder_seams(canvas, cut, 0.35)
    for fold in folds:
        canvas.seam([(fold.start[0] + 4, fold.start[1]), (fold.end[0] - 4, fold.end[1])], strength=0.25)
    hem_rib(canvas, look.trim("woven"), cut, 5)
    cuffs(canvas, look.trim("woven"), cut, depth=5)
    zipper(canvas, y - 6, cut.bottom + 5)
    for side in (-1, 1):
        tall = [
            (x + side * 1.2, y + 15),
            (x + side * 1.2, y - 8),
            (x + side * 12, y - 12),
            (x + side * 18, y - 2),
            (x + side * 17, y + 5),
        ]
        canvas.panel(tall, cloth, puff=4, lift=0.25, crumple=0.5, gloss=0.35)
        canvas.seam([(x + side * 21, cut.bottom - 32), (x + side * 27, cut.bottom - 12)], strength=0.5)


def _bomber(canvas: Canvas, look: Look) -> None:
    cut = _outer_cut(look, length=look.between(102, 112), neck=15, hem_sag=1)
    cut = replace(cut, top=54.0, blouson=3.0, neck_depth=9.0, hem=38.0)
    cloth, rib = look.cloth("satin"), look.trim("rib", 0.9)
    look.states(style="bomber jacket", cloth="nylon", closure="zip", pockets="side", trim="ribbing")
    back_of_neck(canvas, look, cut, band=4)
    both_sleeves(canvas, look, cut, cloth, crumple=1.0, gloss=0.2)
    cuffs(canvas, rib, cut, depth=9)
    canvas.panel(
        body_outline(cut),
        cloth,
        puff=4.5,
        lift=0.2,
        folds=body_folds(look, cut, strength=1.2),
        crumple=1.0,
        gloss=0.2,
    )
    shoulder_seams(canvas, cut, 0.32)
    hem_rib(canvas, rib, cut, 10)
    neck_band(canvas, rib, cut, 5)
    zipper(canvas, cut.top + 5, cut.bottom + 10)
    for side in (-1, 1):
        start: Point = (CENTRE + side * 19, cut.bottom - 40)
        canvas.seam([start, (start[0] + side * 9, start[1] + 24)], strength=0.5)
        canvas.seam([(start[0] + side * 2.4, start[1] - 1), (start[0] + side * 11.4, start[1] + 23)], strength=0.3)


def _open_front(canvas: Canvas, look: Look, cut: Cut, cloth: Fabric, *, lapel_end: float, buttons: int) -> None:
    """Draw body, sleeves, crossed fronts and notched lapels."""
    x, y = CENTRE, cut.top
    deep = replace(cut, neck_shape="v", neck_depth=lapel_end)
    collar_back(canvas, look, deep)
    both_sleeves(canvas, look, cut, cloth, crumple=0.6)
    canvas.panel(body_outline(deep), cloth, puff=4, lift=0.2, folds=body_folds(look, cut, strength=0.8), crumple=0.6)
    shoulder_seams(canvas, cut, 0.32)
    overlap = [(x + 3, y + lapel_end - 2), (x + 5, y + lapel_end + 24), (x + 4, cut.bottom + cut.hem_sag)]
    canvas.stroke(overlap, (0, 0, 0), width=1.6, alpha=0.35, soft=1.0)
    canvas.seam(overlap, strength=0.4)
    for side in (-1, 1):
        neck = cut.neck
        lapel = [(x + side * (neck - 1), y - 3), (x + side * (neck + 8), y + 15), (x + side * (neck + 14),
            y + 20), (x + side * (neck + 13), y + 26), *curve((x + side * (neck + 13), y + 26),
            (x + side * 14, y + lapel_end * 0.68), (x + side * 1.5, y + lapel_end + 3)),
            *curve((x + side * 0.5, y + lapel_end), (x + side * neck * 0.55, y + lapel_end * 0.5),
            (x + side * (neck - 4), y + 2))]  # fmt: skip
        canvas.panel(lapel, cloth, turn=side * 18, puff=1.6, lift=0.34, crumple=0.2)
        leaf = [(x + side * (neck - 5), y - 8), *curve((x + side * (neck + 1), y - 6),
            (x + side * (neck + 5), y + 2), (x + side * (neck + 9), y + 8)), (x + side * (neck + 8),
            y + 15.5), (x + side * (neck - 2), y + 16), (x + side * (neck - 4.5), y + 4)]  # fmt: skip
        canvas.panel(leaf, cloth, turn=side * 30, puff=1.4, lift=0.3, crumple=0.1)
    for number in range(buttons):
        canvas.disc((x + 0.5, y + lapel_end + 7 + number * 17), 2.0, look.buttons, holes=4, shine=0.22)


def _outer_cut(look: Look, *, length: float, neck: float, hem_sag: float) -> Cut:
    return Cut(top=44.0, neck=neck, neck_depth=10, shoulder=look.between(37, 40),
        slope=look.between(11, 13), armpit=42, chest=look.between(39, 42), waist=look.between(36, 39),
        hem=look.between(39, 42), length=length, hem_sag=hem_sag, sleeve="long",
        sleeve_length=look.between(104, 112), spread=look.between(17, 21), cuff=8.8)  # fmt: skip
