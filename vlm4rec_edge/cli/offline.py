"""The commands that look at photos: ``index`` and ``caption``.

Their ``--json`` documents are described in ``vlm4rec_edge/documents``.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vlm4rec_edge.cli import EXIT_INTERRUPTED, options
from vlm4rec_edge.cli.asking import agreed
from vlm4rec_edge.cli.encoded import told_of_encoding
from vlm4rec_edge.cli.groups import grouped
from vlm4rec_edge.cli.output import EXIT_SOME_FAILED, emit_json, note, printable, some_of, styled
from vlm4rec_edge.cli.progress import progress_bar, told_now_and_then
from vlm4rec_edge.encoding.text import check_encoded_text
from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.items import Failure, WebPhotos
from vlm4rec_edge.plugins import close_model

if TYPE_CHECKING:
    from vlm4rec_edge.catalog.reader import Catalog
    from vlm4rec_edge.grounding.protocol import Captioner
    from vlm4rec_edge.index_folder import IndexFolder
    from vlm4rec_edge.indexing.report import IndexReport

# Failures listed on a terminal; all of them are in --json and in the index.
_FAILURES_SHOWN = 20


@dataclass(frozen=True)
class RunOptions:
    """What a run may replace, remove and fetch, what searches the index, and what it keeps of photos."""

    remake: Annotated[
        bool,
        typer.Option(
            "--remake", help="Replace captions or vectors of an index that was made in another way, without asking."
        ),
    ] = False
    prune: Annotated[
        bool,
        typer.Option(
            "--prune",
            help="Remove items that the catalog no longer has. If they are more than 20 and more than a tenth of the index, "
            "the command asks first.",
        ),
    ] = False
    prune_anyway: Annotated[
        bool, typer.Option("--prune-anyway", help="As --prune, without asking, however many they are.")
    ] = False
    fetch: Annotated[
        bool,
        typer.Option(
            "--fetch", help="Download photos that the table names by web address, each once, into the index folder."
        ),
    ] = False
    fetch_private: Annotated[
        bool, typer.Option("--fetch-private", help="As --fetch, and also from this machine and from private networks.")
    ] = False
    index_backend: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="What searches the index if it has more than 20,000 vectors: hnsw (approximate), exact (a scan of all), or "
            "an installed plug-in. The index keeps it. Default: as the index was made; hnsw for a new one.",
            show_default=False,
        ),
    ] = None
    photo_vectors: options.PhotoVectors = None


@dataclass(frozen=True)
class ImportOptions:
    """Captions made elsewhere."""

    captions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A table with the columns id and caption. No model captions the photos then.",
            show_default=False,
        ),
    ] = None
    captions_by: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="The origin of the captions in --captions, for the record. Default: the name of the file.",
        ),
    ] = ""


def _encoded_text(given: str) -> str:
    try:
        return check_encoded_text(given)
    except UsageError as error:
        raise typer.BadParameter(str(error)) from None


@grouped
def index(
    catalog: Annotated[
        Path,
        typer.Argument(
            metavar="CATALOG", help="A folder of photos, or a CSV, JSONL or Parquet table.", show_default=False
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="INDEX", help="The index folder to make or to update.", show_default=False)
    ],
    *,
    images: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="The folder to which the paths of the table's image column are relative; no photo outside of it is read. If "
            "the catalog is a folder of photos: the folder into which links may lead. Default: the folder of the catalog.",
            show_default=False,
        ),
    ] = None,
    columns: options.CatalogColumnOptions,
    encoded_text: Annotated[
        str | None,
        typer.Option(
            parser=_encoded_text,
            metavar="weighted[:SHARE]|title|caption|title_caption",
            help="Which text of an item is encoded as its vector. weighted: title and caption each, the title counting 0.9 in "
            "the mean (weighted:0.75 is another share); title: the title alone, and no captions are made; title_caption: both "
            "as one text. Default: as the index was made; weighted for a new one.",
            show_default=False,
        ),
    ] = None,
    run: RunOptions,
    imported: ImportOptions,
    captioner: options.CaptionerOptions,
    encoder: options.EncoderModel = None,
    as_json: options.AsJson = False,
) -> None:
    """Caption and encode every photo of a catalog into an index.

    What is in the index already is not done again, so the same command updates it, and continues where an interrupted run
    stopped. An index remembers how it was made: the model, the prompt, the schema or the table of captions need not be given
    again. A table has one row for each item, with the columns id and image; title is optional, and further columns are kept.
    The exports of shop systems are read as they are. The embedded model is often wrong about anything but catalog photos of
    clothes; --model takes a larger one.

    \b
    Example:
      vlm4rec-edge index photos/ --out shop.index
      vlm4rec-edge index catalog.csv --out shop.index --model smolvlm-256m-instruct --prompt "Describe this {brand} product."
      vlm4rec-edge index catalog.csv --out shop.index --captions captions.csv
      vlm4rec-edge index catalog.csv --out shop.index --structured
    """  # noqa: D301 (click reads the control character)
    from vlm4rec_edge.catalog.reader import open_catalog
    from vlm4rec_edge.catalog.web.cache import WebPhotoCache
    from vlm4rec_edge.index_folder import IndexFolder

    cache = WebPhotoCache(out / "photos", allow_private=run.fetch_private)
    with ExitStack() as models, IndexFolder(out) as folder:
        remembered = None if catalog.is_dir() or columns.are_given() else folder.catalog_columns()
        opened = open_catalog(catalog, images=images, columns=remembered or columns.columns(), fetched=cache.path_of)
        describer = _describer(folder, imported, captioner, encoded_text, run.photo_vectors)
        models.callback(close_model, describer)
        own = folder.encoder_as_before(encoder, device=captioner.device.value, threads=captioner.threads)
        models.callback(close_model, own)
        notice = _of_the_embedded(folder, describer)
        update = partial(
            folder.update,
            opened,
            captioner=describer,
            encoder=own,
            encoded_text=encoded_text,
            prune=run.prune,
            prune_anyway=run.prune_anyway,
            fetch=cache if run.fetch or run.fetch_private else None,
            index_backend=run.index_backend,
        )
        report = _updated(update, opened, out, remake=run.remake, as_json=as_json)
        if report.not_removed and not as_json and agreed(f"{_too_many(report)} Remove them?"):
            report = _pruned(report, folder.remove(report.not_removed).removed)
    tell_index_report(report, prune=run.prune or run.prune_anyway, as_json=as_json, notice=notice)


def _of_the_embedded(folder: IndexFolder, describer: Captioner | None) -> str:
    """Return how far the embedded model is to be trusted, for the first run in which it captions an index; else nothing."""
    from vlm4rec_edge.models.resolve import DEFAULT_LVLM

    name = describer.identity.get("name") if describer else None
    if name != DEFAULT_LVLM or folder.captioner_name() == name:
        return ""
    return (
        "Captions by the embedded model are often wrong about anything but catalog photos of clothes: look at some with "
        f"`vlm4rec-edge items {shlex.quote(str(folder.folder))} --limit 5`; `vlm4rec-edge models list` has larger models."
    )


def _describer(
    folder: IndexFolder,
    imported: ImportOptions,
    captioner: options.CaptionerOptions,
    encoded_text: str | None,
    photo_vectors: bool | None,
) -> Captioner | None:
    """Open what makes the captions: a table, a model, or nothing where titles alone are encoded."""
    table: Captioner | None = None
    if imported.captions is not None:
        if encoded_text == "title" or captioner.of_a_model():
            raise UsageError(
                "--captions takes the place of a model; leave out --encoded-text title, --model, --prompt, --structured and "
                "all other options of a model."
            )
        from vlm4rec_edge.grounding.imported import ImportedCaptions

        table = ImportedCaptions(imported.captions, source=imported.captions_by)
    if encoded_text is None and folder.encoded_text() == "title" and (table or captioner.of_a_model()):
        raise UsageError(
            f"{folder.folder} was made of titles alone, which needs no captions; add --encoded-text weighted or "
            "--encoded-text caption as well."
        )
    if table is not None or (encoded_text or folder.encoded_text()) == "title":
        options.refuse_photo_vectors(photo_vectors)
        return table
    return folder.captioner_as_before(captioner.model, photo_vectors=photo_vectors, **captioner.settings())


def _updated(
    update: Callable[..., IndexReport], opened: Catalog, out: Path, *, remake: bool, as_json: bool
) -> IndexReport:
    """Update an index, with progress; ask before it is made in another way than it was."""
    from vlm4rec_edge.indexing.remaking import RemakeError

    entries = opened.count() or 0
    of_the_web = sum(len(entry.addresses) for entry in opened.read() if isinstance(entry, WebPhotos))
    fetched = told_now_and_then("photos fetched", of_the_web, shown=not as_json)
    for sentence in opened.notes():
        note(sentence)

    def once(*, remake: bool) -> IndexReport:
        with progress_bar("Indexing", entries, shown=not as_json, out=out) as advance:
            return update(remake=remake, on_progress=lambda progress: advance(progress.done), on_fetched=fetched)

    try:
        return once(remake=remake)
    except RemakeError as error:
        if as_json or not agreed(f"{error.remake} Go on?"):
            raise
        return once(remake=True)


def _too_many(report: IndexReport) -> str:
    return f"The catalog no longer has {len(report.not_removed):,} items of {report.folder}: {some_of(report.not_removed)}."


def _pruned(report: IndexReport, removed: int) -> IndexReport:
    """Return the report of a run after which it was agreed to remove what it had left."""
    from vlm4rec_edge.store.reader import StoreReader

    with StoreReader(report.folder) as store:
        without = store.count_without_title()
    gone = report.not_removed
    return replace(
        report, items=report.items - removed, removed=removed, removed_ids=gone, not_removed=(), without_title=without
    )


def tell_index_report(report: IndexReport, *, prune: bool, as_json: bool, notice: str = "") -> None:
    """Say what was done, and exit with the code that fits; ``notice`` is for people, where photos were captioned."""
    done = report.progress
    if report.not_removed:
        note(
            f"{_too_many(report)} So many are not removed without confirmation; check that the catalog is complete, "
            "then use --prune-anyway."
        )
    if as_json:
        emit_json(report.to_dict())
    else:
        _show_failures(report.failures, done.failed)
        _say_what_was_done(report)
        if report.fetched:
            note(f"{report.fetched:,} photos fetched into {report.folder / 'photos'}.")
        if report.removed_ids:
            note(f"Removed: {some_of(report.removed_ids)}. Until the next run their captions and vectors are kept.")
        if prune and report.unread:
            note(
                f"Nothing was removed: {report.unread} folders or rows of the catalog cannot be read; items may be in them."
            )
        if report.interrupted:
            note("Stopped; what was finished is kept. Run the same command again to go on.")
        elif done.encoded and report.items:
            typer.echo(told_of_encoding(report))
        if notice and done.captioned:
            note(notice)
    if report.interrupted:
        raise typer.Exit(EXIT_INTERRUPTED)
    if done.failed or report.not_removed:
        raise typer.Exit(EXIT_SOME_FAILED)


def _say_what_was_done(report: IndexReport) -> None:
    done, seconds, named = report.progress, report.seconds, f"{report.folder}: {report.items} items"
    further = f", {done.photo_vectors} photo vectors" if done.photo_vectors else ""
    further += f", {report.removed} removed" if report.removed else ""
    if done.captioned == done.encoded == 0:
        typer.echo(f"{named}, nothing new to caption or encode{further} ({seconds:.1f} s).")
        return
    rate = f", {done.captioned / seconds:.1f} photos/s" if done.captioned else ""
    typer.echo(f"{named}; {done.captioned} captioned, {done.encoded} texts encoded{further} in {seconds:.1f} s{rate}.")


@grouped
def caption(
    photos: Annotated[
        list[Path], typer.Argument(metavar="IMAGE...", help="One or more photo files.", show_default=False)
    ],
    *,
    captioner: options.CaptionerOptions,
    as_json: options.AsJson = False,
) -> None:
    """Caption photos, without an index.

    \b
    Example:
      vlm4rec-edge caption shirt.jpg shoe.png
      vlm4rec-edge caption shirt.jpg --structured --json
    """  # noqa: D301 (click reads the control character)
    from vlm4rec_edge.grounding.photos import caption_photos

    describer = captioner.open(len(photos))
    try:
        with progress_bar("Captioning", len(photos), shown=not as_json) as advance:
            report = caption_photos(photos, describer, on_progress=advance)
    finally:
        close_model(describer)
    if as_json:
        emit_json(report.to_dict())
    else:
        for image, said in report.captions:
            styled(printable(image), bold=True)
            typer.echo(f"  {printable(said.text)}")
        _show_failures(report.failures, len(report.failures))
    if report.failures:
        raise typer.Exit(EXIT_SOME_FAILED if report.captions else 1)


def _show_failures(failures: Sequence[Failure], total: int) -> None:
    if not total:
        return
    note(f"{total} could not be used:")
    for failure in failures[:_FAILURES_SHOWN]:
        note(f"  {failure.where}: {failure.reason}")
    if total > _FAILURES_SHOWN:
        note(f"  ... and {total - _FAILURES_SHOWN} more (all with --json)")
