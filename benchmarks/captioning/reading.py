"""From a caption to the values of the catalog's columns that it says, and the columns that are scored."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from words import Vocabulary, audience_word, colour_word, kind_word, pattern_word

from captioning.groups import GROUP_OF_TYPE

# What is scored, and how a table calls it. The last joins Ladieswear and Divided (young women).
COLUMNS = ("kind", "group", "colour", "colour family", "pattern", "audience", "audience, women as one")
# Trousers of denim have a name of their own in English, and none in the catalog.
_JEANS, _JEANS_TYPE, _DENIM = "jeans", "Trousers", "Denim"
# The drawings, which the training sees too, have a plain colour that the catalog only has by finer names.
_DRAWN_FAMILIES: Mapping[str, str] = MappingProxyType({"Brown": "Brown"})


@dataclass(frozen=True)
class Said:
    """What a caption says, in the catalog's own values; a column it does not say in our words is empty."""

    kind: str = ""
    colour: str = ""
    pattern: str = ""
    audience: str = ""
    family: str = ""

    @property
    def is_read(self) -> bool:
        """Whether the first sentence was understood to its last word: kind and pattern, with nothing left over."""
        return bool(self.kind and self.pattern)

    @property
    def columns(self) -> Mapping[str, str]:
        """The scored columns, ``COLUMNS``, by name."""
        return {
            "kind": self.kind,
            "group": GROUP_OF_TYPE.get(self.kind, ""),
            "colour": self.colour,
            "colour family": self.family,
            "pattern": self.pattern,
            "audience": self.audience,
            "audience, women as one": women_as_one(self.audience),
        }


def women_as_one(audience: str) -> str:
    """Return the audience with ``Divided`` (young women) counted as ``Ladieswear``."""
    return "Ladieswear" if audience == "Divided" else audience


class Reader:
    """Reads captions in the words of a catalog: those that training gives its values, or the values in lower case.

    Attributes:
        families: The colour family of each colour.

    Args:
        rows: The catalog that the model learnt from (columns type, colour, colour_family, appearance, audience).
    """

    def __init__(self, rows: Sequence[Mapping[str, str]]) -> None:
        self._kinds = _values(kind_word, (row["type"] for row in rows)) | {_JEANS: _JEANS_TYPE}
        self.families: Mapping[str, str] = {**_DRAWN_FAMILIES, **families_of(rows)}
        self._colours = _values(colour_word, self.families)
        self._patterns = _values(pattern_word, (row["appearance"] for row in rows))
        self._audiences = _values(audience_word, (row["audience"] for row in rows))
        self._vocabulary = Vocabulary(
            tuple(self._kinds), tuple(self._colours), tuple(self._patterns), tuple(self._audiences)
        )

    def read(self, caption: str) -> Said:
        """Return what a caption says."""
        words = self._vocabulary.read(caption)
        pattern = self._patterns.get(words.pattern, "")
        if words.kind == _JEANS and words.pattern == "solid":
            pattern = _DENIM
        colour = self._colours.get(words.colour, "")
        return Said(
            kind=self._kinds.get(words.kind, ""),
            colour=colour,
            pattern=pattern,
            audience=self._audiences.get(words.audience, ""),
            family=self.families.get(colour, ""),
        )


def families_of(rows: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return for each colour of a catalog the family that most of its items have."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        counts[row["colour"]][row["colour_family"]] += 1
    return {colour: families.most_common(1)[0][0] for colour, families in counts.items()}


def _values(word_of: Callable[[str], str], values: Iterable[str]) -> dict[str, str]:
    """Return the catalog's value of each word, in lower case; a training word goes before another value's own name."""
    distinct = sorted(set(values) - {""})
    found = {word_of(value).lower(): value for value in distinct if word_of(value)}
    for value in distinct:
        found.setdefault(value.lower(), value)
    return found
