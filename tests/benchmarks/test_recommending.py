"""The parts of the accuracy benchmark: the shop and its users, representations, and figures kept on disk."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from captioning.models import captions_of, model_of
from made_shop_folder import SENTENCE, made_shop_folder, write_interactions
from paper.rows import TRAINED_ROWS, TrainedRows
from recommending import representations
from recommending.measuring import METRICS, measure_all, values_of
from recommending.options import about_same_day, result_name
from recommending.representations import ROWS, Representations
from recommending.shop import Shop, quick_sample, read_shop, sentences
from recommending.system import RANDOM_ORDERS, Chance, System, scorer_of_vectors
from recommending.vectors import average, concatenation, project, text_vectors, unit

from vlm4rec_edge import OnnxEncoder, evaluation
from vlm4rec_edge.encoding.checked import encoded_items
from vlm4rec_edge.encoding.text import DEFAULT_TEXT, text_of_photos
from vlm4rec_edge.errors import CatalogError, UsageError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_shop_folder(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def shop(folder: Path) -> Shop:
    return read_shop(folder)


@pytest.fixture
def made(shop: Shop, encoder: OnnxEncoder, tmp_path: Path) -> Representations:
    return Representations(shop, [], encoder, SENTENCE, tmp_path, lambda _: None)


def made_vectors(count: int, dimensions: int, seed: int = 0) -> np.ndarray:
    return unit(np.random.default_rng(seed).standard_normal((count, dimensions)))


@pytest.fixture
def _made_features(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in for EfficientNet-Lite0's features, which need torch: drawn by chance."""
    monkeypatch.setattr(
        representations, "features", lambda photos, folder, say: 7 * made_vectors(len(photos), 1280, seed=3)
    )
    monkeypatch.setattr(representations, "_VISION_PACKAGES", ())


def test_customers_and_baskets_are_tasks_with_and_without_variants(shop: Shop) -> None:
    assert [task.name for task in shop.tasks()] == ["customers", "baskets"]
    tasks = {task.name: task for task in shop.tasks("colour")}
    assert list(tasks) == ["customers", "no-variants-customers", "baskets", "no-variants-baskets"]
    colours = np.array(shop.column("colour"))
    reduced = tasks["no-variants-customers"].split
    for user in range(len(reduced)):
        own = set(colours[reduced.history[user]])
        assert not own & set(colours[reduced.test[user]])
        assert own & set(colours) == set(colours[reduced.excluded[user]])
    # A visitor of one item is not tested.
    assert len(tasks["customers"].split) == len(tasks["baskets"].split) == 6
    assert set(tasks["customers"].split.history.sizes) == {5}
    assert set(tasks["baskets"].split.history.sizes) == {2}


def test_purchases_of_the_day_of_the_test_can_be_left_out_or_mixed(shop: Shop) -> None:
    assert [task.name for task in shop.tasks(same_day="left-out")] == ["customers"]
    assert [task.name for task in shop.tasks(same_day="random")] == ["customers", "baskets"]
    assert result_name("accuracy", "by-id", quick=False) == "accuracy"
    assert result_name("accuracy", "left-out", quick=True) == "accuracy-left-out-quick"
    assert not about_same_day("by-id")
    assert "no candidate" in about_same_day("left-out")[0]


def test_chance_is_the_mean_of_different_orders(shop: Shop, tmp_path: Path) -> None:
    task, chance = shop.tasks()[0], Chance("random", "control", "")
    orders = [values_of(one, task, tmp_path)["ndcg@10"] for one in chance.tries(task).values()]
    assert len({order.tobytes() for order in orders}) > RANDOM_ORDERS // 2
    np.testing.assert_allclose(values_of(chance, task, tmp_path)["ndcg@10"], np.mean(orders, axis=0))


def test_a_group_that_no_item_has_is_refused(shop: Shop) -> None:
    with pytest.raises(UsageError, match="no column 'product' to group by"):
        shop.tasks("product")


def test_a_folder_that_is_no_shop_is_a_sentence(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"no items\.csv"):
        read_shop(tmp_path)
    rows = (folder / "items.csv").read_text(encoding="utf-8").splitlines()
    (tmp_path / "items.csv").write_text("\n".join([*rows, rows[1]]), encoding="utf-8")
    with pytest.raises(CatalogError, match=r"no interactions\.csv"):
        read_shop(tmp_path)
    write_interactions(tmp_path / "interactions.csv", [("ann", "1", "2020-09-01")])
    with pytest.raises(CatalogError, match="names an item twice"):
        read_shop(tmp_path)
    (tmp_path / "items.csv").write_text("id,title\n1,Shirt\n", encoding="utf-8")
    with pytest.raises(CatalogError, match="columns id and image"):
        read_shop(tmp_path)


def test_a_sample_keeps_all_items_of_its_users_and_is_called_one(shop: Shop) -> None:
    sample = quick_sample(shop, users=2, items=20)
    assert len(sample.rows) == len(sample.photos) == 20
    (customers, baskets) = sample.tasks()
    assert len(customers.split) == len(baskets.split) == 2
    assert not customers.split.unknown_items + baskets.split.unknown_items
    assert set(customers.split.history.sizes) == {5}
    assert customers.title.startswith("Only a sample, 20 of 36 items: 2 customers")
    assert [photo.stem for photo in sample.photos] == sample.ids
    assert quick_sample(shop, users=2, items=20).ids == sample.ids
    # Users come before the number of items.
    assert len(quick_sample(shop, users=6, items=1).rows) == 36


def test_attributes_are_said_as_the_sentence_says(shop: Shop) -> None:
    row = {**shop.rows[0], "colour": "Dark Blue", "kind": "T-shirt"}
    one = replace(shop, rows=[row])
    assert sentences(one, "{colour} {kind:lower}, {{new}}") == ["Dark Blue t-shirt, {new}"]
    for wrong in ("{colour", "{}", "{colour:upper}", "{colour!r}"):
        with pytest.raises(UsageError, match="The sentence"):
            sentences(one, wrong)


def test_equal_texts_have_equal_vectors_and_none_is_encoded_twice(encoder: OnnxEncoder, tmp_path: Path) -> None:
    texts = ["blue shirt", "", "red dress", "blue shirt"]
    said: list[str] = []
    first = text_vectors(encoder, texts, tmp_path, said.append)
    assert said[0].startswith("2 of 2 texts")
    assert not first[1].any()
    assert np.array_equal(first[0], first[3])
    assert np.array_equal(first[[0, 2]], encoder.encode(["blue shirt", "red dress"]))
    assert np.array_equal(text_vectors(encoder, texts, tmp_path, pytest.fail), first)
    text_vectors(encoder, [*texts, "green bag"], tmp_path, said.append)
    assert len(said) == 2


def test_a_projection_keeps_cosines_nearly() -> None:
    vectors = made_vectors(40, 1280)
    vectors[1] = unit(vectors[:1] + vectors[1:2])
    found = project(vectors, 384)
    assert found.shape == (40, 384)
    # The error of a cosine has a spread of at most 1 / sqrt(384).
    assert np.abs(found @ found.T - vectors @ vectors.T).max() < 6 / np.sqrt(384)
    assert np.array_equal(project(vectors, 384), found)


def test_fusions_weigh_both_halves_alike_and_do_without_one() -> None:
    vision, text = made_vectors(9, 384, seed=1), made_vectors(9, 384, seed=2)
    joined = concatenation(vision, text)
    assert joined @ joined.T == pytest.approx((vision @ vision.T + text @ text.T) / 2, abs=1e-6)
    mean = average(vision, text)
    assert (mean * vision).sum(1) == pytest.approx((mean * text).sum(1), abs=1e-6)
    assert np.linalg.norm(mean, axis=1) == pytest.approx(1)
    assert average(np.zeros_like(vision), text) == pytest.approx(text, abs=1e-6)


@pytest.mark.usefixtures("_made_features")
def test_every_row_that_can_be_made_is_made_in_the_order_of_the_table(
    shop: Shop, made: Representations, tmp_path: Path
) -> None:
    made.models = [model_of(f"{name}=stylist-lvlm", {"max_tokens": 3, "threads": 1}) for name in ("one", "two")]
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    made.shop = replace(shop, photos=[tmp_path / "broken.jpg", *shop.photos[1:]])
    assert made.hindrance("description") == "items.csv has no column description"
    rows = [row for row in ROWS if row != "description"]
    trained = list(TrainedRows(made, tmp_path).systems(list(TRAINED_ROWS)[::-1]))
    systems = [*made.systems(rows[::-1]), *trained]
    assert [system.name for system in systems] == [
        "random",
        "popularity",
        "title",
        "attributes",
        "vision, EfficientNet-Lite0",
        "vision, projected",
        "vision tower, one",
        "vision tower, two",
        "caption, one",
        "caption, two",
        "title + caption, one",
        "title + caption, two",
        "title and caption, weighted, one",
        "title and caption, weighted, two",
        "average of vision and title",
        "average of vision and caption",
        "concatenation of vision and title",
        "concatenation of vision and caption",
        "attention fusion of vision and title",
        "attention fusion of vision and caption",
        "gating of vision and title",
        "gating of vision and caption",
        "cross-modal attention, vision and title",
        "cross-modal attention, vision and caption",
        "SMORE, vision and title",
        "SMORE, vision and caption",
        "vision alone, trained",
        "title alone, trained",
        "caption alone, trained",
    ]
    by_name = {system.name: system for system in systems if isinstance(system, System)}
    assert by_name["caption, one"].key == by_name["caption, two"].key
    assert by_name["vision tower, one"].key == by_name["vision tower, two"].key
    task = made.shop.tasks()[0]
    keys = [one.key for system in systems for one in system.tries(task).values()]
    assert len(keys) == len(systems) + 2 * len(trained) + RANDOM_ORDERS - 1
    assert len(set(keys)) == len(keys) - 4
    assert [bool(system.seeds) for system in systems] == [False] * (len(systems) - 11) + [True] * 11
    assert {system.seeds for system in trained} == {(0, 1, 2)}
    given = {row.name: (row.vision.any(), row.text.any()) for row in trained}
    assert given.pop("vision alone, trained") == (True, False)
    assert given.pop("title alone, trained") == given.pop("caption alone, trained") == (False, True)
    assert set(given.values()) == {(True, True)}
    # Nothing is known of the first item where only its photo could tell.
    for name in ("vision, EfficientNet-Lite0", "caption, one", "concatenation of vision and caption"):
        assert by_name[name].without == 1
    for name in ("title", "title + caption, one", "title and caption, weighted, one", "average of vision and title"):
        assert by_name[name].without == 0
    assert by_name["concatenation of vision and title"].dimensions == 1280 + 384
    assert by_name["average of vision and title"].dimensions == 384


def test_the_weighted_row_scores_as_an_index_of_weighted_titles_and_captions(
    shop: Shop, made: Representations, encoder: OnnxEncoder
) -> None:
    model = model_of("one=stylist-lvlm", {"max_tokens": 3, "threads": 1})
    made.models = [model]
    made.shop = replace(shop, rows=[{**shop.rows[0], "title": ""}, *shop.rows[1:]])
    (system,) = made.systems(["weighted"])
    assert isinstance(system, System)
    with model.captioner() as captioner:
        captions = captions_of(captioner, made.shop.photos, made.cache / "captions", lambda _: None)
    texts = [
        text_of_photos(DEFAULT_TEXT, title=row["title"], captions=[caption])
        for row, caption in zip(made.shop.rows, captions, strict=True)
    ]
    assert texts[0] == captions[0]
    split = shop.tasks()[0].split
    users = range(len(split))
    expected = scorer_of_vectors(split, encoded_items(encoder, texts))(users)
    assert system.scorer(split)(users) == pytest.approx(expected, abs=1e-5)


def test_a_row_that_cannot_be_made_says_why(made: Representations) -> None:
    made.sentence = "{audience} {kind}"
    for row, why in (
        ("description", "no column description"),
        ("attributes", "no column audience"),
        ("caption", "no captioner"),
        ("vision-tower", "no captioner"),
        ("concatenation-caption", "no captioner"),
    ):
        with pytest.raises(UsageError, match=f"The row {row} cannot be made: .*{why}"):
            list(made.systems(["random", row]))
    assert "no captioner" in TrainedRows(made, made.cache).hindrance("smore-caption")


def test_items_of_one_text_have_exactly_equal_scores(shop: Shop, made: Representations) -> None:
    titles = shop.column("kind")
    assert titles is not None
    made.shop = replace(shop, rows=[{**row, "title": title} for row, title in zip(shop.rows, titles, strict=True)])
    (system,) = made.systems(["title"])
    assert isinstance(system, System)
    split = shop.tasks()[0].split
    scores = system.scorer(split)(range(len(split)))
    for kind in set(titles):
        at = [number for number, title in enumerate(titles) if title == kind]
        assert (scores[:, at] == scores[:, at[:1]]).all()


def test_figures_are_those_of_the_evaluation_and_none_is_measured_twice(
    shop: Shop, made: Representations, tmp_path: Path
) -> None:
    task = shop.tasks()[0]
    systems = list(made.systems(["popularity", "title", "attributes"]))
    found = measure_all(systems, task, systems[2], tmp_path / "measured")
    scorers = {system.name: system.scorer(task.split) for system in reversed(systems)}
    expected = {one.system: one for one in evaluation.compare_systems(scorers, task.split, metrics=METRICS)}
    for one in found:
        assert one.figures == expected[one.system.name].figures
        assert one.differences == expected[one.system.name].differences

    def never(_: object) -> Iterator[None]:
        raise AssertionError("measured again")

    again = [replace(system, scorer=never) for system in systems]  # type: ignore[arg-type]
    kept = measure_all(again, task, again[2], tmp_path / "measured")
    assert [one.figures for one in kept] == [one.figures for one in found]
    with pytest.raises(AssertionError, match="measured again"):
        values_of(again[0], shop.tasks()[1], tmp_path / "measured")


def test_who_buys_one_kind_finds_it_by_words_and_not_by_chance(
    shop: Shop, made: Representations, tmp_path: Path
) -> None:
    made.sentence = "{kind}"
    systems = list(made.systems(["random", "attributes"]))
    chance, words = measure_all(systems, shop.tasks()[0], systems[1], tmp_path)
    # Of each kind six items, five known: the sixth is the nearest.
    assert words.figures["hit_rate@10"].mean == words.figures["ndcg@10"].mean == 1
    assert chance.figures["ndcg@10"].mean < 0.5
    assert chance.differences["ndcg@10"].high < 0
    assert not words.differences


def test_the_table_of_items_is_read_whole(folder: Path, shop: Shop) -> None:
    with (folder / "items.csv").open(encoding="utf-8", newline="") as stream:
        assert [row["id"] for row in csv.DictReader(stream)] == shop.ids
    assert all(photo.is_file() for photo in shop.photos)
