"""Which items a filter admits: the tree of ``where`` over dictionary-coded columns.

Every condition is decided once for each distinct value of a column and then looked up for all items, so a filter costs
what its columns' different values cost. Numbers compare as numbers (a value that is none never does, which is told), text by
code point in Unicode's form NFC.
A missing value fulfils nothing but ``is missing``; ``not``, ``!=`` and the other negations admit exactly what their
positive form leaves out, items with a missing value included.
"""

from __future__ import annotations

import operator
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from vlm4rec_edge.columns import MISSING, Column, ItemTable
from vlm4rec_edge.errors import Vlm4RecWarning
from vlm4rec_edge.items import nfc
from vlm4rec_edge.recommend.where import Compare, Contains, Every, Expression, IsMissing, Like, Not, OneOf, Value

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def admitted_by(tree: Expression, table: ItemTable) -> np.ndarray:
    """Return for each item of ``table`` whether it is admitted: shape [items], bool.

    Items that cannot fulfil a comparison with a number because their value is none are reported by a ``Vlm4RecWarning``.
    """
    if isinstance(tree, Not):
        return np.asarray(~admitted_by(tree.part, table))
    if not isinstance(tree, (Compare, OneOf, Like, Contains, IsMissing)):
        parts = [admitted_by(part, table) for part in tree.parts]
        return np.asarray(np.all(parts, axis=0) if isinstance(tree, Every) else np.any(parts, axis=0))
    column = table.column(tree.column)
    if column is None:
        raise KeyError(tree.column)
    if isinstance(tree, IsMissing):
        return np.asarray(column.codes == MISSING)
    if isinstance(tree, Compare) and not isinstance(tree.value, str):
        _tell_what_is_no_number(tree, column)
    # One entry more, for missing values: their code -1 is its place.
    return np.asarray(np.append(_fulfilled(tree, column), False)[column.codes])


def _fulfilled(condition: Compare | OneOf | Like | Contains, column: Column) -> np.ndarray:
    """Return for each distinct value of a column whether it fulfils a condition: shape [values], bool."""
    if isinstance(condition, Compare):
        return _compared(column, condition.operator, condition.value)
    if isinstance(condition, OneOf):
        return np.asarray(np.any([_compared(column, "=", value) for value in condition.values], axis=0))
    if isinstance(condition, Contains):
        part = nfc(condition.text).casefold()
        return _each(column, lambda text: part in text.casefold())
    return _each(column, _like(nfc(condition.pattern)))


def _compared(column: Column, name: str, value: Value) -> np.ndarray:
    compare = _OPERATORS[name]
    if isinstance(value, str):
        wanted = nfc(value)
        return _each(column, lambda text: compare(text, wanted))
    return np.asarray(compare(column.numbers, value))


def _each(column: Column, holds: Callable[[str], bool]) -> np.ndarray:
    return np.fromiter((holds(nfc(text)) for text in column.values), np.bool_, len(column.values))


def _tell_what_is_no_number(condition: Compare, column: Column) -> None:
    is_none = np.isnan(column.numbers)
    if is_none.any():
        present = column.codes[column.codes != MISSING]
        passed_over = int(np.count_nonzero(is_none[present]))
        tell_no_numbers(condition, passed_over, len(present), lambda: column.values[int(np.flatnonzero(is_none)[0])])


def tell_no_numbers(condition: Compare, passed_over: int, present: int, example: Callable[[], str]) -> None:
    """Say how many items a comparison with a number passes over, unless it asks for equality in a column of both kinds.

    Args:
        condition: The comparison.
        passed_over: How many items have a value that is no number.
        present: How many have a value.
        example: Returns such a value.
    """
    if not passed_over or (condition.operator == "=" and passed_over < present):
        return
    warnings.warn(
        f"The filter compares {condition.column} with the number {condition.value:g}, and {passed_over:,} of {present:,} "
        f"values of {condition.column} are no numbers, such as {example()!r}; they never match. Write only numbers into "
        "the catalog's column, or compare it with a text in single quotes.",
        Vlm4RecWarning,
        stacklevel=3,
    )


def compared_with_numbers(tree: Expression) -> Iterator[Compare]:
    """Yield the comparisons of a filter with a number."""
    if isinstance(tree, Not):
        yield from compared_with_numbers(tree.part)
    elif isinstance(tree, Compare):
        if not isinstance(tree.value, str):
            yield tree
    elif not isinstance(tree, (OneOf, Like, Contains, IsMissing)):
        for part in tree.parts:
            yield from compared_with_numbers(part)


def ids_compared(tree: Expression, table: ItemTable) -> list[str]:
    """Return the ids that a filter asks for by ``=``, ``!=`` or ``in``; a number that is no item's id as its digits."""
    found: dict[str, None] = {}
    for value in _values_compared_with_ids(tree):
        if isinstance(value, str):
            found[value] = None
        elif not (table.column("id").numbers == value).any():  # type: ignore[union-attr]  # every table has ids
            found[f"{value:.0f}" if value.is_integer() else repr(value)] = None
    return list(found)


def _values_compared_with_ids(tree: Expression) -> Iterator[Value]:
    if isinstance(tree, Not):
        yield from _values_compared_with_ids(tree.part)
    elif isinstance(tree, Compare) and tree.column == "id" and tree.operator == "=":
        yield tree.value
    elif isinstance(tree, OneOf) and tree.column == "id":
        yield from tree.values
    elif not isinstance(tree, (Compare, OneOf, Like, Contains, IsMissing)):
        for part in tree.parts:
            yield from _values_compared_with_ids(part)


def _like(pattern: str) -> Callable[[str], bool]:
    """Return the test of a pattern. Between ``%`` the leftmost match is always a right one, so nothing is tried twice."""
    first, *rest = [
        re.compile("".join("." if character == "_" else re.escape(character) for character in part), re.I | re.S)
        for part in pattern.split("%")
    ]

    def holds(text: str) -> bool:
        if not rest:
            return first.fullmatch(text) is not None
        match = first.match(text)
        for part in rest[:-1]:
            match = match and part.search(text, match.end())
        if match is None:
            return False
        width = len(pattern.rpartition("%")[2])
        return len(text) - width >= match.end() and rest[-1].fullmatch(text, len(text) - width) is not None

    return holds
