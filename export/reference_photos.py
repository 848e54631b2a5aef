"""Small drawn pictures of clothes: photos that may be shipped, for an export's golden captions and its check."""

from __future__ import annotations

from pathlib import Path

_WIDTH, _HEIGHT = 240, 320
# Drawn larger and scaled down, so that edges are smooth.
_SCALE = 4
# Outlines on the 240 x 320 sheet, and details that are drawn over them a little darker.
_T_SHIRT = ((82, 62), (104, 54), (120, 70), (136, 54), (158, 62), (206, 104), (184, 136), (162, 120), (164, 262), (76, 262),
            (78, 120), (56, 136), (34, 104))  # fmt: skip
_TROUSERS = ((82, 40), (158, 40), (172, 284), (132, 284), (120, 108), (108, 284), (68, 284))
_DRESS = ((92, 44), (104, 44), (120, 66), (136, 44), (148, 44), (156, 128), (194, 280), (46, 280), (84, 128))
_SKIRT = ((86, 84), (154, 84), (190, 238), (50, 238))
_WAIST = ((82, 40), (158, 40), (159, 54), (81, 54))
_BELT = ((84, 120), (156, 120), (158, 134), (82, 134))
_BAND = ((86, 84), (154, 84), (157, 98), (83, 98))

_GARMENTS = ((_T_SHIRT, None), (_TROUSERS, _WAIST), (_DRESS, _BELT), (_SKIRT, _BAND))
# One colour after the other for one garment after the other: twelve different pictures.
_COLOURS = "#c8202c #2450a0 #1c1c20 #2f8a4c #e8b8c4 #8a8c90 #d8b040 #6a4a8c #2a8c94 #c8a078 #e0702c #7a2434"
PICTURES = len(_COLOURS.split())


def draw_reference_photos(folder: Path, count: int = PICTURES) -> list[Path]:
    """Write the first ``count`` pictures as PNG, 240 x 320 pixels, into ``folder`` and return their paths."""
    from PIL import Image, ImageColor, ImageDraw

    paths = []
    for number, colour in enumerate(_COLOURS.split()[:count]):
        outline, detail = _GARMENTS[number % len(_GARMENTS)]
        image = Image.new("RGB", (_WIDTH * _SCALE, _HEIGHT * _SCALE), "white")
        pen = ImageDraw.Draw(image)
        pen.polygon(_enlarged(outline), fill=colour)
        shade = tuple(int(value * 0.7) for value in ImageColor.getrgb(colour))
        if detail:
            pen.polygon(_enlarged(detail), fill=shade)
        pen.line(_enlarged((*outline, outline[0])), fill=shade, width=_SCALE)
        path = folder / f"reference-{number + 1}.png"
        image.resize((_WIDTH, _HEIGHT), Image.Resampling.LANCZOS).save(path, optimize=True)
        paths.append(path)
    return paths


def _enlarged(outline: tuple[tuple[int, int], ...]) -> list[tuple[int, int]]:
    return [(x * _SCALE, y * _SCALE) for x, y in outline]
