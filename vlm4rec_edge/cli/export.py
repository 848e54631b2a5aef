"""The command ``export``: items and vectors for other engines.

Its ``--json`` document: ``vlm4rec_edge/documents/export.schema.json``.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import PurePath
from typing import Annotated

import typer

from vlm4rec_edge.cli import options
from vlm4rec_edge.cli.output import emit_json, file_to_write
from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.given import is_table_address, path_of


class FormatName(StrEnum):
    """What can be exported to."""

    parquet = "parquet"
    jsonl = "jsonl"
    csv = "csv"
    numpy = "numpy"
    hnswlib = "hnswlib"
    faiss = "faiss"
    qdrant = "qdrant"
    lancedb = "lancedb"


_FILES = (FormatName.parquet, FormatName.jsonl, FormatName.csv)


def export(
    index: options.Shipped,
    out: Annotated[
        str | None,
        typer.Argument(
            metavar="[OUT]",
            help="The new file to write, or - for standard output; a folder for numpy, hnswlib and faiss; the address of a "
            "LanceDB table, such as lancedb://shop.lancedb, which needs no --format. Leave it out for qdrant.",
            show_default=False,
        ),
    ] = None,
    form: Annotated[
        FormatName | None,
        typer.Option(
            "--format",
            help="The format to write. Default: by the ending of the file, .parquet, .jsonl or .csv, else parquet.",
            show_default=False,
        ),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="The address of the Qdrant server, or a folder for Qdrant's local mode. A key is read from QDRANT_API_KEY.",
            show_default=False,
        ),
    ] = None,
    collection: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="The Qdrant collection, which is made if it is not there.", show_default=False
        ),
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Write ids, captions, attributes and vectors for another engine, into a Qdrant collection, or into a LanceDB table.

    A LanceDB table can be recommended from, as an index can. One that was written before is replaced.

    \b
    Example:
      vlm4rec-edge export shop.index shop.parquet
      vlm4rec-edge export shop.index shop.jsonl
      vlm4rec-edge export shop.index shop-faiss --format faiss
      vlm4rec-edge export shop.index lancedb://shop.lancedb
      vlm4rec-edge export shop.index --format qdrant --url http://localhost:6333 --collection shop
    """  # noqa: D301 (click reads the control character)
    to_qdrant, to_table = form is FormatName.qdrant, is_table_address(out)
    if form is not None and to_table != (form is FormatName.lancedb):
        raise UsageError("For a LanceDB table give its address in place of the file, such as lancedb://shop.lancedb.")
    if to_qdrant and (url is None or collection is None or out is not None):
        raise UsageError("For --format qdrant give --url and --collection, and no file.")
    if not to_qdrant and (out is None or url is not None or collection is not None):
        raise UsageError("Give the file or folder to write; --url and --collection are for --format qdrant.")
    from vlm4rec_edge.interchange.export import export_items, export_to_lancedb, export_to_qdrant

    if to_qdrant:
        report = export_to_qdrant(index, str(url), str(collection))
    elif to_table:
        report = export_to_lancedb(index, str(out))
    else:
        form = form or _by_ending(str(out))
        to_stdout = str(out) == "-"
        if to_stdout and (as_json or form not in _FILES):
            raise UsageError("Only a parquet, jsonl or csv file goes to standard output, and not beside --json.")
        with file_to_write(path_of(out, "The export"), f".{form.value}") as written:
            report = export_items(index, written, form.value)  # type: ignore[arg-type]  # not qdrant, as just seen
    if as_json:
        emit_json(report.to_dict())
    else:
        place = f"the collection {collection} of {url}" if to_qdrant else out
        typer.echo(f"{place}: {report.items} items with vectors of {report.dimensions} values.", err=place == "-")


def _by_ending(out: str) -> FormatName:
    ending = PurePath(out).suffix[1:].lower()
    return FormatName(ending) if ending in _FILES else FormatName.parquet
