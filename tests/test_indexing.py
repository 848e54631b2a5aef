"""A run does what is not done yet, and no more; one bad item never stops it."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pictures import swatch, swatches

from vlm4rec_edge import Captioner, Encoder, Recommender, build_index, resolve_encoder, resolve_lvlm
from vlm4rec_edge.errors import StoreError, UsageError
from vlm4rec_edge.indexing import IndexProgress, IndexReport, failures_of
from vlm4rec_edge.models.manifest import read_manifest
from vlm4rec_edge.store.reader import StoredItem, StoreReader
from vlm4rec_edge.store.writer import StoreWriter

PHOTOS = 6

Run = Callable[..., IndexReport]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of a few small photos."""
    swatches(tmp_path / "photos", PHOTOS)
    return tmp_path / "photos"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where the index goes."""
    return tmp_path / "shop.index"


@pytest.fixture
def run(out: Path, brief_captioner: Captioner, encoder: Encoder) -> Run:
    """Index a catalog with the embedded models, captions held short."""

    def index(catalog: Path, **settings: Any) -> IndexReport:
        return build_index(catalog, out, **{"captioner": brief_captioner, "encoder": encoder, **settings})

    return index


def _table(folder: Path, rows: Sequence[dict[str, str]], name: str = "items.csv") -> Path:
    path = folder / name
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(rows)
    return path


def _rows(photos: Path, **columns: str) -> list[dict[str, str]]:
    names = sorted(path.name for path in photos.glob("*.png"))
    return [{"id": name[:-4], "image": name, **columns} for name in names]


def _items(out: Path) -> dict[str, StoredItem]:
    with StoreReader(out) as store:
        return {item.id: item for item in store.items()}


def _vectors(out: Path) -> dict[str, list[float]]:
    with StoreReader(out) as store:
        return {item.id: store.vectors[item.row].tolist() for item in store.items()}


def _counts(report: IndexReport) -> tuple[int, int, int, int]:
    done = report.progress
    return done.captioned, done.reused, done.encoded, done.failed


def test_a_first_run_captions_and_encodes_everything(run: Run, photos: Path, out: Path, encoder: Encoder) -> None:
    report = run(photos)
    items = _items(out)
    texts = {item.caption for item in items.values()}
    assert _counts(report) == (PHOTOS, 0, len(texts), 0)
    assert (report.items, report.removed, report.interrupted, report.failures) == (PHOTOS, 0, False, ())
    assert set(items) == {f"{number:04}" for number in range(PHOTOS)}
    for name, vector in _vectors(out).items():
        (expected,) = encoder.encode([items[name].caption])
        np.testing.assert_allclose(vector, expected, atol=1e-5)


def test_a_second_run_does_nothing_and_loads_no_model(run: Run, photos: Path, out: Path) -> None:
    run(photos)
    before = _items(out), _vectors(out)
    with Captioner(resolve_lvlm(), max_tokens=6) as fresh:
        report = run(photos, captioner=fresh)
        assert fresh.kv_bytes == 0
    assert _counts(report) == (0, PHOTOS, 0, 0)
    assert (_items(out), _vectors(out)) == before


def test_a_changed_photo_is_captioned_again_and_no_other(run: Run, photos: Path) -> None:
    run(photos)
    swatch(255, 255, 255).save(photos / "0002.png")
    report = run(photos)
    assert _counts(report)[:2] == (1, PHOTOS - 1)
    assert report.items == PHOTOS


def test_a_new_photo_is_captioned_and_no_other(run: Run, photos: Path) -> None:
    run(photos)
    swatch(255, 255, 255).save(photos / "new.png")
    report = run(photos)
    assert _counts(report)[:2] == (1, PHOTOS)
    assert report.items == PHOTOS + 1


def test_a_changed_title_costs_no_model_work_where_titles_are_not_encoded(run: Run, photos: Path, out: Path) -> None:
    run(_table(photos, _rows(photos, title="old", brand="A")))
    report = run(_table(photos, _rows(photos, title="new", brand="B", price="1")))
    assert _counts(report) == (0, PHOTOS, 0, 0)
    for item in _items(out).values():
        assert (item.title, item.attributes) == ("new", {"brand": "B", "price": "1"})


def test_a_changed_title_is_encoded_again_where_titles_are_encoded(
    run: Run, photos: Path, out: Path, encoder: Encoder
) -> None:
    rows = _rows(photos, title="old")
    run(_table(photos, rows), encoded_text="title_caption")
    rows[3]["title"] = "new"
    report = run(_table(photos, rows), encoded_text="title_caption")
    assert _counts(report) == (0, PHOTOS, 1, 0)
    (expected,) = encoder.encode([f"new. {_items(out)['0003'].caption}"])
    np.testing.assert_allclose(_vectors(out)["0003"], expected, atol=1e-5)


def test_a_changed_title_is_captioned_again_where_the_prompt_asks_for_it(run: Run, photos: Path) -> None:
    rows = _rows(photos, title="old")
    with Captioner(resolve_lvlm(), prompt="Describe this {title}.", max_tokens=6) as asking:
        run(_table(photos, rows), captioner=asking)
        rows[3]["title"] = "new"
        report = run(_table(photos, rows), captioner=asking)
    assert _counts(report)[:2] == (1, PHOTOS - 1)


def test_another_prompt_and_another_bound_caption_everything_again(run: Run, photos: Path) -> None:
    run(photos)
    for settings in ({"prompt": "What is it?"}, {"max_tokens": 4}):
        with Captioner(resolve_lvlm(), **{"max_tokens": 6, **settings}) as other:
            assert _counts(run(photos, captioner=other))[:2] == (PHOTOS, 0)
    assert _counts(run(photos))[:2] == (0, PHOTOS)  # what was made before the change is still known


def test_a_renamed_photo_is_a_new_item_without_a_new_caption(run: Run, photos: Path, out: Path) -> None:
    run(photos)
    (photos / "0001.png").rename(photos / "renamed.png")
    report = run(photos)
    assert _counts(report)[:2] == (0, PHOTOS)
    assert report.items == PHOTOS + 1
    report = run(photos, prune=True)
    assert (report.removed, report.items) == (1, PHOTOS)
    assert "0001" not in _items(out)
    assert "renamed" in _items(out)


def test_a_moved_folder_costs_nothing_and_the_photos_are_found_there(run: Run, photos: Path, out: Path) -> None:
    run(photos)
    moved = photos.rename(photos.with_name("moved"))
    report = run(moved)
    assert _counts(report) == (0, PHOTOS, 0, 0)
    assert all(Path(item.image).parent == moved for item in _items(out).values())


def test_items_that_share_a_photo_share_one_caption(
    run: Run, photos: Path, out: Path, brief_captioner: Captioner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Side by side, and so far apart that the first one is finished before the last one comes."""
    swatches(photos / "more", 20)
    for name in ("0000-twin", "more/zzzz-twin"):
        shutil.copy(photos / "0000.png", photos / f"{name}.png")
    asked: list[str] = []
    caption = brief_captioner.caption

    def counted(requests: Iterator[Any]) -> Iterator[Any]:
        return caption(_noting(requests, asked))

    monkeypatch.setattr(brief_captioner, "caption", counted)
    report = run(photos)
    assert len(asked) == len(set(asked)) == 20  # the first six of `more` are the six photos themselves
    assert _counts(report)[:2] == (20, PHOTOS + 2)
    assert report.items == PHOTOS + 2 + 20
    items = _items(out)
    assert len({items[name].row for name in ("0000", "0000-twin", "more/0000", "more/zzzz-twin")}) == 1


def _noting(requests: Iterator[Any], keys: list[str]) -> Iterator[Any]:
    for request in requests:
        keys.append(request.key)
        yield request


def test_every_item_is_counted_once_however_its_caption_came(run: Run, photos: Path) -> None:
    shutil.copy(photos / "0000.png", photos / "twin.png")
    (photos / "bad.png").write_bytes(b"bad")
    for _ in range(2):
        done = run(photos).progress
        assert done.captioned + done.reused + done.failed == done.done == PHOTOS + 2


def test_another_encoder_encodes_again_and_captions_nothing(
    run: Run, photos: Path, out: Path, encoder: Encoder, tmp_path: Path
) -> None:
    run(photos)
    captions = {name: item.caption for name, item in _items(out).items()}
    folder = shutil.copytree(resolve_encoder().folder, tmp_path / "other-encoder")
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest["encoder"]["max_tokens"] = 4
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert read_manifest(folder).encoder != encoder.files.settings
    with Encoder(resolve_encoder(folder), threads=1) as other:
        report = run(photos, encoder=other)
        assert _counts(report) == (0, PHOTOS, len(set(captions.values())), 0)
        assert {name: item.caption for name, item in _items(out).items()} == captions
        with StoreReader(out) as store:
            assert store.meta["encoder"] == other.fingerprint
            assert len(store.vectors) == len(set(captions.values()))
        (expected,) = other.encode([captions["0000"]])
    np.testing.assert_allclose(_vectors(out)["0000"], expected, atol=1e-5)
    assert len(list(out.glob("vectors-*"))) == 1


def test_items_that_the_catalog_no_longer_has_stay_until_they_are_pruned(run: Run, photos: Path, out: Path) -> None:
    run(photos)
    (photos / "0001.png").unlink()
    (photos / "0004.png").unlink()
    report = run(photos)
    assert (report.items, report.removed) == (PHOTOS, 0)
    report = run(photos, prune=True)
    assert (report.items, report.removed) == (PHOTOS - 2, 2)
    assert set(_items(out)) == {"0000", "0002", "0003", "0005"}
    shutil.copy(photos / "0000.png", photos / "0001.png")
    assert _counts(run(photos))[0] == 0


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
        bad.write_bytes(whole[: len(whole) - 20] if content is None else content)  # type: ignore[arg-type]
    rows = [{"id": f"{number:04}", "image": f"{number:04}.png"} for number in range(PHOTOS)]
    report = run(_table(photos, rows))
    assert _counts(report)[0] == PHOTOS - 1
    (failure,) = report.failures
    assert (failure.where, failure.stage) == ("0003", "photo")
    assert reason in failure.reason
    assert list(failures_of(out)) == [failure]
    assert set(_items(out)) == {row["id"] for row in rows} - {"0003"}


def test_what_failed_before_is_tried_again_and_forgotten_when_it_succeeds(run: Run, photos: Path, out: Path) -> None:
    whole = (photos / "0003.png").read_bytes()
    (photos / "0003.png").write_bytes(b"bad")
    run(photos)
    (photos / "0003.png").write_bytes(whole)
    report = run(photos)
    assert _counts(report)[:2] == (1, PHOTOS - 1)
    assert list(failures_of(out)) == []


@pytest.mark.parametrize("damage", ["broken", "gone"])
def test_an_item_whose_photo_breaks_is_kept_as_it_was_even_when_pruning(
    run: Run, photos: Path, out: Path, damage: str
) -> None:
    table = _table(photos, _rows(photos))
    run(table)
    before = _items(out)["0003"], _vectors(out)["0003"]
    if damage == "broken":
        (photos / "0003.png").write_bytes(b"broken")
    else:
        (photos / "0003.png").unlink()
    report = run(table, prune=True)
    assert (report.progress.failed, report.removed, report.items) == (1, 0, PHOTOS)
    assert (_items(out)["0003"], _vectors(out)["0003"]) == before


def test_of_an_id_that_stands_twice_the_first_is_used(run: Run, photos: Path, out: Path) -> None:
    rows = _rows(photos)
    rows += [{"id": "0001", "image": "0005.png"}, {"id": "0002", "image": "0002.png"}]
    report = run(_table(photos, rows))
    assert [(failure.where, failure.stage) for failure in report.failures] == [("0001", "catalog"), ("0002", "catalog")]
    assert "more than once; the first is used" in report.failures[0].reason
    assert Path(_items(out)["0001"].image).name == "0001.png"
    assert report.items == PHOTOS


def test_bad_rows_are_failures_beside_good_items(run: Run, photos: Path) -> None:
    table = _table(photos, _rows(photos))
    with table.open("ab") as stream:
        stream.write(b",0001.png\nescape,../x.png\nshort\ncaf\xe9,0001.png\nnone,none.png\n")
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


def test_titles_alone_need_no_photos_and_no_captioner(run: Run, photos: Path, out: Path, encoder: Encoder) -> None:
    rows = [{"id": "a", "image": "none.png", "title": "Red coat"}, {"id": "b", "image": "none.png", "title": ""}]
    report = run(_table(photos, rows), captioner=None, encoded_text="title")
    assert _counts(report) == (0, 0, 1, 1)
    assert report.failures[0].where == "b"
    assert "no title to encode" in report.failures[0].reason
    np.testing.assert_allclose(_vectors(out)["a"], encoder.encode(["Red coat"])[0], atol=1e-5)


def test_the_embedded_models_are_used_where_none_are_given(photos: Path, out: Path) -> None:
    report = build_index(photos, out)
    assert report.items == PHOTOS
    with StoreReader(out) as store:
        assert store.provenance("groundings")["name"] == "stylist-lvlm"
        assert store.provenance("encoders")["name"] == "all-minilm-l6-v2"


def test_progress_counts_every_item_once_and_never_falls(run: Run, photos: Path) -> None:
    (photos / "bad.png").write_bytes(b"bad")
    seen: list[int] = []
    run(photos, on_progress=lambda progress: seen.append(progress.done))
    assert seen == list(range(1, PHOTOS + 2))


@pytest.mark.parametrize("after", [1, 3])
def test_an_interrupted_run_keeps_what_is_finished_and_goes_on_there(run: Run, photos: Path, after: int) -> None:
    def stop(progress: IndexProgress) -> None:
        if progress.done == after:
            raise KeyboardInterrupt

    report = run(photos, on_progress=stop)
    assert report.interrupted
    assert after <= report.items < PHOTOS
    again = run(photos)
    assert not again.interrupted
    assert _counts(again)[:2] == (PHOTOS - report.items, report.items)


def test_an_interrupt_while_texts_are_encoded_loses_no_caption(
    run: Run, photos: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode, calls = encoder.encode, 0

    def stop_once(texts: Sequence[str]) -> np.ndarray:
        nonlocal calls
        if texts and "Black ankle boots" not in texts[0]:  # the store's own check of the encoder
            calls += 1
            if calls == 1:
                raise KeyboardInterrupt
        return encode(texts)

    monkeypatch.setattr(encoder, "encode", stop_once)
    report = run(photos)
    assert (report.interrupted, report.items) == (True, PHOTOS)
    assert _counts(run(photos))[:2] == (0, PHOTOS)


def test_pruning_waits_for_a_whole_pass(run: Run, photos: Path) -> None:
    def stop(_: IndexProgress) -> None:
        raise KeyboardInterrupt

    run(photos)
    (photos / "0005.png").unlink()
    report = run(photos, prune=True, on_progress=stop)
    assert (report.interrupted, report.removed, report.items) == (True, 0, PHOTOS)


def test_a_second_writer_is_refused_while_the_first_is_at_work(run: Run, photos: Path, out: Path) -> None:
    caught: list[str] = []

    def second(_: IndexProgress) -> None:
        with pytest.raises(StoreError, match=r"is being written by .*; wait for it to end") as error:
            run(photos)
        caught.append(str(error.value))

    report = run(photos, on_progress=second)
    assert len(caught) == PHOTOS
    assert report.items == PHOTOS
    assert run(photos).items == PHOTOS


def test_a_reader_sees_one_state_while_a_writer_writes(run: Run, photos: Path, out: Path) -> None:
    run(photos)
    with StoreReader(out) as before:
        names, vectors = [item.id for item in before.items()], np.array(before.vectors)
        swatch(255, 255, 255).save(photos / "new.png")
        (photos / "0000.png").unlink()
        run(photos, prune=True)
        assert [item.id for item in before.items()] == names
        assert before.counts()["items"] == before.count() == PHOTOS
        np.testing.assert_array_equal(before.vectors, vectors)
        with StoreReader(out) as after:
            assert {item.id for item in after.items()} == {*names, "new"} - {"0000"}


def test_a_reader_is_served_in_the_middle_of_a_run(run: Run, photos: Path, out: Path) -> None:
    run(photos)
    swatches(photos / "more", 10)
    seen: list[int] = []

    def look(_: IndexProgress) -> None:
        with Recommender.open(out) as shop:
            seen.append(len(shop.recommend(["0000"], k=100)))

    run(photos, on_progress=look)
    assert min(seen) >= PHOTOS - 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"encoded_text": "titel"}, "choose one of caption, title, title_caption"),
        ({"prompt": "A {brnd} product."}, r"asks for \{brnd\}, but the catalog has only: title, id, brand"),
    ],
)
def test_what_can_not_be_meant_is_refused_before_anything_is_written(
    run: Run, photos: Path, out: Path, settings: dict[str, str], message: str
) -> None:
    table = _table(photos, _rows(photos, brand="A"))
    if "prompt" in settings:
        settings = {"captioner": Captioner(resolve_lvlm(), **settings)}  # type: ignore[arg-type, dict-item]
    with pytest.raises(UsageError, match=message):
        run(table, **settings)
    assert not out.exists()


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("a file", "is a file; give a folder"),
        ("other files", "holds other files and is no index"),
        ("below a file", "can not be made or read"),
        ("long", "can not be made or read"),
    ],
)
def test_a_place_that_can_not_hold_an_index_is_refused_before_any_work(
    photos: Path, tmp_path: Path, encoder: Encoder, place: str, message: str
) -> None:
    out = tmp_path / ("x" * 300 if place == "long" else "out")
    if place == "a file":
        out.write_text("mine")
    elif place == "other files":
        out.mkdir()
        (out / "thesis.txt").write_text("mine")
    elif place == "below a file":
        out.write_text("mine")
        out = out / "index"
    captioner = Captioner(resolve_lvlm())
    with pytest.raises(StoreError, match=message):
        build_index(photos, out, captioner=captioner, encoder=encoder)
    assert captioner.kv_bytes == 0
    assert [path.name for path in tmp_path.rglob("*.sqlite")] == []


def test_a_full_disk_is_noticed_before_any_work(run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(photos)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(StoreError, match="are free at"):
        run(photos)


def test_a_store_that_is_left_open_by_a_crash_is_taken_over(
    run: Run, photos: Path, out: Path, encoder: Encoder
) -> None:
    run(photos)
    crashed = StoreWriter(out, grounding=None, encoder=encoder, encoded_text="title")
    crashed._lock.release()  # what the operating system does for a process that is gone
    assert run(photos).items == PHOTOS
    crashed.close()
