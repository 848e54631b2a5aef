"""`index --fetch`: photos that a table names by web address, fetched once; without it nobody is asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from file_server import FileHandler, Files, serving
from made_catalog import items_of, table_of
from made_plugins import MadeCaptioner, MadeEncoder
from pictures import encoded, swatch
from program import program

from vlm4rec_edge import IndexFolder, Item, UsageError, WebPhotoCache, build_index


class Handler(FileHandler):
    """Sends the photos that it has."""

    def answer(self) -> None:
        name = self.path.lstrip("/")
        if name in self.state.files:
            self.send_file(name, {})
        else:
            self.refuse(404)


@pytest.fixture
def server() -> Files:
    """Three photos."""
    return Files(files={f"{number}.png": encoded(swatch(number * 40, 9, 9)) for number in range(3)})


@pytest.fixture
def address(server: Files) -> Iterator[str]:
    """Where they are served."""
    with serving(Handler, server) as (root,):
        yield root


@pytest.fixture
def table(tmp_path: Path, address: str) -> Path:
    """Three items on the web, one of them with a second photo that is not there, and one on this machine."""
    (tmp_path / "shop").mkdir()
    swatch(1, 2, 3).save(tmp_path / "shop" / "own.png")
    images = [f"{address}/0.png", f"{address}/1.png, {address}/gone.png", f"{address}/2.png", "own.png"]
    rows = [{"id": f"i{number}", "image": image, "title": f"Thing {number}"} for number, image in enumerate(images)]
    return table_of(tmp_path / "shop", rows)


def test_photos_of_the_web_are_indexed_and_asked_for_once(
    table: Path, server: Files, address: str, tmp_path: Path
) -> None:
    out = tmp_path / "x.index"
    command = ["index", table, "--out", out, "--max-tokens", "3", "--json"]
    without = program(*command)
    assert (without.code, without.json["items"], without.json["fetched"]) == (3, 1, 0)
    assert "is a web address; use --fetch" in without.out
    assert server.asked == []

    first = program(*command, "--fetch-private")
    assert (first.code, first.json["items"], first.json["fetched"], first.json["captioned"]) == (3, 4, 3, 3)
    (failure,) = first.json["failures"]
    assert f"{address}/gone.png cannot be fetched: 127.0.0.1 has no such photo" in failure["reason"]
    assert Path(items_of(out)["i0"].image).is_relative_to(out / "photos")
    assert program("verify", out).code == 0

    server.asked.clear()
    again = program(*command, "--fetch-private")
    assert (again.json["items"], again.json["fetched"], again.json["captioned"]) == (4, 0, 0)
    assert {path for _, path, _ in server.asked} == {"/gone.png"}
    server.asked.clear()
    assert program(*command).json["items"] == 4
    assert server.asked == []


def test_a_private_host_is_refused_without_a_word_to_it(table: Path, server: Files, tmp_path: Path) -> None:
    done = program("index", table, "--out", tmp_path / "x.index", "--max-tokens", "3", "--fetch", "--json")
    assert (done.code, done.json["items"]) == (3, 1)
    assert "--fetch-private allows it" in done.out
    assert server.asked == []


def test_an_item_whose_photo_cannot_be_fetched_is_not_pruned(table: Path, server: Files, tmp_path: Path) -> None:
    out = tmp_path / "x.index"
    command = ["index", table, "--out", out, "--max-tokens", "3", "--json", "--fetch-private", "--prune"]
    assert program(*command).json["items"] == 4
    for path in (out / "photos").rglob("*.png"):
        path.unlink()
    server.files.clear()
    done = program(*command)
    assert (done.json["items"], done.json["removed"]) == (4, 0)
    assert {failure["where"] for failure in done.json["failures"]} >= {"i0", "i1", "i2"}


def test_the_api_fetches_for_a_catalog_of_any_kind_but_a_generator(address: str, server: Files, tmp_path: Path) -> None:
    out = tmp_path / "x.index"
    items = [Item(f"i{number}", f"{address}/{number}.png") for number in range(3)]  # type: ignore[arg-type]
    models = {"captioner": MadeCaptioner(), "encoder": MadeEncoder()}
    cache = WebPhotoCache(out / "photos", allow_private=True)
    with pytest.raises(UsageError, match="not as a generator"):
        build_index((item for item in items), out, fetch=cache, **models)
    seen: list[int] = []
    with IndexFolder(out) as index:
        report = index.update(items, fetch=cache, on_fetched=seen.append, **models)
    assert (report.items, report.fetched, seen) == (3, 3, [1, 2, 3])
