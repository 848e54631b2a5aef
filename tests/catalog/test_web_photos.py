"""Photos that are named by web address come whole or are named, once, and from nowhere that was not allowed."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from file_server import FileHandler, Files, serving
from hypothesis import given
from hypothesis import strategies as st
from pictures import encoded, swatch

from vlm4rec_edge.catalog.web import addresses, transfer
from vlm4rec_edge.catalog.web.addresses import RefusedError, is_public, redirected, target_of
from vlm4rec_edge.catalog.web.cache import WebPhotoCache
from vlm4rec_edge.errors import StoreError

PHOTO = encoded(swatch(200, 30, 40, size=(640, 480)), "BMP")


@dataclass
class Shop(Files):
    """What a shop's server has, and how it behaves: refusals to give first, headers to send, what it sends on to."""

    refusals: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    sends_on: dict[str, str] = field(default_factory=dict)
    conditions: list[str | None] = field(default_factory=list)


class ShopHandler(FileHandler):
    """Sends the photos of a shop, and as a server does only the rest where the photo is still the same."""

    def answer(self) -> None:
        state: Shop = self.state
        name = self.path.lstrip("/")
        state.conditions.append(self.headers.get("If-Range"))
        if state.refusals:
            status, headers = state.refusals.pop(0)
            self.send_response(status)
            for header, value in {**headers, "Content-Length": "0"}.items():
                self.send_header(header, value)
            self.end_headers()
        elif name in state.sends_on:
            self.send_response(302)
            self.send_header("Location", state.sends_on[name])
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif name not in state.files:
            self.refuse(404)
        else:
            if self.headers.get("If-Range") != state.headers.get("ETag"):
                del self.headers["Range"]
            self.send_file(name, state.headers)


@pytest.fixture
def shop() -> Shop:
    """A shop with one photo."""
    return Shop(files={"a.bmp": PHOTO})


@pytest.fixture
def address(shop: Shop) -> Iterator[str]:
    """Where it serves."""
    with serving(ShopHandler, shop) as (root,):
        yield root


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WebPhotoCache:
    """An empty folder of photos, and no waiting between tries."""
    monkeypatch.setattr(transfer, "_pause_before", lambda number: 0.0)
    return WebPhotoCache(tmp_path / "photos", allow_private=True)


def _files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_photo_is_fetched_once_and_lies_under_its_address(shop: Shop, address: str, cache: WebPhotoCache) -> None:
    photo = f"{address}/a.bmp"
    assert cache.path_of(photo) is None
    assert cache.fetch([photo, photo]) == 1
    path = cache.path_of(photo)
    assert path is not None
    assert (path.read_bytes(), path.suffix) == (PHOTO, ".bmp")
    assert cache.fetch([photo]) == 0
    assert len(shop.asked) == 1
    assert all(agent and agent.startswith("vlm4rec-edge/") for agent in shop.agents)
    assert _files(cache.folder) == [path.name]


def test_several_are_fetched_and_each_that_fails_is_named(shop: Shop, address: str, cache: WebPhotoCache) -> None:
    shop.files |= {f"{number}.bmp": PHOTO for number in range(20)}
    wanted = [f"{address}/{number}.bmp" for number in range(22)]
    done: list[int] = []
    assert cache.fetch(wanted, on_progress=done.append) == 20
    assert done == list(range(1, 23))
    assert set(cache.failures) == set(wanted[20:])
    assert "127.0.0.1 has no such photo" in cache.failures[wanted[20]]
    shop.files["20.bmp"] = PHOTO
    assert cache.fetch(wanted) == 1
    assert set(cache.failures) == {wanted[21]}


def test_what_broke_off_is_continued_where_the_photo_is_the_same(
    shop: Shop, address: str, cache: WebPhotoCache
) -> None:
    shop.headers["ETag"], shop.cut_at = '"1"', 1000
    assert cache.fetch([f"{address}/a.bmp"]) == 0
    assert "answers 503" in cache.failures[f"{address}/a.bmp"]
    assert len(_files(cache.folder)) == 2
    shop.heal()
    assert cache.fetch([f"{address}/a.bmp"]) == 1
    assert shop.transfers("a.bmp") == ["bytes=1000-"]
    path = cache.path_of(f"{address}/a.bmp")
    assert path is not None
    assert path.read_bytes() == PHOTO
    assert _files(cache.folder) == [path.name]


@pytest.mark.parametrize("etag", ['"2"', ""])
def test_what_broke_off_begins_anew_where_the_photo_is_another(
    shop: Shop, address: str, cache: WebPhotoCache, etag: str
) -> None:
    shop.headers["ETag"], shop.cut_at = '"1"' if etag else 'W/"1"', 1000
    assert cache.fetch([f"{address}/a.bmp"]) == 0
    shop.heal()
    other = encoded(swatch(1, 2, 3, size=(320, 200)), "BMP")
    shop.headers["ETag"], shop.files["a.bmp"] = etag or 'W/"1"', other
    assert cache.fetch([f"{address}/a.bmp"]) == 1
    path = cache.path_of(f"{address}/a.bmp")
    assert path is not None
    assert path.read_bytes() == other


@pytest.mark.parametrize("after", ["0", formatdate(0, usegmt=True), ""])
def test_a_busy_server_is_asked_again(shop: Shop, address: str, cache: WebPhotoCache, after: str) -> None:
    shop.refusals = [(429, {"Retry-After": after} if after else {}), (503, {})]
    assert cache.fetch([f"{address}/a.bmp"]) == 1
    assert len(shop.asked) == 3


def test_a_server_that_asks_to_wait_long_is_not_waited_for(shop: Shop, address: str, cache: WebPhotoCache) -> None:
    shop.refusals = [(429, {"Retry-After": "3600"})]
    assert cache.fetch([f"{address}/a.bmp"]) == 0
    assert "asks to wait 3600 s" in cache.failures[f"{address}/a.bmp"]
    assert len(shop.asked) == 1


def test_redirects_are_followed_a_few_times(shop: Shop, address: str, cache: WebPhotoCache) -> None:
    shop.sends_on = {"old.bmp": "/a.bmp", "ring.bmp": "/ring.bmp"}
    assert cache.fetch([f"{address}/old.bmp", f"{address}/ring.bmp"]) == 1
    assert "redirects more than 5 times" in cache.failures[f"{address}/ring.bmp"]


@pytest.mark.parametrize("location", ["ftp://example.org/a.jpg", "file:///etc/passwd", "http://u:p@example.org/a.jpg"])
def test_a_redirect_goes_to_the_web_alone(shop: Shop, address: str, cache: WebPhotoCache, location: str) -> None:
    shop.sends_on = {"x.bmp": location}
    assert cache.fetch([f"{address}/x.bmp"]) == 0
    assert cache.failures
    with pytest.raises(RefusedError, match="not https"):
        redirected(target_of("https://example.org/a.jpg"), "http://example.org/a.jpg")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"headers": {"Content-Type": "text/html; charset=utf-8"}}, "is not a photo; 127.0.0.1 sends text/html"),
        ({"files": {"a.bmp": b""}}, "is empty"),
        ({"refusals": [(403, {})]}, "refuses it"),
        ({"refusals": [(401, {})]}, "asks for a password"),
        ({"refusals": [(418, {})]}, "answers 418"),
    ],
)
def test_what_is_no_photo_is_no_file(
    shop: Shop, address: str, cache: WebPhotoCache, change: dict[str, object], reason: str
) -> None:
    for name, value in change.items():
        setattr(shop, name, value)
    assert cache.fetch([f"{address}/a.bmp"]) == 0
    assert reason in cache.failures[f"{address}/a.bmp"]
    assert cache.path_of(f"{address}/a.bmp") is None


def test_a_photo_has_a_largest_size_and_a_try_a_longest_time(shop: Shop, address: str, tmp_path: Path) -> None:
    small = transfer.Terms(agent="test", max_bytes=1000, timeout=0.2)
    cache = WebPhotoCache(tmp_path / "photos", allow_private=True, terms=small)
    assert cache.fetch([f"{address}/a.bmp"]) == 0
    assert "MB a photo may have" in cache.failures[f"{address}/a.bmp"]


def test_an_answer_without_an_end_leaves_nothing_behind(tmp_path: Path) -> None:
    class Endless(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("ETag", '"1"')
            self.end_headers()
            with suppress(OSError):
                while True:
                    self.wfile.write(bytes(4096))

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Endless)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/a.bmp"
    terms = transfer.Terms(agent="test", max_bytes=100_000)
    cache = WebPhotoCache(tmp_path / "photos", allow_private=True, terms=terms)
    assert cache.fetch([address]) == 0
    server.shutdown()
    server.server_close()
    assert "MB a photo may have" in cache.failures[address]
    assert [path for path in (tmp_path / "photos").rglob("*") if path.is_file()] == []


def test_a_server_that_says_nothing_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "_pause_before", lambda number: 0.0)
    terms = transfer.Terms(agent="test", timeout=0.05)
    cache = WebPhotoCache(tmp_path / "photos", allow_private=True, terms=terms)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        photo = f"http://127.0.0.1:{silent.getsockname()[1]}/a.jpg"
        assert cache.fetch([photo]) == 0
    assert "cannot be fetched" in cache.failures[photo]


def test_this_machine_and_private_networks_are_asked_only_where_that_is_allowed(
    shop: Shop, address: str, tmp_path: Path
) -> None:
    cache = WebPhotoCache(tmp_path / "photos")
    by_name = address.replace("127.0.0.1", "localhost")
    assert cache.fetch([f"{address}/a.bmp", f"{by_name}/a.bmp"]) == 0
    assert all("--fetch-private allows it" in reason for reason in cache.failures.values())
    assert len(cache.failures) == 2
    assert shop.asked == []


def test_a_name_that_stands_for_another_address_a_moment_later_gains_nothing(
    shop: Shop, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was looked at is what is connected to: the name is looked up once."""
    asked: list[str] = []
    connected: list[object] = []

    def look_up(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        asked.append(host)
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34" if len(asked) == 1 else "127.0.0.1", port))
        ]

    def connect(place: tuple[str, int], timeout: float) -> socket.socket:
        connected.append(place)
        raise OSError("no network in tests")

    monkeypatch.setattr(addresses.socket, "getaddrinfo", look_up)
    monkeypatch.setattr(addresses.socket, "create_connection", connect)
    monkeypatch.setattr(transfer, "_TRIES", 1)
    cache = WebPhotoCache(tmp_path / "photos")
    assert cache.fetch(["http://rebound.example/a.jpg"]) == 0
    assert (asked, connected) == (["rebound.example"], [("93.184.216.34", 80)])


@pytest.mark.parametrize(
    "place",
    ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "224.0.0.1",
     "::1", "fe80::1%eth0", "fc00::1", "::ffff:127.0.0.1", "2002:7f00:1::"],
)  # fmt: skip
def test_what_is_of_no_use_to_the_public_is_not_public(place: str) -> None:
    assert not is_public(place)


@pytest.mark.parametrize("place", ["93.184.216.34", "2606:2800:220:1::1"])
def test_the_internet_is_public(place: str) -> None:
    assert is_public(place)


@given(st.text())
def test_any_text_is_a_checked_address_or_refused(text: str) -> None:
    for given_address in (text, f"https://{text}", f"https://example.org/{text}"):
        try:
            target = target_of(given_address)
        except RefusedError:
            continue
        assert target.scheme in {"http", "https"}
        assert not {"\r", "\n", " "} & set(target.path + target.host)


def test_a_run_that_is_stopped_keeps_what_came_and_ends_soon(shop: Shop, address: str, cache: WebPhotoCache) -> None:
    shop.files |= {f"{number}.bmp": PHOTO for number in range(50)}

    def stop(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.fetch([f"{address}/{number}.bmp" for number in range(50)], on_progress=stop)
    came = len([name for name in _files(cache.folder) if name.endswith(".bmp")])
    assert 1 <= came < 50
    assert cache.fetch([f"{address}/{number}.bmp" for number in range(50)]) == 50 - came


def test_a_folder_that_cannot_be_written_stops_it_with_a_sentence(
    shop: Shop, address: str, cache: WebPhotoCache
) -> None:
    cache.folder.write_text("a file")
    with pytest.raises(StoreError, match="cannot be written"):
        cache.fetch([f"{address}/a.bmp"])
