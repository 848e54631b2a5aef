"""Captioners, encoders and other parts of installed packages, found by name through their entry points.

A package announces one in its ``pyproject.toml``::

    [project.entry-points."vlm4rec_edge.captioners"]
    openai = "my_package:open_captioner"

``--model openai:http://127.0.0.1:8080/v1`` then calls ``open_captioner("http://127.0.0.1:8080/v1")``; without a colon it is
called with an empty text. The groups are ``vlm4rec_edge.captioners``, ``vlm4rec_edge.encoders`` and ``vlm4rec_edge.indexes``.
"""

from __future__ import annotations

from importlib import metadata
from typing import Any

from vlm4rec_edge.errors import ModelError


def open_plugin(group: str, name: str) -> Any | None:
    """Return what the entry point makes that ``name`` (``NAME`` or ``NAME:ARGUMENT``) means, or None if there is none.

    Raises:
        ModelError: it can not be imported.
        Vlm4RecError: as it says itself.
    """
    head, _, argument = name.partition(":")
    for entry in metadata.entry_points(group=f"vlm4rec_edge.{group}", name=head):
        try:
            make = entry.load()
        except Exception as error:
            raise ModelError(f"{head} ({entry.value}) can not be imported: {error}.") from error
        return make(argument)
    return None


def close_model(model: object) -> None:
    """Free a captioner or an encoder, if it is one that holds something."""
    if hasattr(model, "close"):
        model.close()
