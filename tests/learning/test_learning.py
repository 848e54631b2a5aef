"""An index that learned: what it recommends, why, and what becomes of it when the index changes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from looked_after import removed
from made_purchases import ITEMS, at_random, bought, item_ids, shop, together
from made_store import GivenVectors, random_vectors, write_store

from vlm4rec_edge import History, ProfileSettings, Recommender, Selection
from vlm4rec_edge.bundle.delta import apply_delta, make_delta
from vlm4rec_edge.bundle.writer import make_bundle
from vlm4rec_edge.errors import ProfileError, StoreError, UsageError, Vlm4RecWarning
from vlm4rec_edge.evaluation import EvaluationSettings, evaluate
from vlm4rec_edge.index_folder import IndexFolder
from vlm4rec_edge.interchange.export import export_items
from vlm4rec_edge.learning.report import LearnReport
from vlm4rec_edge.mixture import Weights
from vlm4rec_edge.store import mixing
from vlm4rec_edge.store.learned import Learned
from vlm4rec_edge.store.reader import StoreReader

GROUP_OF = np.empty(ITEMS, int)
GROUP_OF[np.random.default_rng(7).permutation(ITEMS)] = np.repeat(np.arange(24), 10)
HISTORY = [f"item-{row}" for row in np.flatnonzero(GROUP_OF == 5)[:3]]


def learn(folder: Path, interactions=None, **more: object) -> LearnReport:  # type: ignore[no-untyped-def]
    with IndexFolder(folder) as index:
        return index.learn(together() if interactions is None else interactions, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def learned_shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index that learned. To be read only."""
    folder = shop(tmp_path_factory.mktemp("learned") / "shop.index")
    assert learn(folder).stored
    return folder


@pytest.fixture
def own(learned_shop: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    shutil.copytree(learned_shop, tmp_path / "own.index")
    return tmp_path / "own.index"


def ten(folder: Path, history: list[str] = HISTORY) -> list[str]:
    with Recommender.open(folder) as recommender:
        return [hit.item_id for hit in recommender.recommend(history)]


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in (".sqlite", ".f32", ".npz")}


def test_what_was_bought_together_is_recommended(learned_shop: Path, tmp_path: Path) -> None:
    group = {f"item-{row}" for row in np.flatnonzero(GROUP_OF == 5)} - set(HISTORY)
    assert set(ten(learned_shop)[:7]) == group
    assert len(set(ten(shop(tmp_path / "plain.index"))) & group) < 4


def test_reasons_sum_to_the_score_and_their_parts_to_them(learned_shop: Path) -> None:
    with Recommender.open(learned_shop) as recommender:
        found = recommender.recommend(HISTORY, disliked=["item-1"], explain=True)
    for hit in found:
        assert sum(reason.amount for reason in hit.because) == pytest.approx(hit.score, abs=1e-5)
        for reason in hit.because:
            assert set(reason.parts) == {"reads alike", "bought together", "often bought"}
            assert sum(reason.parts.values()) == pytest.approx(reason.amount, abs=1e-6)
    assert found[0].because[0].parts["bought together"] > found[0].because[0].parts["reads alike"]


def test_many_users_get_what_each_would_get_alone(learned_shop: Path) -> None:
    histories = [History(str(number), [f"item-{number}", f"item-{number + 9}"]) for number in range(30)]
    settings = ProfileSettings(half_life=1.0)
    with Recommender.open(learned_shop) as recommender:
        for answer in recommender.recommend_many(histories, settings=settings):
            alone = recommender.recommend(histories[int(answer.user)].items, settings=settings)
            assert list(answer.items) == [hit.item_id for hit in alone]
            assert answer.scores == pytest.approx([hit.score for hit in alone], abs=1e-5)


def test_filters_diversity_interests_and_a_graph_serve_it_too(learned_shop: Path) -> None:
    with Recommender.open(learned_shop) as recommender, Recommender.open(learned_shop, exact_limit=10) as large:
        chosen = Selection(deny=[ten(learned_shop)[0]], diversity=0.3)
        one = recommender.recommend(HISTORY, selection=chosen, settings=ProfileSettings(interests=2))
        assert ten(learned_shop)[0] not in [hit.item_id for hit in one]
        assert [hit.item_id for hit in large.recommend(HISTORY)] == ten(learned_shop)


def test_random_purchases_change_nothing(tmp_path: Path) -> None:
    folder = shop(tmp_path / "plain.index")
    before = ten(folder)
    report = learn(folder, at_random())
    assert not report.stored
    assert "stays with content" in report.reason
    assert ten(folder) == before
    with StoreReader(folder) as store:
        assert store.layout is None


def test_a_later_run_that_finds_nothing_keeps_what_was_learned_and_says_so(own: Path) -> None:
    before = ten(own)
    report = learn(own, at_random())
    assert not report.stored
    assert report.reason.endswith("What was learned before stays.")
    assert ten(own) == before


def test_a_dry_run_judges_and_changes_nothing(tmp_path: Path) -> None:
    folder = shop(tmp_path / "plain.index")
    before = files(folder)
    report = learn(folder, dry_run=True)
    assert (report.stored, report.gain.low > 0) == (False, True)
    assert files(folder) == before


def test_what_fails_leaves_the_index_as_it_was(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, names = ten(own), files(own).keys()

    def no_room(*_: object) -> None:
        raise StoreError("no room")

    monkeypatch.setattr(mixing, "append_vectors", no_room)
    with pytest.raises(StoreError, match="no room"):
        learn(own, together(400, seed=9))
    assert ten(own) == before
    assert files(own).keys() == names, "nothing half made is left"


def test_forgetting_gives_the_words_back_and_leaves_no_file(own: Path, tmp_path: Path) -> None:
    with IndexFolder(own) as index:
        assert index.forget_learned()
        assert not index.forget_learned()
    assert ten(own) == ten(shop(tmp_path / "plain.index"))
    assert not list(own.glob("learned-*"))
    assert len(list(own.glob("vectors-*"))) == 1


def test_new_items_join_by_their_words(own: Path) -> None:
    vectors = np.concatenate([random_vectors(ITEMS), random_vectors(1, seed=5)])
    shop(own, vectors)
    new = f"item-{ITEMS}"
    assert len(ten(own, [new])) == 10


def test_items_that_came_later_or_are_marked_as_new_are_as_popular_as_a_typical_purchase() -> None:
    learned = Learned(
        encoder="",
        encoded_text="title",
        weights=Weights(0.5, 0.8),
        ids=["a", "b"],
        factors=random_vectors(1, 4),
        popularity=np.array([0.5, 1.0], np.float32),
        projection=random_vectors(8, 4),
        trust=0.5,
        new_popularity=0.9,
        new_items="new",
        last_number=4,
    )
    cells = [{}, {}, {"new": "No"}, {"new": "spring"}, {}]
    vectors = learned.vectors(["a", "b", "old", "marked", "later"], random_vectors(5, 8), cells, [1, 2, 3, 4, 5])
    often = vectors[:, learned.layout.parts["often bought"]].ravel() * np.sqrt(1.8 / 0.8)
    assert often.tolist() == pytest.approx([0.5, 1.0, 0.0, 0.9, 0.9])


def test_an_item_that_is_no_longer_marked_as_new_counts_as_what_it_is_and_the_column_may_go(tmp_path: Path) -> None:
    vectors = random_vectors(ITEMS)
    entries = [(name, row) for row, name in enumerate(item_ids())]

    def indexed(fresh: dict[str, str]) -> Path:
        marks = {name: {"fresh": fresh[name]} for name in fresh}
        return write_store(tmp_path / "shop.index", vectors, entries, attributes=marks)

    folder = indexed({"item-239": "yes", "item-1": "no"})
    some = [list(items) for items in np.random.default_rng(0).integers(0, 40, (300, 4))]
    assert learn(folder, bought(some), new_items="fresh").weights.often > 0

    def often() -> float:
        with StoreReader(folder) as store:
            assert store.layout
            row = store.table().rows[store.table().ids.index("item-239")]
            return float(store.vectors_at([row])[0, store.layout.parts["often bought"]][0])

    assert often() > 0.1
    assert often() == (indexed({"item-239": "yes", "item-1": "yes"}) and often())
    indexed({"item-239": "no", "item-1": "yes"})
    assert often() == 0
    indexed({})
    settings = EvaluationSettings(protocol="last", metrics=["recall@10"], resamples=20)
    assert evaluate(folder, bought(some), settings=settings).tables


@pytest.mark.parametrize("unit", [1, 86_400, 86_400_000])
def test_how_many_were_bought_on_one_day_and_when_is_told_of_any_unit_of_time(tmp_path: Path, unit: int) -> None:
    purchases = together()
    days = 20_454 + np.arange(len(purchases)) % 4 / 5
    report = learn(shop(tmp_path / "plain.index"), replace(purchases, date=days * unit, days=None), dry_run=True)
    assert (report.same_day, report.newest) == (1.0, "2026-01-01")


def test_where_nobody_bought_two_items_the_error_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No user bought two different items of this index"):
        learn(shop(tmp_path / "plain.index"), bought([[row] for row in range(50)]))


@pytest.mark.parametrize("asked", [learn, evaluate], ids=["learn", "evaluate"])
def test_where_ids_are_unknown_the_error_names_them_and_how_many_there_are(
    tmp_path: Path, asked: Callable[..., object]
) -> None:
    two_each = bought([[row, row + 1] for row in range(0, 20, 2)])
    odd = replace(two_each, items=tuple(f"{item}-new" if row % 2 else item for row, item in enumerate(two_each.items)))
    with pytest.raises(
        UsageError, match=f"Of {ITEMS} item ids the index does not hold {ITEMS // 2}: 'item-1-new'"
    ) as told:
        asked(shop(tmp_path / "plain.index"), odd)
    assert f"and {ITEMS // 2 - 5} more; did you mean 'item-1" in str(told.value)
    assert "ive more purchases" not in str(told.value)


def test_an_item_that_is_indexed_again_keeps_what_was_learned_of_it(own: Path) -> None:
    before = ten(own)
    shop(own)
    assert ten(own) == before


def test_a_removed_item_is_gone_and_comes_back_with_what_was_learned(own: Path) -> None:
    before = ten(own)
    removed(own, before[:1])
    assert before[0] not in ten(own)
    shop(own, rows=[int(before[0].removeprefix("item-"))])
    assert ten(own) == before


def test_another_encoder_forgets_what_was_learned_and_says_so(own: Path) -> None:
    with pytest.warns(Vlm4RecWarning, match="learned from other vectors and is dropped; learn again"):
        shop(own, random_vectors(ITEMS, 16))
    with StoreReader(own) as store:
        assert (store.layout, store.dimensions) == (None, 16)


def test_lost_or_damaged_files_are_noticed_and_repaired(own: Path) -> None:
    before = ten(own)
    with StoreReader(own) as store:
        path = own / store.vector_file
    data = bytearray(path.read_bytes())
    data[4003] ^= 0x40
    path.write_bytes(data)
    with IndexFolder(own) as index:
        assert path.name in {finding.file for finding in index.verify().findings}
        index.repair(encoder=GivenVectors(random_vectors(ITEMS)))
        assert index.verify().ok
    assert ten(own) == before


def test_a_lost_file_of_what_was_learned_is_an_error_that_says_how_to_go_on(own: Path) -> None:
    (path,) = own.glob("learned-*.npz")
    path.write_bytes(path.read_bytes()[:-100])
    with IndexFolder(own) as index:
        assert path.name in {finding.file for finding in index.verify().findings}
    with pytest.raises(StoreError, match=r"Learn again: .* or go on without: .* --forget"):
        shop(own, random_vectors(ITEMS + 1))
    assert len(ten(own)) == 10, "what is there is recommended from"


@pytest.mark.parametrize("kind", ["float32", "float16", "int8"])
def test_a_bundle_recommends_and_explains_as_the_index_does(learned_shop: Path, tmp_path: Path, kind: str) -> None:
    make_bundle(learned_shop, tmp_path / "shop.zip", vectors=kind)  # type: ignore[arg-type]
    shared = [len(set(ten(learned_shop, [name])) & set(ten(tmp_path / "shop.zip", [name]))) for name in item_ids(60)]
    assert sum(shared) / 600 > {"float32": 0.999, "float16": 0.99, "int8": 0.95}[kind]
    with Recommender.open(tmp_path / "shop.zip") as recommender:
        (hit,) = recommender.recommend(HISTORY, 1, explain=True)
    assert sum(sum(reason.parts.values()) for reason in hit.because) == pytest.approx(hit.score, abs=1e-3)


def test_a_delta_makes_a_bundle_learn(learned_shop: Path, tmp_path: Path) -> None:
    make_bundle(shop(tmp_path / "plain.index"), tmp_path / "old.zip")
    make_delta(learned_shop, tmp_path / "delta.zip", tmp_path / "old.zip")
    apply_delta(tmp_path / "delta.zip", tmp_path / "old.zip", tmp_path / "new.zip")
    make_bundle(learned_shop, tmp_path / "whole.zip")
    assert (tmp_path / "new.zip").read_bytes() == (tmp_path / "whole.zip").read_bytes()


def test_a_foreign_engine_gives_the_same_ten(learned_shop: Path, tmp_path: Path) -> None:
    export_items(learned_shop, tmp_path / "arrays", "numpy")
    vectors = np.load(tmp_path / "arrays" / "vectors.npy")
    lines = (tmp_path / "arrays" / "items.jsonl").read_text().splitlines()
    ids = [json.loads(line)["id"] for line in lines]
    with Recommender.open(learned_shop) as recommender:
        query = recommender.vectors(HISTORY).mean(axis=0)
    best = [ids[row] for row in np.argsort(-(vectors @ query)) if ids[row] not in HISTORY]
    assert best[:10] == ten(learned_shop)


def test_a_profile_of_before_it_learned_is_refused_and_one_of_now_recommends_alike(own: Path, tmp_path: Path) -> None:
    with Recommender.open(shop(tmp_path / "plain.index")) as plain:
        old = plain.profile(HISTORY)
    with Recommender.open(own) as recommender:
        with pytest.raises(ProfileError, match="before it learned"):
            recommender.recommend_profile(old)
        now = recommender.recommend_profile(recommender.profile(HISTORY), selection=Selection(deny=HISTORY))
        assert [hit.item_id for hit in now] == ten(own)


def test_evaluating_learns_inside_its_split_and_never_from_what_it_asks_for(tmp_path: Path) -> None:
    folder = shop(tmp_path / "leak.index")
    # What each user takes last goes with the rest of his items for him alone.
    learn(folder)
    leak = at_random(120, seed=4)
    settings = EvaluationSettings(protocol="last", metrics=["recall@10"], resamples=20)
    (table,) = evaluate(folder, leak, settings=settings).tables
    figures = {system.system: system.figures["recall@10"].mean for system in table.systems}
    assert list(figures) == ["index", "content", "popularity", "random"]
    assert figures["index"] < 0.15, "learned from what is held back it would be near 1"
    (right,) = evaluate(folder, together(), settings=settings).tables
    assert right.systems[0].figures["recall@10"].mean > 0.6


def test_a_text_is_looked_for_by_its_words(learned_shop: Path) -> None:
    content = random_vectors(ITEMS)
    with Recommender.open(learned_shop) as recommender:
        found = recommender.recommend_vector(content[17], 5)
    best = np.argsort(-(content @ content[17]))[:5]
    assert [hit.item_id for hit in found] == [f"item-{row}" for row in best]


@pytest.mark.parametrize("bundle", [False, True])
def test_a_text_beside_a_history_counts_as_much_as_where_nothing_was_learned(
    learned_shop: Path, tmp_path: Path, bundle: bool
) -> None:
    source = learned_shop
    if bundle:
        make_bundle(learned_shop, source := tmp_path / "shop.zip")
    encoder = GivenVectors(random_vectors(ITEMS))
    with Recommender.open(source) as recommender:
        first = recommender.recommend(HISTORY, 1, text="17", encoder=encoder, explain=True)[0]
    assert first.item_id == "item-17"
    assert sum(reason.amount for reason in first.because) == pytest.approx(first.score, abs=1e-5)


def test_the_report_is_a_document(tmp_path: Path) -> None:
    document = learn(shop(tmp_path / "plain.index"), dry_run=True).to_dict()
    assert json.loads(json.dumps(document)) == document
    assert [system["system"] for system in document["systems"]] == [
        "content",
        "popularity",
        "content and popularity",
        "learned",
    ]
    assert document["newest"] == "2026-01-04"
