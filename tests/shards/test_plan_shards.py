"""A plan holds every row of a catalog once, and an updated catalog keeps the shards that are unchanged."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import chain, pairwise
from pathlib import Path

import pytest
from made_shards import models, plain_catalog, write_photo, write_table

from vlm4rec_edge import Item, UsageError
from vlm4rec_edge.catalog.reader import open_catalog
from vlm4rec_edge.errors import CatalogError, MissingDependencyError, StoreError
from vlm4rec_edge.items import Failure
from vlm4rec_edge.shards import duplicates, entries, planning
from vlm4rec_edge.shards.entries import entry_of, read_rows
from vlm4rec_edge.shards.folder import read_plan
from vlm4rec_edge.shards.planning import plan_shards
from vlm4rec_edge.shards.running import run_shards


def _entries(folder: Path) -> list[Item | Failure]:
    plan = read_plan(folder)
    return [entry_of(row) for shard in plan.shards for row in read_rows(folder / "plan" / shard.name)]


def _shown(entry: Item | Failure) -> str:
    return repr(entry)


def test_every_entry_of_the_catalog_is_in_one_shard_and_duplicates_beside_their_first(shards: Path, odd: Path) -> None:
    planned = _entries(shards)
    assert sorted(map(_shown, planned)) == sorted(map(_shown, open_catalog(odd).read()))
    places = [number for number, entry in enumerate(planned) if isinstance(entry, Item) and entry.id == "item-0"]
    assert places == [0, 1, 2]


def test_what_a_plan_says_of_the_catalog(tmp_path: Path, odd: Path) -> None:
    report = plan_shards(odd, tmp_path / "shards", rows=16)
    document = report.to_dict()
    assert document["items"] == 62
    assert (document["unusable"], document["duplicates"]) == (2, 4)
    assert set(document["duplicate_ids"]) == {"item-0", "item-5", "cafe\N{COMBINING ACUTE ACCENT}"}
    assert "has no id" in document["failures"][0]["reason"]
    plan = json.loads((tmp_path / "shards" / "plan.json").read_text(encoding="utf-8"))
    assert sum(shard["rows"] for shard in plan["shards"]) == 64
    assert all(shard["rows"] <= 16 for shard in plan["shards"])
    assert plan["catalog"] == str(odd)


def test_the_same_catalog_gives_the_same_files(tmp_path: Path, shards: Path, odd: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in (shards / "plan").iterdir()}
    report = plan_shards(odd, shards, rows=16)
    assert report.kept == report.shards == len(before)
    assert {path.name: path.stat().st_mtime_ns for path in (shards / "plan").iterdir()} == before
    plan_shards(odd, tmp_path / "other", rows=16)
    assert {path.name for path in (tmp_path / "other" / "plan").iterdir()} == set(before)


@pytest.mark.parametrize("change", ["first", "middle", "removed"])
def test_a_change_of_one_row_leaves_most_shards_as_they_are(tmp_path: Path, change: str) -> None:
    photo = str(write_photo(tmp_path / "a.jpg", b"the only photo"))
    rows = [[f"item-{number}", photo, f"Title {number}", "1", ""] for number in range(1200)]
    table = write_table(tmp_path / "items.csv", rows)
    plan_shards(table, tmp_path / "shards", rows=40)
    if change == "first":
        rows.insert(0, ["new", photo, "New", "1", ""])
    elif change == "middle":
        rows[600][3] = "1000"
    else:
        del rows[200]
    write_table(table, rows)
    report = plan_shards(table, tmp_path / "shards", rows=40)
    assert report.kept < report.shards
    assert report.kept >= report.shards * 0.6
    assert len(_entries(tmp_path / "shards")) == len(rows)


def test_no_more_is_held_than_a_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows reach the disk while the catalog is still being read."""
    read = 0
    ahead: list[int] = []
    write = planning.write_rows

    class Counted:
        def __iter__(self) -> Iterator[Item]:
            nonlocal read
            read = 0
            for number in range(300):
                read += 1
                yield Item(f"item-{number}", tmp_path / f"{number}.jpg")

    def noted(path: Path, rows: list[entries.Row]) -> None:
        ahead.append(read)
        write(path, rows)

    monkeypatch.setattr(planning, "write_rows", noted)
    plan_shards(open_catalog(Counted()), tmp_path / "shards", rows=20)
    assert ahead == sorted(ahead)
    assert ahead[0] <= 21
    assert all(later - earlier <= 20 for earlier, later in pairwise(ahead))


def test_duplicates_are_found_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "_BUFFERED", 3)
    names = [f"{number % 50}" for number in range(120)]
    total, later = duplicates.repeated(lambda: (Item(name, Path("x.jpg")) for name in names))
    assert total == 120
    assert sum(map(len, later.values())) == 70
    assert {entry.id for entry in chain.from_iterable(later.values())} == set(names)
    assert duplicates.repeated(lambda: iter([Item("a", Path("x")), Item("b", Path("x"))])) == (2, {})


def test_an_id_of_many_rows_is_not_divided(tmp_path: Path) -> None:
    items = [Item("same" if number % 2 else f"{number}", tmp_path / f"{number}.jpg") for number in range(50)]
    plan_shards(open_catalog(items), tmp_path / "shards", rows=10)
    plan = read_plan(tmp_path / "shards")
    homes = [
        shard.index
        for shard in plan.shards
        for row in read_rows(tmp_path / "shards" / "plan" / shard.name)
        if row["id"] == "same"
    ]
    assert len(homes) == 25
    assert len(set(homes)) == 1


def test_outputs_of_the_plan_before_are_kept_for_their_captions_and_those_of_no_plan_removed(tmp_path: Path) -> None:
    table = plain_catalog(tmp_path / "shop", 60)
    folder, own = tmp_path / "shards", models(tmp_path / "captions.log")
    plan_shards(table, folder, rows=20)
    run_shards(folder, models=own)
    first = set((folder / "output").iterdir())
    for title in ("Other", "Another"):
        rows = [line.split(",") for line in table.read_text(encoding="utf-8").splitlines()[1:]]
        rows[0][2] = title
        plan_shards(write_table(table, rows), folder, rows=20)
        assert first <= set((folder / "output").iterdir())
    run_shards(folder, models=own)
    assert len(set((folder / "output").iterdir())) == len(first) + 1
    plan_shards(table, folder, rows=20)
    assert len(set((folder / "output").iterdir())) == len(first) + 1
    rows[1][2] = "The second"
    plan_shards(write_table(table, rows), folder, rows=20)
    assert len(set((folder / "output").iterdir())) == len(first)


@pytest.mark.parametrize("rows", [0, -3])
def test_a_shard_has_at_least_one_row(tmp_path: Path, odd: Path, rows: int) -> None:
    with pytest.raises(UsageError, match="at least one row"):
        plan_shards(odd, tmp_path / "shards", rows=rows)


def test_a_folder_that_holds_something_else_is_refused(tmp_path: Path, odd: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "thesis.txt").write_text("years of work")
    with pytest.raises(StoreError, match=r"thesis\.txt"):
        plan_shards(odd, tmp_path / "work")
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["thesis.txt"]


def test_a_generator_cannot_be_planned(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="more than once"):
        plan_shards(open_catalog(Item(name, Path("x.jpg")) for name in "ab"), tmp_path / "shards")


def test_there_is_no_catalog(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="no catalog"):
        plan_shards(tmp_path / "nothing.csv", tmp_path / "shards")


@pytest.mark.parametrize("damage", ["not JSON", '{"version": 1}', '{"version": 99}', "[]"])
def test_a_damaged_plan_is_a_sentence(shards: Path, damage: str) -> None:
    (shards / "plan.json").write_text(damage)
    with pytest.raises(StoreError, match=r"plan\.json"):
        read_plan(shards)


def test_damaged_rows_are_a_sentence(shards: Path) -> None:
    path = next((shards / "plan").iterdir())
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(StoreError, match="shard plan` again"):
        list(read_rows(path))


@pytest.mark.parametrize("damage", ["not JSON", '{"version": 1}'])
def test_planning_again_repairs_what_is_damaged(shards: Path, odd: Path, damage: str) -> None:
    planned, before = read_plan(shards), [*map(_shown, _entries(shards))]
    torn, changed, *_ = sorted((shards / "plan").iterdir())
    torn.write_bytes(torn.read_bytes()[:-9])
    shutil.copy(sorted((shards / "plan").iterdir())[-1], changed)
    (shards / "plan.json").write_text(damage)
    plan_shards(odd, shards, rows=16)
    assert read_plan(shards) == planned
    assert [*map(_shown, _entries(shards))] == before


def test_a_plan_of_another_version_is_not_replaced(shards: Path, odd: Path) -> None:
    (shards / "plan.json").write_text('{"version": 99}')
    with pytest.raises(StoreError, match="version 99"):
        plan_shards(odd, shards, rows=16)


def test_without_pyarrow_the_command_that_installs_it_is_told(tmp_path: Path, odd: Path) -> None:
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from vlm4rec_edge.shards.planning import plan_shards\n"
        f"plan_shards({str(odd)!r}, {str(tmp_path / 'shards')!r})\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stderr
    assert MissingDependencyError.__name__ in said
    assert 'pip install "vlm4rec-edge[parquet]"' in said
