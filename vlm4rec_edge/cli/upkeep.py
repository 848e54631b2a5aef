"""The commands that look after an index: ``add``, ``remove``, ``verify`` and ``repair``.

Their ``--json`` documents are described in ``vlm4rec_edge/documents``.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from vlm4rec_edge.cli import lists, options
from vlm4rec_edge.cli.offline import tell_index_report
from vlm4rec_edge.cli.output import EXIT_SOME_FAILED, emit_json, note, printable
from vlm4rec_edge.cli.progress import progress_bar
from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.given import path_of
from vlm4rec_edge.items import Item
from vlm4rec_edge.plugins import close_model


def add(
    index: options.Index,
    photos: Annotated[
        list[Path], typer.Argument(metavar="IMAGE...", help="One or more photo files.", show_default=False)
    ],
    item_id: Annotated[
        str | None,
        typer.Option(
            "--id",
            metavar="ID",
            help="The item id, for a single photo. Default: the file's name without its suffix.",
            show_default=False,
        ),
    ] = None,
    title: Annotated[str, typer.Option(metavar="TEXT", help="The title, for a single photo.")] = "",
    model: options.ModelOfIndex = None,
    projector: options.Projector = None,
    encoder: options.EncoderOfIndex = None,
    device: options.Device = options.DeviceName.auto,
    photo_vectors: options.PhotoVectors = None,
    vision: options.VisionTower = options.VisionName.auto,
    as_json: options.AsJson = False,
) -> None:
    """Add single photos to an index, or replace them, with the models, the prompt and the settings it was made with.

    \b
    Example:
      vlm4rec-edge add shop.index new/scarf-9.jpg
      vlm4rec-edge add shop.index IMG_0412.jpg --id scarf-9 --title "Striped scarf"
    """  # noqa: D301 (click reads the control character)
    from vlm4rec_edge.index_folder import IndexFolder
    from vlm4rec_edge.indexing.remembered import has_photo_vectors
    from vlm4rec_edge.new_photo import captioner_of
    from vlm4rec_edge.store.reader import StoreReader

    if len(photos) > 1 and (item_id or title):
        raise UsageError("--id and --title are for a single photo; for several use a table and `vlm4rec-edge index`.")
    title = title.encode("utf-8", "replace").decode("utf-8")  # a terminal may send other bytes
    items = [Item(item_id or photo.stem, photo, title) for photo in photos]
    with ExitStack() as models, IndexFolder(index) as folder:
        with StoreReader(index) as store:
            captioner = None
            if store.meta.get("encoded_text") == "title":
                options.refuse_photo_vectors(photo_vectors)
            else:
                captioner = captioner_of(
                    store,
                    model,
                    projector=projector,
                    device=device.value,
                    vision=vision.value,
                    photos=len(photos),
                    photo_vectors=has_photo_vectors(store) if photo_vectors is None else photo_vectors,
                )
                models.callback(close_model, captioner)
        own = models.enter_context(options.named_encoder(encoder, device=device.value))
        with progress_bar("Indexing", len(items), shown=not as_json, out=index) as advance:
            report = folder.add(
                items, captioner=captioner, encoder=own, on_progress=lambda progress: advance(progress.done)
            )
    if not as_json:
        for what, ids in (("added", report.added), ("replaced", report.replaced)):
            if ids:
                typer.echo(printable(f"{index}: {what} {', '.join(ids)}."))
    tell_index_report(report, prune=False, as_json=as_json)


def remove(
    index: options.Index,
    items: Annotated[
        list[str],
        typer.Argument(
            metavar="ITEM...",
            help="Item ids, separated by spaces or commas; or @FILE, with one id on each line.",
            show_default=False,
        ),
    ],
    as_json: options.AsJson = False,
) -> None:
    """Remove items from an index; they are not recommended any more, unless they are indexed again.

    \b
    Example:
      vlm4rec-edge remove shop.index scarf-9 cap-2
      vlm4rec-edge remove shop.index @sold-out.txt
    """  # noqa: D301 (click reads the control character)
    from vlm4rec_edge.index_folder import IndexFolder

    with IndexFolder(index) as folder:
        report = folder.remove(lists.split(items, folder.holds))
    if as_json:
        emit_json(report.to_dict())
    else:
        typer.echo(f"{index}: {report.removed} removed.")
        if report.unknown:
            note(f"Not in the index: {', '.join(report.unknown)}. {report.hint[0].upper()}{report.hint[1:]}")
    if report.unknown:
        raise typer.Exit(EXIT_SOME_FAILED)


def verify(index: options.Shipped, as_json: options.AsJson = False) -> None:
    """Check every file of an index or a bundle; the exit code is 1 if anything is wrong.

    \b
    Example:
      vlm4rec-edge verify shop.index
    """  # noqa: D301 (click reads the control character)
    from vlm4rec_edge.bundle.container import is_bundle

    folder = path_of(index, "What is verified")
    if is_bundle(folder):
        from vlm4rec_edge.bundle.check import verify_bundle

        report = verify_bundle(folder)
    else:
        from vlm4rec_edge.index_folder import IndexFolder

        report = IndexFolder(folder).verify()
    if as_json:
        emit_json(report.to_dict())
    elif report.ok:
        photos = f", {report.photo_vectors} photo vectors" if report.photo_vectors else ""
        recall = "" if report.hnsw_recall is None else f", HNSW finds {report.hnsw_recall:.1%} of the nearest"
        typer.echo(
            f"{index} is intact: {report.items} items, {report.captions} captions, {report.vectors} vectors{photos}{recall}."
        )
    else:
        for finding in report.findings:
            typer.echo(f"{finding.file}: {finding.problem}")
        if report.remedy:
            note(report.remedy)
    if not report.ok:
        raise typer.Exit(1)


def repair(index: options.Index, encoder: options.EncoderModel = None, as_json: options.AsJson = False) -> None:
    """Repair an index: drop what is damaged, and rebuild vectors and the search graph.

    \b
    Example:
      vlm4rec-edge repair shop.index
    """  # noqa: D301 (click reads the control character)
    from vlm4rec_edge.index_folder import IndexFolder

    with options.named_encoder(encoder) as own, IndexFolder(index) as folder:
        report = folder.repair(encoder=own)
    if as_json:
        emit_json(report.to_dict())
        return
    typer.echo(
        f"{index}: {report.dropped_items} damaged items, {report.dropped_captions} captions and {report.dropped_vectors} "
        f"vectors dropped, {report.encoded} texts encoded again."
    )
    if report.salvaged_database:
        note(
            "The database could not be read completely; what could be recovered is in it, and the damaged file is kept "
            "beside it."
        )
    if report.lost_notes:
        note("The record of what made the vectors is lost, so all of them were dropped; the captions are kept.")
    if report.dropped_photo_vectors:
        note(
            f"{report.dropped_photo_vectors} photo vectors were damaged and dropped; nothing else depends on them. "
            "`vlm4rec-edge index --photo-vectors` on the catalog makes them again."
        )
    if report.needs_index:
        note("Run `vlm4rec-edge index` on the catalog again, to restore what was lost.")
