"""What may be given as the id of an item, and what may not."""

from __future__ import annotations

from enum import Enum, IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.items import Item, item_id, item_ids


class Number(IntEnum):
    SEVEN = 7


class Name(str, Enum):  # noqa: UP042 (str of it is its name, that of a StrEnum its text)
    SHIRT = "shirt-1"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("shirt-1", "shirt-1"),
        ("", ""),
        (" 7", " 7"),
        (np.str_("shirt-1"), "shirt-1"),
        (7, "7"),
        (-7, "-7"),
        (10**30, "1" + "0" * 30),
        (np.int8(-7), "-7"),
        (np.uint64(2**64 - 1), "18446744073709551615"),
        (Number.SEVEN, "7"),
        (Name.SHIRT, "shirt-1"),
    ],
)
def test_an_id_is_the_text_that_it_stands_for(given: Any, text: str) -> None:
    found = item_id(given)
    assert found == text
    assert type(found) is str


@pytest.mark.parametrize(
    "given",
    [True, np.True_, 5.0, np.float32(5), float("nan"), None, b"7", [7], np.array(7), Item("7", Path("7.jpg"))],
)
def test_another_type_is_no_id_and_the_error_says_which_it_is(given: Any) -> None:
    with pytest.raises(UsageError, match=rf"\({type(given).__name__}\) is not an item id; give ids as texts"):
        item_id(given)


@pytest.mark.parametrize(
    "given",
    [["7", 8], ("7", np.int64(8)), iter(["7", 8]), np.array([7, 8]), np.array(["7", "8"]), {"7": 1, "8": 2}.keys()],
    ids=["list", "tuple", "generator", "integers", "texts", "keys"],
)
def test_ids_come_from_any_iterable_in_its_order(given: Any) -> None:
    assert item_ids(given) == ["7", "8"]


def test_ids_come_from_a_series() -> None:
    pandas = pytest.importorskip("pandas")
    assert item_ids(pandas.Series([7, 8])) == item_ids(pandas.Series(["7", "8"])) == ["7", "8"]


def test_ids_come_from_a_column_of_polars() -> None:
    polars = pytest.importorskip("polars")
    assert item_ids(polars.Series([7, 8])) == item_ids(polars.Series(["7", "8"])) == ["7", "8"]


@pytest.mark.parametrize("given", ["7,8", "", b"7"])
def test_one_text_is_no_list_of_ids(given: Any) -> None:
    with pytest.raises(UsageError, match=r"^Items to deny are a list of ids, not one (text|bytes); give a list"):
        item_ids(given, "Items to deny")


@pytest.mark.parametrize("given", [7, None, 1.5, np.array(7), np.array([[7, 8]]), Item("7", Path("7.jpg"))])
def test_what_is_no_list_is_no_list_of_ids(given: Any) -> None:
    with pytest.raises(UsageError, match=rf"^Items are a list of ids, not one {type(given).__name__}; give a list"):
        item_ids(given)


@pytest.mark.parametrize("package", ["pandas", "polars"])
def test_a_data_frame_is_no_list_of_ids(package: str) -> None:
    frame = pytest.importorskip(package).DataFrame({"id": ["7", "8"]})
    with pytest.raises(UsageError):
        item_ids(frame)
    assert item_ids(frame["id"]) == ["7", "8"]


@pytest.mark.parametrize("given", [["7", None], [[7, 8]], [7.5]])
def test_a_list_with_a_member_that_is_no_id_is_refused(given: Any) -> None:
    with pytest.raises(UsageError, match="is not an item id"):
        item_ids(given)


def test_an_error_does_not_print_a_huge_value() -> None:
    with pytest.raises(UsageError) as caught:
        item_ids([b"x" * 10_000])
    assert len(str(caught.value)) < 200
