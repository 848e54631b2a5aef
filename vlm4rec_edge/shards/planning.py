"""Divide a catalog into shards: a stream, in a memory that does not grow with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import vlm4rec_edge
from vlm4rec_edge.addresses import is_photo_address, stand_in
from vlm4rec_edge.catalog.layouts import CatalogColumns
from vlm4rec_edge.catalog.reader import Catalog, open_catalog
from vlm4rec_edge.errors import StoreError, UsageError
from vlm4rec_edge.given import path_of
from vlm4rec_edge.items import Failure, Item
from vlm4rec_edge.shards.duplicates import key_of, repeated
from vlm4rec_edge.shards.entries import Row, fingerprint_of, read_rows, require_parquet, row_of, write_rows
from vlm4rec_edge.shards.folder import (
    PLAN_FOLDER,
    PLAN_NAME,
    DamagedError,
    Plan,
    Shard,
    output_key,
    outputs,
    read_plan,
    write_plan,
)
from vlm4rec_edge.shards.making import noted_making

ROWS = 10_000
# What was left out of a catalog that a report names; all of it is in the shards.
_NAMED = 20
# From three quarters of the most rows on, a shard ends with a chance of this many in ``rows``: one in seven fills up.
_ENDS = 8
# Shards of fewer rows than this are just filled.
_LEAST_ROWS = 32


@dataclass(frozen=True)
class PlanReport:
    """What was planned.

    Attributes:
        folder, catalog: Where the plan lies, and what it is of.
        shards, rows: How many shards there are, and the most rows of one.
        items: Items, rows of duplicate ids among them.
        duplicates: Rows of an id that an earlier row has; the run of their shard uses the first usable one of them.
        duplicate_ids: The first of these ids.
        unusable: Rows or files that are no items.
        failures: The first of these.
        addresses: Photos that are named by an address and have to be fetched.
        kept: Shards that the plan before had as well.
        notes: How the catalog was read, as sentences.
    """

    folder: Path
    catalog: str
    shards: int
    rows: int
    items: int
    duplicates: int
    duplicate_ids: tuple[str, ...]
    unusable: int
    failures: tuple[Failure, ...]
    addresses: int
    kept: int
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the document that ``shard plan --json`` prints."""
        told = [{name: getattr(one, name) for name in ("where", "stage", "reason")} for one in self.failures]
        return {
            **asdict(self),
            "folder": str(self.folder),
            "duplicate_ids": list(self.duplicate_ids),
            "failures": told,
            "notes": list(self.notes),
        }


def plan_shards(
    catalog: Path | str | Catalog,
    out: Path | str,
    *,
    rows: int = ROWS,
    images: Path | str | None = None,
    columns: CatalogColumns | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> PlanReport:
    """Divide a catalog into shards, in the folder ``out``; what it holds of an earlier plan and is unchanged, is kept.

    A shard ends after an item that its id chooses, so that an item more or less changes its own shard and perhaps those next
    to it, not all that follow.

    Args:
        catalog: A folder of photos or a table, or an opened catalog that can be read more than once.
        out: The folder; made if it is not there.
        rows: The most rows of a shard.
        images: As for ``open_catalog``.
        columns: As there.
        on_progress: Called with how many rows are written.

    Raises:
        CatalogError: the catalog cannot be read.
        UsageError: it can be read only once, or ``rows`` is no number from 1 on.
        StoreError: the folder holds something else, or cannot be written.
        MissingDependencyError: pyarrow is not installed.
    """
    folder = path_of(out, "A folder for shards")
    if rows < 1:
        raise UsageError(f"A shard has at least one row, not {rows}.")
    require_parquet()
    before = _earlier_plan(folder)
    opened = open_catalog(catalog, images=images, columns=columns, fetched=stand_in, any_address=True)
    if opened.is_read_once:
        raise UsageError("A plan reads the catalog more than once; give a table, or a list, not a generator.")
    _, later = repeated(opened.read)
    counts = _Counts()
    shards = []
    for index, part in enumerate(_parts(counts.of(_together(opened.read, later)), rows)):
        shard = Shard(index, fingerprint_of(part), len(part), sum(row["reason"] is None for row in part))
        if not _holds(folder / PLAN_FOLDER / shard.name, shard):
            write_rows(folder / PLAN_FOLDER / shard.name, part)
        shards.append(shard)
        if on_progress is not None:
            on_progress(counts.rows)
    plan = Plan(
        catalog=_where(opened),
        rows=rows,
        package=vlm4rec_edge.__version__,
        columns=opened.columns,
        named=asdict(opened.named) if opened.named else None,
        addresses=counts.addresses,
        shards=_with_sources(folder, shards, before),
    )
    write_plan(folder, plan)
    _remove_what_is_of_no_plan(folder, plan)
    known = {shard.fingerprint for shard in before.shards} if before else set()
    return PlanReport(
        folder=folder,
        catalog=plan.catalog,
        shards=len(shards),
        rows=rows,
        items=plan.items,
        duplicates=sum(map(len, later.values())),
        duplicate_ids=tuple(_names(later)[:_NAMED]),
        unusable=counts.unusable,
        failures=tuple(counts.failures),
        addresses=counts.addresses,
        kept=sum(shard.fingerprint in known for shard in shards),
        notes=opened.notes(),
    )


class _Counts:
    """What is counted while a catalog passes by."""

    def __init__(self) -> None:
        self.rows = self.addresses = self.unusable = 0
        self.failures: list[Failure] = []

    def of(self, entries: Iterator[Item | Failure]) -> Iterator[tuple[int, Row]]:
        """Yield each entry as the hash of its id and its row."""
        for entry in entries:
            row = row_of(entry)
            self.rows += 1
            if isinstance(entry, Failure):
                self.unusable += 1
                self.failures += [entry][: _NAMED - len(self.failures)]
            else:
                self.addresses += sum(map(is_photo_address, (row["uri"], *row["more"])))
            yield key_of(entry), row


def _together(
    read: Callable[[], Iterator[Item | Failure]], later: Mapping[int, Sequence[Item | Failure]]
) -> Iterator[Item | Failure]:
    """Yield a catalog with the later entries of an id right after its first one."""
    done: set[int] = set()
    for entry in read():
        key = key_of(entry) if later else 0
        if key not in later:
            yield entry
        elif key not in done:
            done.add(key)
            yield entry
            yield from later[key]


def _parts(rows: Iterator[tuple[int, Row]], most: int) -> Iterator[list[Row]]:
    """Yield the rows of each shard; those of one id stay together, even if they are more than ``most``."""
    part: list[Row] = []
    previous = None
    for key, row in rows:
        may_end = len(part) * 4 >= most * 3 and previous is not None and _ends(previous, most)
        if key != previous and (len(part) >= most or may_end):
            yield part
            part = []
        part.append(row)
        previous = key
    if part:
        yield part


def _ends(key: int, most: int) -> bool:
    """Whether a shard may end after the item whose id has this hash, whatever is before and after it."""
    return most >= _LEAST_ROWS and (key >> 8) % most < _ENDS


def _names(later: Mapping[int, Sequence[Item | Failure]]) -> list[str]:
    entries = (entry for entries in later.values() for entry in entries)
    return list(dict.fromkeys(entry.where if isinstance(entry, Failure) else entry.id for entry in entries))


def _holds(path: Path, shard: Shard) -> bool:
    """Whether a file holds the rows of a shard; one that is torn is written again."""
    try:
        return path.is_file() and fingerprint_of(list(read_rows(path))) == shard.fingerprint
    except StoreError:
        return False


def _where(catalog: Catalog) -> str:
    return str(catalog.path.absolute()) if catalog.path else "items given by a program"


def _earlier_plan(folder: Path) -> Plan | None:
    """Return the plan of a folder, or None where there is none yet, or it is damaged: the new one takes its place.

    Raises:
        StoreError: the folder holds something else, or a plan of another version.
    """
    if (folder / PLAN_NAME).is_file():
        try:
            return read_plan(folder)
        except DamagedError:
            return None
    try:
        others = [path.name for path in folder.iterdir() if path.name != PLAN_FOLDER and path.name[0] != "."]
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"{folder} cannot be read ({error.strerror}); choose another place.") from error
    if others:
        raise StoreError(
            f"{folder} holds other files ({sorted(others)[0]}); give an empty or new folder for the shards."
        )
    return None


def _with_sources(folder: Path, shards: Sequence[Shard], before: Plan | None) -> tuple[Shard, ...]:
    """Note for each new shard which shards of the plan before held about the same items: their captions are known.

    Between two shards that both plans have, the new ones take the place of the old ones that lie there.
    """
    if before is None:
        return tuple(shards)
    made = noted_making(folder)
    done = outputs(folder) if made else {}

    def sources(shard: Shard) -> tuple[str, ...]:
        is_done = made is not None and output_key(shard.fingerprint, made.fingerprint) in done
        return (shard.fingerprint,) if is_done else shard.replaces

    place = {shard.fingerprint: number for number, shard in enumerate(before.shards)}
    found: list[Shard] = []
    fresh: list[Shard] = []
    left = 0
    for shard in [*shards, None]:
        right = len(before.shards) if shard is None else place.get(shard.fingerprint, -1)
        if shard is not None and right < left:
            fresh.append(shard)
            continue
        old = [*map(sources, before.shards[left:right])]
        found += [replace(one, replaces=_near(number, len(fresh), old)) for number, one in enumerate(fresh)]
        fresh = []
        if shard is not None:
            found.append(replace(shard, replaces=before.shards[right].replaces))
            left = right + 1
    return tuple(found)


def _near(number: int, count: int, old: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the sources among ``old`` of the shard ``number`` of ``count`` that take their place: those at its side."""
    if count == len(old):
        first, last = number, number + 1
    else:
        first, last = int(number * len(old) / count) - 1, int((number + 1) * len(old) / count) + 2
    return tuple(dict.fromkeys(source for sources in old[max(first, 0) : last] for source in sources))


def _remove_what_is_of_no_plan(folder: Path, plan: Plan) -> None:
    """Remove rows of an earlier plan, and outputs that neither a shard of this one is nor takes captions from."""
    names = {shard.name for shard in plan.shards}
    gone = [path for path in (folder / PLAN_FOLDER).iterdir() if path.name not in names]
    if made := noted_making(folder):
        wanted = {one for shard in plan.shards for one in (shard.fingerprint, *shard.replaces)}
        keys = {output_key(one, made.fingerprint) for one in wanted}
        gone += [path for key, path in outputs(folder).items() if key not in keys]
    for path in gone:
        with suppress(OSError):
            path.unlink()
