"""The text that a value stands for: a cell of a file, or what a program gives in a data frame or an item."""

from __future__ import annotations

import json
from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import Any

import numpy as np

from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.items import item_id

_KNOWN = (str, bool, int, float, list, tuple, dict, date, time, timedelta, Decimal, PurePath)
# From here on a float no longer distinguishes neighbouring whole numbers.
_INEXACT = 2.0**53
# What ``given_text`` raises, of JSON's own: a number of 5,000 digits, keys that are no texts, a circle.
NOT_TEXT = (UsageError, TypeError, ValueError, RecursionError)


def text_of(value: Any) -> str:
    """Return a cell as text: null and not-a-number are empty, dates as they are read, the rest as JSON writes it."""
    if value is None or value != value:  # noqa: PLR0124 (only NaN differs from itself)
        return ""
    is_json = isinstance(value, (bool, int, float, list, tuple, dict))
    text = json.dumps(value, ensure_ascii=False, default=str) if is_json else str(value)
    return whole(str.__str__(value) if isinstance(value, str) else text)  # that of an enumeration is the text it is


def whole(text: str) -> str:
    """Return a text without halves of surrogate pairs: JSON may spell them, and no UTF-8 file or database can hold them."""
    return text.encode("utf-8", "replace").decode("utf-8")


def given_text(name: str, value: Any) -> str:
    """Return the text of a value that a program gave in the column ``name``; of ``id`` as ``item_id`` takes it.

    None, NaN and pandas' own missing values are empty. ``5.0`` is ``5``, in every column, because pandas turns whole numbers
    with gaps among them into floats; from 2**53 on, where floats skip numbers, it is no id.

    Raises:
        One of ``NOT_TEXT``: the value stands for no text (bytes, an object).
    """
    if value is None or type(value).__name__ == "NAType":  # pandas.NA, which cannot be compared
        return ""
    if isinstance(value, (np.number, np.bool_, np.ndarray)):
        value = value.tolist()
    if isinstance(value, float) and value.is_integer() and abs(value) < _INEXACT:
        value = int(value)
    if not isinstance(value, _KNOWN):
        kind = type(value).__name__
        raise UsageError(f"column {name!r} holds a value of the type {kind}; give text, a number, a date or a list.")
    text = text_of(value)
    return whole(item_id(value)) if name == "id" and text else text
