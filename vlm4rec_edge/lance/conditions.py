"""A filter as a condition of LanceDB's SQL, where one admits exactly the same items."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import assert_never

from vlm4rec_edge.items import nfc
from vlm4rec_edge.lance.columns import ASCII, NFC, TEXTS, attribute_column, number_column
from vlm4rec_edge.recommend.where import Compare, Contains, Every, Expression, IsMissing, Like, Not, OneOf, Some

# An item has no title, or one of spaces.
IS_UNTITLED = "(title IS NULL OR btrim(title) = '')"


@dataclass(frozen=True)
class Conditions:
    """Writes conditions for one version of a table.

    Every condition is true or false of every row and never unknown, so ``not`` admits exactly what its part leaves out. What
    SQL cannot say with the meaning of ``vlm4rec_edge.recommend.filter`` has no condition: numbers among ids, titles and
    captions; any comparison of texts where some text is not in NFC; ``like`` and ``contains``, which disregard case, where
    some text is more than ASCII.

    Attributes:
        form: The farthest form of text that the table holds: ``ASCII``, ``NFC`` or ``ANY``.
    """

    form: int

    def of(self, tree: Expression) -> str | None:
        """Return the condition of a filter, or None if it has none."""
        if isinstance(tree, (Every, Some)):
            parts = [self.of(part) for part in tree.parts]
            word = " AND " if isinstance(tree, Every) else " OR "
            return None if None in parts else f"({word.join(map(str, parts))})"
        if isinstance(tree, Not):
            part = self.of(tree.part)
            return None if part is None else f"(NOT {part})"
        if isinstance(tree, OneOf):
            return self.of(Some(tuple(Compare(tree.column, "=", value) for value in tree.values)))
        if isinstance(tree, Compare):
            return self._compared(tree)
        if isinstance(tree, IsMissing):
            return f"(NOT {_present(tree.column)})"
        if isinstance(tree, (Like, Contains)):
            return self._found(tree)
        assert_never(tree)

    def _compared(self, tree: Compare) -> str | None:
        if isinstance(tree.value, str):
            if self.form > NFC:
                return None
            return (
                f"({_present(tree.column)} AND {_text_column(tree.column)} {tree.operator} {quoted(nfc(tree.value))})"
            )
        if tree.column in TEXTS or not math.isfinite(tree.value):
            return None
        column = f"`{number_column(tree.column)}`"
        return f"({column} IS NOT NULL AND {column} {tree.operator} {tree.value + 0.0!r})"

    def _found(self, tree: Like | Contains) -> str | None:
        wanted = nfc(tree.pattern if isinstance(tree, Like) else tree.text)
        if self.form > ASCII or not wanted.isascii():
            return None
        pattern = wanted.lower().replace("\\", "\\\\")  # which is nothing special in our language
        if isinstance(tree, Contains):
            pattern = "%" + pattern.replace("%", "\\%").replace("_", "\\_") + "%"
        return f"({_present(tree.column)} AND lower({_text_column(tree.column)}) LIKE {quoted(pattern)})"


def quoted(text: str) -> str:
    """Return a text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def _text_column(name: str) -> str:
    return f"`{name if name in TEXTS else attribute_column(name)}`"


def _present(name: str) -> str:
    """Return the condition that an item has a value: as in a table of columns, an empty text is none."""
    column = _text_column(name)
    return f"({column} IS NOT NULL AND {column} <> '')"


def is_no_number(name: str) -> str:
    """Return the condition that an item has a value in an attribute, and the value is no number."""
    return f"({_present(name)} AND `{number_column(name)}` IS NULL)"


def has_value(name: str) -> str:
    """Return the condition that an item has a value in a column."""
    return _present(name)
