"""`recommend`, `similar`, `search` and `info` through real processes."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest
from drawings import Drawing
from made_store import random_vectors, write_store
from pictures import drawn
from program import program, watched

from vlm4rec_edge import Recommender, resolve_lvlm
from vlm4rec_edge.cli.online import once
from vlm4rec_edge.recommend.profile import ProfileSettings
from vlm4rec_edge.recommend.selection import Selection

ROOT = Path(__file__).parents[2]
ANSWER = {"index", "method", "query", "answered_by", "unknown", "recommendations"}
HIT = {
    "rank", "item_id", "score", "title", "caption", "image", "attributes", "basis", "interest", "because", "why",
}  # fmt: skip
INFO = {
    "index", "items", "captions", "vectors", "failures", "dimensions", "bytes", "method", "encoded_text", "run",
    "grounding", "encoder",
}  # fmt: skip


@pytest.fixture
def ids(drawings: list[Drawing]) -> list[str]:
    """The ids of the shop's items."""
    return [drawing.item_id for drawing in drawings]


def test_recommend_answers_a_program_with_the_documented_fields(shop_index: Path, ids: list[str]) -> None:
    done = program("recommend", shop_index, "--history", f"{ids[0]},{ids[1]}", "-k", "5", "--json")
    assert (done.code, done.err) == (0, "")
    document = done.json
    assert set(document) >= ANSWER
    assert document["query"] == {"history": ids[:2]}
    assert (document["method"], document["unknown"], document["answered_by"]) == ("exact", [], "history")
    hits = document["recommendations"]
    assert [hit["rank"] for hit in hits] == [1, 2, 3, 4, 5]
    assert all(set(hit) >= HIT for hit in hits)
    assert not {hit["item_id"] for hit in hits} & set(ids[:2])
    with Recommender.open(shop_index) as shop:
        expected = shop.recommend(ids[:2], k=5)
    assert [(hit["item_id"], hit["caption"]) for hit in hits] == [(hit.item_id, hit.caption) for hit in expected]
    assert [hit["score"] for hit in hits] == pytest.approx([hit.score for hit in expected], abs=1e-6)


def test_recommend_in_a_fresh_process_loads_no_model(shop_index: Path, ids: list[str]) -> None:
    done = watched("recommend", shop_index, "--history", ids[0], "-k", "3", "--json")
    assert len(done.json["recommendations"]) == 3
    assert "numpy" in done.loaded  # the list of modules is a true one
    assert not {"llama_cpp", "onnxruntime", "tokenizers", "torch", "PIL", "transformers"} & done.loaded


def test_recommend_shows_people_a_table(shop_index: Path, ids: list[str]) -> None:
    done = program("recommend", shop_index, "--history", ids[0], "-k", "4")
    assert done.code == 0
    header, *rows = done.out.strip().splitlines()
    assert header.split()[:3] == ["#", "item", "score"]
    assert [row.split()[0] for row in rows] == ["1", "2", "3", "4"]
    assert not any(row.split()[1] == ids[0] for row in rows)


def test_a_history_may_be_given_in_any_number_of_parts(shop_index: Path, ids: list[str]) -> None:
    whole = program("recommend", shop_index, "--history", ",".join(ids[:3]), "--json").json
    for parts in (
        ["--history", ids[0], "--history", f"{ids[1]},{ids[2]}"],
        ["--history", f" {ids[0]} , {ids[1]},,{ids[2]}, "],
    ):
        assert program("recommend", shop_index, *parts, "--json").json == whole


def test_an_id_with_a_comma_in_it_is_understood(tmp_path: Path) -> None:
    index = write_store(tmp_path / "s", random_vectors(4), [("a,b", 0), ("a", 1), ("b", 2), ("c", 3)])
    assert program("recommend", index, "--history", "a,b", "--json").json["query"] == {"history": ["a,b"]}
    assert program("recommend", index, "--history", "a,c", "--json").json["query"] == {"history": ["a", "c"]}


def test_unknown_ids_are_left_out_told_and_coded(shop_index: Path, ids: list[str]) -> None:
    done = program("recommend", shop_index, "--history", f"nobody,{ids[0]}", "-k", "2")
    assert done.code == 3
    assert "Not in the index, and left out: nobody." in done.err
    assert len(done.out.strip().splitlines()) == 3
    document = program("recommend", shop_index, "--history", f"nobody,{ids[0]}", "--json").json
    assert document["unknown"] == ["nobody"]


@pytest.mark.parametrize(
    ("arguments", "kind", "code"),
    [
        (["recommend", "--history", "nobody"], "UnknownItemError", 1),
        (["recommend", "--history", " , ,"], "UsageError", 2),
        (["similar", "nobody"], "UnknownItemError", 1),
        (["search", "  "], "UsageError", 2),
        (["search", "red", "--encoder", "stylist-lvlm"], "ModelError", 1),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_answered_is_a_sentence_and_a_code(
    shop_index: Path, arguments: list[str], kind: str, code: int
) -> None:
    command, *rest = arguments
    done = program(command, shop_index, *rest, "--json")
    assert done.code == code
    assert done.json["error"]["kind"] == kind
    assert done.err == f"Error: {done.json['error']['message']}\n"


@pytest.mark.parametrize("command", ["recommend", "similar", "search"])
def test_bytes_that_are_no_text_are_an_unknown_item_and_no_crash(shop_index: Path, command: str) -> None:
    option = ["--history"] if command == "recommend" else []
    done = program(command, shop_index, *option, b"caf\xe9".decode("utf-8", "surrogateescape"), "--json")
    assert done.code == (0 if command == "search" else 1)
    assert done.json


def test_k_beyond_the_catalog_gives_all_there_is_and_says_so(shop_index: Path, ids: list[str]) -> None:
    done = program("similar", shop_index, ids[0], "-k", "1000")
    assert done.code == 0
    assert f"Only {len(ids) - 1} items of the index can be recommended here" in done.err
    assert len(done.out.strip().splitlines()) == len(ids)


def test_similar_is_a_history_of_one(shop_index: Path, ids: list[str]) -> None:
    similar = program("similar", shop_index, ids[4], "--json").json
    assert similar["query"] == {"item": ids[4]}
    assert (
        similar["recommendations"]
        == program("recommend", shop_index, "--history", ids[4], "--json").json["recommendations"]
    )


def test_search_finds_by_words(shop_index: Path) -> None:
    with Recommender.open(shop_index) as shop:
        caption = next(iter(shop.store.items())).caption
    done = program("search", shop_index, caption, "-k", "2", "--json")
    assert done.code == 0
    assert done.json["query"] == {"text": caption}
    assert done.json["recommendations"][0]["caption"] == caption
    same = program("search", shop_index, caption, "-k", "2", "--encoder", "all-minilm-l6-v2", "--json")
    assert same.json == done.json
    assert caption[:30].rstrip(".") in program("search", shop_index, caption, "-k", "2").out


def test_info_says_what_an_index_holds_and_what_made_it(shop_index: Path, ids: list[str]) -> None:
    done = program("info", shop_index, "--json")
    assert (done.code, done.err) == (0, "")
    document = done.json
    assert set(document) >= INFO
    assert (document["items"], document["failures"], document["dimensions"]) == (len(ids), 0, 384)
    assert (document["method"], document["encoded_text"], document["run"]) == ("exact", "weighted:0.9", 1)
    assert document["grounding"]["name"] == "stylist-lvlm"
    assert document["encoder"]["name"] == "all-minilm-l6-v2"
    assert document["bytes"] >= sum(path.stat().st_size for path in shop_index.glob("*.f32"))
    shown = program("info", shop_index).out
    for part in (str(shop_index), str(len(ids)), "stylist-lvlm", "all-minilm-l6-v2", "Describe this product."):
        assert part in shown


@pytest.mark.parametrize(
    ("command", "place"),
    [("recommend", "nowhere"), ("similar", "file"), ("search", "nowhere"), ("info", "nowhere"), ("info", "x" * 300)],
)
def test_where_there_is_no_index_the_message_names_the_place(tmp_path: Path, command: str, place: str) -> None:
    (tmp_path / "file").write_text("no index")
    rest = {"recommend": ["--history", "a"], "similar": ["a"], "search": ["red"], "info": []}[command]
    done = program(command, tmp_path / place, *rest)
    assert done.code == 1
    assert str(tmp_path / place) in done.err
    assert done.err.startswith("Error: ")
    assert done.out == ""


def test_an_index_may_be_named_relative_to_any_working_folder(shop_index: Path, ids: list[str]) -> None:
    done = program("similar", shop_index.name, ids[0], "-k", "1", "--json", cwd=shop_index.parent)
    assert (done.code, done.json["index"]) == (0, shop_index.name)


@pytest.fixture
def market(tmp_path: Path) -> Path:
    """A made index of 40 items with prices, colours and counts."""
    attributes = {
        f"item-{row}": {"price": str(row), "colour": ("red", "blue")[row % 2], "sold": str(row * 7 % 40)}
        for row in range(40)
    }
    captions = {f"item-{row}": f"A {attributes[f'item-{row}']['colour']} thing." for row in range(40)}
    return write_store(tmp_path / "market", random_vectors(40), attributes=attributes, captions=captions)


def _found(*arguments: object) -> list[str]:
    done = program(*arguments, "--json")
    assert done.code == 0, done.err
    return [hit["item_id"] for hit in done.json["recommendations"]]


def test_every_option_of_a_profile_is_that_of_the_python_call(market: Path) -> None:
    history = ["item-1", "item-2", "item-3"]
    command = ["recommend", market, "--history", ",".join(history), "-k", "8"]
    with Recommender.open(market) as shop:
        for options, settings, other in (
            (["--last", "1"], ProfileSettings(last=1), {}),
            (["--half-life", "1"], ProfileSettings(half_life=1), {}),
            (["--interests", "2"], ProfileSettings(interests=2), {}),
            (["--interests", "3", "--merge", "best"], ProfileSettings(interests=3, merge="best"), {}),
            (["--weights", "1,5,0.5"], ProfileSettings(), {"weights": [1, 5, 0.5]}),
            (
                ["--times", "2026-03-31,2026-03-01,2025-12-31T12:00", "--half-life", "10"],
                ProfileSettings(half_life=10),
                {"times": [90.5, 60.5, 0]},
            ),
            (["--times", "3,1,2", "--last", "1"], ProfileSettings(last=1), {"times": [3, 1, 2]}),
            (
                ["--disliked", "item-9,item-8", "--dislike-weight", "0.8"],
                ProfileSettings(dislike_weight=0.8),
                {"disliked": ["item-9", "item-8"]},
            ),
        ):
            expected = shop.recommend(history, k=8, settings=settings, **other)
            assert _found(*command, *options) == [hit.item_id for hit in expected], options


def test_every_option_of_a_selection_is_that_of_the_python_call(market: Path, tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("item-7\n\n item-8 \nitem-9\n")
    with Recommender.open(market) as shop:
        for options, selection in (
            (["--where", "price < 20 and colour = 'red'"], Selection(where="price < 20 and colour = 'red'")),
            (["--allow", f"@{tmp_path / 'ids.txt'}"], Selection(allow=["item-7", "item-8", "item-9"])),
            (["--deny", "item-7,item-8", "--deny", "item-9"], Selection(deny=["item-7", "item-8", "item-9"])),
            (["--one-per", "colour"], Selection(one_per="colour")),
            (["--diversity", "0.8"], Selection(diversity=0.8)),
            (["--min-score", "-0.1"], Selection(min_score=-0.1)),
        ):
            expected = [hit.item_id for hit in shop.similar("item-1", 40, selection=selection)]
            assert 0 < len(expected) <= 39
            assert _found("similar", market, "item-1", "-k", "40", *options) == expected, options
            assert _found("recommend", market, "--history", "item-1", "-k", "40", *options) == expected, options
    assert "item-1" in _found("recommend", market, "--history", "item-1", "--include-history")


def test_explained_answers_carry_their_reasons(market: Path) -> None:
    command = ["recommend", market, "--history", "item-1,item-2", "--disliked", "item-3", "-k", "3", "--explain"]
    for hit in program(*command, "--json").json["recommendations"]:
        assert all(set(reason) >= {"source", "kind", "amount", "words"} for reason in hit["because"])
        assert sum(reason["amount"] for reason in hit["because"]) == pytest.approx(hit["score"], abs=1e-6)
        assert hit["why"].startswith("Because of ")
    shown = program(*command).out
    rows = shown.splitlines()[1:]
    assert len(rows) == 6
    for rank, (row, why) in enumerate(zip(rows[::2], rows[1::2], strict=True), start=1):
        assert row.startswith(f"{rank}  item-")
        assert why.startswith("  Because of ")
    assert program(*command[:-1]).out.count("Because of ") == 0


def test_popularity_answers_for_a_stranger_and_says_so(market: Path) -> None:
    document = program("recommend", market, "--popularity", "sold", "-k", "3", "--json").json
    assert document["answered_by"] == "popularity"
    assert [hit["score"] for hit in document["recommendations"]] == [39, 38, 37]
    done = program("recommend", market, "--history", "nobody", "--popularity", "sold", "-k", "3")
    assert done.code == 3
    assert "Nothing is known of this shopper, so these are the most popular items." in done.err
    assert done.out.splitlines()[0].split()[2] == "count"


def test_items_and_words_answer_together(shop_index: Path, ids: list[str]) -> None:
    done = program("recommend", shop_index, "--history", ids[0], "--text", "a yellow shirt", "-k", "3", "--json")
    assert done.code == 0
    assert done.json["query"] == {"history": [ids[0]], "text": "a yellow shirt"}
    assert done.json["answered_by"] == "history and text"
    alone = program("recommend", shop_index, "--text", "a yellow shirt", "-k", "3", "--json").json
    search = program("search", shop_index, "a yellow shirt", "-k", "3", "--json").json
    assert alone == search
    assert alone["answered_by"] == "text"


def test_a_photo_that_the_index_does_not_hold_finds_what_it_shows(index_by_captions: Path, tmp_path: Path) -> None:
    """A new photo gets the caption that the index would have given it, and that caption is matched."""
    with Recommender.open(index_by_captions) as shop:
        item = next(iter(shop.store.items()))
    photo = tmp_path / "street photo.png"
    shutil.copy(item.image, photo)
    done = watched("similar", index_by_captions, "--photo", photo, "-k", "2", "--json")
    assert done.code == 0, done.err
    assert done.json["query"] == {"photo": str(photo), "caption": item.caption}
    assert done.json["answered_by"] == "photo"
    best = done.json["recommendations"][0]
    assert (best["caption"], best["score"]) == (item.caption, pytest.approx(1, abs=1e-5))
    assert "llama_cpp" not in done.loaded  # it is at work in a process of its own


@pytest.mark.parametrize("command", [["recommend", "--history"], ["similar"]], ids=lambda words: words[0])
def test_the_table_shows_the_words_that_items_are_compared_by(
    shop: Path, index_by_captions: Path, tmp_path: Path, ids: list[str], command: list[str]
) -> None:
    with shop.open(encoding="utf-8", newline="") as table:
        titles = {row["id"]: row["title"] for row in csv.DictReader(table)}
    captions = tmp_path / "captions.csv"
    captions.write_text("id,caption\n" + "".join(f"{item},{title}.\n" for item, title in titles.items()), "utf-8")
    assert program("index", shop, "--out", tmp_path / "titled", "--captions", captions).code == 0

    def shown(index: Path, item: str) -> tuple[str, dict[str, str]]:
        call = (command[0], index, *command[1:], item, "-k", "1")
        return program(*call).out.splitlines()[-1], program(*call, "--json").json["recommendations"][0]

    line, hit = shown(tmp_path / "titled", ids[0])
    assert hit["caption"] == f"{hit['title']}."
    assert line.endswith(f"  {hit['title']}"), "the same is not said twice"
    line, hit = shown(index_by_captions, ids[0])
    assert line.endswith(f"  {hit['caption']}")
    assert line.count(f"{hit['title']}.") == 1, "the title is not put before the caption"
    line, hit = shown(write_store(tmp_path / "titles", random_vectors(4)), "item-0")
    assert line.endswith(f"  title of {hit['item_id']}")


def test_that_a_photo_is_looked_for_by_its_caption_among_titles_is_told(
    shop_index: Path, index_by_captions: Path, tmp_path: Path
) -> None:
    drawn("dress", "red").save(tmp_path / "photo.png")
    told = "searched by its caption alone, among items that are known by title (0.9) and caption (0.1)"
    assert told in " ".join(program("similar", shop_index, "--photo", tmp_path / "photo.png").err.split())
    assert "alone" not in program("similar", index_by_captions, "--photo", tmp_path / "photo.png").err


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (["recommend"], "give --history, --text or --popularity", 2),
        (["recommend", "--history", "item-1", "--where", "prize < 3"], "did you mean 'price'", 2),
        (["recommend", "--history", "item-1", "--weights", "1,x"], "--weights '1,x' is not a list of numbers", 2),
        (["recommend", "--history", "item-1", "--times", "soon"], "--times 'soon' is not a list of dates", 2),
        (["recommend", "--history", "item-1", "--weights", "1,2"], "2 weights for 1 items", 2),
        (["recommend", "--history", "item-1", "--merge", "x"], "choose quota or best", 2),
        (["recommend", "--history", "@nowhere.txt"], "nowhere.txt cannot be used", 1),
        (["recommend", "--popularity", "sales"], "no column 'sales'", 2),
        (["recommend", "--history", "item-1", "--representation", "learned"], "Nothing was learned from purchases", 2),
        (["similar"], "either an item id or --photo", 2),
        (["similar", "item-1", "--photo", "x.png"], "either an item id or --photo", 2),
        (["similar", "item-1", "--one-per", "nothing"], "to group by", 2),
        (["similar", "--photo", "x.png"], "were not made by a model of this program", 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_an_option_that_cannot_be_meant_is_a_sentence(
    market: Path, arguments: list[str], message: str, code: int
) -> None:
    command, *rest = arguments
    done = program(command, market, *rest, "--json")
    assert message in done.err
    assert done.code == code


def test_a_photo_is_described_by_no_other_model_than_made_the_index(shop_index: Path, tmp_path: Path) -> None:
    other = shutil.copytree(ROOT / "models" / "stylist-lvlm", tmp_path / "other")
    text = other / resolve_lvlm().text.name
    (other / "manifest.json").unlink()
    text.write_bytes(text.read_bytes() + b"\0")
    done = program("similar", shop_index, "--photo", "x.png", "--model", other)
    assert done.code == 1
    assert "were made by another model or another version of it" in done.err
    done = program("similar", shop_index, "--photo", tmp_path / "none.png")
    assert done.code == 1
    assert "none.png" in done.err


def test_a_photo_needs_an_index_of_captions(tmp_path: Path) -> None:
    titles = write_store(tmp_path / "titles", random_vectors(4))
    done = program("similar", titles, "--photo", "x.png")
    assert done.code == 2
    assert "was made from titles" in done.err


def test_title_and_caption_stand_apart_and_equal_ones_once() -> None:
    assert once(["Red dress", "Red floral dress."]) == "Red dress | Red floral dress."
    assert once(["Red dress", "red dress."]) == "Red dress"
    assert once(["", "Red dress."]) == "Red dress."
