"""A shop with its users: items, photos, and what was bought, split into what is known and what is to be predicted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from rows import photo_path, read_rows

from vlm4rec_edge import evaluation
from vlm4rec_edge.columns import ItemTable, coded, group_codes
from vlm4rec_edge.errors import CatalogError, UsageError
from vlm4rec_edge.evaluation import Interactions, Split
from vlm4rec_edge.evaluation.split import SameDay

# Enough for the commands to be tried and for gross faults to be seen; no figure of a sample is one of the whole.
QUICK_USERS, QUICK_ITEMS = 60, 2_000
_SEED = 0


@dataclass(frozen=True)
class Task:
    """Users to whom something is recommended, and what counts as found.

    Attributes:
        name: What its table and its files are called.
        title: The same for people.
        split: Histories, tests and candidates.
        whole: The split it was made from by leaving variants out, if it was.
    """

    name: str
    title: str
    split: Split
    whole: Split | None = None

    @property
    def taught(self) -> Split:
        """The split whose histories a row may be trained on: the same one with variants and without."""
        return self.whole or self.split


@dataclass(frozen=True)
class Shop:
    """What a folder holds.

    Attributes:
        rows: The rows of ``items.csv``; item ``i`` of everything else is row ``i``.
        photos: Where the photo of each should be.
        customers: Interactions of ``interactions.csv``.
        baskets: Those of ``baskets.csv``; None where there is no such file.
        unusable: How many rows of the two could not be read.
        sample: What was left out, for titles; empty where nothing was.
    """

    rows: Sequence[dict[str, str]]
    photos: Sequence[Path]
    customers: Interactions
    baskets: Interactions | None
    unusable: int = 0
    sample: str = ""

    @cached_property
    def ids(self) -> list[str]:
        """The candidates."""
        return [row["id"] for row in self.rows]

    def column(self, name: str) -> list[str] | None:
        """Return a column, stripped; None where the table has none of that name."""
        return [row[name].strip() for row in self.rows] if name in self.rows[0] else None

    def tasks(self, group: str = "", same_day: SameDay = "by-id") -> list[Task]:
        """Return the tables to be made: customers, then baskets, each also without own variants where ``group`` is given.

        Args:
            group: What variants of one product share, a column or ``id:7``, the first 7 characters of the id.
            same_day: See ``evaluation.chronological_split``; no table of baskets with ``left-out``, as most are of one day.

        Raises:
            UsageError: there is no such column, or nobody is left to be tested.
        """
        splits = {"customers": evaluation.chronological_split(self.customers, self.ids, same_day=same_day)}
        if self.baskets is not None and same_day != "left-out":
            splits["baskets"] = evaluation.leave_last_out(self.baskets, self.ids, same_day=same_day)
        tasks = []
        for name, split in splits.items():
            tasks.append(self._task(name, split, ", own product variants kept" if group else ""))
            if group:
                reduced = evaluation.without_variants(split, group_codes(self._table, group))
                tasks.append(self._task(f"no-variants-{name}", reduced, ", own product variants removed", split))
        return tasks

    def _task(self, name: str, split: Split, variants: str, whole: Split | None = None) -> Task:
        who = name.rpartition("-")[2]
        return Task(name, f"{self.sample}{len(split):,} {who}{variants}", split, whole)

    @property
    def _table(self) -> ItemTable:
        columns = {name: coded(row[name] for row in self.rows) for name in self.rows[0] if name != "id"}
        return ItemTable(np.arange(len(self.rows)), self.ids, columns)


def read_shop(folder: Path) -> Shop:
    """Read ``items.csv``, ``interactions.csv`` and, where it is there, ``baskets.csv`` of a folder.

    Photos lie beside the tables or in ``images``. All items are candidates, those without a photo as well.

    Raises:
        CatalogError: a table is missing, lacks a column, or names an item twice.
    """
    for name in ("items.csv", "interactions.csv"):
        if not (folder / name).is_file():
            raise CatalogError(f"There is no {name} in {folder}; give a folder with items.csv and interactions.csv.")
    rows = [{column: value or "" for column, value in row.items() if column} for row in read_rows(folder)]
    if not rows or not {"id", "image"} <= rows[0].keys():
        raise CatalogError(f"{folder / 'items.csv'} needs rows with the columns id and image.")
    if len({row["id"] for row in rows}) < len(rows):
        raise CatalogError(f"{folder / 'items.csv'} names an item twice; each id is one candidate.")
    customers, failures = evaluation.read_interactions(folder / "interactions.csv")
    baskets = None
    if (folder / "baskets.csv").is_file():
        baskets, more = evaluation.read_interactions(folder / "baskets.csv")
        failures += more
    photos = [photo_path(folder, row["image"]) for row in rows]
    return Shop(rows, photos, customers, baskets, unusable=len(failures))


def quick_sample(shop: Shop, users: int = QUICK_USERS, items: int = QUICK_ITEMS) -> Shop:
    """Return a shop of at most ``users`` testable users of each kind, all their items, and others up to ``items``.

    Fewer candidates are an easier task: figures of a sample say nothing about the whole, and its titles say so.
    """
    generator = np.random.default_rng(_SEED)
    customers = _some(shop.customers, evaluation.chronological_split(shop.customers, shop.ids), users, generator)
    baskets = shop.baskets
    if baskets is not None:
        baskets = _some(baskets, evaluation.leave_last_out(baskets, shop.ids), users, generator)
    theirs = {*customers.items, *(baskets.items if baskets else ())}
    order = generator.permutation(len(shop.rows)).tolist()
    order.sort(key=lambda at: shop.ids[at] not in theirs)
    count = max(items, sum(item_id in theirs for item_id in shop.ids))
    kept = sorted(order[:count])
    return replace(
        shop,
        rows=[shop.rows[at] for at in kept],
        photos=[shop.photos[at] for at in kept],
        customers=customers,
        baskets=baskets,
        sample=f"Only a sample, {len(kept):,} of {len(shop.rows):,} items: ",
    )


def _some(interactions: Interactions, split: Split, count: int, generator: np.random.Generator) -> Interactions:
    chosen = {split.users[at] for at in generator.permutation(len(split))[:count]}
    kept = np.array([user in chosen for user in interactions.users])[interactions.user]
    arrays = {name: getattr(interactions, name)[kept] for name in ("user", "date", "weight")}
    theirs, item = np.unique(interactions.item[kept], return_inverse=True)
    return replace(interactions, items=tuple(interactions.items[at] for at in theirs), item=item, **arrays)


def sentence_columns(template: str) -> list[str]:
    """Return the columns that a sentence such as ``{colour} {type:lower}`` needs.

    Raises:
        UsageError: it is no such template.
    """
    return [name for _, name, _ in _parts(template) if name]


def sentences(shop: Shop, template: str) -> list[str]:
    """Return the sentence of each item; ``{column:lower}`` is put in lower case."""
    parts = _parts(template)
    return [
        "".join(text + (row[name].lower() if lower else row[name] if name else "") for text, name, lower in parts)
        for row in shop.rows
    ]


def _parts(template: str) -> list[tuple[str, str, bool]]:
    from string import Formatter

    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise UsageError(f"The sentence {template!r} cannot be read: {error}.") from None
    for _, name, form, conversion in parts:
        if name is not None and (not name or form not in ("", "lower") or conversion):
            raise UsageError(f"The sentence {template!r}: write {{column}} or {{column:lower}}.")
    return [(text, name or "", form == "lower") for text, name, form, _ in parts]
