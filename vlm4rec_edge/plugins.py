"""Captioners, encoders and other parts of installed packages, found by name through their entry points.

A package announces one in its ``pyproject.toml``::

    [project.entry-points."vlm4rec_edge.captioners"]
    openai = "my_package:open_captioner"

``--model openai:http://127.0.0.1:8080/v1`` then calls ``open_captioner("http://127.0.0.1:8080/v1")``; without a colon it is
called with an empty text. The groups are ``vlm4rec_edge.captioners``, ``vlm4rec_edge.encoders`` and ``vlm4rec_edge.indexes``.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from vlm4rec_edge.errors import ModelError, Vlm4RecError


def open_plugin(group: str, name: str, *, members: Collection[str]) -> Any | None:
    """Return what the entry point makes that ``name`` (``NAME`` or ``NAME:ARGUMENT``) means, or None if there is none.

    Args:
        group: ``captioners``, ``encoders`` or ``indexes``.
        name: Before a path that begins like a plug-in, write ``./``.
        members: What it must have to be one of the group.

    Raises:
        ModelError: it can not be imported, fails, or makes something else.
        Vlm4RecError: as it says itself.
    """
    # Looking up entry points imports more than a recommendation needs, and many commands never ask for a plug-in.
    from importlib import metadata

    head, _, argument = name.partition(":")
    for entry in metadata.entry_points(group=f"vlm4rec_edge.{group}", name=head):
        try:
            make = entry.load()
        except (Exception, SystemExit) as error:
            raise ModelError(f"{head} ({entry.value}) can not be imported: {error}.") from error
        try:
            plugin = make(argument)
        except Vlm4RecError:
            raise
        except (Exception, SystemExit) as error:
            raise ModelError(
                f"{head} ({entry.value}) can not be opened with {argument!r}: {type(error).__name__}: {error}."
            ) from error
        if missing := [member for member in members if not hasattr(plugin, member)]:
            raise ModelError(
                f"{head} ({entry.value}) makes a {type(plugin).__name__}, which is none of the {group}: it has no "
                f"{' and no '.join(missing)}."
            )
        return plugin
    return None


def close_model(model: object) -> None:
    """Free a captioner or an encoder, if it is one that holds something."""
    if hasattr(model, "close"):
        model.close()
