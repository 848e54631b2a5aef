"""What captions of drawings state of what is drawn, read back and compared with what the generator states.

The reading knows nothing of the wordings that training uses: it looks for what a reader would take as the fact.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from drawings import Facts

from captioning.intervals import Figure, share

# What stands in no picture: a table by style says what a thing is for, and when.
UNSEEN = ("occasion", "season")
# An answer that is less exact than the truth is still right.
_BROADER: Mapping[tuple[str, str], frozenset[str]] = MappingProxyType(
    {
        ("sleeves", "narrow straps"): frozenset({"straps"}),
        ("sleeves", "wide straps"): frozenset({"straps"}),
        ("pockets", "chest flap"): frozenset({"chest", "flap"}),
        ("trim", "bow"): frozenset({"ribbon"}),
        ("neckline", "stand-up collar"): frozenset({"collar"}),
    }
)


def _patterns(**values: str) -> Mapping[str, re.Pattern[str]]:
    return {
        name.strip("_").replace("_", " "): re.compile(rf"\b(?:{words})\b", re.IGNORECASE)
        for name, words in values.items()
    }


# By aspect the values that a caption may state; the aspect "style" is read from the start of a caption's details only.
ASPECTS: Mapping[str, Mapping[str, re.Pattern[str]]] = MappingProxyType(
    {
        "style": {
            **_patterns(
                vest_top="vest top|sleeveless top|tank top",
                shirt="(?<!T-)shirt",
                sweater="sweater|jumper",
                cardigan="cardigan",
                hoodie="hoodie|hooded top",
                blazer="blazer",
                denim_jacket="denim jacket",
                padded_jacket="(?:padded|quilted) jacket",
                bomber_jacket="bomber(?: jacket)?",
                coat="coat",
                dress="(?<!summer )(?<!evening )dress",
                skirt="(?<!denim )skirt",
                denim_skirt="denim skirt",
                trousers="(?:tailored|smart|suit) trousers|chinos",
                joggers="joggers|sweatpants",
                jeans="jeans",
                shorts="(?<!denim )shorts",
                denim_shorts="denim shorts",
                swimsuit="swimsuit",
                cap="cap",
                beanie="beanie|knitted hat",
                scarf="scarf",
                tote_bag="(?:tote|shopper)(?: bag)?",
                shoulder_bag="shoulder bag",
                socks="socks",
                sneakers="(?<!high-top )sneakers|trainers",
                ankle_boots="ankle boots",
                tall_boots="(?:knee-high|tall) boots",
                hiking_boots="hiking boots",
                rain_jacket="rain jacket|raincoat",
                backpack="backpack|rucksack",
                pumps="pumps|high heels",
                evening_gown="evening (?:gown|dress)",
                clutch_bag="clutch(?: bag)?|evening bag",
                sandals="sandals",
                summer_dress="summer dress|sundress",
                sun_hat="sun hat",
                sports_leggings="sports leggings|running tights",
                sports_top="(?:sports|training) top",
            ),
            "T-shirt": re.compile(r"\bT-shirt\b|^top\b", re.IGNORECASE),
            "high-top sneakers": re.compile(r"\bhigh-top sneakers\b", re.IGNORECASE),
        },
        "cloth": _patterns(
            jersey="jersey",
            sweatshirt="sweatshirt fabric",
            knit="(?:soft|fine) knit",
            rib_knit="rib[- ]knit",
            woven="woven fabric",
            denim="(?:washed|sturdy|in) denim",
            wool="wool",
            leather="leather",
            suede="suede",
            canvas="canvas",
            nylon="nylon",
            coated="(?:coated|waterproof|water-repellent) fabric",
            flowing="flowing fabric",
            satin="satin",
            cotton="(?:airy|light) cotton",
            swim="swim fabric",
            stretch="sports fabric",
            straw="straw",
        ),
        "hood": _patterns(hood="hood"),
        "neckline": {
            **_patterns(
                round="round neck(?:line)?",
                scoop="scoop neck(?:line)?|deep, rounded neckline",
                polo="polo neck|turtleneck",
                lapels="lapels",
            ),
            "stand-up collar": re.compile(r"\b(?:stand-up|high) collar\b", re.IGNORECASE),
            "V-neck": re.compile(r"\bV-neck(?:line)?\b", re.IGNORECASE),
            "collar": re.compile(r"(?<!stand-up )(?<!high )\bcollar\b", re.IGNORECASE),
        },
        "sleeves": _patterns(
            short="short sleeves",
            long="long sleeves",
            narrow_straps="(?:narrow|thin) shoulder straps|spaghetti straps",
            wide_straps="(?:wide|broad) shoulder straps",
            straps="(?<!narrow )(?<!thin )(?<!wide )(?<!broad )shoulder straps",
            strapless="strapless",
            one_shoulder="one bare shoulder|one-shoulder(?:ed)?",
        ),
        "closure": {
            **_patterns(
                buttons="buttons down the front|buttoned front",
                one_button="(?:one|a single) button",
                two_buttons="(?<!of )two buttons",
                zip="a zip(?! fly)(?: fastening)?",
                belt="belt",
                fly="zip fly",
                laces="lacing|laces",
                elastic="elastic (?:side panels|gores)",
                ankle_strap="ankle strap|strap round the ankle",
                heel_strap="heel strap|strap round the heel",
                flap="(?:a|fold-over) flap(?! with buckles)",
                clasp="clasp",
                buckles="two buckles|flap with buckles",
            ),
            "double-breasted": re.compile(r"\bdouble-breasted\b|\btwo rows of buttons\b", re.IGNORECASE),
            "press-studs": re.compile(r"\bpress-studs\b", re.IGNORECASE),
        },
        "upper": _patterns(two_straps="two (?:broad )?foot straps"),
        "waist": _patterns(drawstring="drawstring (?:waist|at the waist)", high="high waist(?:band)?"),
        "cut": {
            **_patterns(fitted_waist="fitted waist|seam at the waist", smocking="smock(?:ed|ing)"),
            "high-cut legs": re.compile(r"\bhigh-cut legs\b|\bhigh leg\b", re.IGNORECASE),
        },
        "skirt": _patterns(
            flared="flared (?:shape|cut)",
            straight="straight (?:cut|shape)",
            tiered="tier(?:s|ed)",
            slit="slit",
        ),
        "legs": _patterns(
            slim="(?:slim|narrow) legs",
            straight="straight legs",
            wide="wide legs",
            tight="(?:tight|close-fitting) legs",
        ),
        "length": _patterns(
            short="short (?:hem|length)",
            knee="knee-length|hem at the knee",
            long="long (?:shape|cut)",
            floor="floor-length|down to the floor",
            cropped="cropped",
        ),
        "pockets": _patterns(
            chest="chest pocket|pocket at the chest",
            chest_flap="chest pockets with flaps|flap chest pockets",
            patch="patch pockets",
            kangaroo="(?:kangaroo|pouch) pocket",
            flap="flap pockets|front pockets with flaps",
            side="side pockets|pockets in the side seams",
            five="five pockets",
            front="front pocket",
        ),
        "handles": _patterns(
            two_handles="two (?:carrying )?handles",
            shoulder_strap="shoulder strap",
            backpack_straps="top handle",
            chain="chain",
        ),
        "brim": {
            **_patterns(peak="peak", wide="(?:wide|broad) brim"),
            "turn-up": re.compile(r"\bturn-up brim\b|\bturned-up edge\b", re.IGNORECASE),
        },
        "heel": _patterns(low="low heels?", block="block heels?", stiletto="stiletto(?: heels?)?"),
        "toe": _patterns(cap="toe cap", pointed="pointed toes?", rounded="rounded toes?"),
        "sole": _patterns(
            white="white (?:rubber )?soles?",
            dark="dark soles?",
            treaded="treaded soles?|thick, chunky soles?",
            thick="thick cork soles?",
            flat="flat cork soles?",
        ),
        "cuff": _patterns(ribbed="ribbed (?:tops|edge)"),
        "trim": _patterns(
            ribbing="ribbed edges|ribbing",
            quilting="quilted seams|quilting",
            creases="creases",
            stitching="stitched panels|visible stitching",
            pompom="pompom",
            fringes="fringe[sd](?: ends)?",
            contrasting_heel_and_toe="contrasting heels and toes|heels and toes in another colour",
            metal="(?:gold-coloured|a metal) buckle",
            side_stripes="side stripes|stripes down the sides",
            mesh="mesh",
            contrasting_edges="contrasting edges|edges in a contrasting colour",
            bows="bows",
            buckles="(?:metal|small) buckles",
            bow="bow",
            ribbon="ribbon(?! with a bow)(?! bow)",
        ),
        "occasion": _patterns(
            every_day="everyday wear|casual days",
            office="the office|work and meetings",
            hiking="hiking and muddy trails|hikes",
            rain="rainy days|wind and rain",
            beach="beach",
            evening="evenings? out",
            sports="for sports|running and training",
            cold="(?:cold|chilly) days",
        ),
        "season": _patterns(
            summer="(?:in|hot) summer(?: days)?",
            winter="in (?:autumn and )?winter",
            all_year="all year round|every season",
            spring="in spring and autumn|mild weather",
        ),
    }
)


def facts_stated(details: str) -> set[tuple[str, str]]:
    """Return the facts (aspect, value) that a caption states behind its first sentence.

    Args:
        details: The caption without its first sentence.
    """
    what = re.split(r"\b(?:with|in)\b", details, maxsplit=1)[0]
    return {
        (aspect, value)
        for aspect, values in ASPECTS.items()
        for value, pattern in values.items()
        if pattern.search(what if aspect == "style" else details)
    }


@dataclass(frozen=True)
class Told:
    """How a caption compares with a drawing: whether kind and colour are right, and how many further facts are or are not."""

    first_right: bool
    right: int
    unseen_right: int
    wrong: int


def compare(details: str, facts: Facts, *, first_right: bool) -> Told:
    """Compare what a caption states behind its first sentence with what a drawing shows and is for.

    A stated fact is right if the drawing has it, or a more exact one; else it is wrong, an aspect that the drawing does not
    have included. ``right`` counts visible facts alone, ``wrong`` all that are stated.
    """
    truth = {**facts.seen, "occasion": facts.occasion, "season": facts.season}
    right = wrong = unseen = 0
    for aspect, value in facts_stated(details):
        if truth.get(aspect) == value or value in _BROADER.get((aspect, truth.get(aspect, "")), ()):
            unseen += aspect in UNSEEN
            right += aspect not in UNSEEN
        else:
            wrong += 1
    return Told(first_right, right, unseen, wrong)


def figures(told: Sequence[Told]) -> Mapping[str, Figure | None]:
    """Return three shares with their intervals.

    They are captions with kind and colour right, captions with two further visible facts right or more, and of all facts
    stated behind the first sentences those that are wrong.
    """
    stated = sum(one.right + one.unseen_right + one.wrong for one in told)
    return {
        "kind and colour": share(sum(one.first_right for one in told), len(told)),
        "two further facts": share(sum(one.right >= 2 for one in told), len(told)),
        "stated facts wrong": share(sum(one.wrong for one in told), stated),
    }
