"""What the ids, texts and paths of a catalog may be, each as the sentence on why one may not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

# An id is a key in files, tables and URLs of the user's shop; more is a broken column, not an id.
MAX_ID_CHARACTERS = 512
# Longer paths open no file (PATH_MAX of Linux), and a million folders in one would take minutes to look up.
MAX_PATH_CHARACTERS = 4096
# A cell of more than this is a description pasted as HTML, or an attack; it would be carried through every stage.
MAX_CELL_CHARACTERS = 100_000


def id_trouble(item_id: str) -> str | None:
    """Return a sentence on why a text cannot be the id of an item, or None if it can."""
    if len(item_id) > MAX_ID_CHARACTERS:
        return f"The id that begins {item_id[:40]!r} has more than {MAX_ID_CHARACTERS} characters."
    if any(ord(character) < 32 or ord(character) == 127 for character in item_id):
        return f"The id {item_id!r} holds control characters."
    try:
        item_id.encode("utf-8")
    except UnicodeEncodeError:
        return f"The id {item_id!a} is not valid Unicode."
    return None


def long_text(where: str, title: str, attributes: Mapping[str, str]) -> str | None:
    """Return a sentence on the first text of an item that is too long, or None if there is none."""
    long = [name for name, cell in (("title", title), *attributes.items()) if len(cell) > MAX_CELL_CHARACTERS]
    return f"{where}, column {long[0]}, has more than {MAX_CELL_CHARACTERS:,} characters." if long else None


def path_trouble(image: Path, resolved_root: Path) -> str | None:
    """Say why a catalog may not name this path: a table from a stranger must not read files elsewhere."""
    try:
        target = image.resolve()
    except (OSError, ValueError, RuntimeError) as error:  # a NUL byte, a loop of links
        return f"The image path {str(image)!r} is not usable: {error}."
    if not target.is_relative_to(resolved_root):
        return (
            f"The image {image} lies outside the catalog's folder; copy it there, or name the folder that holds all "
            "photos with --images."
        )
    return None
