"""What the commands print: tables for people, one JSON document for programs, notes on stderr."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from vlm4rec_edge.items import Failure

# Where output is piped there is no width to fit; this keeps a caption on one line.
_WIDTH_WITHOUT_TERMINAL = 160
# Of the text below a row.
_INDENT = "  "

# The exit code beside 0, 1, 2 and that of an interrupt.
EXIT_SOME_FAILED = 3
# What is named of what was left out; all of it is in --json.
_LISTED = 5
# Ids of what was done, or could not be, that a sentence names; all of them are in --json.
_NAMED = 10


def emit_json(document: Any) -> None:
    """Print one JSON document to stdout."""
    typer.echo(json.dumps(document, ensure_ascii=not _takes_unicode(), indent=2))


def tell_left_out(unknown: Sequence[str], hint: str, failures: Sequence[Failure]) -> None:
    """Say on stderr which purchases were left out: those of items that the index does not hold, and rows that are none.

    Args:
        unknown: Ids that the index does not hold.
        hint: A sentence about them, as ``KnownIds.hint`` gives it; empty where there are none.
        failures: The rows.
    """
    if unknown:
        sentence = hint[:1].upper() + hint[1:]
        note(f"Not in the index, and left out: {some_of(unknown, _LISTED)}. {sentence}")
    for failure in failures[:_LISTED]:
        note(f"Left out: {failure.reason}")
    if len(failures) > _LISTED:
        note(f"Left out: {len(failures) - _LISTED:,} more rows; --json lists all.")


def some_of(ids: Sequence[str], most: int = _NAMED) -> str:
    """Return the first of some ids as a sentence names them, and how many more there are."""
    more = f" and {len(ids) - most:,} more" if len(ids) > most else ""
    return printable(", ".join(ids[:most])) + more


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], below: Sequence[str] = ()) -> None:
    """Print a table to stdout; the last column gives way where the terminal is too narrow.

    Args:
        title: A line above it; none if empty.
        columns: Their names.
        rows: The cells of each row.
        below: A text for each row, which is wrapped below it.
    """
    width = table_width()
    cells = [[printable(str(cell)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    rest = width - sum(widths[:-1]) - 2 * (len(widths) - 1)
    widths[-1] = max(min(widths[-1], rest), len(columns[-1]), 12)
    if title:
        styled(title, bold=True)
    styled("  ".join(name.ljust(own) for name, own in zip(columns, widths, strict=True)).rstrip(), dim=True)
    for row, text in zip(cells, below or [""] * len(cells), strict=True):
        row[-1] = row[-1] if len(row[-1]) <= widths[-1] else row[-1][: widths[-1] - 3] + "..."
        typer.echo("  ".join(cell.ljust(own) for cell, own in zip(row, widths, strict=True)).rstrip())
        for line in wrap(printable(text), width - len(_INDENT), break_on_hyphens=False):
            typer.echo(_INDENT + line)


def table_width() -> int:
    """Return how many characters a line of a table may have."""
    width = shutil.get_terminal_size((_WIDTH_WITHOUT_TERMINAL, 24)).columns if sys.stdout.isatty() else 0
    return width or _WIDTH_WITHOUT_TERMINAL


def styled(text: str, *, bold: bool = False, dim: bool = False) -> None:
    """Print a line to stdout, in bold or dim where it is a terminal that can and may do that (https://no-color.org)."""
    is_plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    typer.secho(text, bold=bold or None, dim=dim or None, color=False if is_plain else None)


@contextmanager
def file_to_write(out: Path, suffix: str) -> Iterator[Path]:
    """Yield the path to write: ``out`` or, where that is ``-``, a file whose content then goes to stdout."""
    if str(out) != "-":
        yield out
        return
    with tempfile.TemporaryDirectory(prefix="vlm4rec-edge-") as folder:
        written = Path(folder, f"out{suffix}")
        yield written
        sys.stdout.flush()
        with written.open("rb") as stream:
            shutil.copyfileobj(stream, sys.stdout.buffer)


def note(message: str) -> None:
    """Print a sentence for people to stderr."""
    typer.echo(printable(message), err=True)


def _takes_unicode() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") in {"utf8", "utf16"}


def printable(text: str) -> str:
    """Return a text that cannot steer a terminal: ids and titles come from other people's files."""
    return "".join(character if character.isprintable() else " " for character in text)
