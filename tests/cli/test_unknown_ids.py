"""An id that is named anywhere on the command line is found, or it is named as unknown, with the exit code that says so."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from made_store import random_vectors, write_store
from program import Done, program

from vlm4rec_edge import make_bundle

NFC, NFD = (unicodedata.normalize(form, "Bluse grün") for form in ("NFC", "NFD"))
IDS = ["108775015", "7", "a,b", "shirt-1", "shirt-2", NFD, "Größe", "100000"]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index whose ids are numbers, have commas, and are written in NFD and in NFC; with a purchase of each."""
    folder = tmp_path_factory.mktemp("ids")
    names = [f"more-{number}" for number in range(10)]
    return write_store(
        folder / "shop.index",
        random_vectors(len(IDS) + len(names)),
        [(name, row) for row, name in enumerate([*IDS, *names])],
        attributes={name: {"price": "15.00 USD" if name in IDS[:3] else "15"} for name in [*IDS, *names[1:]]},
    )


@pytest.fixture(scope="module", params=["index", "bundle"])
def shipped(request: pytest.FixtureRequest, index: Path) -> Path:
    """The index, and the bundle of it."""
    bundle = index.with_name("shop.zip")
    if request.param == "bundle":
        make_bundle(index, bundle) if not bundle.exists() else None
        return bundle
    return index


def _ids(done: Done) -> list[str]:
    return [hit["item_id"] for hit in done.json["recommendations"]]


@pytest.mark.parametrize(
    "where",
    [
        ["recommend", "--history", "shirt-1,{}"],
        ["recommend", "--history", "shirt-1", "--disliked", "{}"],
        ["recommend", "--history", "shirt-1", "--allow", "shirt-2,{}"],
        ["recommend", "--history", "shirt-1", "--deny", "{}"],
        ["recommend", "--history", "shirt-1", "--where", "id != '{}'"],
        ["recommend", "--history", "shirt-1", "--where", "id in ('shirt-2', '{}')"],
        ["similar", "shirt-1", "--deny", "{}"],
    ],
    ids=" ".join,
)
def test_an_unknown_id_is_named_with_code_3_wherever_it_stands(shipped: Path, where: list[str]) -> None:
    command, *rest = (part.format("nope") for part in where)
    done = program(command, shipped, *rest, "--json")
    assert done.code == 3
    assert done.json["unknown"] == ["nope"]
    told = program(command, shipped, *rest)
    assert told.code == 3
    assert told.err.count("nope") == 1
    assert program(command, shipped, *(part.format("shirt-2") for part in where[1:])).code == 0


def test_a_list_of_which_nothing_is_known_cannot_be_answered(shipped: Path) -> None:
    for rest in (["--history", "nope"], ["--history", "shirt-1", "--allow", "nope,nothing"]):
        done = program("recommend", shipped, *rest)
        assert done.code == 1
        assert "holds no item 'nope'" in done.err


@pytest.mark.parametrize(
    ("given", "meant"), [("108775015.0", "108775015"), ("007", "7"), ("1e5", "100000"), ("1.08775015E+8", "108775015")]
)
def test_a_number_written_otherwise_is_named_with_what_it_may_mean(shipped: Path, given: str, meant: str) -> None:
    sentence = f"did you mean '{meant}'? It is the same number as '{given}', but ids are texts"
    for rest in (
        ["recommend", shipped, "--history", given],
        ["recommend", shipped, "--history", "shirt-1", "--deny", given],
        ["similar", shipped, given],
    ):
        done = program(*rest)
        assert done.code in (1, 3)
        assert sentence in done.err


def test_ids_are_compared_by_nfc_and_answered_as_they_were_written(shipped: Path) -> None:
    other = unicodedata.normalize("NFD", "Größe")
    for given, held in ((NFC, NFD), (NFD, NFD), (other, "Größe"), ("Größe", "Größe")):
        found = program("similar", shipped, given, "-k", "50", "--json")
        assert found.code == 0
        assert held not in _ids(found)
        assert held not in _ids(program("similar", shipped, "7", "-k", "50", "--deny", given, "--json"))
        assert _ids(program("similar", shipped, "7", "--allow", given, "--json")) == [held]
        assert _ids(program("similar", shipped, "7", "--where", f"id = '{given}'", "--json")) == [held]
        assert _ids(program("recommend", shipped, "--history", f"{given},7", "-k", "50", "--json")).count(held) == 0


def test_histories_and_purchases_are_compared_by_nfc_too(index: Path, tmp_path: Path) -> None:
    (tmp_path / "h.csv").write_text(f'user_id,history\nann,"{NFC},7"\n', encoding="utf-8")
    done = program("recommend", index, "--histories", tmp_path / "h.csv", "--out", tmp_path / "o.csv", "--json")
    assert (done.code, done.json["unknown"]) == (0, [])
    assert NFD not in (tmp_path / "o.csv").read_text(encoding="utf-8")
    items = [NFC, "7", "shirt-1", "shirt-2", unicodedata.normalize("NFD", "Größe")]
    rows = "".join(f"ann,{item},2026-01-0{day}\n" for day, item in enumerate(items, start=1))
    (tmp_path / "p.csv").write_text(f"user_id,item_id,date\n{rows}", encoding="utf-8")
    done = program("evaluate", index, "--interactions", tmp_path / "p.csv", "--json")
    assert (done.code, done.json["unknown_items"]) == (0, [])


def test_purchases_that_name_numbers_otherwise_are_told_what_they_mean(index: Path, tmp_path: Path) -> None:
    rows = "".join(f"ann,{item},2026-01-0{day}\n" for day, item in enumerate(["7.0", "108775015.0"], start=1))
    (tmp_path / "p.csv").write_text(f"user_id,item_id,date\n{rows}", encoding="utf-8")
    done = program("evaluate", index, "--interactions", tmp_path / "p.csv")
    assert done.code == 1
    assert "did you mean '7'? It is the same number as '7.0'" in done.err


def test_a_selection_for_all_users_names_its_unknown_ids(index: Path, tmp_path: Path) -> None:
    (tmp_path / "h.csv").write_text("user_id,history\nann,7\n", encoding="utf-8")
    asked = ["--histories", tmp_path / "h.csv", "--out", tmp_path / "o.csv", "--deny", "nope"]
    done = program("recommend", index, *asked, "--json")
    assert (done.code, done.json["unknown_selected"], done.json["answered"]) == (3, ["nope"], 1)
    assert "holds no item 'nope', which is denied" in program("recommend", index, *asked).err


def test_remove_takes_lists_and_finds_ids_by_nfc(tmp_path: Path) -> None:
    folder = write_store(tmp_path / "s", random_vectors(len(IDS)), [(name, row) for row, name in enumerate(IDS)])
    (tmp_path / "gone.txt").write_text(f"{NFC}\n7\n", encoding="utf-8")
    done = program("remove", folder, "a,b", "shirt-1,shirt-2", f"@{tmp_path / 'gone.txt'}", "--json")
    assert (done.code, done.json["removed"]) == (0, 5)
    done = program("remove", folder, "108775015.0")
    assert done.code == 3
    assert "did you mean '108775015'?" in done.err.lower()


def test_a_filter_says_how_many_values_are_no_numbers(shipped: Path) -> None:
    done = program("similar", shipped, "shirt-1", "-k", "30", "--where", "price < 2000")
    assert done.code == 0
    assert "3 of 17 values of price are no numbers, such as '15.00 USD'" in done.err
    assert "no numbers" not in program("similar", shipped, "shirt-1", "--where", "price is missing").err
