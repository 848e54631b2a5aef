"""Photos are those that the index notes, made small, always as a JPEG, and kept; a bundle shows those that it carries."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path

import pytest
from made_store import random_vectors, write_store
from pictures import encoded, swatch
from PIL import Image
from served import Client
from starlette.testclient import TestClient

from vlm4rec_edge import make_bundle
from vlm4rec_edge.serve import photos
from vlm4rec_edge.serve.operations import SIZES


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """An index of five items with a photo of 400 x 600 pixels."""
    folder = write_store(tmp_path / "s", random_vectors(5))
    Image.new("RGB", (400, 600), "teal").save(folder / "none.png")
    return folder


def _size(content: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.format == "JPEG"
        return picture.size


@pytest.mark.parametrize(("asked", "made"), [(1, 80), (80, 80), (81, 160), (320, 320), (640, 600), (1280, 600)])
def test_a_size_is_rounded_up_to_a_step_and_never_beyond_the_photo(
    client_of: Client, index: Path, asked: int, made: int
) -> None:
    answer = client_of(index).get(f"/v1/items/item-1/photo?size={asked}")
    assert max(_size(answer.content)) == made
    assert "private" in answer.headers["cache-control"]


def test_a_picture_is_made_once_and_again_only_when_the_photo_is_another(
    client_of: Client, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    decode = photos.decode_photo
    monkeypatch.setattr(photos, "decode_photo", lambda *given, **how: made.append(1) or decode(*given, **how))
    client = client_of(index)
    first = client.get("/v1/items/item-1/photo")
    assert client.get("/v1/items/item-2/photo").content == first.content  # the same file
    assert len(made) == 1
    again = client.get("/v1/items/item-1/photo", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content, len(made)) == (304, b"", 1)
    Image.new("RGB", (300, 300), "pink").save(index / "none.png")
    other = client.get("/v1/items/item-1/photo", headers={"if-none-match": first.headers["etag"]})
    assert _size(other.content) == (300, 300)


def test_what_is_kept_is_bounded(client_of: Client, index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photos, "_KEPT_BYTES", 3000)
    client = client_of(index)
    sizes = [len(client.get(f"/v1/items/item-1/photo?size={size}").content) for size in SIZES]
    assert sum(sizes) > 3000
    kept = client.app._endpoints._thumbnails  # type: ignore[attr-defined]
    assert kept._bytes == sum(map(len, kept._kept.values())) <= 3000


@pytest.mark.parametrize("content", [b"root:x:0:0:", b"<svg onload=alert(1)>", b"\x89PNG\r\n\x1a\n broken", b""])
def test_a_file_that_is_no_photo_is_never_sent(client_of: Client, index: Path, content: bytes) -> None:
    (index / "none.png").write_bytes(content)
    answer = client_of(index).get("/v1/items/item-1/photo")
    assert (answer.status_code, answer.json()["error"]["kind"]) == (404, "PhotoError")
    assert str(index) not in answer.text, "where photos lie is nobody's business"


def test_a_photo_that_is_gone_is_told(client_of: Client, index: Path) -> None:
    (index / "none.png").unlink()
    assert "no longer where it was" in client_of(index).get("/v1/items/item-1/photo").text


def test_a_pipe_in_place_of_a_photo_keeps_nobody_waiting(client_of: Client, index: Path) -> None:
    (index / "none.png").unlink()
    if not hasattr(os, "mkfifo"):
        pytest.skip("there are no pipes with names here")
    os.mkfifo(index / "none.png")
    assert client_of(index).get("/v1/items/item-1/photo").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/v1/items/../../etc/passwd/photo",
        "/v1/items/..%2F..%2Fetc%2Fpasswd/photo",
        "/v1/items/%2e%2e/photo",
        "/page/../running.py",
        "/page/..%2Frunning.py",
        "/page/%2e%2e/running.py",
        "/page/%2Fetc%2Fpasswd",
        "/page/main.js%00.html",
        "/etc/passwd",
        "//etc/passwd",
    ],
)
def test_no_path_leads_out(client: TestClient, path: str) -> None:
    client.base_url = "http://127.0.0.1:8000"
    answer = client.get(path)
    assert answer.status_code == 404
    assert "root:" not in answer.text


def test_a_bundle_shows_the_pictures_that_it_carries_and_no_file_of_this_machine(
    client_of: Client, index: Path, tmp_path: Path
) -> None:
    make_bundle(index, tmp_path / "with.zip", thumbnails=64)
    make_bundle(index, tmp_path / "without.zip")
    shown = client_of(tmp_path / "with.zip").get("/v1/items/item-1/photo")
    assert max(_size(shown.content)) == 64
    again = client_of(tmp_path / "with.zip").get(
        "/v1/items/item-1/photo", headers={"if-none-match": shown.headers["etag"]}
    )
    assert again.status_code == 304
    refused = client_of(tmp_path / "without.zip").get("/v1/items/item-1/photo")
    assert (refused.status_code, refused.json()["error"]["kind"]) == (404, "PhotoError")
    assert (index / "none.png").is_file(), "its photo is there, and is not shown"


def test_further_photos_of_an_item_are_shown_by_their_numbers(
    client_of: Client, tmp_path: Path, shop_index: Path, shop: Path
) -> None:
    from vlm4rec_edge import IndexFolder, Item

    folder = shutil.copytree(shop_index, tmp_path / "several.index")
    pictures = [tmp_path / f"{number}.png" for number in range(2)]
    for number, path in enumerate(pictures):
        path.write_bytes(encoded(swatch(40 + 100 * number, 30, 20)))
    with IndexFolder(folder) as index:
        index.add([Item("two-photos", pictures[0], more_photos=(pictures[1],))])
    client = client_of(folder)
    first, second = (client.get(f"/v1/items/two-photos/photo?number={number}") for number in (1, 2))
    assert first.status_code == second.status_code == 200
    assert first.content != second.content
    assert client.get("/v1/items/two-photos/photo?number=3").status_code == 404
