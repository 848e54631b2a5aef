"""Lists on the command line, read alike by every command: commas between the parts, or ``@FILE`` with one part a line.

An option or an argument that takes a list may be given several times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from vlm4rec_edge.errors import UsageError


def split(values: Iterable[str], is_whole: Callable[[str], bool] | None = None) -> list[str]:
    """Return the parts of a list; a value for which ``is_whole`` holds, the id of an item with a comma, is one part."""
    parts: list[str] = []
    for value in values:
        is_plain = "," not in value and not value.startswith("@") and value == value.strip() != ""
        if is_plain or (is_whole is not None and is_whole(value)):
            parts.append(value)
        elif value.startswith("@"):
            lines = Path(value[1:]).read_text(encoding="utf-8-sig", errors="replace").splitlines()
            parts += [line.strip() for line in lines if line.strip()]
        else:
            parts += [part.strip() for part in value.split(",") if part.strip()]
    return parts


def numbers(option: str, values: Iterable[str]) -> list[float]:
    """Return the parts of a list as numbers.

    Raises:
        UsageError: one is none; the message names the option.
    """
    parts = split(values)
    try:
        return [float(part) for part in parts]
    except ValueError:
        raise UsageError(f"{option} {','.join(parts)!r} is not a list of numbers with commas between them.") from None


def times(option: str, values: Iterable[str]) -> list[float]:
    """Return the parts of a list of numbers as they are, and of a list of dates in days.

    Raises:
        UsageError: one is neither; the message names the option.
    """
    from vlm4rec_edge.interactions import Dates

    parts, dates = split(values), Dates()
    try:
        return [dates.number(part) for part in parts]
    except ValueError:
        raise UsageError(
            f"{option} {','.join(parts)!r} is not a list of dates such as 2026-03-31, or of numbers, with commas between them."
        ) from None
