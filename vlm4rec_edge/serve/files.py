"""The files of the page, as they lie in the package; read once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


@dataclass(frozen=True)
class PageFile:
    """A file: its bytes, its media type, and a text that is another one when the file is."""

    content: bytes
    media_type: str
    tag: str


@cache
def page_files() -> dict[str, PageFile]:
    """Return the files of the page by name; ``index.html`` is the page."""
    found = {}
    for entry in files("vlm4rec_edge.serve").joinpath("page").iterdir():
        kind = entry.name.rpartition(".")[2]
        if kind in _TYPES:
            content = entry.read_bytes()
            found[entry.name] = PageFile(content, _TYPES[kind], hashlib.sha256(content).hexdigest()[:16])
    return found
