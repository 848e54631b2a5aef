"""Distinguish a text of several lines from rows that a stray quote made part of a cell.

The cells that every row fills, its keys (an id, a photo), give a swallowed row away. Let a cell of several lines be the n-th
of its record, and let it begin in one row and end in a later one. If the record has as many cells as the header, the cell
holds the first n - 1 cells of the later row, and the cells of the earlier one that come after the n-th. So it holds every
key that is not its own column, with a separator beside it, wherever the quotes are that were added. A text is told from that
by the space that is written after a comma, and by the kind of the key: a photo has a suffix, many ids are numbers.

What it cannot detect: a row whose photo has no suffix where those above have one, and one in which several quotes took the
place of the photo's own characters and of the separators beside it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_LINE_END = re.compile(r"\r\n|\r|\n")
_NUMBER = re.compile(r"[\d.:+\-/TZ]+")
_WORD = re.compile(r"\S+")
_TEXT = re.compile(r".+")
# A photo or an address, which may hold spaces; an element of HTML is none.
_FILE = re.compile(r"[^<]*?(?:\.[A-Za-z]\w{1,4}(?!\w)|://).*")


class Keys:
    """The cells that every row fills, as they are in the rows read so far.

    Args:
        header: The names of the columns.
        places: Those of the keys, that of the id first.
        separator: What stands between cells.
    """

    def __init__(self, header: Sequence[str], places: Sequence[int], separator: str) -> None:
        self._separator = separator
        self._has_spaces = any(name[:1].isspace() for name in header[1:])
        self._kinds: dict[int, re.Pattern[str] | None] = dict.fromkeys(places)

    def learn(self, cells: Sequence[str]) -> None:
        """Take the cells of a row as examples; one that spans lines is none."""
        for place, known in self._kinds.items():
            cell = cells[place].strip() if place < len(cells) else ""
            if cell and not (known and known.fullmatch(cell)) and not _LINE_END.search(cell):
                self._kinds[place] = _common(known, cell)

    def row_in(self, cells: Sequence[str]) -> int | None:
        """Return where in a record of several lines another row seems to be: the number of the line, from 0; else None."""
        line = 0
        for place, cell in enumerate(cells):
            lines = _LINE_END.split(cell)
            if len(lines) > 1:
                # Before the first row the record itself is the example, and a bad one if it was misread: a photo counts too.
                is_first = None in self._kinds.values()
                kinds = {other: kind or _common(None, cells[other].strip()) for other, kind in self._kinds.items()}
                own = kinds.pop(place, None)
                for number, text in enumerate(lines, start=line):
                    parts = text.split(self._separator)
                    of_photos = own is _FILE or (is_first and own is not None)
                    if (
                        self._is_row(parts, [*kinds.values()])
                        or (of_photos and self._is_no_list(parts))
                        or (is_first and not of_photos and self._is_row(parts, [_FILE]))
                    ):
                        return number
            line += len(lines) - 1
        return None

    def go_on_over_lines(self, cells: Sequence[str]) -> bool:
        """Whether the first key, an id, goes on over several lines: none does, so quotes put lines into it."""
        return any(place < len(cells) and _LINE_END.search(cells[place].strip()) for place in [*self._kinds][:1])

    def hold_a_quote(self, cells: Sequence[str], written: str) -> bool:
        """Whether a key holds a quote that was not ``written`` twice, as one that belongs to it is: it was left over."""
        keys = [cells[place] for place in self._kinds if place < len(cells)]
        return any('"' in key and key.replace('"', '""') not in written for key in keys)

    def hold_further_cells(self, cells: Sequence[str]) -> bool:
        """Whether a key that is no photo holds a photo behind a separator: cells of its own row that a quote made one."""
        own = [cells[place] for place, kind in self._kinds.items() if kind is not _FILE and place < len(cells)]
        if all(kind is _FILE for kind in self._kinds.values()) or len(self._kinds) < 2:
            return False
        return any(
            len(parts := cell.split(self._separator)) > 1
            and any(_is(_FILE, part) and " " not in part for part in parts)
            for cell in own[:1]
        )

    def _is_row(self, parts: Sequence[str], kinds: Sequence[re.Pattern[str]]) -> bool:
        if len(parts) == 1 or not kinds:
            return False
        beside = [part for number, part in enumerate(parts) if part.strip('" ') and self._is_joined(parts, number)]
        if _FILE in kinds:
            return any(_is(_FILE, part) for part in beside)
        return len(beside) >= max(2, len(kinds)) and all(any(_is(kind, part) for part in beside) for kind in kinds)

    def _is_no_list(self, parts: Sequence[str]) -> bool:
        """Whether a line of a cell for photos holds something else beside a photo; its last separator may end the line."""
        photos = [_is(_FILE, part) for part in (parts if parts[-1] else parts[:-1])]
        return any(photos) and not all(photos)

    def _is_joined(self, parts: Sequence[str], number: int) -> bool:
        """Whether no space follows the separator before a part; at the start of a line the one after it, or it is a file."""
        if number == 0 and _is(_FILE, parts[0]) and " " not in parts[0]:
            return True
        return self._has_spaces or not parts[max(number, 1)][:1].isspace()


def _is(kind: re.Pattern[str], part: str) -> bool:
    """Whether a part is of a kind, with a quote as something that was added, or that stands for another character."""
    return bool(kind.fullmatch(part) or kind.fullmatch(part.replace('"', "")))


def _common(known: re.Pattern[str] | None, cell: str) -> re.Pattern[str]:
    """Return the narrowest kind that a cell has, and those before it had."""
    cell = cell.replace('"', "")
    if _FILE.fullmatch(cell) and known in {None, _FILE}:
        return _FILE
    kinds = (_NUMBER, _WORD, _TEXT)
    first = kinds.index(known) if known in kinds else (0 if known is None else 1)
    return next((kind for kind in kinds[first:] if kind.fullmatch(cell)), _TEXT)
