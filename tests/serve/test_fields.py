"""A field reads exactly what its JSON Schema admits, and says what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.serve.fields import Field, Many, Number, read_body, read_query
from vlm4rec_edge.serve.operations import OPERATIONS

FIELDS = {
    f"{operation.name} {field.name}": field
    for operation in OPERATIONS
    for field in (*operation.query, *(operation.body or ()))
}
# Texts of Unicode; JSON Schema has no word for half of a surrogate pair, which is refused.
_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=2),
    max_leaves=5,
)
_LIKELY = st.sampled_from(
    ["learned", "words", "quota", "best", "", "a", 0, 1, 0.5, 1.0, 500, 501, [], ["a"], [1], [""]]
)


@pytest.mark.parametrize("name", FIELDS)
@given(value=_LIKELY | _VALUES)
def test_what_is_read_is_what_the_schema_admits(name: str, value: Any) -> None:
    kind = FIELDS[name].kind
    admitted = Draft202012Validator(kind.schema()).is_valid(value)
    try:
        kind.read(value, "it")
    except UsageError:
        assert not admitted
    else:
        assert admitted


@pytest.mark.parametrize("name", FIELDS)
def test_a_default_is_one_of_its_own_kind(name: str) -> None:
    field = FIELDS[name]
    if field.default is not None:
        assert field.kind.read(field.default, name) == field.default


@pytest.mark.parametrize("text", ["a\ud800", "\udfffb"])
def test_half_of_a_surrogate_pair_is_no_text(text: str) -> None:
    with pytest.raises(UsageError, match="half of a surrogate"):
        FIELDS["recommend text"].kind.read(text, "text")


def test_a_query_is_read_by_its_names_with_defaults() -> None:
    fields = (Field("k", Number(1, 9, whole=True), "How many.", 3), Field("id", Many(Number(0, 9), 2), "Which."))
    assert read_query(fields, [("id", "1"), ("id", "2")]) == {"k": 3, "id": [1, 2]}
    for pairs, said in (
        ([("ids", "1")], "did you mean id"),
        ([("k", "1"), ("k", "1")], "is given twice"),
        ([("k", "x")], "k is a whole number, not 'x'"),
        ([("k", "1.5")], "k is a whole number"),
        ([("k", "nan")], "k is a whole number"),
        ([("id", "1")] * 3, "more than 2 times"),
    ):
        with pytest.raises(UsageError, match=said):
            read_query(fields, pairs)


def test_a_body_is_an_object_of_known_fields_and_null_is_as_good_as_nothing() -> None:
    fields = (Field("q", FIELDS["search q"].kind, "Words.", required=True), Field("k", Number(1, 9), "How many.", 3))
    assert read_body(fields, {"q": "a", "k": None}) == {"q": "a", "k": 3}
    for body, said in (([], "JSON object"), ({}, "q is missing"), ({"q": "a", "z": None}, "no field 'z'")):
        with pytest.raises(UsageError, match=said):
            read_body(fields, body)
