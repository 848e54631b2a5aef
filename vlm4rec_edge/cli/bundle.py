"""The commands that ship an index: ``bundle`` and ``patch``.

Their ``--json`` documents are described in ``vlm4rec_edge/documents``.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from vlm4rec_edge.cli import options
from vlm4rec_edge.cli.output import EXIT_SOME_FAILED, emit_json, note, some_of
from vlm4rec_edge.errors import UsageError


class VectorName(StrEnum):
    """How vectors are stored; ``bundle.vectors.VectorType``, which --help must not import numpy for."""

    float32 = "float32"
    float16 = "float16"
    int8 = "int8"


def bundle(
    index: options.Index,
    out: Annotated[
        Path,
        typer.Argument(
            metavar="BUNDLE",
            help="The bundle to write: a zip file if it ends in .zip, else a folder.",
            show_default=False,
        ),
    ],
    vectors: Annotated[
        VectorName,
        typer.Option(
            help="How vectors are stored. float16 keeps 98 to 99.9 % of the ten best items; int8 is half as large and keeps "
            "95 to 98 %."
        ),
    ] = VectorName.float16,
    thumbnails: Annotated[
        int | None,
        typer.Option(
            metavar="PIXELS",
            min=16,
            max=1024,
            help="Include a small picture of each item, with so many pixels on its longer side.",
            show_default=False,
        ),
    ] = None,
    with_encoder: Annotated[
        bool, typer.Option("--with-encoder", help="Include the text encoder, for search by words.")
    ] = False,
    with_lvlm: Annotated[
        bool, typer.Option("--with-lvlm", help="Include the vision-language model, for new photos (not in a .zip).")
    ] = False,
    encoder: options.EncoderModel = None,
    model: options.Model = None,
    projector: options.Projector = None,
    delta: Annotated[
        Path | None,
        typer.Option(
            metavar="OLD", help="Write only the difference from this older bundle, for `patch`.", show_default=False
        ),
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Make a bundle of an index: a read-only folder or zip file to recommend from on a device, without any model.

    \b
    Example:
      vlm4rec-edge bundle shop.index shop.zip
      vlm4rec-edge recommend shop.zip --history shirt-1,shoe-7
    """  # noqa: D301 (click reads the control character)
    from vlm4rec_edge.bundle.delta import make_delta
    from vlm4rec_edge.bundle.writer import make_bundle

    settings = {
        "vectors": vectors.value,
        "thumbnails": thumbnails,
        **_models(index, encoder, model, projector, with_encoder, with_lvlm),
    }
    made = None if delta is None else make_delta(index, out, delta, **settings)
    report = made.bundle if made else make_bundle(index, out, **settings)
    if as_json:
        emit_json((made or report).to_dict())
    else:
        what = "a bundle" if made is None else f"what is new since {delta}"
        size = _shown((made or report).bytes)
        typer.echo(f"{out}: {what} of {report.items} items, {size}, digest {report.digest}.")
        if missing := report.without_thumbnail:
            note(f"Their photos cannot be read, so they have no picture: {some_of(missing)}.")
    if report.without_thumbnail:
        raise typer.Exit(EXIT_SOME_FAILED)


def _shown(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1_000_000 else f"{size / 1e3:.1f} kB"


def _models(
    index: Path, encoder: str | None, model: str | None, projector: Path | None, with_encoder: bool, with_lvlm: bool
) -> dict[str, Any]:
    """Find the models that are to go in: those named, or those that made the index."""
    if not (with_encoder or with_lvlm):
        return {}
    from vlm4rec_edge.models.resolve import resolve_encoder, resolve_lvlm
    from vlm4rec_edge.store.reader import StoreReader

    with StoreReader(index) as store:
        captions, vectors = store.provenance("groundings"), store.provenance("encoders")
    found: dict[str, Any] = {}
    if with_encoder:
        if encoder is None and "name" not in vectors:
            raise UsageError(f"{index} has lost the name of its encoder; name it with --encoder, or repair the index.")
        if encoder is None and "model_sha256" not in vectors:
            raise UsageError(f"No encoder of this package made {index}, so none can go in; leave out --with-encoder.")
        found["encoder"] = resolve_encoder(encoder or vectors["name"])
    if with_lvlm:
        if model is None and "text_sha256" not in captions:
            raise UsageError(f"No model of this package captioned {index}; name one with --model, or leave it out.")
        found["lvlm"] = resolve_lvlm(model or captions["name"], projector=projector)
    return found


def patch(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="The old bundle.", show_default=False)],
    delta: Annotated[
        Path, typer.Argument(metavar="DELTA", help="What `bundle --delta OLD` wrote.", show_default=False)
    ],
    out: Annotated[
        Path,
        typer.Argument(
            metavar="NEW", help="The new bundle to write; it may be the old one, which is replaced.", show_default=False
        ),
    ],
    as_json: options.AsJson = False,
) -> None:
    """Update a bundle with a delta; the result is byte for byte the new bundle.

    \b
    Example:
      vlm4rec-edge bundle shop.index news.zip --delta shop.zip
      vlm4rec-edge patch shop.zip news.zip shop.zip
    """  # noqa: D301 (click reads the control character)
    from vlm4rec_edge.bundle.delta import apply_delta

    report = apply_delta(delta, old, out)
    if as_json:
        emit_json(report.to_dict())
    else:
        typer.echo(f"{out}: a bundle of {report.items} items, {_shown(report.bytes)}, digest {report.digest}.")
