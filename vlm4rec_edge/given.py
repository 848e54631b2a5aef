"""What a caller gives as a text, as texts, a number or a path: taken as it is meant, or an error that says what was given."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias, TypeGuard

from vlm4rec_edge.errors import UsageError

# Where an index lies: a path, or the address of a table in a database, which is a text and no path.
Place: TypeAlias = Path | str
# Also one that is written wrong, so that it is refused and not taken for the name of a file.
_ADDRESS = re.compile(r"lancedb(\+[^:/]*)?:", re.IGNORECASE)


def is_table_address(place: Any) -> TypeGuard[str]:
    """Whether a place is the address of a table in a database, such as ``lancedb://shop.lancedb``."""
    return isinstance(place, str) and _ADDRESS.match(place) is not None


def place_of(value: Any, what: str) -> Place:
    """Return where an index lies, as it is given: the address of a table as it is, anything else as a path.

    Raises:
        UsageError: it is neither; an address as a ``Path`` is none any more, for it has lost a slash.
    """
    return str.__str__(value) if is_table_address(value) else path_of(value, what)


def path_of(value: Any, what: str) -> Path:
    """Return a path that is given as a text or as any path object.

    Args:
        value: As it was given.
        what: How an error calls it, as the beginning of a sentence: "The index".

    Raises:
        UsageError: it is neither.
    """
    if isinstance(value, (str, os.PathLike)):
        with_text = os.fspath(value)
        if isinstance(with_text, str):
            if is_table_address(with_text):
                raise UsageError(
                    f"{what} is given by a path here, and {with_text} is the address of a table, which must be given as a "
                    "text where a table is taken. What changes an index takes its folder; `vlm4rec-edge export` then replaces "
                    "the table."
                )
            return Path(str.__str__(with_text))
    raise UsageError(
        f"{what} is given by a path, a text or a pathlib.Path, not by {value!r:.60} ({type(value).__name__})."
    )


def text_of(value: Any, what: str) -> str:
    """Return a text; of NumPy's kind, or of an enumeration, as one of Python's.

    Raises:
        UsageError: it is of another type.
    """
    if isinstance(value, str):
        return str.__str__(value)
    raise UsageError(f"{what} is a text, not {value!r:.60} ({type(value).__name__}).")


def number_of(value: Any, what: str) -> float:
    """Return a number of any kind (NumPy's, a fraction, a decimal).

    Raises:
        UsageError: it is none; a text is none either.
    """
    try:
        if not isinstance(value, (str, bytes)):
            return float(value)
    except (TypeError, ValueError, OverflowError):
        pass
    raise UsageError(f"{what} is a number, not {value!r:.60} ({type(value).__name__}).")


def each_text(values: Any, what: str) -> Iterator[str]:
    """Yield the texts of any iterable, which is read once, in its order.

    Raises:
        UsageError: at once where ``values`` is one text or no iterable; where they come, of members that are no texts.
    """
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable) or getattr(values, "ndim", 1) != 1:
        kind = "text" if isinstance(values, str) else type(values).__name__
        raise UsageError(f"{what} are a list of texts, not one {kind}; put a single one into a list: [text].")
    return (text_of(value, f"Each of the {what[0].lower()}{what[1:]}") for value in values)


def each_path(values: Any, what: str) -> list[Path]:
    """Return the paths of any iterable, which is read once, in its order.

    Raises:
        UsageError: ``values`` is one path or no iterable, or one of its members is not a path.
    """
    if isinstance(values, (str, bytes, Mapping, os.PathLike)) or not isinstance(values, Iterable):
        raise UsageError(
            f"{what} are a list of paths, not one {type(values).__name__}; put a single one into a list: [path]."
        )
    return [path_of(value, f"Each of the {what[0].lower()}{what[1:]}") for value in values]
