"""The parts most tops are cut from: body, sleeves, neckline, collar, cuffs, and how their cloth falls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from drawings.canvas import Canvas
from drawings.fabric import Fabric
from drawings.look import Look
from drawings.outline import CENTRE, Point, both_sides, curve, loop, mirror, moved
from drawings.relief import Fold, mirrored

Neck = Literal["round", "v", "scoop", "boat"]
Sleeve = Literal["none", "short", "long"]
# How the facts call them.
NECKLINES: Mapping[Neck, str] = MappingProxyType({"round": "round", "v": "V-neck", "scoop": "scoop", "boat": "boat"})


@dataclass(frozen=True)
class Cut:
    """Measures of a top in units; widths are half widths from the centre line."""

    top: float = 42.0
    neck: float = 14.0
    neck_depth: float = 12.0
    neck_shape: Neck = "round"
    shoulder: float = 42.0
    slope: float = 8.0
    armpit: float = 36.0
    chest: float = 40.0
    waist: float = 38
    hem: float = 40.0
    length: float = 142.0
    hem_sag: float = 1.5
    sleeve: Sleeve = "short"
    sleeve_length: float = 42.0
    sleeve_width: float = 18.0
    cuff: float = 7.0
    spread: float = 17.0
    blouson: float = 0.0

    @property
    def bottom(self) -> float:
        """The height of the hem at the side seams."""
        return self.top + self.length

    @property
    def shoulder_point(self) -> Point:
        """Where the right shoulder seam ends."""
        return CENTRE + self.shoulder, self.top + self.slope

    @property
    def armpit_point(self) -> Point:
        """Where the right sleeve meets the side seam."""
        return CENTRE + self.chest, self.top + self.armpit


def straps(width: float, narrow: float, wide: float) -> str:
    """Return the fact of shoulder straps: narrow or wide ones are called so, those between are not."""
    return "narrow straps" if width < narrow else "wide straps" if width > wide else "straps"


def neckline(cut: Cut, inset: float = 0.0) -> list[Point]:
    """Return the front neckline from the left to the right; ``inset`` moves it into the opening."""
    width, depth = cut.neck - inset, cut.neck_depth - inset
    x, y = CENTRE, cut.top
    if cut.neck_shape == "v":
        return [(x - width, y), (x - width * 0.5, y + depth * 0.56), (x, y + depth),
            (x + width * 0.5, y + depth * 0.56), (x + width, y)]  # fmt: skip
    bulge = {"round": 0.72, "scoop": 0.82, "boat": 0.66}[cut.neck_shape]
    return curve(
        (x - width, y),
        (x - width * 0.9, y + depth * 0.42),
        (x - width * 0.5, y + depth * (bulge + 0.16)),
        (x, y + depth),
        (x + width * 0.5, y + depth * (bulge + 0.16)),
        (x + width * 0.9, y + depth * 0.42),
        (x + width, y),
    )


def body_outline(cut: Cut) -> list[Point]:
    """Return the outline of the front piece."""
    x, shoulder, armpit = CENTRE, cut.shoulder_point, cut.armpit_point
    armhole = curve(
        shoulder,
        (shoulder[0] - 2.2, shoulder[1] + cut.armpit * 0.4),
        (armpit[0] - 1.6, armpit[1] - 5),
        armpit,
    )
    waist_y = cut.top + cut.length * 0.58
    side = curve(
        armpit,
        (x + (cut.chest + cut.waist) / 2, (armpit[1] + waist_y) / 2),
        (x + cut.waist, waist_y),
        (x + cut.hem + cut.blouson, cut.bottom - 5),
        (x + cut.hem, cut.bottom),
    )
    hem = curve(
        (x + cut.hem, cut.bottom),
        (x + cut.hem * 0.5, cut.bottom + cut.hem_sag * 0.8),
        (x, cut.bottom + cut.hem_sag),
    )
    half = [*armhole, *side[1:], *hem[1:]]
    return [*neckline(cut), *half, *reversed(mirror(half))]


def sleeve_outline(cut: Cut) -> tuple[list[Point], Point, Point]:
    """Return the right sleeve's outline and the two ends of its opening (outer, inner)."""
    shoulder, armpit = cut.shoulder_point, cut.armpit_point
    if cut.sleeve == "short":
        outer = (shoulder[0] + cut.spread, shoulder[1] + cut.sleeve_length)
        inner = (outer[0] - cut.sleeve_width, outer[1] + 6.5)
        top = curve(
            (shoulder[0] - 9, shoulder[1] - 2.6),
            (shoulder[0] - 1, shoulder[1] - 0.2),
            (shoulder[0] + 5, shoulder[1] + 4.5),
            outer,
        )
        return [*top, inner, (armpit[0] - 1, armpit[1]), (armpit[0] - 9, armpit[1] - 6)], outer, inner
    end_y = shoulder[1] + cut.sleeve_length
    outer = (shoulder[0] + cut.spread, end_y)
    inner = (outer[0] - cut.cuff * 1.55, end_y + 1.5)
    elbow_y = shoulder[1] + cut.sleeve_length * 0.5
    top = curve(
        (shoulder[0] - 9, shoulder[1] - 2.6),
        (shoulder[0] - 0.5, shoulder[1] - 0.1),
        (shoulder[0] + 5, shoulder[1] + 7),
        (shoulder[0] + cut.spread * 0.66, elbow_y),
        (shoulder[0] + cut.spread * 0.96 + cut.blouson, end_y - 12),
        outer,
    )
    under = curve(
        inner,
        (inner[0] - 1.5 - cut.blouson * 0.6, end_y - 14),
        (inner[0] - cut.spread * 0.30, elbow_y + 4),
        (armpit[0] + 1.0, armpit[1] + 8),
        (armpit[0] - 1, armpit[1]),
    )
    return [*top, *under, (armpit[0] - 9, armpit[1] - 6)], outer, inner


def back_of_neck(canvas: Canvas, look: Look, cut: Cut, *, rise: float = 1.5, band: float = 2.6) -> None:
    """Draw what is seen through the neck opening: the inside of the back, its neck band, and a label."""
    x, y = CENTRE, cut.top
    width = cut.neck + 1.5
    rim = curve(
        (x - width, y),
        (x - width * 0.5, y + rise),
        (x, y + rise + 0.6),
        (x + width * 0.5, y + rise),
        (x + width, y),
    )
    canvas.panel([*rim, *reversed(moved(neckline(cut, -1.0), 0, 1.5))], look.inside, puff=4, lift=0, crumple=0.2)
    canvas.panel([*rim, *reversed(moved(rim, 0, band))], look.trim(factor=0.84), puff=1.0, lift=0.1, crumple=0)
    if look.chance(0.7):
        label = [(x - 2.4, y + rise + band), (x + 2.4, y + rise + band), (x + 2.4, y + rise + band + 3.6),
                 (x - 2.4, y + rise + band + 3.6)]  # fmt: skip
        canvas.fill(label, (232, 230, 226) if not look.light else (90, 90, 92), 0.85)


def neck_band(canvas: Canvas, fabric: Fabric, cut: Cut, width: float = 2.8) -> None:
    """Sew a rib band round the front neckline."""
    inner = moved(neckline(cut, width), 0, -0.3)
    canvas.panel([*neckline(cut, -0.4), *reversed(inner)], fabric, puff=1.2, lift=0.18, crumple=0)
    canvas.seam(neckline(cut, -0.3), strength=0.22)


def both_sleeves(canvas: Canvas, look: Look, cut: Cut, cloth: Fabric, **cloth_light: float) -> None:
    """Draw both sleeves, each with folds of its own."""
    outline, outer, inner = sleeve_outline(cut)
    slant = -_slant(cut)
    for flip in (False, True):
        path = mirror(outline) if flip else outline
        folds = _sleeve_folds(look, cut)
        if flip:
            folds = [mirrored(fold) for fold in folds]
        canvas.panel(path, cloth, turn=-slant if flip else slant, puff=4.2, lift=0.12, folds=folds, **cloth_light)
        if cut.sleeve == "short":
            ends = [(outer[0] - 0.8, outer[1] - 2.6), (inner[0] - 0.4, inner[1] - 2.8)]
            canvas.seam(mirror(ends) if flip else ends, strength=0.2)


def cuffs(canvas: Canvas, fabric: Fabric, cut: Cut, *, depth: float = 9.0, buttoned: bool = False) -> None:
    """Draw both cuffs at the ends of long sleeves."""
    _, outer, inner = sleeve_outline(cut)
    lean = cut.spread * 0.06
    path = [
        (outer[0] + 0.3, outer[1] - 0.6),
        (outer[0] + lean - 0.8, outer[1] + depth),
        (inner[0] + lean + 0.8, inner[1] + depth),
        (inner[0] - 0.3, inner[1] - 0.6),
    ]
    for flip in (False, True):
        canvas.panel(mirror(path) if flip else path, fabric, puff=2.4, lift=0.16, crumple=0.15, turn=4 if flip else -4)
        seam = [path[0], path[3]]
        canvas.seam(mirror(seam) if flip else seam, strength=0.32)
        if buttoned:
            spot = (outer[0] - cut.cuff * 0.9, outer[1] + depth * 0.55)
            canvas.disc(mirror([spot])[0] if flip else spot, 0.9, (222, 220, 214))


def hem_rib(canvas: Canvas, fabric: Fabric, cut: Cut, depth: float = 9.0) -> None:
    """Draw the rib band at the hem of a sweater, a hoodie or a jacket."""
    x, width = CENTRE, cut.hem
    right = curve(
        (x + width, cut.bottom - 0.5),
        (x + width - 0.6, cut.bottom + depth * 0.5),
        (x + width - 1.6, cut.bottom + depth),
    )
    floor = curve(right[-1], (x + width * 0.5, cut.bottom + depth + cut.hem_sag), (x, cut.bottom + depth + cut.hem_sag))
    outline = both_sides([(x, cut.bottom - 0.5 + cut.hem_sag), *right, *floor[1:]])
    canvas.panel(outline, fabric, puff=2.6, lift=0.14, crumple=0.15)
    canvas.seam(curve((x - width, cut.bottom), (x, cut.bottom + cut.hem_sag), (x + width, cut.bottom)), strength=0.3)


def body_folds(look: Look, cut: Cut, *, strength: float = 1.0) -> list[Fold]:
    """Return the folds a hanging top shows: drawn in from the armpits, loose towards the hem."""
    x, folds = CENTRE, []
    for side in (-1, 1):
        armpit = (x + side * (cut.chest - 2), cut.top + cut.armpit)
        for _each in range(3):
            reach, drop = look.between(14, 30), look.between(-14, 48)
            folds.append(Fold(armpit, (armpit[0] - side * reach, armpit[1] + drop), look.between(1.4, 3.2),
                              strength * look.between(1.0, 2.2)))  # fmt: skip
        shoulder = (x + side * cut.shoulder * 0.75, cut.top + cut.slope + 4)
        folds.append(Fold(shoulder, (x + side * look.between(6, 14), cut.top + cut.armpit + look.between(2,
            16)), look.between(2.5, 4), strength * look.between(0.3, 0.9)))  # fmt: skip
    for _each in range(look.rng.randint(3, 5)):
        start_x = x + look.between(-0.85, 0.85) * cut.hem
        start_y = cut.bottom - look.between(0.2, 0.55) * cut.length
        folds.append(Fold((start_x, start_y), (start_x + look.between(-7, 7), cut.bottom + 3),
            look.between(2.2, 4.5), strength * look.between(0.5, 1.5) * look.rng.choice((1, 1,
            -1))))  # fmt: skip
    return folds


def side_hem(canvas: Canvas, cut: Cut, rise: float = 3.2) -> None:
    """Draw the hem seam of a T-shirt, a shirt or a coat."""
    y = cut.bottom - rise
    canvas.seam(
        curve((CENTRE - cut.hem, y), (CENTRE, y + cut.hem_sag), (CENTRE + cut.hem, y)),
        strength=0.2,
    )


def shoulder_seams(canvas: Canvas, cut: Cut, strength: float = 0.26) -> None:
    """Draw the armhole seams."""
    shoulder, armpit = cut.shoulder_point, cut.armpit_point
    line = curve(
        shoulder,
        (shoulder[0] - 2.2, shoulder[1] + cut.armpit * 0.4),
        (armpit[0] - 1.6, armpit[1] - 5),
        armpit,
    )
    canvas.seam(line, strength=strength)
    canvas.seam(mirror(line), strength=strength)


def hood(canvas: Canvas, look: Look, cloth: Fabric, cut: Cut, height: float = 26.0) -> None:
    """Draw a hood lying open above the shoulders."""
    x, y, width = CENTRE, cut.top, cut.neck + 11
    shell = loop((x - width, y + 9), (x - width * 0.92, y - height * 0.35),
        (x - width * 0.45, y - height * 0.93), (x, y - height), (x + width * 0.45, y - height * 0.93),
        (x + width * 0.92, y - height * 0.35), (x + width, y + 9), (x + width * 0.5, y + 15), (x, y + 18),
        (x - width * 0.5, y + 15))  # fmt: skip
    folds = [
        Fold(
            (x + side * width * 0.75, y - height * 0.5),
            (x + side * width * 0.85, y + 8),
            look.between(2, 3.5),
            look.between(0.8, 1.6),
        )
        for side in (-1, 1)
    ]
    canvas.panel(shell, cloth, puff=6, lift=0.2, folds=folds)
    opening = loop(
        (x - width * 0.6, y - height * 0.2), (x - width * 0.42, y - height * 0.66), (x, y - height * 0.78),
        (x + width * 0.42, y - height * 0.66), (x + width * 0.6, y - height * 0.2), (x + width * 0.42, y + 7),
        (x, y + cut.neck_depth + 4), (x - width * 0.42, y + 7),
    )  # fmt: skip
    canvas.panel(opening, look.inside, puff=6, lift=0.0, crumple=0.6)
    canvas.stroke([*opening, opening[0]], (0, 0, 0), width=2.5, alpha=0.3, soft=1.4)
    rim = [(px + (px - x) * 0.10, py + (py - y) * 0.06) for px, py in opening]
    canvas.seam([*rim, rim[0]], strength=0.25)
    canvas.seam(curve((x, y - height), (x, y - height * 0.9), (x, y - height * 0.8)), strength=0.2)


def _slant(cut: Cut) -> float:
    return 38.0 if cut.sleeve == "short" else 11.0


def _sleeve_folds(look: Look, cut: Cut) -> list[Fold]:
    shoulder, armpit = cut.shoulder_point, cut.armpit_point
    if cut.sleeve == "short":
        return [Fold(armpit, (armpit[0] + look.between(8, 16), armpit[1] - look.between(4, 18)),
            look.between(1.5, 2.5), look.between(0.6, 1.4)), Fold((shoulder[0] + 4, shoulder[1] + 8),
            (shoulder[0] + look.between(4, 9), shoulder[1] + cut.sleeve_length), look.between(2, 3.5),
            look.between(0.4, 1.0))]  # fmt: skip
    folds = []
    for share in (0.34, 0.5, 0.58, 0.8, 0.92):
        y = shoulder[1] + cut.sleeve_length * (share + look.between(-0.05, 0.05))
        middle = shoulder[0] + cut.spread * (share * 0.9) - cut.cuff * 0.9
        reach, tilt = look.between(5, 9), look.between(-7, 7)
        folds.append(
            Fold(
                (middle - reach, y - tilt),
                (middle + reach, y + tilt),
                look.between(1.4, 2.4),
                look.between(0.6, 1.5),
            )
        )
    folds.append(Fold((shoulder[0] + 2, shoulder[1] + 14),
        (shoulder[0] + cut.spread * 0.6, shoulder[1] + cut.sleeve_length * 0.6), look.between(2.5, 4),
        look.between(0.5, 1.2)))  # fmt: skip
    return folds
