"""Product pictures that the project draws itself: under its own licence, and as many as are wanted."""

from drawings.catalog import Drawing, catalog_of_drawings, draw, write_catalog
from drawings.facts import Facts

__all__ = ["Drawing", "Facts", "catalog_of_drawings", "draw", "write_catalog"]
