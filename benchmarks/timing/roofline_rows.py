"""The table of a roofline: the least time beside the measured one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from timing.spread import spread


def rows_of(figures: Sequence[Mapping[str, Any]], named: Sequence[str], *, digits: int) -> list[dict[str, str]]:
    """Return a row for each figure.

    Args:
        figures: Each with ``least_s`` and the ``seconds`` of each run; where they are counted, also with ``operations``,
            ``bytes`` and what it is ``bound_by``.
        named: The keys that say what a figure is of; the first columns.
        digits: Of the milliseconds, behind the point.
    """
    return [_row(own, named, digits) for own in figures]


def _row(own: Mapping[str, Any], named: Sequence[str], digits: int) -> dict[str, str]:
    measured, is_counted = spread(own["seconds"]), "operations" in own
    row = {name: str(own[name]) for name in named}
    if is_counted:
        row |= {"million operations": f"{own['operations'] / 1e6:,.0f}", "MB": f"{own['bytes'] / 1e6:.2f}"}
    row["least time, ms"] = f"{own['least_s'] * 1e3:,.{digits}f}"
    if is_counted:
        row["bound by"] = own["bound_by"]
    row["measured, ms"] = measured.text(1e3, digits)
    if is_counted:
        row["billion operations/s"] = f"{own['operations'] / measured.median / 1e9:.0f}"
    row["share of the least time"] = f"{own['least_s'] / measured.median:.0%}"
    return row
