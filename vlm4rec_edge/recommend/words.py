"""Informative words and phrases: what two captions share that not every caption says."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Set
from functools import lru_cache

from vlm4rec_edge.columns import ItemTable
from vlm4rec_edge.encoding.text import EncodedText, text_of_item

_WORD = re.compile(r"[^\W\d_]+(?:[-'][^\W\d_]+)*")
# A word that stands in so large a part of all captions says nothing about one of them.
_TOO_COMMON = 0.5
# Shorter words are articles and the like; the function words of English, the language of the captions, are listed, since
# in a small catalog they need not be common.
_SHORTEST = 3
_ENGLISH = (
    "about all also and any are but can for from has have her his into its may more not off one other our out over she "
    "some such suits than that the their them then there these they this those through too two very was well were what "
    "when which while who will with would you your"
)
_FUNCTION_WORDS = frozenset(_ENGLISH.split())
# Words of a phrase; more are half a sentence.
_LONGEST_PHRASE = 4


class InformativeWords:
    """How informative each word of a catalog's texts is: its inverse document frequency, idf = ln(items / items with it).

    Source: K. Spaerck Jones, "A statistical interpretation of term specificity and its application in retrieval",
    Journal of Documentation 28, 1972. A word counts once in a caption, however often it stands there.
    """

    def __init__(self, texts: Iterable[tuple[str, int]]) -> None:
        """Count the words of ``texts``, pairs of a text and how many items have it."""
        self._items = 0
        self._items_with: Counter[str] = Counter()
        for text, items in texts:
            self._items += items
            for word in words_of(text):
                self._items_with[word] += items
        # Computed once: explaining ten recommendations compares fifty pairs of captions.
        self._idf = {word: self.idf(word) for word in self._items_with}
        self._common = {word for word, items in self._items_with.items() if items > _TOO_COMMON * self._items}

    def shared(self, first: str, second: str, count: int | None = None) -> tuple[str, ...]:
        """Return up to ``count`` informative words of both texts, or all of them, the most informative first."""
        both = words_of_shown(first) & words_of_shown(second)
        told = sorted((-(self._idf.get(word) or self.idf(word)), word) for word in both - self._common)
        return tuple(word for _, word in told[:count])

    def shared_phrases(self, first: str, second: str, count: int | None = None) -> tuple[str, ...]:
        """Return up to ``count`` phrases of both texts, or all of them, the most informative first.

        A phrase is one informative word or several side by side, and as informative as all of them together: "rounded hem"
        says more than "hem". A word is in one phrase at most.

        Source: S. Rose et al., "Automatic keyword extraction from individual documents", Text Mining, 2010 (RAKE), with the
        inverse document frequency as the score of a word.
        """
        both = phrases_of_shown(first) & phrases_of_shown(second)
        scores = {phrase: sum(self._idf.get(word) or self.idf(word) for word in set(phrase)) for phrase in both}
        told: list[str] = []
        seen = set(self._common)
        for phrase in sorted(scores, key=lambda phrase: (-scores[phrase], phrase)):
            if seen.isdisjoint(phrase):
                told.append(" ".join(phrase))
                seen.update(phrase)
        return tuple(told[:count])

    def idf(self, word: str) -> float:
        """Return the inverse document frequency of a word in lower case; of an unknown one as if one item had it."""
        return math.log(max(self._items, 1) / max(self._items_with[word], 1))


def words_of(text: str) -> Set[str]:
    """Return the different words of a text, in lower case, without the shortest and the function words."""
    words = {word.lower() for word in _WORD.findall(text)}
    return {word for word in words if _says_something(word)}


def phrases_of(text: str) -> Set[tuple[str, ...]]:
    """Return the phrases of a text: each of its words, and up to four side by side that nothing but blanks stands between."""
    phrases: set[tuple[str, ...]] = set()
    run: list[str] = []
    end = 0
    for match in _WORD.finditer(text):
        word = match[0].lower()
        if text[end : match.start()].strip() or not _says_something(word):
            run = []
        if _says_something(word):
            run = [*run, word][-_LONGEST_PHRASE:]
            phrases.update(tuple(run[start:]) for start in range(len(run)))
        end = match.end()
    return phrases


def _says_something(word: str) -> bool:
    return len(word) >= _SHORTEST and word not in _FUNCTION_WORDS


# The texts of one history are compared with every item that is shown.
words_of_shown = lru_cache(4096)(words_of)
phrases_of_shown = lru_cache(512)(phrases_of)  # each takes some 20 kB


def marked(text: str, words: Collection[str]) -> list[tuple[str, bool]]:
    """Return a text in pieces, each with whether it is one of some words; words are in lower case, as ``shared`` has them."""
    pieces, end = [], 0
    for match in _WORD.finditer(text):
        if match[0].lower() in words:
            pieces += [(text[end : match.start()], False), (match[0], True)]
            end = match.end()
    return [piece for piece in (*pieces, (text[end:], False)) if piece[0]]


def words_of_table(table: ItemTable, kind: EncodedText) -> InformativeWords:
    """Return the words of all items of a table, counted in the texts that were encoded."""
    titles, captions = ([*column.values, ""] for column in (table.columns["title"], table.columns["caption"]))
    pairs = zip(table.columns["title"].codes.tolist(), table.columns["caption"].codes.tolist(), strict=True)
    # The code of a missing value is -1, the place of the empty text.
    texts = (text_of_item(kind, title=titles[title], caption=captions[caption]) for title, caption in pairs)
    return InformativeWords(Counter(texts).items())
