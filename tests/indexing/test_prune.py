"""Pruning removes what a catalog no longer has, names it, and asks where that is much; a mistake costs no captioning."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from made_catalog import counts_of, items_of
from made_plugins import MadeCaptioner, MadeEncoder, said
from pictures import swatches
from program import at_a_terminal, program

from vlm4rec_edge import Captioned, CaptionRequest, IndexFolder, IndexReport, Item, build_index
from vlm4rec_edge.store.writer import StoreWriter


class Counting(MadeCaptioner):
    """Counts the photos it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.photos = 0

    def caption(self, photos: Iterable[CaptionRequest]) -> Iterator[Captioned]:
        """Count and answer."""
        for request in photos:
            self.photos += 1
            yield said(request)


def _items(folder: Path, count: int) -> list[Item]:
    return [Item(path.stem, path) for path in swatches(folder, count)]


def _index(items: Iterable[Item], out: Path, **settings: Any) -> IndexReport:
    return build_index(items, out, **{"captioner": MadeCaptioner(), "encoder": MadeEncoder(), **settings})


@pytest.mark.parametrize(
    ("items", "gone", "refused"),
    [(30, 20, False), (30, 21, True), (30, 29, True), (220, 22, False), (220, 23, True)],
    ids=["20 of 30", "21 of 30", "29 of 30", "22 of 220", "23 of 220"],
)
def test_more_than_20_items_and_more_than_a_tenth_are_not_pruned_unasked(
    tmp_path: Path, items: int, gone: int, refused: bool
) -> None:
    out, catalog = tmp_path / "x.index", _items(tmp_path / "photos", items)
    _index(catalog, out)
    report = _index(catalog[gone:], out, prune=True)
    ids = tuple(item.id for item in catalog[:gone])
    assert (report.removed_ids, report.not_removed) == (((), ids) if refused else (ids, ()))
    assert report.removed == len(report.removed_ids)
    assert report.items == len(items_of(out)) == items - len(report.removed_ids)


def test_new_items_of_the_same_run_do_not_make_a_large_prune_small(tmp_path: Path) -> None:
    out, catalog = tmp_path / "x.index", _items(tmp_path / "photos", 400)
    _index(catalog[:30], out)
    assert len(_index(catalog[30:], out, prune=True).not_removed) == 30


def test_what_is_meant_can_be_pruned_however_much_it_is(tmp_path: Path) -> None:
    out, catalog = tmp_path / "x.index", _items(tmp_path / "photos", 40)
    _index(catalog, out)
    report = _index(catalog[30:], out, prune_anyway=True)
    assert (report.removed, report.items, report.not_removed) == (30, 10, ())


def test_what_was_not_pruned_can_be_removed_by_the_names_in_the_report(tmp_path: Path) -> None:
    out, catalog = tmp_path / "x.index", _items(tmp_path / "photos", 40)
    _index(catalog, out)
    with IndexFolder(out) as index:
        report = index.update(catalog[30:], captioner=MadeCaptioner(), encoder=MadeEncoder(), prune=True)
        assert index.remove(report.not_removed).removed == 30
    assert set(items_of(out)) == {item.id for item in catalog[30:]}


def test_a_prune_by_mistake_costs_no_caption_and_no_vector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vlm4rec_edge.store.vectors._COMPACT_FROM", 10)
    out, catalog, captioner = tmp_path / "x.index", _items(tmp_path / "photos", 40), Counting()
    _index(catalog, out, captioner=captioner)
    assert captioner.photos == 40
    _index(catalog[35:], out, captioner=captioner, prune_anyway=True)
    again = _index(catalog, out, captioner=captioner)
    assert counts_of(again) == (0, 40, 0, 0)
    assert (captioner.photos, again.items) == (40, 40)


def test_the_vectors_of_what_stays_away_are_dropped_by_the_run_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vlm4rec_edge.store.vectors._COMPACT_FROM", 10)
    out, catalog = tmp_path / "x.index", _items(tmp_path / "photos", 40)
    _index(catalog, out)
    _index(catalog[35:], out, prune_anyway=True)
    _index(catalog[35:], out)
    with StoreWriter(out) as store:
        assert store.compact(force=True) == 0


@pytest.fixture(scope="module")
def whole_shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the index of 40 items, and with a table of the first ten of them. To be read only."""
    folder = tmp_path_factory.mktemp("shop")
    names = [path.name for path in swatches(folder, 40)]
    lines = ["id,image,title", *(f"{name[:-4]},{name},Thing {name[:-4]}" for name in names)]
    (folder / "items.csv").write_text("\n".join([*lines, ""]), encoding="utf-8")
    done = program("index", folder / "items.csv", "--out", folder / "x.index", "--encoded-text", "title")
    assert done.code == 0
    (folder / "items.csv").write_text("\n".join([*lines[:11], ""]), encoding="utf-8")
    return folder


@pytest.fixture
def command(whole_shop: Path, tmp_path: Path) -> list[object]:
    """The command that indexes a quarter of the table."""
    out = shutil.copytree(whole_shop / "x.index", tmp_path / "x.index")
    return ["index", whole_shop / "items.csv", "--out", out, "--encoded-text", "title"]


def _holds(out: object) -> int:
    return int(program("info", out, "--json").json["items"])


def test_the_program_refuses_a_large_prune_where_it_cannot_ask(command: list[object]) -> None:
    done = program(*command, "--prune", "--json")
    assert done.code == 3
    gone = [f"{number:04}" for number in range(10, 40)]
    assert (done.json["not_removed"], done.json["removed"], done.json["items"]) == (gone, 0, 40)
    assert "The catalog no longer has 30 items" in done.err
    assert "use --prune-anyway" in done.err
    assert _holds(command[3]) == 40


@pytest.mark.parametrize(("answer", "left", "code"), [("n", 40, 3), ("y", 10, 0)])
def test_at_a_terminal_it_asks(command: list[object], answer: str, left: int, code: int) -> None:
    done = at_a_terminal(*command, "--prune", answer=answer)
    assert "Remove them? [y/N]" in done.err
    assert done.code == code
    assert _holds(command[3]) == left


def test_the_program_prunes_anyway_where_it_is_told_to_and_names_what_it_removed(command: list[object]) -> None:
    done = program(*command, "--prune-anyway")
    assert done.code == 0
    assert "Removed: 0010, 0011, " in done.err
    assert " and 20 more" in done.err
    assert _holds(command[3]) == 10
