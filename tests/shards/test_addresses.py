"""Photos that are named by an address are fetched for the time of their shard, and stay known by it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from file_server import FileHandler, Files, serving
from made_shards import captions_made, held_by, models, write_photo, write_table
from pictures import encoded, swatch

from vlm4rec_edge import UsageError
from vlm4rec_edge.addresses import address_of, is_photo_address, is_stand_in, path_of_uri, stand_in, uri_of
from vlm4rec_edge.shards.merging import merge_shards
from vlm4rec_edge.shards.planning import plan_shards
from vlm4rec_edge.shards.reading import batches
from vlm4rec_edge.shards.running import run_shards

fsspec = pytest.importorskip("fsspec")


@pytest.mark.parametrize(
    "address", ["s3://bucket/a b.jpg", "https://x.example/a.jpg?size=1&x=%20#y", "memory://a/../b.jpg", "gs://x/ü.png"]
)
def test_an_address_stands_as_a_path_and_comes_back(address: str) -> None:
    path = stand_in(address)
    assert is_stand_in(path)
    assert address_of(path) == uri_of(path) == address
    assert path_of_uri(address) == path
    assert is_photo_address(address)


def test_a_path_is_named_so_that_any_folder_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert uri_of(Path("a/b.jpg")) == str(tmp_path / "a" / "b.jpg")
    odd = tmp_path / "b\udcff.jpg"  # bytes that are no UTF-8, as Python reads them from a disk
    assert uri_of(odd).startswith("file://")
    assert path_of_uri(uri_of(odd)) == odd
    assert not any(map(is_photo_address, ("a.jpg", "/a/b.jpg", "C:\\a.jpg", "file:///a.jpg", "a:b.jpg")))


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    """A table of photos in an object store, one of them missing, one item with one of two missing, and one on the disk."""
    store = fsspec.filesystem("memory")
    for name in "abc":
        store.pipe(f"/shop/{name}.jpg", b"remote photo " + name.encode())
    write_photo(tmp_path / "shop" / "own.jpg", b"a photo of this disk")
    rows = [
        ["a", "memory://shop/a.jpg", "A", "1", ""],
        ["b", "memory://shop/b.jpg, memory://shop/gone.jpg", "B", "1", ""],
        ["c", "memory://shop/c.jpg, memory://shop/a.jpg", "C", "1", ""],
        ["gone", "memory://shop/gone.jpg", "Gone", "1", ""],
        ["own", "own.jpg", "Own", "1", ""],
        ["odd", "nosuch://x/y.jpg", "Odd", "1", ""],
    ]
    write_table(tmp_path / "shop" / "items.csv", rows)
    return tmp_path / "shop" / "items.csv"


def test_photos_come_through_fsspec_and_keep_their_addresses(remote: Path, tmp_path: Path) -> None:
    folder, log = tmp_path / "shards", tmp_path / "captions.log"
    assert plan_shards(remote, folder).addresses == 7
    with pytest.raises(UsageError, match=r"7 photos .* add --fetch"):
        run_shards(folder, models=models(log))
    assert not (folder / "running").exists()
    run_shards(folder, models=models(log), fetch=True)
    merge_shards(folder, tmp_path / "shop.index")
    held = held_by(tmp_path / "shop.index")
    assert {item.id: item.image for item in held["items"].values()} == {
        "a": "memory://shop/a.jpg",
        "b": "memory://shop/b.jpg",
        "c": "memory://shop/c.jpg",
        "own": str(tmp_path / "shop" / "own.jpg"),
    }
    assert [photo.image for photo in held["items"]["c"].photos] == ["memory://shop/c.jpg", "memory://shop/a.jpg"]
    assert next(item.image for items, _ in batches(folder) for item in items) == "memory://shop/a.jpg"
    failures = {where: reason for where, _, reason in held["failures"]}
    assert set(failures) == {"gone", "odd", "memory://shop/gone.jpg"}
    assert failures["gone"].startswith("The image memory://shop/gone.jpg cannot be fetched: ")
    assert failures["memory://shop/gone.jpg"].endswith("The other photos of 'b' are used.")
    assert "nosuch" in failures["odd"]
    assert captions_made(log).total() == 4
    assert not list(folder.rglob("*.jpg")), "the photos are gone with the work"


def test_no_path_of_the_work_is_told_of_a_photo_that_cannot_be_used(tmp_path: Path) -> None:
    fsspec.filesystem("memory").pipe("/shop/empty.jpg", b"")
    table = write_table(tmp_path / "items.csv", [["a", "memory://shop/empty.jpg", "A", "1", ""]])
    plan_shards(table, tmp_path / "shards")
    run_shards(tmp_path / "shards", models=models(tmp_path / "log"), fetch=True)
    merge_shards(tmp_path / "shards", tmp_path / "shop.index")
    ((where, stage, reason),) = held_by(tmp_path / "shop.index")["failures"]
    assert (where, stage) == ("a", "photo")
    assert reason.startswith("memory://shop/empty.jpg is empty")


class _Photos(FileHandler):
    """A server of photos."""

    def answer(self) -> None:
        name = self.path.removeprefix("/")
        if name in self.state.files:
            self.send_file(name, {"Content-Type": "image/png"})
        else:
            self.refuse(404)


def test_photos_of_the_web_are_fetched_as_index_fetches_them(tmp_path: Path) -> None:
    state = Files({"a.png": encoded(swatch(1, 2, 3))})
    with serving(_Photos, state) as (address,):
        rows = [["a", f"{address}/a.png", "A", "1", ""], ["b", f"{address}/b.png", "B", "1", ""]]
        plan_shards(write_table(tmp_path / "items.csv", rows), tmp_path / "shards")
        own = models(tmp_path / "log")
        refused = run_shards(tmp_path / "shards", models=own, fetch=True)
        assert (refused.items, refused.failures) == (0, 2), "a host of this machine is asked only where that was said"
        (output,) = (tmp_path / "shards" / "output").iterdir()
        output.unlink()
        report = run_shards(tmp_path / "shards", models=own, allow_private=True)
    assert (report.items, report.failures) == (1, 1)
    merge_shards(tmp_path / "shards", tmp_path / "shop.index")
    assert held_by(tmp_path / "shop.index")["items"]["a"].image == f"{address}/a.png"


def test_without_fsspec_the_command_that_installs_it_is_told_and_a_local_photo_needs_none(
    remote: Path, tmp_path: Path
) -> None:
    plan_shards(remote, tmp_path / "shards")
    code = (
        "import sys; sys.modules['fsspec'] = None\n"
        f"sys.path += {[str(Path(__file__).parent), str(Path(__file__).parents[1])]!r}\n"
        "from pathlib import Path\nfrom made_shards import models\n"
        "from vlm4rec_edge.shards.running import run_shards\n"
        f"print(run_shards({str(tmp_path / 'shards')!r}, models=models(Path('log')), fetch=True).failed)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert 'pip install "vlm4rec-edge[fsspec]"' in done.stdout
