"""Tables that are too long, too wide, too deep, or that change while they are read: no crash, no hang, nothing wrong."""

from __future__ import annotations

import json
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from pictures import swatches
from program import program

from vlm4rec_edge import LlamaCaptioner, OnnxEncoder, build_index
from vlm4rec_edge.catalog.reader import open_catalog
from vlm4rec_edge.errors import CatalogError
from vlm4rec_edge.index_folder import IndexFolder
from vlm4rec_edge.items import Failure, Item
from vlm4rec_edge.store.reader import StoreReader

_MB = 1 << 20


def _entries(table: Path) -> list[Item | Failure]:
    return list(open_catalog(table).read())


def _write(tmp_path: Path, name: str, content: str | bytes) -> Path:
    swatches(tmp_path, 3)
    table = tmp_path / name
    table.write_bytes(content if isinstance(content, bytes) else content.encode())
    return table


def _failures(entries: list[Item | Failure]) -> list[Failure]:
    for entry in entries:
        assert not isinstance(entry, Failure) or (entry.reason.endswith(".") and len(entry.reason) < 500), entry
    return [entry for entry in entries if isinstance(entry, Failure)]


@pytest.mark.parametrize("megabytes", [1, 20])
def test_a_cell_of_megabytes_costs_its_own_row_only(tmp_path: Path, megabytes: int) -> None:
    cell = "x" * (megabytes * _MB)
    table = _write(
        tmp_path, "t.csv", f'id,image,title\na,0000.png,A\nb,0001.png,"{cell}"\n{cell},0001.png,C\nc,0002.png,C\n'
    )
    entries = _entries(table)
    assert [entry.id for entry in entries if isinstance(entry, Item) and len(entry.title) < 9] == ["a", "c"]
    assert len(_failures(entries)) >= 1
    assert all(len(entry.title) <= 100_000 for entry in entries if isinstance(entry, Item))


def test_a_quote_without_end_swallows_nothing_and_says_so(tmp_path: Path) -> None:
    rest = "".join(f"i{number},0001.png,t\n" for number in range(20_000))
    table = _write(tmp_path, "t.csv", f'id,image,title\na,0000.png,A\nb,0001.png,"open\n{rest}')
    entries = _entries(table)
    assert [entry.id for entry in entries if isinstance(entry, Item)] == ["a", *(f"i{n}" for n in range(20_000))]
    (failure,) = _failures(entries)
    assert "line 3" in failure.reason


@pytest.mark.parametrize("columns", [50_000, 200_000])
def test_a_table_of_very_many_columns_is_read_or_refused_soon(tmp_path: Path, columns: int) -> None:
    names = ",".join(f"c{number}" for number in range(columns))
    cells = ",".join("v" for _ in range(columns))
    table = _write(tmp_path, "t.csv", f"id,image,{names}\na,0000.png,{cells}\nb,0001.png\n")
    started = time.process_time()
    try:
        entries = _entries(table)
    except CatalogError as error:
        assert len(str(error)) < 500
        assert "columns" in str(error)
    else:
        assert len(_failures(entries)) == 1
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    "line",
    [
        "[" * (50 * _MB),
        '{"id": "b", "image": "0000.png", "more": ' + '{"a":' * 100_000 + "1" + "}" * 100_000 + "}",
        '{"id": "b", "image": ' + "[" * 20_000 + "]" * 20_000 + "}",
        '{"id": ' + "9" * 10_000 + ', "image": "0000.png"}',
        '{"id": "b", "image": "0000.png", "price": ' + "9" * 5_000 + "}",
        '{"id": "b", "image": "0000.png", "title": "' + "x" * (20 * _MB) + '"}',
        '{"id": "' + "x" * (5 * _MB) + '", "image": "0000.png"}',
        '{"id": "b", "image": "' + "x" * (5 * _MB) + '"}',
        '{"id": "b", "image": "0000.png"' + "".join(f', "k{number}": 1' for number in range(100_000)) + "}",
    ],
    ids=["brackets", "objects", "image of brackets", "id of digits", "number", "title", "id", "image", "keys"],
)
def test_a_monstrous_line_of_jsonl_is_a_failure_or_an_item_and_its_neighbours_are_items(
    tmp_path: Path, line: str
) -> None:
    first, last = (json.dumps({"id": each, "image": "0000.png"}) for each in "ac")
    started = time.process_time()
    entries = _entries(_write(tmp_path, "t.jsonl", f"{first}\n{line}\n{last}\n"))
    assert time.process_time() - started < 10
    assert [entry.id for entry in (entries[0], entries[-1]) if isinstance(entry, Item)] == ["a", "c"]
    assert len(entries) == 3
    _failures(entries)


@pytest.mark.parametrize(
    ("number", "text"),
    [("1e999", "Infinity"), ("-1e999", "-Infinity"), ("NaN", ""), ("1e-999", "0.0"), ("-0", "0"), ("1E5", "100000.0")],
)
def test_numbers_beyond_all_bounds_become_text(tmp_path: Path, number: str, text: str) -> None:
    line = f'{{"id": "a", "image": "0000.png", "price": {number}}}'
    (entry,) = _entries(_write(tmp_path, "t.jsonl", line + "\n"))
    assert isinstance(entry, Item)
    assert entry.attributes == {"price": text}


def test_reading_a_long_table_holds_one_row_at_a_time(tmp_path: Path) -> None:
    row = '{"id": "%d", "image": "0000.png", "title": "' + "t" * 400 + '"}\n'
    table = _write(tmp_path, "t.jsonl", "".join(row % number for number in range(4000)))
    catalog = open_catalog(table)
    tracemalloc.start()
    try:
        assert sum(1 for _ in catalog.read()) == 4000
        assert tracemalloc.get_traced_memory()[1] < table.stat().st_size // 4
    finally:
        tracemalloc.stop()


def test_a_quote_that_is_open_for_megabytes_is_read_past_in_flat_memory(tmp_path: Path) -> None:
    row = "i%d,0000.png," + "t" * 4000 + "\n"
    rows = "".join(row % number for number in range(4000))
    table = _write(tmp_path, "t.csv", f'id,image,title\na,0000.png,A\nb,0000.png,"open\n{rows}')
    catalog = open_catalog(table)
    tracemalloc.start()
    try:
        assert sum(1 for _ in catalog.read()) == 4002
        assert tracemalloc.get_traced_memory()[1] < table.stat().st_size // 2
    finally:
        tracemalloc.stop()


def test_monsters_go_through_the_program_and_are_told_in_short(tmp_path: Path) -> None:
    lines = [
        "[" * (5 * _MB),
        '{"id": "' + "x" * _MB + '", "image": "0.png"}',
        '{"id": "b", "image": "' + "y/" * _MB + '"}',
    ]
    lines += [
        '{"id": "a", "image": "0000.png", "title": "t"}',
        '{"id": "c", "image": "0000.png", "price": ' + "9" * 9999 + "}",
    ]
    table = _write(tmp_path, "t.jsonl", "\n".join(lines))
    done = program("index", table, "--out", tmp_path / "i", "--max-tokens", "3", "--json")
    assert done.code == 3
    assert done.json["failed"] >= 3
    assert len(done.out) < 10_000


class _Catalogs:
    """A table of photos, to be changed when the first of them is indexed."""

    def __init__(self, folder: Path) -> None:
        self.photos = swatches(folder, 32)
        self.table = folder / "t.csv"
        rows = "".join(f"i{number},{path.name}\n" for number, path in enumerate(self.photos))
        self.table.write_text("id,image\n" + rows, encoding="utf-8")


def _vanish(catalog: _Catalogs) -> None:
    for path in catalog.photos[16:]:
        path.unlink()


def _replace(catalog: _Catalogs) -> None:
    for number, path in enumerate(catalog.photos[16:]):
        path.write_bytes(catalog.photos[number].read_bytes() if number % 2 else b"no photo any more")


def _truncate(catalog: _Catalogs) -> None:
    with catalog.table.open("r+b") as stream:
        stream.truncate(300)


def _grow(catalog: _Catalogs) -> None:
    with catalog.table.open("a", encoding="utf-8") as stream:
        stream.write("".join(f"more{number},{catalog.photos[0].name}\n" for number in range(50)))


def _remove_table(catalog: _Catalogs) -> None:
    catalog.table.unlink()


@pytest.mark.parametrize("change", [_vanish, _replace, _truncate, _grow, _remove_table])
def test_a_catalog_that_changes_under_the_run_is_indexed_as_far_as_it_is_there(
    tmp_path: Path, change: Callable[[_Catalogs], None], brief_captioner: LlamaCaptioner, encoder: OnnxEncoder
) -> None:
    catalog = _Catalogs(tmp_path / "shop")
    changed = threading.Event()

    def on_progress(progress: object) -> None:
        if not changed.is_set():
            changed.set()
            change(catalog)

    report = build_index(
        catalog.table, tmp_path / "i", captioner=brief_captioner, encoder=encoder, on_progress=on_progress
    )
    assert changed.is_set()
    assert not report.interrupted
    assert report.items >= 4  # the batch that was looked at before the change
    assert report.progress.done == report.items + len(report.failures)
    assert all(failure.reason.endswith(".") for failure in report.failures)
    assert IndexFolder(tmp_path / "i").verify().ok
    with StoreReader(tmp_path / "i") as store:
        assert store.count() == report.items
        # What stands in the index was there when it was looked at: photo and caption belong together.
        assert all(item.caption for item in store.items())


def test_a_table_that_goes_away_before_the_run_is_a_sentence(tmp_path: Path, encoder: OnnxEncoder) -> None:
    catalog = open_catalog(_write(tmp_path, "t.jsonl", json.dumps({"id": "a", "image": "0000.png", "title": "t"})))
    catalog.path.unlink()
    with pytest.raises(CatalogError, match="cannot be read"):
        build_index(catalog, tmp_path / "i", encoder=encoder, encoded_text="title")
