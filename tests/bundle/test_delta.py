"""A delta and the old bundle make the new bundle, byte for byte; anything else is refused."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from bundle_index import ITEMS, all_of, copy_of, forge, forge_file, grounded, write_index
from looked_after import removed
from made_store import EncodingWriter, GivenVectors, random_vectors
from program import program
from test_mutations import flip_bit, truncate

from vlm4rec_edge.bundle.delta import apply_delta, make_delta
from vlm4rec_edge.bundle.matching import BLOCK, LITERAL, pieces
from vlm4rec_edge.bundle.reader import BundleReader
from vlm4rec_edge.bundle.writer import make_bundle
from vlm4rec_edge.errors import BundleError, UsageError


def put_together(old: bytes, new: bytes) -> tuple[bytes, int]:
    """What the pieces make, and how many bytes of it came from the old file."""
    made, at, copied = b"", 0, 0
    for start, length in pieces(memoryview(old), memoryview(new)):
        made += new[at : at + length] if start == LITERAL else old[start : start + length]
        copied += length if start != LITERAL else 0
        at += length
    return made, copied


@pytest.mark.parametrize("seed", range(20))
def test_pieces_of_any_two_files_make_the_new_one(seed: int) -> None:
    chance = random.Random(seed)
    alphabet = chance.choice([bytes([0]), b"ab", bytes(range(256))])
    old = bytes(chance.choices(alphabet, k=chance.choice([0, 10, BLOCK, 5000])))
    new = old
    for _ in range(chance.randrange(6)):
        at, length = chance.randrange(len(new) + 1), chance.randrange(300)
        new = new[:at] + bytes(chance.choices(alphabet, k=chance.randrange(100))) + new[at + length :]
    made, _ = put_together(old, new)
    assert made == new


def test_what_moved_is_copied_and_only_what_is_new_is_shipped() -> None:
    old = random.Random(1).randbytes(100_000)
    new = old[:3_000] + b"a new caption" + old[3_000:60_000] + old[60_500:]
    made, copied = put_together(old, new)
    assert made == new
    assert len(new) - copied == len(b"a new caption")


@pytest.fixture
def changed(index: Path, tmp_path: Path) -> Path:
    """The index a day later: two items new, two gone, one described anew."""
    folder = Path(shutil.copytree(index, tmp_path / "changed.index"))
    write_index(folder, [ITEMS, ITEMS + 1])
    removed(folder, ["item-007é", "item-020é"])
    encoder = GivenVectors(random_vectors(48, 24))
    grounding = ("f" * 64, {"name": "given", "prompt": "Describe this product.", "text_sha256": "0" * 64})
    with EncodingWriter(folder, grounding=grounding, encoder=encoder, encoded_text="caption") as store:
        store.put([grounded(30, folder, caption="Quite another caption.")])
    return folder


@pytest.mark.parametrize("old_form", ["old.zip", "old"])
@pytest.mark.parametrize("delta_form", ["delta.zip", "delta"])
@pytest.mark.parametrize("new_form", ["new.zip", "new"])
def test_a_patched_bundle_is_the_full_one_byte_for_byte(
    index: Path, changed: Path, tmp_path: Path, old_form: str, delta_form: str, new_form: str
) -> None:
    old, delta, new, full = (tmp_path / name for name in (old_form, delta_form, new_form, f"full-{new_form}"))
    make_bundle(index, old)
    make_bundle(changed, full)
    report = make_delta(changed, delta, old)
    patched = apply_delta(delta, old, new)
    assert patched.digest == report.bundle.digest
    if new.is_dir():
        names = sorted(path.name for path in full.iterdir())
        assert names == sorted(path.name for path in new.iterdir())
        assert all((new / name).read_bytes() == (full / name).read_bytes() for name in names)
    else:
        assert new.read_bytes() == full.read_bytes()
    with BundleReader(new) as bundle:
        sizes = [entry.size for entry in bundle.manifest.files.values()]
    assert report.copied_bytes + report.new_bytes == sum(sizes)
    assert report.copied_bytes > report.new_bytes


def test_a_bundle_may_be_patched_in_its_own_place(index: Path, changed: Path, tmp_path: Path) -> None:
    for name in ("b.zip", "b"):
        make_bundle(index, tmp_path / name)
        make_delta(changed, tmp_path / "d.zip", tmp_path / name)
        manifest = apply_delta(tmp_path / "d.zip", tmp_path / name, tmp_path / name)
        with BundleReader(tmp_path / name) as bundle:
            assert bundle.manifest.digest == manifest.digest
            assert bundle.rows_of(["item-060é"])
            assert not bundle.rows_of(["item-007é"])


def test_nothing_new_is_nothing_to_ship(index: Path, tmp_path: Path) -> None:
    make_bundle(index, tmp_path / "b")
    report = make_delta(index, tmp_path / "d", tmp_path / "b")
    assert report.new_bytes == 0
    assert (tmp_path / "d" / "literals.bin").stat().st_size == 0
    apply_delta(tmp_path / "d", tmp_path / "b", tmp_path / "c.zip")
    assert all_of(tmp_path / "c.zip") == all_of(tmp_path / "b")


def test_a_delta_fits_only_the_bundle_it_was_made_against(index: Path, changed: Path, tmp_path: Path) -> None:
    make_bundle(index, tmp_path / "old")
    make_bundle(index, tmp_path / "other", vectors="int8")
    make_delta(changed, tmp_path / "d", tmp_path / "old")
    with pytest.raises(BundleError, match="against another bundle"):
        apply_delta(tmp_path / "d", tmp_path / "other", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_delta_does_not_take_the_place_of_the_bundle_it_is_made_against(index: Path, tmp_path: Path) -> None:
    make_bundle(index, tmp_path / "b.zip")
    before = (tmp_path / "b.zip").read_bytes()
    with pytest.raises(UsageError, match="another name"):
        make_delta(index, tmp_path / "b.zip", tmp_path / "b.zip")
    assert (tmp_path / "b.zip").read_bytes() == before


def test_a_delta_is_no_bundle_and_a_bundle_no_delta(index: Path, tmp_path: Path) -> None:
    make_bundle(index, tmp_path / "b")
    make_delta(index, tmp_path / "d", tmp_path / "b")
    with pytest.raises(BundleError, match="vlm4rec-edge patch"):
        BundleReader(tmp_path / "d")
    with pytest.raises(BundleError, match="a delta is needed"):
        apply_delta(tmp_path / "b", tmp_path / "b", tmp_path / "c")
    with pytest.raises(UsageError, match="not a bundle"):
        apply_delta(tmp_path / "d", tmp_path / "b", index)


def test_verify_says_what_a_delta_is_for_and_not_that_it_is_damaged(index: Path, tmp_path: Path) -> None:
    make_bundle(index, tmp_path / "b.zip")
    make_delta(index, tmp_path / "d.zip", tmp_path / "b.zip")
    done = program("verify", tmp_path / "d.zip")
    assert done.code == 1
    assert "is a delta, no bundle; apply it with `vlm4rec-edge patch OLD" in done.out
    assert "again" not in done.out + done.err
    truncate(tmp_path / "b.zip", random.Random(1))
    assert program("verify", tmp_path / "b.zip").err == "Get the bundle again.\n"


@pytest.fixture
def delta(index: Path, changed: Path, tmp_path: Path) -> Path:
    make_bundle(index, tmp_path / "old")
    make_delta(changed, tmp_path / "d", tmp_path / "old")
    return tmp_path / "d"


@pytest.mark.parametrize("mutation", [flip_bit, truncate])
def test_a_damaged_delta_or_old_bundle_makes_nothing(delta: Path, tmp_path: Path, mutation: Any) -> None:
    for number in range(60):
        chance = random.Random(number)
        damaged = {name: copy_of(tmp_path / name, tmp_path / f"{name}-{number}") for name in ("d", "old")}
        name = chance.choice(["d", "old"])
        mutation(chance.choice(sorted(damaged[name].iterdir())), chance)
        with pytest.raises(BundleError):
            apply_delta(damaged["d"], damaged["old"], tmp_path / "new")
        assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "edit",
    [
        lambda d: d["pieces"].pop("items.bin"),
        lambda d: d["pieces"].update({"items.bin": [[0, 10]]}),
        lambda d: d["pieces"].update({"items.bin": [[0, 10**12]]}),
        lambda d: d["pieces"]["items.bin"].insert(0, [0, -5]),
        lambda d: d["pieces"]["items.bin"].reverse(),
        lambda d: d["pieces"].update({"vectors.bin": "all"}),
        lambda d: d.update(pieces=None),
        lambda d: d.update(new=None),
        lambda d: d.update(old=None),
        lambda d: d["new"].update(items=3),
        lambda d: d["new"]["files"].update({"../x": d["new"]["files"]["items.bin"]}),
        lambda d: d["files"].clear(),
    ],
)
def test_a_delta_that_is_wrong_under_the_right_digest_makes_nothing(delta: Path, tmp_path: Path, edit: Any) -> None:
    forge(delta, edit)
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(BundleError):
        apply_delta(delta, tmp_path / "old", tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_new_bytes_that_are_not_the_right_ones_make_nothing(delta: Path, tmp_path: Path) -> None:
    data = bytearray((delta / "literals.bin").read_bytes())
    data[0] ^= 1
    forge_file(delta, "literals.bin", bytes(data))
    with pytest.raises(BundleError, match="would not become"):
        apply_delta(delta, tmp_path / "old", tmp_path / "new")
    assert not (tmp_path / "new").exists()
