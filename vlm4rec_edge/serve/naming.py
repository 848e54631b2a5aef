"""What the page calls the shop that is served."""

from __future__ import annotations

from pathlib import Path

from vlm4rec_edge.demo import INDEX, REPORT
from vlm4rec_edge.given import Place

_SUFFIXES = (".index", ".bundle", ".zip", ".lancedb")


def name_of(place: Place) -> str:
    """Return the name of an index, a bundle or a table: that of its folder, its file or its database, without the suffix.

    The demo gives each index the same name, so one of a demo is called as the folder that was chosen for the demo.
    """
    path = Path(place).resolve() if isinstance(place, Path) else Path(place)
    if path.name == INDEX and (path.parent / REPORT).is_file():
        path = path.parent
    return next((path.name.removesuffix(suffix) for suffix in _SUFFIXES if path.name.endswith(suffix)), path.name)
