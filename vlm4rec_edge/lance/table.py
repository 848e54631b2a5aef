"""The items of a table as columns, each read when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, overload

import numpy as np

from vlm4rec_edge.columns import MISSING, Column, ItemTable
from vlm4rec_edge.lance.columns import ID, attribute_column

# What an attribute may be called without hiding a column of every table.
_OWN = ("title", "caption")


def lazy_table(count: int, attributes: Sequence[str], read: Callable[[str], Any]) -> ItemTable:
    """Return the items of a table, one a row, as columns that are read one by one.

    Args:
        count: How many items there are.
        attributes: The names of the attributes.
        read: Returns a column of the table as an Arrow array of texts, in the order of the rows.
    """
    names = {name: name for name in _OWN} | {name: attribute_column(name) for name in attributes if name not in _OWN}
    return ItemTable(np.arange(count, dtype=np.int64), _Ids(count, read), _Columns(names, read))


class _Columns(Mapping[str, Column]):
    """Columns by name, read when they are asked for, and kept."""

    def __init__(self, names: Mapping[str, str], read: Callable[[str], Any]) -> None:
        self._names = names
        self._read = read
        self._known: dict[str, Column] = {}

    def __getitem__(self, name: str) -> Column:
        if name not in self._known:
            self._known[name] = _coded(self._read(self._names[name]))
        return self._known[name]

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class _Ids(Sequence[str]):
    """The ids, kept as Arrow holds them: a fifth of the memory of as many Python texts."""

    def __init__(self, count: int, read: Callable[[str], Any]) -> None:
        self._count = count
        self._read = read
        self._known: Any = None

    def _texts(self) -> Any:
        if self._known is None:
            self._known = self._read(ID)
        return self._known

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            return [str(text) for text in self._texts()[place].to_pylist()]
        return str(self._texts()[place].as_py())

    def __iter__(self) -> Iterator[str]:
        return (str(text.as_py()) for text in self._texts())

    def __len__(self) -> int:
        return self._count


def _coded(texts: Any) -> Column:
    """Return an Arrow array of texts as a dictionary-coded column; null and the empty text are no value."""
    coded = texts.dictionary_encode()
    values = coded.dictionary.to_pylist()
    codes = coded.indices.fill_null(MISSING).to_numpy(zero_copy_only=False).astype(np.int32)
    if "" in values:
        empty = values.index("")
        codes[codes == empty] = MISSING
        codes[codes > empty] -= 1
        del values[empty]
    return Column(values, codes)
