"""Words for what can be seen of a product: are those of a caption also the shop's, and not by chance?

A shop's text is silent about much that a photo shows, so precision here is a lower bound of truth. What counts is its distance
to the control: the same captions against the texts of other products.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

SEEN_WORDS: Mapping[str, re.Pattern[str]] = MappingProxyType(
    {
        name: re.compile(rf"\b(?:{words})\b", re.IGNORECASE)
        for name, words in {
            "hood": r"hood(?:ed)?",
            "collar": r"collar(?:ed)?|lapels?",
            "polo neck": r"polo[- ]neck|turtleneck|roll[- ]neck",
            "V-neck": r"v-neck(?:line)?",
            "round neck": r"round[- ]neck(?:line)?|crew neck",
            "short sleeves": r"short[- ]sleeve[ds]?|short,? [a-z]+ sleeves",
            "long sleeves": r"long[- ]sleeve[ds]?|long,? [a-z]+ sleeves",
            "sleeveless": r"sleeveless",
            "narrow straps": r"(?:narrow|spaghetti|thin|shoulder),? (?:adjustable |shoulder )?straps",
            "buttons": r"buttons?|buttoned",
            "zip": r"zips?|zipped",
            "drawstring": r"drawstrings?",
            "lacing": r"lacing|laces",
            "pockets": r"pockets?|[0-9]-pocket",
            "belt": r"belt(?:ed)?",
            "bow": r"bows?",
            "lace": r"lace",
            "stripes": r"strip(?:es|ed)",
            "checks": r"check(?:s|ed)",
            "pattern": r"pattern(?:ed|s)?",
            "print": r"print(?:s|ed)?",
            "sequins": r"sequin(?:s|ned|ed)?",
            "embroidery": r"embroider(?:y|ed)",
            "frill": r"frill(?:s|ed)?|flounces?|ruffles?",
            "pleats": r"pleat(?:s|ed)?",
            "ribbing": r"ribb(?:ing|ed)",
            "knit": r"knit(?:ted)?|fine-knit|rib-knit|cable-knit",
            "denim": r"denim",
            "leather": r"leather|suede",
            "fur or pile": r"fur|faux fur|pile|teddy|fleece",
            "elasticated waist": r"elasticated (?:waist|waistband)|elastication at the waist",
            "high waist": r"high[- ]waist(?:ed)?",
            "wide legs": r"wide[- ]leg(?:s|ged)?|wide,? [a-z]+ legs",
            "tapered or slim legs": r"tapered|skinny|slim legs|slim-leg",
            "heel": r"(?:block |covered |high )?heels?|high-heeled",
            "hoops or pendants": r"hoops?|pendants?|pearls?|beads?|rhinestones?",
        }.items()
    }
)


@dataclass
class Agreement:
    """How often captions say a word, descriptions do, and both do; ``by_chance``: both, the descriptions shuffled."""

    said: int = 0
    true: int = 0
    both: int = 0
    by_chance: int = 0

    def add(self, other: Agreement) -> None:
        """Count another one in."""
        self.said += other.said
        self.true += other.true
        self.both += other.both
        self.by_chance += other.by_chance

    def json(self) -> dict[str, float | int | None]:
        """Return counts, precision, recall and the precision of the control."""
        return {
            "said": self.said,
            "true": self.true,
            "precision": _ratio(self.both, self.said),
            "recall": _ratio(self.both, self.true),
            "precision shuffled": _ratio(self.by_chance, self.said),
        }


def agreement(captions: Sequence[str], descriptions: Sequence[str], shuffled: Sequence[str]) -> dict[str, Agreement]:
    """Return for each word how captions agree with descriptions; ``all`` sums the words up."""
    found, total = {}, Agreement()
    for name, pattern in SEEN_WORDS.items():
        one = Agreement()
        for caption, description, other in zip(captions, descriptions, shuffled, strict=True):
            said, true = bool(pattern.search(caption)), bool(pattern.search(description))
            one.said += said
            one.true += true
            one.both += said and true
            one.by_chance += said and bool(pattern.search(other))
        found[name] = one
        total.add(one)
    return {"all": total, **found}


def _ratio(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None
