"""What the model is taught to say: a product's attributes as a sentence and as JSON, and both read back again."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

SENTENCE_PROMPT = "Describe this product."
JSON_PROMPT = "Describe this product as JSON."

# Catalog words that are no English of a caption. Every other type, pattern and colour is said in lower case. The tables
# are one to one, so that a caption can be scored against the catalog.
_KINDS = {
    "Beanie": "beanie",
    "Cap": "cap",
    "Cap/peaked": "peaked cap",
    "Dog Wear": "dog clothes",
    "Dog wear": "dog wear",
    "Hair/alice band": "hair band",
    "Hat/beanie": "beanie hat",
    "Hat/brim": "brimmed hat",
    "Jumpsuit/Playsuit": "jumpsuit",
    "Leggings/Tights": "leggings",
    "Polo shirt": "polo shirt",
    "Chem. cosmetics": "cosmetics",
    "Other accessories": "accessory",
    "Other shoe": "shoe",
    "Pyjama jumpsuit/playsuit": "pyjama jumpsuit",
    "T-shirt": "T-shirt",
    "Underwear Tights": "underwear tights",
    "Unknown": "item",
    "Weekend/Gym bag": "gym bag",
}
_PATTERNS = {
    "All over pattern": "patterned",
    "Application/3D": "appliqued",
    "Argyle": "argyle",
    "Check": "checked",
    "Colour blocking": "colour-block",
    "Contrast": "contrasting",
    "Dot": "dotted",
    "Embroidery": "embroidered",
    "Front print": "front-printed",
    "Glittering/Metallic": "glittering",
    "Mixed solid/pattern": "part-patterned",
    "Other pattern": "other-patterned",
    "Other structure": "textured",
    "Placement print": "printed",
    "Sequin": "sequined",
    "Solid": "",
    "Stripe": "striped",
    "Treatment": "washed-look",
    "Unknown": "",
}
_AUDIENCES = {
    "Ladieswear": "women",
    "Divided": "young women",
    "Menswear": "men",
    "Baby/Children": "children",
    "Sport": "sport",
}

# A sentence of a shop's description that has one of these says what no photo shows.
_UNSEEN = re.compile(
    r"\b(cm|mm|ml|inch|sizes?|organic|recycled|conscious|sustainab\w*|certified|polyester content|cotton content|content of"
    r"|wash(?:ed)? (?:at|before)|upf|uv|nickel|comes? with|included|pack|set of|capacity|moisture|wicking|breathab\w*"
    r"|quick-?dry\w*|made (?:from|partly)|designed for|in collaboration|tencel\w*|lyocell|dimensions?|weight|height|width"
    r"|inner pocket|inside pocket|compartments?|mobile phone|removable inserts that shape)\b"
    r"|[0-9](?!-pocket|/4|-button)(?<!/4)",
    re.IGNORECASE,
)
_UNSEEN_WORDS = re.compile(
    r"\b(organic|recycled|premium|supima|pima|high-quality|exclusive|fully lined|partly lined|unlined)\b\s*",
    re.IGNORECASE,
)
_BRACKETS = re.compile(r"\s*\([^)]*\)")
_LINING_ONLY = re.compile(r"^(un|fully |partly |jersey |mesh |satin )?(lined|lining)( in [a-z ]+)?$", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
# What of a description is worth saying; the rest is detail that a small picture does not carry.
DETAIL_WORDS = 30


@dataclass(frozen=True)
class Words:
    """What is said of one product; ``pattern`` is empty for plain ones, ``audience`` where a photo does not tell."""

    kind: str
    colour: str
    pattern: str
    audience: str
    details: str

    def sentence(self) -> str:
        """Return the answer to the plain prompt: "Dark blue striped T-shirt for men. Round neck and short sleeves."."""
        noun = " ".join(word for word in (self.colour, self.pattern, self.kind) if word)
        who = f" for {self.audience}" if self.audience else ""
        return f"{noun[:1].upper()}{noun[1:]}{who}.{' ' if self.details else ''}{self.details}"

    def json(self) -> str:
        """Return the answer to the structured prompt, its keys in the order of the fields."""
        return json.dumps(
            asdict(self) | {"pattern": self.pattern or "solid", "audience": self.audience or "anyone"},
            ensure_ascii=False,
        )


def words_of(row: Mapping[str, str]) -> Words:
    """Return what to say of a row of an ``items.csv`` (columns type, colour, appearance, audience, description)."""
    return Words(
        kind=kind_word(row["type"]),
        colour=colour_word(row["colour"]),
        pattern=pattern_word(row["appearance"]),
        audience=audience_word(row["audience"]),
        details=visible_details(row["description"]),
    )


def kind_word(kind: str) -> str:
    """Return how a caption says a catalog's type."""
    return _KINDS.get(kind, kind.lower())


def colour_word(colour: str) -> str:
    """Return how a caption says a catalog's colour."""
    return {"Unknown": "", "Other": "multicoloured"}.get(colour, colour.lower())


def pattern_word(appearance: str) -> str:
    """Return how a caption says a catalog's appearance; empty for solid."""
    return _PATTERNS.get(appearance, appearance.lower())


def audience_word(audience: str) -> str:
    """Return how a caption says for whom a product is."""
    return _AUDIENCES.get(audience, audience.lower())


def visible_details(description: str) -> str:
    """Return what a photo can show of a shop's description: at most ``DETAIL_WORDS`` words, whole sentences or clauses."""
    kept: list[str] = []
    room = DETAIL_WORDS
    for sentence in _SENTENCE_END.split(_BRACKETS.sub("", description).strip()):
        text = _UNSEEN_WORDS.sub("", sentence).strip().rstrip(".").strip(" ,")
        if not text or _LINING_ONLY.match(text):
            continue
        if _UNSEEN.search(text):
            # The clauses before the first that no photo shows are still true.
            text = text[: _UNSEEN.search(text).start()].rpartition(",")[0]  # type: ignore[union-attr]
            if len(text.split()) < 3:
                continue
        words = text.split()
        if len(words) > room:
            if kept:
                break
            text = " ".join(words[:room]).rpartition(",")[0] or " ".join(words[:room]).rpartition(" and ")[0]
            if not text:
                break
        kept.append(f"{text[:1].upper()}{text[1:]}.")
        room -= len(text.split())
        if room < 4:
            break
    return " ".join(kept)


@dataclass(frozen=True)
class Vocabulary:
    """The words that captions choose from, to read a caption back."""

    kinds: tuple[str, ...]
    colours: tuple[str, ...]
    patterns: tuple[str, ...]
    audiences: tuple[str, ...] = tuple(_AUDIENCES.values())

    def read(self, caption: str) -> Words:
        """Return what a caption says, field by field; a field it does not say in our words is empty.

        The first sentence is read from its ends: the longest colour at its start, the longest audience at its end, the
        longest kind before that, and a pattern between them. ``pattern`` is ``solid`` where there is nothing between.
        """
        head, _, details = caption.partition(". ")
        head = head.rstrip(".").strip().lower()
        colour = _longest(self.colours, lambda word: head == word or head.startswith(word + " "))
        rest = head[len(colour) :].strip()
        audience = _longest(self.audiences, lambda word: rest.endswith(f" for {word}"))
        if audience:
            rest = rest[: -len(f" for {audience}")]
        kind = _longest(self.kinds, lambda word: rest == word.lower() or rest.endswith(" " + word.lower()))
        rest = rest[: len(rest) - len(kind)].strip()
        pattern = "solid" if kind and not rest else rest if rest in self.patterns else ""
        return Words(kind, colour, pattern, audience, details)


def vocabulary_of(words: Iterable[Words]) -> Vocabulary:
    """Return the words that some captions choose from."""
    some = list(words)
    return Vocabulary(
        *(tuple(sorted({getattr(one, field) for one in some})) for field in ("kind", "colour", "pattern", "audience"))
    )


def _longest(words: tuple[str, ...], fits: object) -> str:
    return max((word for word in words if word and fits(word)), key=len, default="")  # type: ignore[operator]
