"""The parts of the captions benchmark: reading, truth, figures, and captions kept on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from captioning import models
from captioning.figures import difference, figures_of, majority_class, outcomes, repeats, shuffle
from captioning.groups import (
    ARTICLES_WITHOUT_GROUP,
    FAMILIES_OF_BASE_COLOUR,
    GROUP_OF_ARTICLE,
    GROUP_OF_TYPE,
    GROUPS,
)
from captioning.intervals import mean, share
from captioning.models import captions_of, model_of
from captioning.reading import COLUMNS, Reader, Said
from captioning.report import group_rows
from captioning.seen_words import agreement
from captioning.sets import Case, PhotoSet, case_of_row, truth_of_row
from drawings import Drawing, draw

from vlm4rec_edge import LlamaCaptioner, resolve_lvlm
from vlm4rec_edge.errors import UsageError

ROWS = [
    {
        "id": "1",
        "image": "1.jpg",
        "description": description,
        **dict(zip(("type", "colour", "colour_family", "appearance", "audience"), values, strict=True)),
    }
    for description, values in [
        ("Top with a collar.", ("T-shirt", "Dark Blue", "Blue", "Solid", "Menswear")),
        ("Trousers with a zip.", ("Trousers", "Dark Blue", "Blue", "Denim", "Divided")),
        ("", ("Jumpsuit/Playsuit", "Light Beige", "White", "All over pattern", "Ladieswear")),
        ("", ("Hat/beanie", "Light Beige", "Beige", "Stripe", "Baby/Children")),
        ("", ("Beanie", "Light Beige", "Beige", "Stripe", "Baby/Children")),
        ("", ("Unknown", "Unknown", "Unknown", "Unknown", "Ladieswear")),
    ]
]


class LetterTexts:
    """Stands in for the encoder: the cosine of two texts is the share of letters they have in common."""

    def cosines(self, left: Sequence[str], right: Sequence[str]) -> np.ndarray:
        return np.array([len({*one} & {*other}) / 26 for one, other in zip(left, right, strict=True)])


def case(kind: str = "", description: str = "", item_id: str = "1", **truth: str) -> Case:
    values: Mapping[str, str] = {"kind": kind, **truth}
    return Case(item_id, Path("none.jpg"), {c: frozenset({values.get(c, "")}) - {""} for c in COLUMNS}, description)


def test_every_kind_and_every_article_is_in_one_group() -> None:
    assert sum(len(group.types) for group in GROUPS.values()) == len(GROUP_OF_TYPE)
    assert sum(len(group.articles) for group in GROUPS.values()) == len(GROUP_OF_ARTICLE)
    assert not GROUP_OF_ARTICLE.keys() & set(ARTICLES_WITHOUT_GROUP)
    # What no caption can say must not be asked for.
    assert all(group.types for group in GROUPS.values())


def test_groups_keep_apart_what_a_shopper_keeps_apart() -> None:
    apart = (
        "T-shirt",
        "Trousers",
        "Dress",
        "Bra",
        "Bikini top",
        "Socks",
        "Boots",
        "Bag",
        "Watch",
        "Ring",
        "Belt",
        "Wallet",
    )
    assert len({GROUP_OF_TYPE[kind] for kind in apart}) == len(apart)
    assert GROUP_OF_TYPE["Blouse"] == GROUP_OF_ARTICLE["Shirts"]
    assert GROUP_OF_TYPE["Heels"] == GROUP_OF_ARTICLE["Heels"]


def test_a_base_colour_has_one_family_or_two() -> None:
    assert all(1 <= len(set(families)) == len(families) <= 2 for families in FAMILIES_OF_BASE_COLOUR.values())


@pytest.mark.parametrize(
    ("caption", "said"),
    [
        ("Dark blue T-shirt for men. A collar.", Said("T-shirt", "Dark Blue", "Solid", "Menswear", "Blue")),
        # The first model of this project speaks in the catalog's own values.
        (
            "Light Beige all over pattern jumpsuit/playsuit for women.",
            Said("Jumpsuit/Playsuit", "Light Beige", "All over pattern", "Ladieswear", "Beige"),
        ),
        (
            "Light beige patterned jumpsuit for young women.",
            Said("Jumpsuit/Playsuit", "Light Beige", "All over pattern", "Divided", "Beige"),
        ),
        ("Light beige striped beanie.", Said("Beanie", "Light Beige", "Stripe", "", "Beige")),
        ("Light beige striped beanie hat.", Said("Hat/beanie", "Light Beige", "Stripe", "", "Beige")),
        ("Dark blue jeans for women.", Said("Trousers", "Dark Blue", "Denim", "Ladieswear", "Blue")),
        ("Dark blue denim trousers for women.", Said("Trousers", "Dark Blue", "Denim", "Ladieswear", "Blue")),
        ("Brown trousers.", Said("Trousers", "Brown", "Solid", "", "Brown")),
        ("A person in a garden.", Said()),
        ("", Said()),
    ],
)
def test_a_caption_is_read_in_the_catalogs_values(caption: str, said: Said) -> None:
    read = Reader(ROWS).read(caption)
    assert read == said
    assert read.is_read == bool(said.kind)


def test_an_unknown_value_is_no_truth() -> None:
    truth = truth_of_row(ROWS[-1])
    assert {column for column in COLUMNS if truth[column]} == {"audience", "audience, women as one"}
    photos = PhotoSet("shop", [case_of_row(ROWS[-1], Path())])
    found = outcomes(photos, [Said()])
    assert {column: int(found[column][0]) for column in ("kind", "colour", "pattern", "audience")} == {
        "kind": -1,
        "colour": -1,
        "pattern": -1,
        "audience": 0,
    }


def test_jeans_among_drawings_must_be_called_jeans_or_denim_trousers() -> None:
    jeans = Case("1", Path("none.jpg"), {**dict.fromkeys(COLUMNS, frozenset[str]()), "kind": frozenset({"Jeans"})})
    photos, reader = PhotoSet("drawings", [jeans] * 3, jeans_apart=True), Reader(ROWS)
    said = [reader.read(f"Dark blue {noun}.") for noun in ("jeans", "denim trousers", "trousers")]
    assert outcomes(photos, said)["kind"].tolist() == [1, 1, 0]


def test_a_sample_says_that_it_is_one_and_is_the_same_every_time() -> None:
    photos = PhotoSet("shop", [case(item_id=str(number)) for number in range(50)])
    sample = photos.sample(7)
    assert sample.name == "shop (sample of 7 from 50)"
    assert [one.item_id for one in sample.cases] == [one.item_id for one in photos.sample(7).cases]
    assert len({one.item_id for one in sample.cases}) == 7
    assert photos.sample(50) is photos


def test_wilsons_interval_is_the_published_one() -> None:
    # R. G. Newcombe, Statistics in Medicine 17 (1998) 857, table I, method 3.
    for right, count, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)):
        found = share(right, count)
        assert found is not None
        assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)
    assert share(0, 0) is None


def test_the_bootstrap_interval_is_that_of_the_mean() -> None:
    values = np.random.default_rng(1).normal(0.5, 0.2, 2_000)
    found = mean(values)
    assert found is not None
    half = 1.96 * values.std() / 2_000**0.5
    assert (found.low, found.high) == pytest.approx((found.value - half, found.value + half), abs=half / 5)
    assert mean(values) == found
    assert mean(values[:0]) is None


def test_words_count_only_where_caption_and_text_both_have_them() -> None:
    captions = ["Dress with a hood and buttons.", "Hooded top.", "Childhood memories."]
    texts = ["Top with a hood.", "Top with a button.", "A hood."]
    found = agreement(captions, texts, shuffled=[texts[1], texts[2], texts[0]])
    hood, buttons = found["hood"], found["buttons"]
    assert (hood.said, hood.true, hood.both, hood.by_chance) == (2, 2, 1, 1)
    assert (buttons.said, buttons.true, buttons.both, buttons.by_chance) == (1, 1, 0, 1)
    assert (found["all"].said, found["all"].both) == (3, 1)
    assert buttons.json()["precision"] == 0.0
    assert found["zip"].json()["precision"] is None


def test_repetition_is_four_words_in_a_row_said_twice() -> None:
    assert repeats("A top with a collar and a top with a hem.")
    assert not repeats("A top with a hood, a coat with a hood.")
    assert not repeats("short")


def test_a_caption_that_was_not_made_is_right_in_nothing() -> None:
    photos = PhotoSet("shop", [case_of_row(row, Path()) for row in ROWS[:2]])
    captions = ["Dark blue T-shirt for men. A collar.", ""]
    figures = figures_of("ours", photos, captions, Reader(ROWS), LetterTexts())  # type: ignore[arg-type]
    kind, read = figures.share("kind"), figures.read
    assert kind is not None
    assert read is not None
    assert (kind.value, read.value) == (0.5, 0.5)
    assert figures.manner["missing"] == 1
    assert figures.words["collar"].both == 1
    assert figures.cosines["description"][1] == 0


def test_texts_are_shuffled_the_same_way_every_time() -> None:
    texts = [str(number) for number in range(30)]
    assert shuffle(texts) == shuffle(texts) != texts
    assert sorted(shuffle(texts)) == sorted(texts)


def test_the_majority_class_is_that_of_the_training_in_each_column() -> None:
    photos = PhotoSet("shop", [case("Beanie", group="headwear", pattern="Stripe"), case("T-shirt", pattern="Solid")])
    right = majority_class([*ROWS, ROWS[4]], photos).right
    assert right["kind"].tolist() == [1, 0]
    assert right["group"].tolist() == [1, -1]
    assert right["pattern"].tolist() == [1, 0]


def test_two_models_are_compared_photo_by_photo() -> None:
    photos = PhotoSet("shop", [case("T-shirt")] * 40)
    reader = Reader(ROWS)

    def figures(right: int):
        captions = ["Dark blue T-shirt."] * right + ["Dark blue trousers."] * (40 - right)
        return figures_of("ours", photos, captions, reader, LetterTexts())  # type: ignore[arg-type]

    found = difference(figures(30), figures(20))
    assert set(found) == {"kind"}
    assert found["kind"].value == pytest.approx(0.25)
    # Where both are alike nothing is uncertain, however many are wrong.
    assert difference(figures(20), figures(20))["kind"].high == 0


def test_groups_are_told_apart_the_largest_first() -> None:
    photos = PhotoSet("other-shop", [case(group="headwear"), *[case(group="topwear")] * 3, case()])
    captions = ["Dark blue beanie.", "Dark blue T-shirt.", "Dark blue beanie.", "", "Dark blue T-shirt."]
    rows = group_rows(figures_of("ours", photos, captions, Reader(ROWS), LetterTexts()))  # type: ignore[arg-type]
    assert [(row["group"], row["photos"]) for row in rows] == [("topwear", 3), ("headwear", 1)]
    assert [str(row["right, %"]).split()[0] for row in rows] == ["33.3", "100.0"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("photos")
    for colour in ("red", "black", "white"):
        draw(Drawing("dress", colour, "solid", 1), (96, 144)).save(folder / f"{colour}.png")
    return sorted(folder.iterdir())


def test_captions_are_made_once_and_a_torn_file_goes_on(
    brief_captioner: LlamaCaptioner, photos: list[Path], tmp_path: Path
) -> None:
    said: list[str] = []
    first = captions_of(brief_captioner, photos, tmp_path, said.append)
    assert all(first)
    assert said[0] == "3 of 3 captions to make"
    assert captions_of(brief_captioner, photos, tmp_path, pytest.fail) == first
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(kept.read_bytes()[:-9])
    said.clear()
    assert captions_of(brief_captioner, photos, tmp_path, said.append) == first
    assert said[0] == "1 of 3 captions to make"
    assert captions_of(brief_captioner, photos, tmp_path, pytest.fail) == first


def test_a_photo_that_cannot_be_used_has_no_caption(
    brief_captioner: LlamaCaptioner, photos: list[Path], tmp_path: Path
) -> None:
    bad, gone = tmp_path / "bad.jpg", tmp_path / "gone.jpg"
    bad.write_bytes(b"no picture")
    said: list[str] = []
    found = captions_of(brief_captioner, [bad, photos[0], gone], tmp_path / "kept", said.append)
    assert [bool(caption) for caption in found] == [False, True, False]
    assert any("bad.jpg" in line or "photo" in line for line in said[1:])


def test_a_pair_of_files_is_asked_as_the_manifest_beside_it_says() -> None:
    files = resolve_lvlm()
    text, projector = files.text, files.projector
    model = model_of(f"pair={text},{projector}", {})
    whole = model_of(f"whole={files.folder}", {})
    assert model.files.settings == whole.files.settings
    size = (text.stat().st_size + projector.stat().st_size) / 1e6
    assert model.megabytes == whole.megabytes == pytest.approx(size, abs=0.01)
    for wrong in ("stylist-lvlm", "=stylist-lvlm", "name="):
        with pytest.raises(UsageError, match="NAME=MODEL"):
            model_of(wrong, {})


def test_speed_is_told_alone_and_in_batches(photos: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "_RUNS", 1)
    row = models.speed_of(model_of("embedded=stylist-lvlm", {"max_tokens": 2, "threads": 1}), photos).json()
    assert row["model"] == "embedded"
    assert row["photos in a batch"] > 1
    assert row["alone, ms a photo"] * row["alone, photos/s"] == pytest.approx(1000, rel=0.2)
