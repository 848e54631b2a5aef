"""The rows of a table as products: shops export a row per variant or per photo, which is one item all the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from vlm4rec_edge.items import Failure, UnreadPart
from vlm4rec_edge.tables.reading import Row, Table

# Rows of one product that are held together; a column of ids that says the same in every row must not fill the memory.
_MOST_ROWS = 10_000


@dataclass(frozen=True)
class Product:
    """What some rows say of a product, the first of which stands at ``where``; ``images`` are cells that name photos."""

    where: str
    id: str
    title: str
    images: Sequence[str]
    attributes: Mapping[str, str]
    rows: int


def products(table: Table) -> Iterator[Product | Failure]:
    """Yield the products of a table: rows of one id that follow each other are one.

    Each of its texts is the first that is not empty: rows for the variants and photos of a product often leave out what the
    first row says.
    """
    (id_column, *_) = table.roles["id"]

    def key(numbered: tuple[int, Row | Failure]) -> tuple[str, int]:
        number, row = numbered
        item_id = "" if isinstance(row, Failure) else row.cells.get(id_column, "").strip()
        return item_id, 0 if item_id else number

    for (item_id, _), group in groupby(enumerate(table.rows()), key):
        rows: list[Row] = []
        for _, row in group:
            if isinstance(row, Failure):
                yield row
            elif not item_id:
                yield UnreadPart(row.where, "catalog", f"{row.where} has no id.")
            else:
                rows.append(row)
                if len(rows) == _MOST_ROWS:
                    yield _product(item_id, rows, table)
                    rows = []
        if rows:
            yield _product(item_id, rows, table)


def _product(item_id: str, rows: Sequence[Row], table: Table) -> Product:
    (id_column, *_), images, titles = (table.roles[role] for role in ("id", "image", "title"))
    own = {id_column, *images, *titles}
    attributes: dict[str, str] = {}
    for row in rows:
        for name, cell in row.cells.items():
            if name not in own and not attributes.get(name):
                attributes[name] = cell
    joined = (" ".join(filter(None, (row.cells.get(name, "").strip() for name in titles))) for row in rows)
    cells = (row.cells.get(name, "").strip() for row in rows for name in images)
    return Product(
        rows[0].where, item_id, next(filter(None, joined), ""), [*filter(None, cells)], attributes, len(rows)
    )
