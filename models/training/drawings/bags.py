"""Bags: a tote with two handles, a shoulder bag with a flap."""

from __future__ import annotations

from drawings.canvas import Canvas
from drawings.colours import shade_of
from drawings.fabric import Fabric
from drawings.look import Look
from drawings.outline import CENTRE, box, curve, mirror, moved
from drawings.photograph import FLOOR
from drawings.relief import Fold


def bag(canvas: Canvas, look: Look) -> None:
    """Draw a bag: a tote with two handles, or a shoulder bag with a flap."""
    cloth = look.cloth("leather" if look.pattern == "solid" else "woven")
    look.states(cloth="leather" if look.pattern == "solid" else "canvas")
    if look.chance(0.5):
        _tote(canvas, look, cloth)
    else:
        _flap_bag(canvas, look, cloth)


def _tote(canvas: Canvas, look: Look, cloth: Fabric) -> None:
    x, bottom, tall = CENTRE, FLOOR + 10, look.between(72, 88)
    top, wide, foot = bottom - tall, look.between(52, 58), look.between(40, 47)
    handle = look.between(42, 56)
    look.states(style="tote bag", handles="two handles")
    for back in (True, False):
        shift = 2.5 if back else 0.0
        colour = shade_of(look.colour, 0.72 if back else 0.92)
        arch = curve(
            (x - 21, top + 8),
            (x - 20 + shift, top - handle * 0.55),
            (x - 10 + shift, top - handle),
            (x + 10 + shift, top - handle),
            (x + 20 + shift, top - handle * 0.55),
            (x + 21, top + 8),
        )
        if back:
            canvas.stroke(arch, colour, width=3.4)
            rim = [
                *curve((x - wide, top), (x, top - 3.5), (x + wide, top)),
                *curve((x + wide, top), (x, top + 6), (x - wide, top)),
            ]
            canvas.panel(rim, look.inside, puff=1.5, lift=0)
            body = [*curve((x - wide, top), (x, top + 3.5), (x + wide, top)), *curve((x + wide, top),
                (x + (wide + foot) / 2 - 2, top + tall * 0.6), (x + foot, bottom - 1)),
                *curve((x + foot, bottom - 1), (x, bottom + 1), (x - foot, bottom - 1)),
                *curve((x - foot, bottom - 1), (x - (wide + foot) / 2 + 2, top + tall * 0.6),
                (x - wide, top))]  # fmt: skip
            folds = [
                Fold((x + side * wide * 0.8, top + 4), (x + side * foot * 0.86, bottom - 6), 5, 2.2) for side in (-1, 1)
            ]
            canvas.panel(body, cloth, puff=5, lift=0.2, folds=folds, crumple=1.1, gloss=0.18)
            canvas.seam(curve((x - wide + 1, top + 5), (x, top + 8.5), (x + wide - 1, top + 5)), strength=0.3)
        else:
            canvas.stroke([(px + 0.8, py + 1.2) for px, py in arch], (0, 0, 0), width=3, alpha=0.25, soft=0.9)
            canvas.stroke(arch, colour, width=3.6)
            canvas.stroke([(px - 0.6, py - 0.5) for px, py in arch], (255, 255, 255), width=0.7, alpha=0.22)
            for side in (-1, 1):
                patch = box(x + side * 21 - 3, top + 5, x + side * 21 + 3, top + 17, 1.2)
                canvas.panel(patch, cloth.plain(factor=0.93), puff=1, lift=0.3, crumple=0)
                canvas.stitches([*patch, patch[0]], look.thread, alpha=0.6, length=1.2)


def _flap_bag(canvas: Canvas, look: Look, cloth: Fabric) -> None:
    x, bottom = CENTRE, FLOOR + 8
    wide, tall = look.between(46, 54), look.between(56, 68)
    look.states(style="shoulder bag", handles="shoulder strap", closure="flap", trim="metal")
    top = bottom - tall
    strap = curve(
        (x - wide + 3, top + 8),
        (x - wide * 0.86, top - 38),
        (x - wide * 0.3, top - 78),
        (x + wide * 0.3, top - 78),
        (x + wide * 0.86, top - 38),
        (x + wide - 3, top + 8),
    )
    canvas.stroke(strap, shade_of(look.colour, 0.8), width=3.2)
    canvas.stroke([(px - 0.6, py - 0.4) for px, py in strap], (255, 255, 255), width=0.7, alpha=0.25)
    for side in (-1, 1):
        canvas.disc((x + side * (wide - 3), top + 7), 2.6, (206, 178, 116))
    body = [*box(x - wide, top, x + wide, bottom, 7)]
    canvas.panel(body, cloth, puff=5, lift=0.2, crumple=0.6, gloss=0.2)
    canvas.stroke([(x - wide + 2, bottom - 7), (x + wide - 2, bottom - 7)], (0, 0, 0), width=1.4, alpha=0.14, soft=1.4)
    deep = top + tall * look.between(0.56, 0.68)
    edge = curve((x + wide + 0.5, top + 5), (x + wide - 0.5, deep - 12), (x + wide - 11, deep - 1), (x, deep + 2))
    flap = [
        *curve((x - wide + 3, top - 1.2), (x, top - 2), (x + wide - 3, top - 1.2)),
        *edge,
        *reversed(mirror(edge)),
    ]
    canvas.panel(flap, cloth, puff=3.4, lift=0.42, crumple=0.6, gloss=0.25)
    inner = [(px + (x - px) * 0.05, py - 1.8) for px, py in edge]
    canvas.stitches([*inner, *reversed(mirror(inner))], look.thread, alpha=0.7, length=1.3)
    gold = (204, 174, 108)
    canvas.fill(moved(box(x - 6, deep - 8, x + 6, deep + 1, 2), 0.4, 0.8), (0, 0, 0), 0.3)
    canvas.fill(box(x - 6, deep - 8, x + 6, deep + 1, 2), gold)
    canvas.fill(box(x - 5, deep - 7.2, x + 3, deep - 4.6, 1), (250, 238, 200), 0.7)
    canvas.disc((x, deep - 2.8), 1.4, (150, 122, 66))
