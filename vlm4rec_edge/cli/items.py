"""The command ``items``: which items an index or a bundle holds.

Its ``--json`` document: ``vlm4rec_edge/documents/items.schema.json``.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from vlm4rec_edge.cli import lists, options
from vlm4rec_edge.cli.output import EXIT_SOME_FAILED, emit_json, note, table, table_width
from vlm4rec_edge.errors import UsageError

if TYPE_CHECKING:
    from vlm4rec_edge.recommend.listing import ItemPage, ListedItem

# A column is cut to so many characters, and a caption gets at least as many; --json cuts nothing.
_COLUMN_CHARACTERS, _CAPTION_CHARACTERS = 24, 40


def items(
    index: options.Shipped,
    where: options.Where = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="How many items to list.")] = 50,
    after: Annotated[
        str | None,
        typer.Option(metavar="ID", help="List only items whose ids come after this one.", show_default=False),
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAMES",
            help="Which columns of the catalog to show, separated by commas. Default: as many as fit.",
            show_default=False,
        ),
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """List the items of an index or a bundle by their ids, with the columns of the catalog and the captions.

    \b
    Examples:
      vlm4rec-edge items shop.index
      vlm4rec-edge items shop.index --where "price < 40 and caption contains 'red'" --limit 20
      vlm4rec-edge items shop.index --after shirt-1 --json
    """  # noqa: D301 (click reads the control character)
    from vlm4rec_edge.recommend.listing import list_items

    page = list_items(index, where=where, after=after, limit=limit)
    if as_json:
        emit_json(page.to_dict())
    else:
        _show(index, page, lists.split(columns) if columns else None, where)
    if page.unknown:
        raise typer.Exit(EXIT_SOME_FAILED)


def _show(index: str, page: ItemPage, columns: Sequence[str] | None, where: str | None) -> None:
    known = list(dict.fromkeys(name for item in page.items for name in item.attributes))
    if any(item.title for item in page.items):
        known.insert(0, "title")
    if columns is not None and (missing := [name for name in columns if name not in known]):
        raise UsageError(f"There is no column {missing[0]!r} to show; these items have {', '.join(known) or 'none'}.")
    shown = _fitting(page.items, known) if columns is None else list(columns)
    rows = [[item.id, *(_cell(item, name) for name in shown), item.caption] for item in page.items]
    table("", ["item", *shown, "caption"], rows)
    if left_out := [name for name in known if name not in shown and columns is None]:
        note(f"Columns that are not shown: {', '.join(left_out)}. Choose some with --columns; --json prints all.")
    note(f"{len(page.items):,} of {page.total:,} items.")
    if page.next_after is not None:
        filtered = f" --where {shlex.quote(where)}" if where else ""
        note(
            f"Go on with: vlm4rec-edge items {shlex.quote(str(index))}{filtered} --after {shlex.quote(page.next_after)}"
        )


def _fitting(items: Sequence[ListedItem], columns: Sequence[str]) -> list[str]:
    """Return the first columns that leave room for ids and captions."""
    room = table_width() - _CAPTION_CHARACTERS - max((len(item.id) for item in items), default=0)
    shown: list[str] = []
    for name in columns:
        room -= 2 + max([len(name), *(len(_cell(item, name)) for item in items)])
        if room < 0:
            break
        shown.append(name)
    return shown


def _cell(item: ListedItem, name: str) -> str:
    text = item.title if name == "title" else item.attributes.get(name, "")
    return text if len(text) <= _COLUMN_CHARACTERS else text[: _COLUMN_CHARACTERS - 3] + "..."
