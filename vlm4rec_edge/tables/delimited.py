"""CSV, TSV and their kin, read strictly: a quote that does not close costs its own row, and none of those below it.

Python's csv, like most readers, takes everything up to the next quote into one cell, so that one missing quote makes rows
vanish silently. Here such a record is reported with its line, and reading goes on at the line after it.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO

from vlm4rec_edge.tables.encodings import UTF_8, WINDOWS, encoding_of
from vlm4rec_edge.tables.swallowed import Keys

# Python's csv gives up at 128 KiB a cell; rows with longer cells are reported by the reader, not by a traceback.
CELL_LIMIT = 16 * 1024 * 1024
# A quoted cell that goes on for more than this over several lines was never closed: no description is as long.
_SEVERAL_LINES_LIMIT = 1024 * 1024
# Blank lines may stand above the header.
_FIRST_LINES = 20
# What follows is read again after each broken record, so their number bounds the time.
_MOST_BROKEN = 1000
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)  # what Excel writes and heeds
_NAMES = {"utf-16": "UTF-16", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16", "utf-32": "UTF-32", WINDOWS: "Windows-1252"}
_ESCAPED = re.compile("[\udc80-\udcff]")


@dataclass(frozen=True)
class Form:
    """How a table is written: its encoding, its separator, and whether a line ``sep=`` stands above the header."""

    encoding: str
    separator: str
    has_separator_line: bool

    @property
    def separated_by(self) -> str:
        """The separator as a word, for messages."""
        return _SEPARATORS.get(self.separator, repr(self.separator))

    def note(self, usual: str) -> str:
        """Return what is unusual about it, as the end of a sentence, or an empty text."""
        parts = [f"separated by {self.separated_by}"] if self.separator != usual else []
        if self.encoding == WINDOWS:
            parts.append("in Windows-1252, because it is not UTF-8 (save it as UTF-8 if letters come out wrong)")
        elif self.encoding != UTF_8:
            parts.append(f"in {_NAMES[self.encoding]}")
        return " and ".join(parts)


@dataclass(frozen=True)
class Record:
    """A record of the table: the line where it begins, from 1; its cells; or what is wrong with it, after "line 3"."""

    line: int
    cells: Sequence[str]
    trouble: str = ""


def form_of(path: Path, usual: str, is_header: Callable[[Sequence[str]], bool]) -> Form:
    """Find out how a table is written.

    Args:
        path: The file.
        usual: The separator that its name promises.
        is_header: Whether a reader could use a table of these columns. Where no separator gives such a header, the one
            that gives the most columns is taken.

    Raises:
        OSError: it cannot be read.
    """
    encoding = encoding_of(path)
    with path.open(encoding=encoding, errors=_errors(encoding), newline="") as stream:
        first = islice(iter(lambda: stream.readline(_SEVERAL_LINES_LIMIT), ""), _FIRST_LINES)
        lines = [line for line in first if line.strip()]
    if lines and (given := _SEPARATOR_LINE.fullmatch(lines[0])):
        return Form(encoding, given[1], has_separator_line=True)
    headers = {separator: _header(lines, separator) for separator in dict.fromkeys((usual, *_SEPARATORS))}
    good = [separator for separator, header in headers.items() if is_header(header)]
    return Form(encoding, (good or sorted(headers, key=lambda each: -len(headers[each])))[0], has_separator_line=False)


def _header(lines: Iterable[str], separator: str) -> list[str]:
    csv.field_size_limit(CELL_LIMIT)
    try:
        return next(csv.reader(lines, delimiter=separator), [])
    except csv.Error:
        return []


def _errors(encoding: str) -> str:
    # With surrogateescape a bad row can be found and the others read; UTF-16 has no such way.
    return "surrogateescape" if encoding in {UTF_8, WINDOWS} else "replace"


class _TooLongError(Exception):
    """A record that goes on for too long."""


class _Long(str):
    """The beginning of a line that is longer than ``CELL_LIMIT``; its rest is not kept."""

    __slots__ = ()


def _lines(stream: IO[str]) -> Iterator[str]:
    """Yield the lines of a stream; no more than ``CELL_LIMIT`` of one is held."""
    while line := stream.readline(CELL_LIMIT):
        if len(line) < CELL_LIMIT or line.endswith(("\n", "\r")):
            yield line
            continue
        while (rest := stream.readline(CELL_LIMIT)) and not rest.endswith(("\n", "\r")):
            pass
        yield _Long(line)


class _Source:
    """Lines for a csv reader, which remembers those of the current record and can give all but the first out again."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._again: deque[str] = deque()
        self.taken: list[str] = []
        self._characters = 0
        self.line = 1

    def __iter__(self) -> _Source:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._lines)
        self.taken.append(line)
        self._characters += len(line)
        if isinstance(line, _Long) or (len(self.taken) > 1 and self._characters > _SEVERAL_LINES_LIMIT):
            raise _TooLongError
        return line

    def begin(self) -> None:
        """Forget the record that was read; the next begins."""
        self.line += len(self.taken)
        self.taken, self._characters = [], 0

    def give_back(self) -> None:
        """Give out again all lines of the record but its first."""
        self._again.extendleft(reversed(self.taken[1:]))
        del self.taken[1:]


def read_records(path: Path, form: Form, keys: Callable[[Sequence[str]], Sequence[int]]) -> Iterator[Record]:
    """Yield the records of a table, its header first; lines without any text are left out.

    Args:
        path: The file.
        form: What ``form_of`` found.
        keys: Given the header, the places of the columns that every row must fill, the id first; they reveal rows that a
            quote swallowed.

    Raises:
        OSError: it cannot be read.
    """
    csv.field_size_limit(CELL_LIMIT)
    with path.open(encoding=form.encoding, errors=_errors(form.encoding), newline="") as stream:
        source = _Source(_lines(stream))
        reader = csv.reader(source, delimiter=form.separator, strict=True)
        known: Keys | None = None
        width, usual = 0, set[int]()
        broken, skip = 0, form.has_separator_line
        while (taken := _next(reader, source)) is not None:
            cells, trouble = taken
            text = "".join(cells)
            is_filled = bool(text) and not text.isspace()
            if known and not trouble and is_filled:
                trouble = _misread(cells, source, width, usual, known)
            if trouble and len(source.taken) > 1:
                broken += 1
                source.give_back()
            elif _is_damaged(text, form.encoding):
                trouble = f"is not {_NAMES.get(form.encoding, 'UTF-8')}; save the table as UTF-8."
            elif "\x00" in text:
                trouble = "holds NUL bytes; is it UTF-16? Save the table as UTF-8."
            if skip and cells:
                skip = False
            elif trouble or is_filled or (cells and known is None):
                yield Record(source.line, [] if trouble else cells, trouble)
                if known is None:
                    known = Keys(cells, keys(cells), form.separator)
                    width = max((number for number, cell in enumerate(cells, start=1) if cell.strip()), default=0)
                    usual |= {width, len(cells)}
                elif not trouble:
                    known.learn(cells)
                    if not any('"' in line for line in source.taken):
                        usual.add(len(cells))
            source.begin()
            if broken > _MOST_BROKEN:
                yield Record(
                    source.line, [], "and all lines below it are not read: too many quotes above do not close."
                )
                return


def _next(reader: Iterator[list[str]], source: _Source) -> tuple[list[str], str] | None:
    """Return the cells of the next record and what is wrong with it; None at the end."""
    try:
        return next(reader), ""
    except StopIteration:
        return None
    except _TooLongError:
        return [], _unclosed(source)
    except csv.Error as error:
        several = len(source.taken) > 1 or "end of data" in str(error)
        return [], _unclosed(source) if several else _wrong(error)


def _is_damaged(text: str, encoding: str) -> bool:
    return bool(_ESCAPED.search(text)) or (encoding not in {UTF_8, WINDOWS} and "\ufffd" in text)


def _wrong(error: csv.Error) -> str:
    if "expected after" in str(error):
        return "has text behind a closing quote; write a quote that belongs to a cell twice."
    return f"is not CSV: {error}."


def _unclosed(source: _Source) -> str:
    if isinstance(source.taken[0], _Long):
        return f"has more than {CELL_LIMIT:,} characters."
    return "has a quote that is not closed; close it, or write a quote that belongs to a cell twice."


def _misread(cells: Sequence[str], source: _Source, width: int, usual: Collection[int], keys: Keys) -> str:
    """Say what shows that quotes of a record are wrong though it is well-formed; an empty text if nothing does.

    Args:
        cells: The record.
        source: Where it was read from.
        width: The number of columns.
        usual: How many cells records have that hold no quotes; empty ones behind the last column are common.
        keys: What keys look like.
    """
    is_quoted = any('"' in line for line in source.taken)
    if len(cells) < width or any(map(str.strip, cells[width:])) or (is_quoted and len(cells) not in usual):
        return f"has {len(cells)} cells, the header has {width}{'; is a quote missing?' if is_quoted else '.'}"
    if len(source.taken) > 1 and (row := keys.row_in(cells)) is not None:
        return f"holds what looks like further rows, at line {source.line + row}; is a quote missing?"
    if len(source.taken) > 1 and keys.go_on_over_lines(cells):
        return "has an id of several lines; is a quote missing?"
    if is_quoted and keys.hold_a_quote(cells, "".join(source.taken)):
        return "has a quote in its id or its photo; remove it, or write it twice in a quoted cell."
    if is_quoted and keys.hold_further_cells(cells):
        return "has an id that holds what looks like further cells; is a quote missing?"
    return ""
