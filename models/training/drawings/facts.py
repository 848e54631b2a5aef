"""What a drawing shows, in words: the facts that the drawing functions state, how they are said, and what each is worn for.

A fact is a value of an aspect. ``style`` and ``cloth`` are said in the first sentence as what the thing is and of what it
seems made; all others stand behind "with". What things are for is no fact of a picture but a table of our own, by style.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

# How each style is called, and how each cloth looks.
STYLES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "T-shirt": ("T-shirt", "top"),
        "vest top": ("vest top", "sleeveless top"),
        "shirt": ("shirt",),
        "sweater": ("sweater", "jumper"),
        "cardigan": ("cardigan",),
        "hoodie": ("hoodie", "hooded top"),
        "blazer": ("single-breasted blazer", "tailored blazer"),
        "denim jacket": ("denim jacket",),
        "padded jacket": ("padded jacket", "quilted jacket"),
        "bomber jacket": ("bomber jacket",),
        "coat": ("coat",),
        "dress": ("dress",),
        "skirt": ("skirt",),
        "denim skirt": ("denim skirt",),
        "trousers": ("tailored trousers", "smart trousers"),
        "joggers": ("joggers", "sweatpants"),
        "jeans": ("jeans",),
        "shorts": ("shorts",),
        "denim shorts": ("denim shorts",),
        "swimsuit": ("swimsuit", "one-piece swimsuit"),
        "cap": ("cap",),
        "beanie": ("beanie", "knitted hat"),
        "scarf": ("scarf",),
        "tote bag": ("tote bag", "shopper bag"),
        "shoulder bag": ("shoulder bag",),
        "socks": ("socks",),
        "sneakers": ("low sneakers", "trainers"),
        "high-top sneakers": ("high-top sneakers",),
        "ankle boots": ("ankle boots",),
        "tall boots": ("knee-high boots", "tall boots"),
        "hiking boots": ("hiking boots", "rugged hiking boots"),
        "rain jacket": ("rain jacket", "raincoat"),
        "backpack": ("backpack", "rucksack"),
        "pumps": ("high-heeled pumps", "elegant pumps"),
        "evening gown": ("evening gown", "evening dress"),
        "clutch bag": ("clutch bag", "evening bag"),
        "sandals": ("sandals",),
        "summer dress": ("summer dress", "sundress"),
        "sun hat": ("sun hat",),
        "sports leggings": ("sports leggings", "running tights"),
        "sports top": ("sports top", "training top"),
    }
)
CLOTHS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "jersey": ("soft jersey", "cotton jersey"),
        "sweatshirt": ("sweatshirt fabric", "soft sweatshirt fabric"),
        "knit": ("a soft knit", "a fine knit"),
        "rib knit": ("a rib knit", "a thick rib knit"),
        "woven": ("woven fabric", "smooth woven fabric"),
        "denim": ("washed denim", "sturdy denim"),
        "wool": ("soft wool", "a warm wool blend"),
        "leather": ("smooth leather", "leather"),
        "suede": ("soft suede", "suede"),
        "canvas": ("sturdy canvas", "cotton canvas"),
        "nylon": ("shiny nylon", "smooth nylon"),
        "coated": ("coated fabric", "waterproof fabric"),
        "flowing": ("light, flowing fabric", "soft, flowing fabric"),
        "satin": ("shiny satin", "gleaming satin"),
        "cotton": ("airy cotton", "light cotton"),
        "swim": ("smooth swim fabric", "stretch swim fabric"),
        "stretch": ("stretch sports fabric", "smooth sports fabric"),
        "straw": ("plaited straw", "straw"),
    }
)
# All other aspects, in the order in which they are said.
DETAILS: Mapping[str, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "hood": {"hood": ("a hood", "a drawstring hood")},
        "neckline": {
            "round": ("a round neckline", "a round neck"),
            "V-neck": ("a V-neck", "a V-neckline"),
            "scoop": ("a scoop neck", "a deep, rounded neckline"),
            "polo": ("a polo neck", "a turtleneck"),
            "collar": ("a collar", "a turn-down collar"),
            "stand-up collar": ("a stand-up collar", "a high collar"),
            "lapels": ("notch lapels", "lapels"),
        },
        "sleeves": {
            "short": ("short sleeves",),
            "long": ("long sleeves",),
            "narrow straps": ("narrow shoulder straps", "spaghetti straps"),
            "wide straps": ("wide shoulder straps", "broad shoulder straps"),
            "straps": ("shoulder straps",),
            "strapless": ("a strapless bodice",),
            "one shoulder": ("one bare shoulder", "a one-shoulder neckline"),
        },
        "closure": {
            "buttons": ("buttons down the front", "a buttoned front"),
            "one button": ("one button", "a single button"),
            "two buttons": ("two buttons",),
            "double-breasted": ("a double-breasted front", "two rows of buttons"),
            "zip": ("a zip", "a zip fastening"),
            "press-studs": ("press-studs", "a row of press-studs"),
            "belt": ("a tie belt", "a belt at the waist"),
            "fly": ("a zip fly and button", "a zip fly"),
            "laces": ("lacing", "laces"),
            "elastic": ("elastic side panels", "elastic gores"),
            "ankle strap": ("an ankle strap", "a strap round the ankle"),
            "heel strap": ("a heel strap", "a strap round the heel"),
            "flap": ("a flap", "a fold-over flap"),
            "clasp": ("a metal clasp", "a kiss-lock clasp"),
            "buckles": ("two buckles", "a flap with buckles"),
        },
        "upper": {"two straps": ("two foot straps", "two broad foot straps")},
        "waist": {
            "drawstring": ("a drawstring waist", "a drawstring at the waist"),
            "high": ("a high waist", "a high waistband"),
        },
        "cut": {
            "fitted waist": ("a fitted waist", "a seam at the waist"),
            "high-cut legs": ("high-cut legs", "a high leg"),
            "smocking": ("a smocked bodice", "smocking at the top"),
        },
        "skirt": {
            "flared": ("a flared shape", "a flared cut"),
            "straight": ("a straight cut", "a straight shape"),
            "tiered": ("a tiered skirt", "gathered tiers"),
            "slit": ("a high slit", "a slit at one side"),
        },
        "legs": {
            "slim": ("slim legs", "narrow legs"),
            "straight": ("straight legs",),
            "wide": ("wide legs",),
            "tight": ("tight legs", "close-fitting legs"),
        },
        "length": {
            "short": ("a short hem", "a short length"),
            "knee": ("a knee-length hem", "a hem at the knee"),
            "long": ("a long shape", "a long cut"),
            "floor": ("a floor-length skirt", "a skirt down to the floor"),
            "cropped": ("a cropped hem", "a cropped cut"),
        },
        "pockets": {
            "chest": ("a chest pocket", "a pocket at the chest"),
            "chest flap": ("chest pockets with flaps", "flap chest pockets"),
            "patch": ("patch pockets",),
            "kangaroo": ("a kangaroo pocket", "a pouch pocket"),
            "flap": ("flap pockets", "front pockets with flaps"),
            "side": ("side pockets", "pockets in the side seams"),
            "five": ("five pockets",),
            "front": ("a front pocket", "a zipped front pocket"),
        },
        "handles": {
            "two handles": ("two handles", "two carrying handles"),
            "shoulder strap": ("a shoulder strap", "a long shoulder strap"),
            "backpack straps": ("padded straps and a top handle", "a top handle and padded straps"),
            "chain": ("a chain", "a gold chain"),
        },
        "brim": {
            "peak": ("a curved peak", "a peak"),
            "turn-up": ("a turn-up brim", "a turned-up edge"),
            "wide": ("a wide brim", "a broad brim"),
        },
        "heel": {
            "low": ("a low heel", "low heels"),
            "block": ("a block heel", "block heels"),
            "stiletto": ("a stiletto heel", "stiletto heels"),
        },
        "toe": {
            "cap": ("a rubber toe cap", "a toe cap of rubber"),
            "pointed": ("pointed toes", "a pointed toe"),
            "rounded": ("rounded toes", "a rounded toe"),
        },
        "sole": {
            "white": ("a white rubber sole", "white soles"),
            "dark": ("a dark sole", "dark soles"),
            "treaded": ("a thick treaded sole", "thick, chunky soles"),
            "thick": ("a thick cork sole", "thick cork soles"),
            "flat": ("a flat cork sole", "flat cork soles"),
        },
        "cuff": {"ribbed": ("ribbed tops", "a ribbed edge")},
        "trim": {
            "ribbing": ("ribbed edges", "ribbing at the edges"),
            "quilting": ("quilted seams", "quilting"),
            "creases": ("pressed creases", "creases down the legs"),
            "stitching": ("stitched panels", "visible stitching"),
            "pompom": ("a pompom", "a pompom on top"),
            "fringes": ("fringes", "fringed ends"),
            "contrasting heel and toe": ("contrasting heels and toes", "heels and toes in another colour"),
            "metal": ("a gold-coloured buckle", "a metal buckle"),
            "side stripes": ("side stripes", "stripes down the sides"),
            "mesh": ("mesh at the calves", "mesh panels"),
            "contrasting edges": ("contrasting edges", "edges in a contrasting colour"),
            "bows": ("bows at the shoulders", "tied shoulder bows"),
            "buckles": ("metal buckles", "small buckles"),
            "bow": ("a ribbon with a bow", "a ribbon bow"),
            "ribbon": ("a ribbon", "a dark ribbon"),
        },
    }
)

# By style, what we say it is for and when: no picture shows it.
OCCASIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "every day": ("everyday wear", "casual days"),
        "office": ("the office", "work and meetings"),
        "hiking": ("hiking and muddy trails", "long hikes in the mountains"),
        "rain": ("rainy days", "wind and rain"),
        "beach": ("the beach", "days at the beach"),
        "evening": ("an evening out", "parties and evenings out"),
        "sports": ("sports", "running and training"),
        "cold": ("cold days", "chilly days"),
    }
)
SEASONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "summer": ("in summer", "on hot summer days"),
        "winter": ("in winter", "in autumn and winter"),
        "all year": ("all year round", "in every season"),
        "spring": ("in spring and autumn", "in mild weather"),
    }
)
USES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "T-shirt": ("every day", "summer"),
        "vest top": ("every day", "summer"),
        "shirt": ("office", "all year"),
        "sweater": ("cold", "winter"),
        "cardigan": ("every day", "spring"),
        "hoodie": ("every day", "spring"),
        "blazer": ("office", "all year"),
        "denim jacket": ("every day", "spring"),
        "padded jacket": ("cold", "winter"),
        "bomber jacket": ("every day", "spring"),
        "coat": ("office", "winter"),
        "dress": ("every day", "summer"),
        "skirt": ("every day", "summer"),
        "denim skirt": ("every day", "summer"),
        "trousers": ("office", "all year"),
        "joggers": ("sports", "all year"),
        "jeans": ("every day", "all year"),
        "shorts": ("beach", "summer"),
        "denim shorts": ("every day", "summer"),
        "swimsuit": ("beach", "summer"),
        "cap": ("sports", "summer"),
        "beanie": ("cold", "winter"),
        "scarf": ("cold", "winter"),
        "tote bag": ("every day", "all year"),
        "shoulder bag": ("every day", "all year"),
        "socks": ("every day", "all year"),
        "sneakers": ("every day", "all year"),
        "high-top sneakers": ("every day", "all year"),
        "ankle boots": ("every day", "winter"),
        "tall boots": ("cold", "winter"),
        "hiking boots": ("hiking", "spring"),
        "rain jacket": ("rain", "spring"),
        "backpack": ("hiking", "all year"),
        "pumps": ("evening", "all year"),
        "evening gown": ("evening", "all year"),
        "clutch bag": ("evening", "all year"),
        "sandals": ("beach", "summer"),
        "summer dress": ("beach", "summer"),
        "sun hat": ("beach", "summer"),
        "sports leggings": ("sports", "all year"),
        "sports top": ("sports", "all year"),
    }
)

# A caption of the embedded model has 64 tokens at most; its first sentence and its JSON form need some of them.
_MOST_WORDS = 24
_MOST_DETAILS = 4


@dataclass(frozen=True)
class Facts:
    """What a drawing shows (``seen``: value by aspect, as drawn), and what such a thing is for, by our own table."""

    seen: Mapping[str, str]
    occasion: str
    season: str

    def text(self, rng: random.Random) -> str:
        """Return two sentences: what it is, of what it seems made and with which details; what it is for.

        ``rng`` chooses between wordings and, where there are many details, which are said.
        """
        style = rng.choice(STYLES[self.seen["style"]])
        cloth = rng.choice(CLOTHS[self.seen["cloth"]])
        use = _use(rng.choice(OCCASIONS[self.occasion]), rng.choice(SEASONS[self.season]), rng)
        shown = [aspect for aspect in DETAILS if aspect in self.seen]
        said = sorted(rng.sample(shown, min(len(shown), _MOST_DETAILS)), key=shown.index)
        details = [rng.choice(DETAILS[aspect][self.seen[aspect]]) for aspect in said]
        turned = rng.random() < 0.25
        while True:
            listed = _listed(details)
            if turned and listed:
                what = f"{style} with {listed}, in {cloth}."
            else:
                what = f"{style} in {cloth}{' with ' if listed else ''}{listed}."
            text = f"{what[0].upper()}{what[1:]} {use}"
            if len(text.split()) <= _MOST_WORDS or not details:
                return text
            details.pop(rng.randrange(len(details)))


def facts_of(seen: Mapping[str, str]) -> Facts:
    """Return the facts of a drawing whose function stated ``seen``."""
    occasion, season = USES[seen["style"]]
    return Facts(MappingProxyType(dict(seen)), occasion, season)


def _use(occasion: str, season: str, rng: random.Random) -> str:
    return rng.choice(
        (f"For {occasion} {season}.", f"Good for {occasion}, {season}.", f"Made for {occasion} {season}.")
    )


def _listed(phrases: list[str]) -> str:
    if len(phrases) < 2:
        return "".join(phrases)
    return f"{', '.join(phrases[:-1])} and {phrases[-1]}"
