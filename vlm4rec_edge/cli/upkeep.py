"""The commands that look after an index: ``add``, ``remove``, ``verify`` and ``repair``.

Their ``--json`` documents (a field may be added, none is renamed or removed):

- ``add``: the document of ``index`` - ``remove``: ``{"index", "removed", "unknown": [id]}``
- ``verify``: ``{"index", "ok", "items", "captions", "vectors", "hnsw_recall", "findings": [{"file", "problem"}]}``
- ``repair``: ``{"index", "salvaged_database", "dropped_items", "dropped_captions", "dropped_vectors", "encoded",
  "lost_notes"}``
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from vlm4rec_edge.cli import options
from vlm4rec_edge.cli.offline import run_index
from vlm4rec_edge.cli.output import emit_json, note
from vlm4rec_edge.errors import StoreError, UsageError
from vlm4rec_edge.items import Item

EXIT_SOME_FAILED = 3


def add(
    index: options.Index,
    photos: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Photo files.", show_default=False)],
    item_id: Annotated[
        str | None, typer.Option("--id", help="Item id. Default: the file's name without suffix.", show_default=False)
    ] = None,
    title: Annotated[str, typer.Option(help="Title, for a single photo.")] = "",
    model: options.ModelOfIndex = None,
    projector: options.Projector = None,
    encoder: options.EncoderOfIndex = None,
    device: options.Device = options.DeviceName.auto,
    as_json: options.AsJson = False,
) -> None:
    """Add single photos to an index, or replace them, with the models, the prompt and the settings it was made with.

    \b
    Example:
      vlm4rec-edge add shop.index new/scarf-9.jpg
      vlm4rec-edge add shop.index IMG_0412.jpg --id scarf-9 --title "Striped scarf"
    """  # noqa: D301 (click reads the control character)
    from vlm4rec_edge.catalog.reader import Catalog, id_trouble
    from vlm4rec_edge.encoding.text import check_encoded_text
    from vlm4rec_edge.store.reader import StoreReader

    if len(photos) > 1 and (item_id or title):
        raise UsageError("--id and --title are for a single photo; for several use a table and `vlm4rec-edge index`.")
    title = title.encode("utf-8", "replace").decode("utf-8")  # a terminal may send other bytes
    items = [Item(item_id or photo.stem, photo, title) for photo in photos]
    for item in items:
        if trouble := id_trouble(item.id):
            raise UsageError(f"{trouble} Give another one with --id.")
    with StoreReader(index) as store:
        notes, made_by, vectors_by = store.meta, store.provenance("groundings"), store.provenance("encoders")
    if not {"encoded_text", "encoder"} <= notes.keys():
        raise StoreError(
            f"{index} has lost its notes of how it was made; run `vlm4rec-edge index` on the catalog again, then add."
        )
    encoded_text = check_encoded_text(notes["encoded_text"])
    captioner = None
    if made_by.get("imported"):
        raise UsageError(
            f"The captions of {index} come from {made_by['source']}; put the new ones into a table, and run: vlm4rec-edge "
            f"index CATALOG --out {index} --captions FILE"
        )
    if encoded_text != "title":
        captioner = options.open_captioner(
            model=model or made_by.get("name"),
            projector=projector,
            prompt=made_by.get("prompt"),
            structured=options.form_made_by(made_by),
            max_tokens=made_by.get("max_tokens"),
            temperature=made_by.get("temperature", 0.0),
            seed=made_by.get("seed", 0),
            batch=options.batch_for(len(photos)),
            threads=None,
            image_size=made_by.get("max_side"),
            device=device,
        )
        if captioner.fingerprint != notes.get("grounding"):
            captioner.close()
            raise StoreError(
                f"The captions of {index} were made by another model or another version of it than "
                f"{captioner.files.name}; give the right one with --model, or index the catalog again with this one."
            )
    run_index(
        Catalog(index, None, lambda: iter(items)),
        index,
        captioner=captioner,
        encoder=encoder or vectors_by.get("name"),
        encoder_of_index=notes["encoder"],
        encoded_text=encoded_text,
        prune=False,
        threads=None,
        device=device,
        as_json=as_json,
    )


def remove(
    index: options.Index,
    items: Annotated[list[str], typer.Argument(metavar="ITEM...", help="Item ids.", show_default=False)],
    as_json: options.AsJson = False,
) -> None:
    """Remove items from an index; they are never recommended again, unless they are indexed again.

    \b
    Example:
      vlm4rec-edge remove shop.index scarf-9 cap-2
    """  # noqa: D301 (click reads the control character)
    from vlm4rec_edge.store.writer import remove_items

    unknown = remove_items(index, items)
    removed = len(set(items)) - len(unknown)
    if as_json:
        emit_json({"index": str(index), "removed": removed, "unknown": unknown})
    else:
        typer.echo(f"{index}: {removed} removed.")
        if unknown:
            note(f"Not in the index: {', '.join(unknown)}.")
    if unknown:
        raise typer.Exit(EXIT_SOME_FAILED)


def verify(index: options.Shipped, as_json: options.AsJson = False) -> None:
    """Check every file of an index or a bundle; exit code 1 if anything is wrong.

    \b
    Example:
      vlm4rec-edge verify shop.index
    """  # noqa: D301 (click reads the control character)
    from vlm4rec_edge.bundle.container import is_bundle

    shipped = is_bundle(index)
    if shipped:
        from vlm4rec_edge.bundle.check import verify_bundle

        report = verify_bundle(index)
    else:
        from vlm4rec_edge.verify import verify_index

        report = verify_index(index)
    if as_json:
        emit_json({"index": str(index), "ok": report.ok, **asdict(report)})
    elif report.ok:
        recall = "" if report.hnsw_recall is None else f", HNSW finds {report.hnsw_recall:.1%} of the nearest"
        typer.echo(
            f"{index} is whole: {report.items} items, {report.captions} captions, {report.vectors} vectors{recall}."
        )
    else:
        for finding in report.findings:
            typer.echo(f"{finding.file}: {finding.problem}")
        note(
            "Get the bundle again."
            if shipped
            else f"Mend it with: vlm4rec-edge repair {index}; it says what is left to do."
        )
    if not report.ok:
        raise typer.Exit(1)


def repair(index: options.Index, encoder: options.EncoderModel = None, as_json: options.AsJson = False) -> None:
    """Make an index whole again: vectors and search graph are made anew, what is damaged is dropped.

    \b
    Example:
      vlm4rec-edge repair shop.index
    """  # noqa: D301 (click reads the control character)
    from vlm4rec_edge.repair import repair_index

    own = None
    if encoder is not None:
        from vlm4rec_edge.encoding.encoder import Encoder
        from vlm4rec_edge.models.resolve import resolve_encoder

        own = Encoder(resolve_encoder(encoder), device="cpu")
    report = repair_index(index, encoder=own)
    if as_json:
        emit_json({"index": str(index), **asdict(report)})
        return
    typer.echo(
        f"{index}: {report.dropped_items} damaged items, {report.dropped_captions} captions and {report.dropped_vectors} "
        f"vectors dropped, {report.encoded} texts encoded again."
    )
    if report.salvaged_database:
        note("The database could not be read whole; what could be saved is in it, the damaged file lies beside it.")
    if report.lost_notes:
        note("It is no longer noted what made the vectors, so all of them are gone; the captions are kept.")
    if report.needs_index:
        note("Run `vlm4rec-edge index` on the catalog again, to make what was lost anew.")
