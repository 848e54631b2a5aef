"""A filter admits what the same condition, put to each item by itself, admits."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlm4rec_edge.columns import ItemTable, coded
from vlm4rec_edge.recommend.filter import admitted_by
from vlm4rec_edge.recommend.where import parse_where

texts = st.sampled_from(
    ["", "a", "A", "ab", "b", "40", "40.0", "4e1", "-3", "nan", "inf", "1_0", " 7 ", "straße", "a%b"]
)


def _table(values: list[str]) -> ItemTable:
    return ItemTable(np.arange(len(values)), [f"{place:03d}" for place in range(len(values))], {"x": coded(values)})


def _admitted(where: str, values: list[str]) -> list[str]:
    table = _table(values)
    mask = admitted_by(parse_where(where, table.names), table)
    assert (mask.dtype, mask.shape) == (np.bool_, (len(values),))
    return [value for value, admitted in zip(values, mask, strict=True) if admitted]


VALUES = ["", "a", "A", "ab", "40", "40.0", "-3", "n/a", "nan", "b"]


@pytest.mark.parametrize(
    ("where", "admitted"),
    [
        ("x = 40", ["40", "40.0"]),
        ("x = '40'", ["40"]),
        ("x < 41", ["40", "40.0", "-3"]),
        ("x >= -3", ["40", "40.0", "-3"]),
        ("x < '4'", ["-3"]),
        ("x >= 'a'", ["a", "ab", "n/a", "nan", "b"]),
        ("x = 'a'", ["a"]),
        ("x != 'a'", ["", "A", "ab", "40", "40.0", "-3", "n/a", "nan", "b"]),
        ("x in ('a', 40)", ["a", "40", "40.0"]),
        ("x not in ('a', 40)", ["", "A", "ab", "-3", "n/a", "nan", "b"]),
        ("x contains 'A'", ["a", "A", "ab", "n/a", "nan"]),
        ("x like 'a%'", ["a", "A", "ab"]),
        ("x like '_'", ["a", "A", "b"]),
        ("x is missing", [""]),
        ("x is not null and not x like '%a%'", ["40", "40.0", "-3", "b"]),
        ("x = 40 or x = 'b'", ["40", "40.0", "b"]),
        ("id = '003'", ["ab"]),
        ("id > 7", ["nan", "b"]),
    ],
)
def test_numbers_compare_as_numbers_and_text_as_text(where: str, admitted: list[str]) -> None:
    assert _admitted(where, VALUES) == admitted


@given(
    st.lists(texts, max_size=30), st.sampled_from(["x = 40", "x < 'b'", "x in ('a', 7)", "x like 'a%'", "x is null"])
)
def test_not_admits_exactly_the_rest(values: list[str], where: str) -> None:
    admitted, rest = _admitted(where, values), _admitted(f"not {where}", values)
    assert sorted(admitted + rest) == sorted(values)
    if "null" not in where:
        assert "" not in admitted


@given(st.text(alphabet="abAB%_.*\n", max_size=8), st.text(alphabet="abAB.*\n", max_size=8).filter(bool))
def test_like_is_the_pattern_with_its_two_signs(pattern: str, text: str) -> None:
    expression = "".join({"%": ".*", "_": "."}.get(character, re.escape(character)) for character in pattern)
    expected = re.fullmatch(expression, text, re.IGNORECASE | re.DOTALL) is not None
    assert _admitted(f"x like '{pattern}'", [text]) == ([text] if expected else [])


def test_a_pattern_of_many_gaps_is_answered_at_once() -> None:
    """A regular expression of the same meaning would try each gap at each place."""
    assert _admitted(f"x like '{'%a' * 40}%b'", ["a" * 3000]) == []


def test_an_empty_table_admits_nothing() -> None:
    assert _admitted("x = 1 or not x = 1", []) == []
