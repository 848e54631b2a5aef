"""Texts as arrays: UTF-8 bytes end to end with their lengths, and columns that name each different text once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from vlm4rec_edge.errors import BundleError

# Code of an item that has no value in a column; the values are numbered from 1.
ABSENT = 0


class Texts:
    """Texts by position, decoded when they are asked for.

    Raises:
        BundleError: lengths and bytes do not fit, or a text is not UTF-8.
    """

    def __init__(self, lengths: np.ndarray, data: np.ndarray, place: str) -> None:
        # Lengths are stored, not offsets: where one text changes, the lengths of the others stay, and a delta is small.
        self._ends = np.cumsum(lengths, dtype=np.uint64)
        self._data = data.data
        total = int(self._ends[-1]) if len(lengths) else 0
        if total != len(data):
            raise BundleError(f"The texts of {place} do not fill their bytes; get the bundle again.")
        try:
            str(self._data, "utf-8")
        except UnicodeDecodeError as error:
            raise BundleError(f"The texts of {place} are not UTF-8; get the bundle again.") from error
        starts = self._ends[:-1]
        # A text that begins inside a character (a byte 10xxxxxx) would break the one before it as well.
        if len(data) and ((data[starts[starts < len(data)]] & 0xC0) == 0x80).any():
            raise BundleError(f"The texts of {place} are cut inside a character; get the bundle again.")

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, position: int) -> str:
        start = int(self._ends[position - 1]) if position else 0
        return str(self._data[start : int(self._ends[position])], "utf-8")

    def all(self) -> list[str]:
        """Return all texts; several times as fast as one by one."""
        ends = self._ends.tolist()
        whole = str(self._data, "utf-8")
        if len(whole) == len(self._data):  # ASCII: bytes and characters are the same places
            return [whole[start:end] for start, end in zip([0, *ends], ends, strict=False)]
        raw = bytes(self._data)
        return [raw[start:end].decode("utf-8") for start, end in zip([0, *ends], ends, strict=False)]


class Column:
    """One value an item, or none: ``codes`` [items] number the different texts from 1.

    Raises:
        BundleError: a code has no text.
    """

    def __init__(self, codes: np.ndarray, values: Texts, place: str) -> None:
        if len(codes) and int(codes.max()) > len(values):
            raise BundleError(f"{place} refers to a text that is missing; get the bundle again.")
        self.codes = codes
        self.values = values

    def __getitem__(self, item: int) -> str | None:
        code = int(self.codes[item])
        return None if code == ABSENT else self.values[code - 1]


def array_names(name: str, *, coded: bool = False) -> tuple[str, ...]:
    """Return the names of the arrays that ``pack_texts`` makes, or ``pack_column`` if ``coded``."""
    return (f"{name}.lengths", f"{name}.utf8", *((f"{name}.codes",) if coded else ()))


def attribute_section(number: int) -> str:
    """Return what the arrays of a further column are called; its own name, any text, stands in the manifest."""
    return f"attribute.{number}"


def pack_texts(name: str, texts: Iterable[str]) -> dict[str, np.ndarray]:
    """Return the arrays of texts: ``<name>.lengths`` and ``<name>.utf8``."""
    raw = [text.encode("utf-8") for text in texts]
    return {
        f"{name}.lengths": np.array([len(text) for text in raw], dtype="<u4"),
        f"{name}.utf8": np.frombuffer(b"".join(raw), dtype=np.uint8),
    }


def pack_column(name: str, values: Sequence[str | None]) -> dict[str, np.ndarray]:
    """Return the arrays of a column: ``<name>.codes`` and the different texts, in the order they come up first."""
    numbers: dict[str, int] = {}
    codes = [ABSENT if value is None else numbers.setdefault(value, len(numbers) + 1) for value in values]
    return {f"{name}.codes": np.array(codes, dtype=_narrowest(len(numbers))), **pack_texts(name, numbers)}


def open_texts(arrays: Mapping[str, np.ndarray], name: str, place: str) -> Texts:
    """Return the texts that ``pack_texts`` packed under ``name``."""
    return Texts(
        _typed(arrays, f"{name}.lengths", ("<u4",), place), _typed(arrays, f"{name}.utf8", ("|u1",), place), place
    )


def open_column(arrays: Mapping[str, np.ndarray], name: str, items: int, place: str) -> Column:
    """Return the column that ``pack_column`` packed under ``name``.

    Raises:
        BundleError: it is not there, is damaged, or has another number of items.
    """
    codes = _typed(arrays, f"{name}.codes", ("|u1", "<u2", "<u4"), place)
    if len(codes) != items:
        raise BundleError(
            f"The column {name} of {place} has another length than the bundle states; get the bundle again."
        )
    return Column(codes, open_texts(arrays, name, place), place)


def _typed(arrays: Mapping[str, np.ndarray], name: str, dtypes: Sequence[str], place: str) -> np.ndarray:
    found = arrays.get(name)
    if found is None or found.dtype.str not in dtypes:
        raise BundleError(f"{place} lacks the array {name}; get the bundle again.")
    return found


def _narrowest(values: int) -> str:
    return "|u1" if values < 1 << 8 else "<u2" if values < 1 << 16 else "<u4"
