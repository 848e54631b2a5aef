"""Photos that are named by an address, such as ``s3://bucket/a.jpg``, and the paths that stand for them."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import quote, unquote, unquote_to_bytes, urlsplit

# An address of any kind: of the web, of an object store, of whatever else is no file of this machine.
_ADDRESS = re.compile(r"(?!file:)[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_FILE = re.compile(r"file://", re.IGNORECASE)
# The folder in which addresses stand as such cannot exist: no file system takes this name.
_NOWHERE = "\0addresses"


def is_photo_address(name: str) -> bool:
    """Whether a name is an address, with its ``scheme://``, and no file of this machine."""
    return _ADDRESS.match(name) is not None


def stand_in(address: str) -> Path:
    """Return the path that stands for an address where an item has a path."""
    return Path(_NOWHERE, quote(address, safe=""))


def is_stand_in(photo: Path) -> bool:
    """Whether a path stands for an address."""
    return photo.parts[:1] == (_NOWHERE,)


def address_of(photo: Path) -> str:
    """Return the address for which a path stands; empty if it is a path."""
    return unquote(photo.name) if is_stand_in(photo) else ""


def uri_of(photo: Path) -> str:
    """Return the text that names a photo on every machine: its address, or its absolute path.

    A path that is no Unicode is a ``file://`` address.
    """
    if address := address_of(photo):
        return address
    path = photo.absolute()
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        return path.as_uri()
    return str(path)


def path_of_uri(uri: str) -> Path:
    """Return the path that ``uri_of`` named, or that stands for the address."""
    if _FILE.match(uri):
        return Path(os.fsdecode(unquote_to_bytes(urlsplit(uri).path)))
    return stand_in(uri) if is_photo_address(uri) else Path(uri)
