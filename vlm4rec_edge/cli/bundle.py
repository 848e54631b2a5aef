"""The commands that ship an index: ``bundle`` and ``patch``.

Their ``--json`` documents (a field may be added, none is renamed or removed):

- ``bundle``: ``{"bundle", "items", "bytes", "digest", "without_thumbnail": [id], "delta"}``; with ``--delta`` the last is
  ``{"old", "copied_bytes", "new_bytes"}`` and ``bytes`` are those of the delta, else it is null.
- ``patch``: ``{"bundle", "items", "bytes", "digest"}``
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from vlm4rec_edge.cli import options
from vlm4rec_edge.cli.output import emit_json, note

EXIT_SOME_FAILED = 3
# Ids of items without a picture that are listed on a terminal; all of them are in --json.
_SHOWN = 10


class VectorName(str, Enum):
    """How vectors are stored; ``bundle.vectors.VectorType``, which --help must not import numpy for."""

    float32 = "float32"
    float16 = "float16"
    int8 = "int8"


def bundle(
    index: options.Index,
    out: Annotated[
        Path, typer.Argument(help="Bundle to write: a zip file if it ends in .zip, else a folder.", show_default=False)
    ],
    vectors: Annotated[
        VectorName, typer.Option(help="float16 keeps 99.9 % of the ten best, int8 is half as large and keeps 98 %.")
    ] = VectorName.float16,
    thumbnails: Annotated[
        int | None,
        typer.Option(
            metavar="PIXELS", min=16, max=1024, help="Put in a small picture of each item.", show_default=False
        ),
    ] = None,
    with_encoder: Annotated[bool, typer.Option("--with-encoder", help="Put in the encoder, for text search.")] = False,
    with_lvlm: Annotated[
        bool, typer.Option("--with-lvlm", help="Put in the captioner, for new photos (not into a .zip).")
    ] = False,
    encoder: options.EncoderModel = None,
    model: options.Model = None,
    projector: options.Projector = None,
    delta: Annotated[
        Path | None,
        typer.Option(
            metavar="OLD", help="Write only what is new against this older bundle; see `patch`.", show_default=False
        ),
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Ship an index: one read-only folder or zip file that a device recommends from, without any of the models.

    \b
    Example:
      vlm4rec-edge bundle shop.index shop.zip
      vlm4rec-edge recommend shop.zip --history shirt-1,shoe-7
    """  # noqa: D301 (click reads the control character)
    from vlm4rec_edge.bundle.writer import make_bundle

    report = make_bundle(
        index,
        out,
        vectors=vectors.value,
        thumbnails=thumbnails,
    )
    document = {"bundle": str(out), "items": report.items, "bytes": report.bytes, "digest": report.digest}
    if as_json:
        emit_json({**document, "without_thumbnail": list(report.without_thumbnail), "delta": None})
