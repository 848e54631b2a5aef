"""Where pulled models, and what is remembered between runs, lie on this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

HOME_VARIABLE = "VLM4REC_EDGE_HOME"
_FOLDER = "vlm4rec-edge"


def cache_home() -> Path:
    """Return the only folder outside of those it is given that this package writes to; it may not exist yet.

    ``$VLM4REC_EDGE_HOME`` if that variable is set, else ``vlm4rec-edge`` in the platform's cache folder (``%LOCALAPPDATA%``
    on Windows, ``~/Library/Caches`` on macOS, ``$XDG_CACHE_HOME`` or ``~/.cache`` elsewhere).
    """
    chosen = os.environ.get(HOME_VARIABLE)
    return Path(chosen).expanduser().absolute() if chosen else _platform_cache() / _FOLDER


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
