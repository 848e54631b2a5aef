"""One bad item never stops a run: it is listed with the reason, and all others are indexed."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_catalog import PHOTOS, Run, counts_of, items_of, rows_of, table_of, vectors_of

from vlm4rec_edge import LlamaCaptioner, Recommender, caption_photos
from vlm4rec_edge.errors import StoreError, Vlm4RecWarning
from vlm4rec_edge.items import Failure
from vlm4rec_edge.store.reader import StoreReader


def _failures(out: Path) -> list[Failure]:
    with StoreReader(out) as store:
        return list(store.failures())


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "0 bytes"), (b"no picture", "no format"), (None, "truncated"), ("folder", "not a regular file")],
)
def test_a_bad_photo_is_listed_and_all_others_are_indexed(
    run: Run, photos: Path, out: Path, content: bytes | str | None, reason: str
) -> None:
    bad = photos / "0003.png"
    whole = bad.read_bytes()
    bad.unlink()
    if content == "folder":
        bad.mkdir()
    else:
        bad.write_bytes(whole[: len(whole) // 2] if content is None else content)  # type: ignore[arg-type]
    rows = [{"id": f"{number:04}", "image": f"{number:04}.png"} for number in range(PHOTOS)]
    report = run(table_of(photos, rows))
    assert counts_of(report)[0] == PHOTOS - 1
    (failure,) = report.failures
    assert (failure.where, failure.stage) == ("0003", "photo")
    assert reason in failure.reason
    assert _failures(out) == [failure]
    assert set(items_of(out)) == {row["id"] for row in rows} - {"0003"}


def test_what_failed_before_is_tried_again_and_forgotten_when_it_succeeds(run: Run, photos: Path, out: Path) -> None:
    whole = (photos / "0003.png").read_bytes()
    (photos / "0003.png").write_bytes(b"bad")
    run(photos)
    (photos / "0003.png").write_bytes(whole)
    report = run(photos)
    assert counts_of(report)[:2] == (1, PHOTOS - 1)
    assert _failures(out) == []


@pytest.mark.parametrize("damage", ["broken", "gone"])
def test_an_item_whose_photo_breaks_is_kept_as_it_was_even_when_pruning(
    run: Run, photos: Path, out: Path, damage: str
) -> None:
    table = table_of(photos, rows_of(photos))
    run(table)
    before = items_of(out)["0003"], vectors_of(out)["0003"]
    if damage == "broken":
        (photos / "0003.png").write_bytes(b"broken")
    else:
        (photos / "0003.png").unlink()
    report = run(table, prune=True)
    assert (report.progress.failed, report.removed, report.items) == (1, 0, PHOTOS)
    assert (items_of(out)["0003"], vectors_of(out)["0003"]) == before


def test_nothing_is_pruned_while_a_part_of_the_catalog_cannot_be_read(run: Run, photos: Path) -> None:
    rows = rows_of(photos)
    table = table_of(photos, rows)
    run(table)
    # A row too long: whose it was, nobody can tell. And one item has truly left.
    lines = table.read_text(encoding="utf-8").splitlines()
    table.write_text("\n".join([*lines[:3], lines[3] + ",x", *lines[4:-1], ""]), encoding="utf-8")
    report = run(table, prune=True)
    assert (report.unread, report.removed, report.items) == (1, 0, PHOTOS)
    table.write_text("\n".join([*lines[:-1], ""]), encoding="utf-8")
    report = run(table, prune=True)
    assert (report.unread, report.removed, report.items) == (0, 1, PHOTOS - 1)


def test_of_an_id_that_stands_twice_the_first_is_used(run: Run, photos: Path, out: Path) -> None:
    rows = rows_of(photos)
    rows += [{"id": "0001", "image": "0005.png"}, {"id": "0002", "image": "0002.png"}]
    report = run(table_of(photos, rows))
    failures = sorted(report.failures, key=lambda failure: failure.where)  # they come as photos are finished
    assert [(failure.where, failure.stage) for failure in failures] == [("0001", "catalog"), ("0002", "catalog")]
    assert "0005.png is left out, and an earlier one is used" in failures[0].reason
    assert Path(items_of(out)["0001"].image).name == "0001.png"
    assert report.items == PHOTOS


def test_bad_rows_are_failures_beside_good_items(run: Run, photos: Path) -> None:
    table = table_of(photos, rows_of(photos))
    with table.open("ab") as stream:
        stream.write(b",0001.png\nescape,../x.png\nshort\ncaf\xe9 \xc3\xa9,0001.png\nnone,none.png\n")
    report = run(table)
    assert report.items == PHOTOS
    assert [failure.where for failure in report.failures[:2]] == ["items.csv, line 8", "escape"]
    assert {failure.stage for failure in report.failures} == {"catalog", "photo"}
    assert report.progress.failed == 5


def test_a_run_in_which_everything_fails_leaves_an_index_that_says_so(run: Run, photos: Path, out: Path) -> None:
    for path in photos.glob("*.png"):
        path.write_bytes(b"bad")
    report = run(photos)
    assert (report.items, report.progress.failed) == (0, PHOTOS)
    with pytest.raises(StoreError, match="holds no items yet"):
        Recommender.open(out)


@pytest.mark.parametrize("first", ["gone.png", "broken.png", "../secret.png"])
@pytest.mark.parametrize("between", [0, 3])
def test_an_item_whose_first_row_is_unusable_is_taken_from_a_later_one(
    run: Run, photos: Path, out: Path, first: str, between: int
) -> None:
    (photos / "broken.png").write_bytes(b"broken")
    others = [{"id": f"{number:04}", "image": f"{number:04}.png"} for number in range(1, 1 + between)]
    rows = [{"id": "A", "image": first}, *others, {"id": "A", "image": "0004.png"}, {"id": "A", "image": "0005.png"}]
    table = table_of(photos, rows)
    for _ in range(2):  # the second run finds the item in the index
        report = run(table)
        assert items_of(out)["A"].image.endswith("0004.png")
        assert report.items == between + 1
        assert any(reason in report.failures[0].reason for reason in ("does not exist", "no format known", "outside"))


def test_what_is_left_out_of_an_id_that_stands_twice_is_named(run: Run, photos: Path) -> None:
    rows = [{"id": name, "image": f"{number:04}.png"} for number, name in enumerate("ABA")]
    (failure,) = run(table_of(photos, rows)).failures
    assert failure.reason == "Duplicate id 'A': 0002.png is left out, and an earlier one is used."


def test_a_photo_that_lacks_its_end_is_used_and_told_in_every_run(run: Run, photos: Path, out: Path) -> None:
    cut = photos / "0003.png"
    cut.write_bytes(cut.read_bytes()[:-12])
    for _ in range(2):
        with pytest.warns(Vlm4RecWarning, match=r"0003\.png is cut off at its end; what is there was used"):
            report = run(photos)
        assert (report.items, report.failures) == (PHOTOS, ())


def test_a_captioned_photo_that_lacks_its_end_is_told(photos: Path, brief_captioner: LlamaCaptioner) -> None:
    cut = photos / "0003.png"
    cut.write_bytes(cut.read_bytes()[:-12])
    with pytest.warns(Vlm4RecWarning, match=r"0003\.png is cut off at its end") as told:
        report = caption_photos([cut, photos / "0001.png"], brief_captioner)
    assert (len(report.captions), len(told)) == (2, 1)
