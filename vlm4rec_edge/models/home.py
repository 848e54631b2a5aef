"""Where pulled models, and what is remembered between runs, lie on this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from vlm4rec_edge.errors import UsageError

HOME_VARIABLE = "VLM4REC_EDGE_HOME"
_FOLDER = "vlm4rec-edge"


def cache_home() -> Path:
    """Return the only folder outside of those it is given that this package writes to; it may not exist yet.

    ``$VLM4REC_EDGE_HOME`` if that variable is set, else ``vlm4rec-edge`` in the platform's cache folder (``%LOCALAPPDATA%``
    on Windows, ``~/Library/Caches`` on macOS, ``$XDG_CACHE_HOME`` or ``~/.cache`` elsewhere).

    Raises:
        UsageError: the system does not know a home folder, of this user or of the one that the variable names.
    """
    chosen = os.environ.get(HOME_VARIABLE)
    try:
        return Path(chosen).expanduser().absolute() if chosen else _platform_cache() / _FOLDER
    except RuntimeError:
        raise UsageError(
            f"No home folder is known here{f' for {chosen}' if chosen else ''}; set {HOME_VARIABLE} to a folder for models."
        ) from None


def models_home() -> Path:
    """Return the folder that holds one folder a pulled model, ``models`` in ``cache_home``; it may not exist yet."""
    return cache_home() / "models"


def _platform_cache() -> Path:
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return Path(local) if local else Path.home() / "AppData" / "Local"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    cache = os.environ.get("XDG_CACHE_HOME")
    # The XDG specification asks that a relative path be ignored.
    return Path(cache) if cache and Path(cache).is_absolute() else Path.home() / ".cache"
