"""A bundle can carry the encoder for text search, the captioner for new photos, and small pictures."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from bundle_index import write_index
from PIL import Image

from vlm4rec_edge import LlamaCaptioner, Recommender, resolve_encoder, resolve_lvlm
from vlm4rec_edge.bundle.check import verify_bundle
from vlm4rec_edge.bundle.reader import BundleReader
from vlm4rec_edge.bundle.writer import make_bundle
from vlm4rec_edge.errors import BundleError, UsageError
from vlm4rec_edge.models import resolve


@pytest.mark.parametrize("name", ["b.zip", "b"])
def test_text_search_uses_the_encoder_inside(
    shop_index: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_bundle(shop_index, tmp_path / name, vectors="float32", encoder=resolve_encoder())
    with Recommender.open(shop_index) as shop:
        expected = [(hit.item_id, hit.score) for hit in shop.search("a red dress", k=5)]
    monkeypatch.setattr(resolve, "resolve_encoder", None)  # the one on this machine is not looked for
    before = sorted(path.name for path in tmp_path.iterdir())
    with Recommender.open(tmp_path / name) as shop:
        found = [(hit.item_id, hit.score) for hit in shop.search("a red dress", k=5)]
    assert [item for item, _ in found] == [item for item, _ in expected]
    assert [score for _, score in found] == pytest.approx([score for _, score in expected], abs=1e-5)
    assert sorted(path.name for path in tmp_path.iterdir()) == before, "nothing was extracted"


@pytest.mark.parametrize("name", ["b.zip", "b"])
def test_a_model_in_files_of_any_name_can_be_carried(shop_index: Path, tmp_path: Path, name: str) -> None:
    embedded = resolve_encoder()
    folder = tmp_path / "mein Modell"
    folder.mkdir()
    shutil.copyfile(str(embedded.model), folder / "Größe (1).onnx")
    shutil.copyfile(str(embedded.tokenizer), folder / "tokenizer.json")
    # Only where its files lie differs from the one that made the index.
    elsewhere = replace(embedded, model=folder / "Größe (1).onnx", tokenizer=folder / "tokenizer.json")
    make_bundle(shop_index, tmp_path / name, encoder=elsewhere)
    assert verify_bundle(tmp_path / name).ok
    with Recommender.open(tmp_path / name) as shop:
        assert shop.search("a red dress", k=3)


def test_a_changed_encoder_is_refused_when_it_is_used(shop_index: Path, tmp_path: Path) -> None:
    make_bundle(shop_index, tmp_path / "b", encoder=resolve_encoder())
    path = tmp_path / "b" / "encoder" / "model.onnx"
    data = bytearray(path.read_bytes())
    data[5000] ^= 1
    path.write_bytes(data)
    with Recommender.open(tmp_path / "b") as shop:
        some = next(shop.store.items()).id
        assert shop.similar(some, k=2), "recommending does not read it"
        with pytest.raises(BundleError, match=r"encoder/model\.onnx"):
            shop.search("a red dress")
    report = verify_bundle(tmp_path / "b")
    assert [finding.file for finding in report.findings] == ["encoder/model.onnx"]


def test_the_captioner_inside_describes_photos_as_the_one_that_made_the_index(
    shop_index: Path, tmp_path: Path, captioner: LlamaCaptioner
) -> None:
    make_bundle(shop_index, tmp_path / "b", lvlm=resolve_lvlm())
    with BundleReader(tmp_path / "b") as bundle:
        assert bundle.lvlm_folder is not None
        files = resolve_lvlm(bundle.lvlm_folder)
        assert LlamaCaptioner(files).fingerprint == captioner.fingerprint == bundle.meta["grounding"]
    (tmp_path / "b" / "lvlm" / "manifest.json").write_bytes(
        b"x" * (tmp_path / "b" / "lvlm" / "manifest.json").stat().st_size
    )
    with BundleReader(tmp_path / "b") as bundle, pytest.raises(BundleError, match="lvlm/manifest"):
        assert bundle.lvlm_folder
    with pytest.raises(UsageError, match="folder"):
        make_bundle(shop_index, tmp_path / "b.zip", lvlm=resolve_lvlm())


def test_a_model_that_did_not_make_the_index_is_not_put_in(shop_index: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(resolve_encoder().folder, tmp_path / "other"))
    (other / "manifest.json").unlink()
    with (other / "model.onnx").open("ab") as stream:
        stream.write(b"\x00")
    with pytest.raises(UsageError, match="not the model that made this index"):
        make_bundle(shop_index, tmp_path / "b", encoder=resolve_encoder(other))
    assert not (tmp_path / "b").exists()


def test_the_licences_of_the_models_come_with_what_they_made(shop_index: Path, tmp_path: Path) -> None:
    make_bundle(shop_index, tmp_path / "b")
    with BundleReader(tmp_path / "b") as bundle:
        licences = {model["role"]: (model["name"], model["licence"]) for model in bundle.manifest.content["models"]}
    assert licences == {
        "captions": ("stylist-lvlm", resolve_lvlm().manifest.license),  # type: ignore[union-attr]
        "vectors": ("all-minilm-l6-v2", resolve_encoder().manifest.license),  # type: ignore[union-attr]
    }


def test_a_picture_of_each_item_is_small_and_its_own(shop_index: Path, tmp_path: Path) -> None:
    report = make_bundle(shop_index, tmp_path / "b.zip", thumbnails=48)
    assert report.without_thumbnail == ()
    with BundleReader(tmp_path / "b.zip") as bundle, Recommender.open(shop_index) as shop:
        for item in shop.store.items():
            data = bundle.thumbnail(item.id)
            assert data is not None
            with Image.open(io.BytesIO(data)) as picture, Image.open(item.image) as photo:
                assert max(picture.size) == 48
                same = photo.convert("RGB").resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
                ours = picture.convert("RGB").resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
                assert ours == pytest.approx(same, abs=12)
        assert bundle.thumbnail("nobody") is None


def test_a_photo_that_is_gone_is_told_and_has_no_picture(tmp_path: Path) -> None:
    index = write_index(tmp_path / "i", range(3))
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (90, 60), "red").save(tmp_path / "photos" / "1.png")
    report = make_bundle(index, tmp_path / "b", thumbnails=32)
    assert report.without_thumbnail == ("item-000é", "item-002é")
    with BundleReader(tmp_path / "b") as bundle:
        assert bundle.thumbnail("item-000é") is None
        picture = bundle.thumbnail("item-001é")
        assert picture is not None
        assert Image.open(io.BytesIO(picture)).size == (32, 21)
