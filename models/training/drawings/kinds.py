"""The kinds of product that can be drawn: how, in which patterns, and how they stand before the camera."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from drawings.accessories import scarf, socks
from drawings.bags import bag
from drawings.bottoms import jeans, shorts, skirt, trousers
from drawings.canvas import Canvas
from drawings.evening import clutch, evening_gown, heels
from drawings.fabric import Pattern
from drawings.headwear import beanie, cap
from drawings.look import Look
from drawings.onepieces import dress, swimsuit
from drawings.outdoor import backpack, hiking_boots, rain_jacket
from drawings.outerwear import blazer, coat, jacket
from drawings.photograph import FLOOR
from drawings.shoes import boots, sneakers
from drawings.sports import leggings, sports_top
from drawings.summer import sandals, summer_dress, sun_hat
from drawings.tops import cardigan, hoodie, shirt, sweater, t_shirt, vest_top


@dataclass(frozen=True)
class Kind:
    """One kind of product: ``noun`` is for titles; ``standing`` is the floor's height (None: lies flat)."""

    noun: str
    draw: Callable[[Canvas, Look], None]
    patterns: tuple[Pattern, ...]
    standing: float | None = None


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "t-shirt": Kind("T-shirt", t_shirt, ("solid", "stripe", "melange", "floral")),
        "vest-top": Kind("vest top", vest_top, ("solid", "stripe", "melange")),
        "shirt": Kind("shirt", shirt, ("solid", "check", "stripe", "dots", "floral")),
        "sweater": Kind("sweater", sweater, ("solid", "stripe", "melange")),
        "cardigan": Kind("cardigan", cardigan, ("solid", "melange")),
        "hoodie": Kind("hoodie", hoodie, ("solid", "melange")),
        "blazer": Kind("blazer", blazer, ("solid", "check")),
        "jacket": Kind("jacket", jacket, ("solid", "denim")),
        "coat": Kind("coat", coat, ("solid", "check", "melange")),
        "dress": Kind("dress", dress, ("solid", "floral", "dots", "stripe")),
        "skirt": Kind("skirt", skirt, ("solid", "floral", "check", "dots", "denim")),
        "trousers": Kind("trousers", trousers, ("solid", "check", "melange")),
        "jeans": Kind("jeans", jeans, ("denim",)),
        "shorts": Kind("shorts", shorts, ("solid", "denim", "floral", "stripe")),
        "swimsuit": Kind("swimsuit", swimsuit, ("solid", "stripe", "floral", "dots")),
        "cap": Kind("cap", cap, ("solid", "check"), FLOOR + 2),
        "beanie": Kind("beanie", beanie, ("solid", "melange")),
        "scarf": Kind("scarf", scarf, ("solid", "check", "stripe", "melange")),
        "bag": Kind("bag", bag, ("solid", "stripe"), FLOOR + 9),
        "socks": Kind("socks", socks, ("solid", "stripe", "dots", "melange")),
        "sneakers": Kind("sneakers", sneakers, ("solid", "dots"), FLOOR),
        "boots": Kind("boots", boots, ("solid",)),
        # Later kinds stand behind the earlier ones, so that catalogs keep the drawings they had.
        "hiking-boots": Kind("hiking boots", hiking_boots, ("solid",), FLOOR + 10),
        "rain-jacket": Kind("rain jacket", rain_jacket, ("solid",)),
        "backpack": Kind("backpack", backpack, ("solid", "check"), FLOOR + 26),
        "heels": Kind("heels", heels, ("solid",), FLOOR + 4),
        "evening-gown": Kind("evening gown", evening_gown, ("solid",)),
        "clutch": Kind("clutch bag", clutch, ("solid",), FLOOR + 4),
        "sandals": Kind("sandals", sandals, ("solid",), FLOOR - 14),
        "summer-dress": Kind("summer dress", summer_dress, ("solid", "floral", "dots", "stripe")),
        "sun-hat": Kind("sun hat", sun_hat, ("solid",)),
        "leggings": Kind("sports leggings", leggings, ("solid", "melange")),
        "sports-top": Kind("sports top", sports_top, ("solid", "melange")),
    }
)

PATTERN_WORDS: Mapping[Pattern, str] = MappingProxyType(
    {
        "solid": "",
        "stripe": "striped",
        "check": "checked",
        "dots": "dotted",
        "floral": "floral",
        "melange": "melange",
        "denim": "denim",
    }
)
