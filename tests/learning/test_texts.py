"""How far title and caption count is chosen by the same purchases, and the index is compared by it from then on."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from made_purchases import GROUPS, IN_A_GROUP, ITEMS, at_random, together
from made_store import EncodingWriter, GivenVectors, random_vectors, unit

from vlm4rec_edge.encoding.checked import encoded_items
from vlm4rec_edge.encoding.text import EncodedText, text_of_photos
from vlm4rec_edge.errors import StoreError
from vlm4rec_edge.index_folder import IndexFolder
from vlm4rec_edge.indexing.remaking import remake_of
from vlm4rec_edge.items import Item
from vlm4rec_edge.learning.report import LearnReport
from vlm4rec_edge.provenance import made_by
from vlm4rec_edge.store.grounded import GroundedItem
from vlm4rec_edge.store.mixing import MixedVectors
from vlm4rec_edge.store.reader import StoreReader

_GROUP_OF = np.empty(ITEMS, int)
_GROUP_OF[np.random.default_rng(7).permutation(ITEMS)] = np.repeat(np.arange(GROUPS), IN_A_GROUP)
# Titles of what is bought together read alike; captions like nothing in particular.
_TITLES = unit(random_vectors(GROUPS, seed=3)[_GROUP_OF] + 0.6 * random_vectors(ITEMS, seed=4))
ENCODER = GivenVectors(np.concatenate([_TITLES, random_vectors(ITEMS, seed=5)]))


def write(folder: Path, *, kind: str = "caption", titles: bool = True, numbers: range = range(ITEMS)) -> Path:
    """Write items whose title is their number and whose caption is another number: those of their vectors."""
    items = []
    for number in numbers:
        title, caption = str(number) if titles else "", str(ITEMS + number)
        text = text_of_photos(EncodedText(kind), title=title, captions=[caption])
        item = Item(f"item-{number}", folder / "none.png", title)
        items.append(GroundedItem(item, f"photo {number}", f"key {number}", "What?", caption, text))
    made = made_by(SimpleNamespace(identity={"name": "made", "prompt": "What?"}))
    with EncodingWriter(
        folder, grounding=(made.fingerprint, made.identity), encoder=ENCODER, encoded_text=EncodedText(kind)
    ) as store:
        texts = store.without_vector([item.text for item in items])
        store.write(items, dict(zip(texts, encoded_items(ENCODER, texts), strict=True)))
    return folder


def learn(folder: Path, interactions=None, **more: object) -> LearnReport:  # type: ignore[no-untyped-def]
    with IndexFolder(folder) as index:
        given = together() if interactions is None else interactions
        return index.learn(given, **{"encoder": ENCODER, **more})  # type: ignore[arg-type]


def content(folder: Path) -> dict[str, np.ndarray]:
    with StoreReader(folder, content=True) as store:
        table = store.table()
        return dict(zip(table.ids, store.vectors_at(table.rows), strict=True))


def expected(share: float) -> dict[str, np.ndarray]:
    both = unit(share * ENCODER.matrix[:ITEMS] + (1 - share) * ENCODER.matrix[ITEMS:])
    return {f"item-{number}": both[number] for number in range(ITEMS)}


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in (".f32", ".npz")}


def test_titles_count_from_then_on_where_purchases_say_so(tmp_path: Path) -> None:
    folder = write(tmp_path / "shop.index")
    report = learn(folder)
    assert report.stored
    assert report.encoded_before == "caption"
    assert report.encoded_text.startswith("weighted:")
    assert report.encoded_text in report.judged_texts
    share = float(report.encoded_text.partition(":")[2])
    for item_id, vector in expected(share).items():
        assert content(folder)[item_id] == pytest.approx(vector, abs=1e-6)
    with IndexFolder(folder) as index:
        assert index.encoded_text() == report.encoded_text
        assert index.verify().ok


def test_items_that_come_later_are_compared_by_the_same_share_and_keep_what_was_learned(tmp_path: Path) -> None:
    folder = write(tmp_path / "shop.index", numbers=range(ITEMS - 5))
    chosen = learn(folder).encoded_text
    write(folder, kind=chosen)
    share = float(chosen.partition(":")[2])
    assert content(folder)[f"item-{ITEMS - 1}"] == pytest.approx(expected(share)[f"item-{ITEMS - 1}"], abs=1e-6)
    with StoreReader(folder) as store:
        assert store.layout is not None
        assert store.count() == ITEMS


def test_a_remake_that_forgets_what_was_learned_says_so(tmp_path: Path) -> None:
    folder = write(tmp_path / "shop.index")
    with StoreReader(folder) as store:
        before = remake_of(store, None, ENCODER, EncodedText("title"))
    chosen = learn(folder).encoded_text
    with StoreReader(folder) as store:
        after = remake_of(store, None, ENCODER, EncodedText("title"))
        assert remake_of(store, None, ENCODER, EncodedText(chosen)) is None
    assert "forgotten" not in str(before)
    assert "What it learned from purchases would be forgotten." in str(after)


def test_a_repair_makes_the_same_vectors_again(tmp_path: Path) -> None:
    folder = write(tmp_path / "shop.index")
    learn(folder)
    before = content(folder)
    (vectors,) = [path for path in folder.glob("vectors-*.f32") if path.stat().st_size % (ENCODER.dimensions * 4) == 0][
        :1
    ]
    vectors.write_bytes(b"\x01" * vectors.stat().st_size)
    with IndexFolder(folder) as index:
        assert not index.verify().ok
        index.repair(encoder=ENCODER)
        assert index.verify().ok
    for item_id, vector in content(folder).items():
        assert vector == pytest.approx(before[item_id], abs=1e-6)


def test_random_purchases_and_a_dry_run_change_no_share(tmp_path: Path) -> None:
    folder = write(tmp_path / "shop.index")
    before = files(folder)
    assert not learn(folder, at_random()).stored
    report = learn(folder, dry_run=True)
    assert report.encoded_text.startswith("weighted:")
    assert not report.stored
    assert files(folder) == before
    with IndexFolder(folder) as index:
        assert index.encoded_text() == "caption"


def test_what_fails_leaves_texts_and_vectors_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "shop.index")
    before = content(folder)

    def fail(*_: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(MixedVectors, "keep", fail)
    with pytest.raises(StoreError, match="disk is full"):
        learn(folder)
    assert {name: vector.tolist() for name, vector in content(folder).items()} == {
        name: vector.tolist() for name, vector in before.items()
    }
    with IndexFolder(folder) as index:
        assert index.encoded_text() == "caption"
        assert index.verify().ok


@pytest.mark.parametrize(("kind", "titles"), [("title", True), ("caption", False)])
def test_where_there_is_only_one_of_both_nothing_is_weighed_and_no_encoder_needed(
    kind: str, titles: bool, tmp_path: Path
) -> None:
    report = learn(write(tmp_path / "shop.index", kind=kind, titles=titles), encoder=None)
    assert report.judged_texts == []
    assert report.note == ""
    assert report.encoded_text == kind


def test_without_the_encoder_the_share_stays_and_why_is_told(tmp_path: Path) -> None:
    folder = write(tmp_path / "shop.index")
    report = learn(folder, encoder=GivenVectors(random_vectors(4, 16)))
    assert report.judged_texts == []
    assert "another encoder than made the index" in report.note
    assert report.encoded_text == "caption"
