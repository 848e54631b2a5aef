"""`bundle`, `patch`, and the other commands on a bundle, through real processes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from drawings import Drawing
from program import program, watched

NO_EXTRA = "onnxruntime,llama_cpp,tokenizers,PIL,huggingface_hub,pyarrow,torch,jinja2,sqlite3,_sqlite3"


@pytest.fixture(scope="module", params=["b.zip", "b"])
def bundle(request: pytest.FixtureRequest, shop_index: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the shop with the encoder in it."""
    out = tmp_path_factory.mktemp("shipped") / request.param
    done = program("bundle", shop_index, out, "--with-encoder", "--vectors", "float32", "--json")
    assert (done.code, done.err) == (0, "")
    document = done.json
    assert set(document) >= {"bundle", "items", "bytes", "digest", "without_thumbnail", "delta"}
    assert document["bytes"] == sum(path.stat().st_size for path in ([out] if out.is_file() else out.rglob("*.*")))
    assert (document["without_thumbnail"], document["delta"]) == ([], None)
    return out


def test_a_bundle_answers_every_question_as_the_index(shop_index: Path, bundle: Path, drawings: list[Drawing]) -> None:
    ids = [drawing.item_id for drawing in drawings]
    for command in (
        ["recommend", "--history", f"{ids[0]},{ids[5]}", "-k", "6"],
        ["similar", ids[3], "-k", "4"],
        ["search", "a pair of blue jeans", "-k", "4"],
    ):
        ours = program(command[0], bundle, *command[1:], "--json")
        theirs = program(command[0], shop_index, *command[1:], "--json")
        assert (ours.code, ours.err) == (0, "")
        for mine, their in zip(ours.json["recommendations"], theirs.json["recommendations"], strict=True):
            assert mine.pop("score") == pytest.approx(their.pop("score"), abs=1e-5)
            assert Path(their.pop("image")).name == Path(mine.pop("image")).name
            assert mine == their
        assert {**ours.json, "index": "", "recommendations": []} == {**theirs.json, "index": "", "recommendations": []}


def test_recommending_needs_none_of_the_extras_and_not_even_sqlite(bundle: Path, drawings: list[Drawing]) -> None:
    history = f"{drawings[0].item_id},{drawings[1].item_id}"
    done = watched("recommend", bundle, "--history", history, "-k", "3", "--json", without=NO_EXTRA)
    assert done.code == 0, done.err
    assert len(done.json["recommendations"]) == 3
    assert watched("info", bundle, without=NO_EXTRA).code == 0
    asked = watched("search", bundle, "red", without="onnxruntime")
    assert 'pip install "vlm4rec-edge[cpu]"' in asked.err


def test_info_tells_what_a_bundle_is_and_under_which_licences(bundle: Path, drawings: list[Drawing]) -> None:
    document = program("info", bundle, "--json").json
    assert (document["items"], document["dimensions"], document["method"]) == (len(drawings), 384, "exact")
    about = document["bundle"]
    assert (about["vectors"], about["carries"], about["thumbnails"]) == ("float32", ["encoder"], None)
    assert {model["role"] for model in about["models"]} == {"captions", "vectors"}
    shown = program("info", bundle).out
    assert about["digest"] in shown
    assert all(model["licence"] in shown for model in about["models"])


def test_verify_tells_a_whole_bundle_from_a_damaged_one(bundle: Path, tmp_path: Path) -> None:
    assert program("verify", bundle, "--json").json["ok"]
    if bundle.is_file():
        (tmp_path / "cut.zip").write_bytes(bundle.read_bytes()[:-30])
        done = program("verify", tmp_path / "cut.zip", "--json")
        assert (done.code, done.json["ok"]) == (1, False)
        assert "not a complete zip file" in done.json["findings"][0]["problem"]


def test_a_delta_and_a_patch_bring_a_bundle_up_to_date(
    own_index: Path, bundle: Path, tmp_path: Path, drawings: list[Drawing]
) -> None:
    assert program("remove", own_index, drawings[2].item_id).code == 0
    settings = ["--with-encoder", "--vectors", "float32"]
    full = program("bundle", own_index, tmp_path / "full.zip", *settings, "--json").json
    delta = program("bundle", own_index, tmp_path / "d.zip", *settings, "--delta", bundle, "--json").json
    assert delta["digest"] == full["digest"]
    assert delta["delta"]["new_bytes"] < delta["delta"]["copied_bytes"] / 100
    assert delta["bytes"] < full["bytes"] / 100
    done = program("patch", bundle, tmp_path / "d.zip", tmp_path / "new.zip", "--json")
    assert done.json == {**done.json, "items": len(drawings) - 1, "digest": full["digest"], "bytes": full["bytes"]}
    assert (tmp_path / "new.zip").read_bytes() == (tmp_path / "full.zip").read_bytes()
    assert full["digest"] in program("patch", bundle, tmp_path / "d.zip", tmp_path / "new").out


def test_items_without_a_photo_are_told(own_index: Path, shop: Path, tmp_path: Path) -> None:
    done = program("bundle", own_index, tmp_path / "b", "--thumbnails", "32", "--json")
    assert (done.code, done.json["without_thumbnail"]) == (0, [])
    done = program("bundle", own_index, tmp_path / "b", "--thumbnails", "32")
    assert str(done.out).startswith(f"{tmp_path / 'b'}: a bundle of ")


@pytest.mark.parametrize(
    ("arguments", "kind", "code"),
    [
        (["bundle", "INDEX", "no/folder/b.zip"], "UsageError", 2),
        (["bundle", "INDEX", "photos"], "UsageError", 2),
        (["bundle", "INDEX", "b.zip", "--with-lvlm"], "UsageError", 2),
        (["bundle", "INDEX", "b", "--delta", "photos"], "BundleError", 1),
        (["bundle", "nowhere", "b"], "StoreError", 1),
        (["patch", "photos", "photos", "b"], "BundleError", 1),
        (["recommend", "letter.zip", "--history", "a"], "BundleError", 1),
        (["info", "letter.zip"], "BundleError", 1),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_done_is_a_sentence_and_leaves_nothing(
    shop_index: Path, tmp_path: Path, arguments: list[str], kind: str, code: int
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").touch()
    (tmp_path / "letter.zip").write_text("Dear Anna")
    before = sorted(tmp_path.rglob("*"))
    done = program(*[shop_index if part == "INDEX" else part for part in arguments], "--json", cwd=tmp_path)
    assert (done.code, done.json["error"]["kind"]) == (code, kind), done.err
    assert sorted(tmp_path.rglob("*")) == before


def test_captions_from_a_table_make_an_index_without_llama_cpp_and_pillow(shop: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(shop.parent, tmp_path / "shop"))
    (tmp_path / "said.csv").write_text("id,caption\nt-shirt-1,A red shirt.\njeans-1,Blue jeans.\n", encoding="utf-8")
    (folder / "few.csv").write_text("id,image\n" + "\n".join(_first_photos(shop)), encoding="utf-8")
    arguments = ["index", folder / "few.csv", "--out", tmp_path / "i", "--captions", tmp_path / "said.csv"]
    done = watched(*arguments, "--captions-by", "a friend", "--json", without="llama_cpp,PIL,torch")
    assert done.code == 3, done.err
    assert (done.json["items"], done.json["captioned"]) == (2, 2)
    assert [failure["where"] for failure in done.json["failures"]] == ["cap-1"]
    assert "captions imported from a friend" in program("info", tmp_path / "i").out
    refused = program("add", tmp_path / "i", next(folder.rglob("*.jpg")), "--json")
    assert refused.code == 2
    assert "come from a friend" in refused.json["error"]["message"]
    both = program(*arguments, "--model", "stylist-lvlm")
    assert both.code == 2


def _first_photos(shop: Path) -> list[str]:
    photos = sorted(path.relative_to(shop.parent).as_posix() for path in shop.parent.rglob("*.jpg"))
    return [f"{item_id},{photo}" for item_id, photo in zip(("t-shirt-1", "jeans-1", "cap-1"), photos, strict=False)]
