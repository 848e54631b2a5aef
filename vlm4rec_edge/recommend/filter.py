"""Which items a filter admits: the tree of ``where`` over dictionary-coded columns.

Every condition is decided once for each distinct value of a column and then looked up for all items, so a filter costs
what its columns' different values cost. Numbers compare as numbers (a value that is none never does), text by code point.
A missing value fulfils nothing but ``is missing``; ``not``, ``!=`` and the other negations admit exactly what their
positive form leaves out, items with a missing value included.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from vlm4rec_edge.columns import MISSING, Column, ItemTable
from vlm4rec_edge.recommend.where import Compare, Contains, Every, Expression, IsMissing, Like, Not, OneOf, Value

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def admitted_by(tree: Expression, table: ItemTable) -> np.ndarray:
    """Return for each item of ``table`` whether it is admitted: shape [items], bool."""
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
    # One entry more, for missing values: their code -1 is its place.
    return np.asarray(np.append(_fulfilled(tree, column), False)[column.codes])


def _fulfilled(condition: Compare | OneOf | Like | Contains, column: Column) -> np.ndarray:
    """Return for each distinct value of a column whether it fulfils a condition: shape [values], bool."""
    if isinstance(condition, Compare):
        return _compared(column, condition.operator, condition.value)
    if isinstance(condition, OneOf):
        return np.asarray(np.any([_compared(column, "=", value) for value in condition.values], axis=0))
    if isinstance(condition, Contains):
        part = condition.text.casefold()
        return _each(column, lambda text: part in text.casefold())
    return _each(column, _like(condition.pattern))


def _compared(column: Column, name: str, value: Value) -> np.ndarray:
    compare = _OPERATORS[name]
    if isinstance(value, str):
        return _each(column, lambda text: compare(text, value))
    return np.asarray(compare(column.numbers, value))


def _each(column: Column, holds: Callable[[str], bool]) -> np.ndarray:
    return np.fromiter(map(holds, column.values), np.bool_, len(column.values))


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
