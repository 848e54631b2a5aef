"""A filter is read as it is meant, or refused with the place where it goes wrong; nothing else ever happens."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.recommend.where import (
    Compare,
    Contains,
    Every,
    Expression,
    IsMissing,
    Like,
    Not,
    OneOf,
    Some,
    parse_where,
)

COLUMNS = ["id", "title", "price", "colour name", 'odd "name"', "Größe", "not"]


def _number(value: float) -> str:
    return repr(value)


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _column(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _value(value: str | float) -> str:
    return _text(value) if isinstance(value, str) else _number(value)


def _written(tree: Expression) -> str:
    """The tree in the language, with every parenthesis that it may need."""
    if isinstance(tree, (Every, Some)):
        return f" {'and' if isinstance(tree, Every) else 'OR'} ".join(f"({_written(part)})" for part in tree.parts)
    if isinstance(tree, Not):
        return f"Not ({_written(tree.part)})"
    column = _column(tree.column)
    if isinstance(tree, Compare):
        return f"{column}{tree.operator}{_value(tree.value)}"
    if isinstance(tree, OneOf):
        return f"{column} in ({','.join(map(_value, tree.values))})"
    if isinstance(tree, Like):
        return f"{column} like {_text(tree.pattern)}"
    return f"{column} contains {_text(tree.text)}" if isinstance(tree, Contains) else f"{column} is null"


columns = st.sampled_from(COLUMNS)
values = st.text() | st.floats(allow_nan=False, allow_infinity=False)
conditions = (
    st.builds(Compare, columns, st.sampled_from(["=", "<", "<=", ">", ">="]), values)
    | st.builds(OneOf, columns, st.lists(values, min_size=1, max_size=4).map(tuple))
    | st.builds(Like, columns, st.text())
    | st.builds(Contains, columns, st.text())
    | st.builds(IsMissing, columns)
)
trees: Any = st.recursive(
    conditions,
    lambda below: (
        st.builds(Not, below)
        | st.builds(Every, st.lists(below, min_size=2, max_size=3).map(tuple))
        | st.builds(Some, st.lists(below, min_size=2, max_size=3).map(tuple))
    ),
    max_leaves=12,
)


@given(trees)
def test_every_tree_is_read_back_from_its_text(tree: Expression) -> None:
    assert parse_where(_written(tree), COLUMNS) == tree


@given(st.text(alphabet="abprice0123456789.'\"=<>!(), \n\tandornotilkeß%_-+", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse_where(text, COLUMNS)
    except UsageError as error:
        assert "The filter cannot be read at character" in str(error)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("price < 40", Compare("price", "<", 40.0)),
        ("price<-4.5e1", Compare("price", "<", -45.0)),
        ("price == .5", Compare("price", "=", 0.5)),
        ("title = 'it''s'", Compare("title", "=", "it's")),
        ("price != 1", Not(Compare("price", "=", 1.0))),
        ("price <> 1", Not(Compare("price", "=", 1.0))),
        ("title NOT IN ('a', 2)", Not(OneOf("title", ("a", 2.0)))),
        ("title not like 'a%'", Not(Like("title", "a%"))),
        ("title is not missing", Not(IsMissing("title"))),
        ("title IS NULL", IsMissing("title")),
        ("Größe contains 'x'", Contains("Größe", "x")),
        ('"not" = 1', Compare("not", "=", 1.0)),
        (
            "price = 1 or price = 2 and not price = 3",
            Some(
                (
                    Compare("price", "=", 1.0),
                    Every((Compare("price", "=", 2.0), Not(Compare("price", "=", 3.0)))),
                )
            ),
        ),
        (
            "(price = 1 or price = 2) and price = 3",
            Every((Some((Compare("price", "=", 1.0), Compare("price", "=", 2.0))), Compare("price", "=", 3.0))),
        ),
    ],
)
def test_the_language_means_what_it_says(text: str, tree: Expression) -> None:
    assert parse_where(text, COLUMNS) == tree


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"character 1, its end: expected a column"),
        ("prise < 40", r"character 1, 'prise < 40': there is no column 'prise' among id, .*; did you mean 'price'"),
        ("price < ", r"character 9, its end: expected a number, or a text in single quotes"),
        ("price < forty", r"character 9, 'forty': expected a number, or a text in single quotes"),
        ('title = "red"', r"character 9, '\"red\"': expected a number, or a text in single quotes"),
        ("title = 'red", r"character 9, \"'red\": this quote is never closed"),
        ("title like 4", r"character 12, '4': expected a text in single quotes"),
        ("price < 40 price > 3", r"character 12, 'price > 3': expected 'and', 'or' or the end"),
        ("(price < 40", r"character 12, its end: expected '\)'"),
        ("price in (1, 2", r"expected '\)'"),
        ("price", r"character 6, its end: expected a comparison"),
        ("price is 4", r"expected 'null' or 'missing'"),
        ("price < 40; drop table items", r"character 11, '; drop table items': this is not part of a filter"),
        ("__import__('os')", r"there is no column '__import__'"),
        ("price < 40abc", r"character 9"),
        ("and", r"expected a column"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_where(text, COLUMNS)


@pytest.mark.parametrize("piece", ["not ", "("])
def test_endless_nesting_is_refused_and_a_long_chain_is_not(piece: str) -> None:
    with pytest.raises(UsageError, match="nested more than"):
        parse_where(piece * 100_000 + "price = 1", COLUMNS)
    chain = parse_where(" and ".join(["price = 1"] * 5000), COLUMNS)
    assert isinstance(chain, Every)
    assert len(chain.parts) == 5000
