"""Packages that only some work needs."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from vlm4rec_edge.errors import MissingDependencyError


def optional(module: str, need: str, extra: str, alternative: str = "") -> Any:
    """Import a module of a package that may not be installed, and return it.

    Raises:
        MissingDependencyError: it is not; the sentence is ``need`` ("Reading photos needs Pillow"), and the command that
            installs it with our ``extra``, or by ``alternative``.
    """
    try:
        return import_module(module)
    except ImportError:
        raise MissingDependencyError(f'{need}: pip install "vlm4rec-edge[{extra}]"{alternative}') from None
