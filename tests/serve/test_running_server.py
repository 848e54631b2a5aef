"""The real server, in a process of its own: from an index, from a read-only bundle, to its end."""

from __future__ import annotations

import concurrent.futures
import http.client
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pictures import encoded
from PIL import Image
from program import program
from running_server import PROGRAM, Server, running

from vlm4rec_edge import Recommender, make_bundle
from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.serve.running import _listening

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")


def _socket(server: Server) -> socket.socket:
    place = urlsplit(server.address)
    assert place.hostname
    assert place.port
    return socket.create_connection((place.hostname, place.port), timeout=30)


def test_it_serves_an_index_on_this_machine_alone_and_ends_with_ctrl_c(served_index: Path) -> None:
    with running(served_index) as server:
        assert server.told["items"] == 60
        assert server.address.startswith("http://127.0.0.1:")
        assert server.ask("v1/info").json["items"] == 60
        with Recommender.open(served_index) as shop:
            expected = shop.recommend(["item-1"], 3, explain=True).to_dict()
        assert server.ask("v1/recommend", {"history": ["item-1"], "k": 3, "explain": True}).json == expected
        for name in ("server", "x-powered-by"):
            assert name not in server.ask("healthz").headers
        assert server.stop() == (130, "Stopped.\n")


def test_it_ends_when_it_is_told_to(served_index: Path) -> None:
    with running(served_index) as server:
        assert server.ask("healthz").json == {"ok": True}
        code, said = server.stop(signal.SIGTERM)
        assert code in (0, -signal.SIGTERM)
        assert "Traceback" not in said


def test_a_bundle_is_served_from_a_place_that_cannot_be_written(served_index: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "read-only" / "shop.zip"
    bundle.parent.mkdir()
    make_bundle(served_index, bundle, thumbnails=48)
    before = {path: path.stat().st_mtime_ns for path in bundle.parent.iterdir()}
    bundle.chmod(stat.S_IRUSR)
    bundle.parent.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        with running(bundle) as server:
            assert server.ask("v1/items?limit=1").json["total"] == 60
            assert server.ask("v1/items/item-1/photo").headers["content-type"] == "image/jpeg"
            assert server.ask("v1/recommend", {"history": ["item-1"]}).status == 200
            refused = server.ask("v1/search?q=red")
            assert refused.status == 501
    finally:
        bundle.parent.chmod(0o700)
    assert {path: path.stat().st_mtime_ns for path in bundle.parent.iterdir()} == before


# The program without the packages of every extra but serve's.
_BARE = """
import sys
for name in ("onnxruntime", "llama_cpp", "tokenizers", "PIL", "pyarrow", "huggingface_hub", "hnswlib", "jinja2", "scipy"):
    sys.modules[name] = None
from vlm4rec_edge.cli import main
sys.argv[0] = "vlm4rec-edge"
main()
"""


def test_a_bundle_is_served_with_no_extra_but_its_own(served_index: Path, tmp_path: Path) -> None:
    make_bundle(served_index, tmp_path / "shop.zip", thumbnails=48)
    command = [sys.executable, "-c", _BARE, "serve", str(tmp_path / "shop.zip"), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout
            address = process.stdout.readline().split()[-1]
            connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
            for path in ("/", "/v1/items", "/v1/items/item-1/photo", "/v1/items/item-1/similar", "/reference"):
                connection.request("GET", path)
                answer = connection.getresponse()
                answer.read()
                assert answer.status == 200, path
        finally:
            process.kill()


def test_what_is_missing_is_said_with_the_command_that_installs_it(served_index: Path) -> None:
    from program import watched

    done = watched("serve", served_index, without="uvicorn")
    assert done.code == 1
    assert 'pip install "vlm4rec-edge[serve]"' in done.err


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_others_are_not_let_in_without_a_token(served_index: Path, host: str) -> None:
    done = program("serve", served_index, "--host", host, "--port", 0)
    assert done.code == 2
    assert "--token" in done.err


def test_with_a_token_others_may_ask(served_index: Path) -> None:
    token = "a token that nobody guesses"
    with running(served_index, "--host", "0.0.0.0", environment={"VLM4REC_EDGE_TOKEN": token}) as server:
        server.address = server.address.replace("0.0.0.0", "127.0.0.1")
        assert server.ask("v1/info").status == 401
        assert server.ask("v1/info", Authorization="Bearer a wrong one, just as long").status == 401
        assert server.ask("v1/info", Authorization=f"Bearer {token}").status == 200
        assert server.ask("v1/info", Authorization=f"Bearer {token}", Host="evil.example").status == 403


def test_a_port_that_is_taken_is_told(served_index: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = program("serve", served_index, "--port", port)
    assert done.code == 2
    assert f"127.0.0.1:{port}" in done.err
    assert "--port" in done.err


def test_without_a_port_the_next_that_is_free_is_listened_at(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        first = taken.getsockname()[1]
        monkeypatch.setattr("vlm4rec_edge.serve.running.PORT", first)
        with closing(_listening("127.0.0.1", None)) as listener:
            assert first < listener.getsockname()[1] < first + 10
        monkeypatch.setattr("vlm4rec_edge.serve.running._PORTS_TRIED", 1)
        with pytest.raises(UsageError, match=rf"{first} to {first} .* all in use.*--port"):
            _listening("127.0.0.1", None)
    with pytest.raises(UsageError, match="cannot be listened at"):  # and not tried at other ports
        _listening("192.0.2.1", None)


def test_answers_are_sent_without_waiting_for_the_last_one_to_be_confirmed() -> None:
    """What asyncio decides by; otherwise every answer takes 40 ms longer (Nagle's algorithm and delayed confirmations)."""
    with closing(_listening("127.0.0.1", 0)) as listener:
        assert listener.proto == socket.IPPROTO_TCP


def test_no_index_is_told_as_by_every_command(tmp_path: Path) -> None:
    done = program("serve", tmp_path / "none.index", "--json")
    assert (done.code, done.json["error"]["kind"]) == (1, "StoreError")


def test_headers_without_end_and_nonsense_are_refused_and_others_are_answered(served_index: Path) -> None:
    with running(served_index) as server:
        with _socket(server) as attacker:
            attacker.sendall(b"GET / HTTP/1.1\r\n")
            try:
                for _ in range(2000):
                    attacker.sendall(b"X-Padding: " + b"a" * 100 + b"\r\n")
                status = attacker.recv(1000)
            except OSError:
                status = b""
            assert not status.startswith(b"HTTP/1.1 200")
        for nonsense in (b"\x16\x03\x01\x02\x00\x01" * 50, b"GET\r\n\r\n", b"\x00" * 100, b"GET / HTTP/9\r\n\r\n"):
            with _socket(server) as attacker:
                attacker.sendall(nonsense)
                assert not attacker.recv(1000).startswith(b"HTTP/1.1 200")
        assert server.ask("healthz").status == 200


@contextmanager
def _in_this_process(opened: Recommender) -> Iterator[tuple[str, int]]:
    """Serve in a thread, so that bounds can be set, and yield the address."""
    import uvicorn

    from vlm4rec_edge.serve import app, protocol

    with app(opened) as application, closing(_listening("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(application, http=protocol.ImpatientProtocol, lifespan="off", log_config=None)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield listener.getsockname()
        finally:
            server.should_exit = True
            thread.join(30)


def test_a_connection_on_which_no_whole_request_comes_is_let_go_of(
    opened: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vlm4rec_edge.serve.protocol.HEADER_SECONDS", 0.5)
    with _in_this_process(opened) as address:
        with socket.create_connection(address, timeout=30) as silent:
            assert silent.recv(100) == b""
        with socket.create_connection(address, timeout=30) as slow:
            for line in (b"GET /healthz HTTP/1.1\r\n", b"Host: 127.0.0.1\r\n\r\n"):
                slow.sendall(line)
            assert slow.recv(1000).startswith(b"HTTP/1.1 200")
            slow.sendall(b"GET /healthz HTTP/1.1\r\n")  # and of a second one only this
            while received := slow.recv(1000):
                assert b"HTTP/1.1 2" not in received


def test_a_client_that_does_not_read_is_let_go_of(opened: Recommender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vlm4rec_edge.serve.protocol.UNREAD_SECONDS", 0.5)
    with _in_this_process(opened) as address, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        client.settimeout(60)
        client.connect(address)
        with pytest.raises(
            (ConnectionResetError, BrokenPipeError)
        ):  # the server has let go, so it takes no further request
            for _ in range(100_000):
                client.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                time.sleep(0.01)


def test_a_photo_that_nobody_will_describe_is_refused_before_it_has_come(served_index: Path) -> None:
    with running(served_index) as server, _socket(server) as client:
        client.sendall(
            b"POST /v1/similar-photo HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/jpeg\r\n"
            b"Content-Length: 20000000\r\n\r\n"
        )
        assert client.recv(1000).startswith(b"HTTP/1.1 501")


def test_a_huge_body_is_refused_before_it_has_come(served_index: Path) -> None:
    with running(served_index) as server, _socket(server) as attacker:
        attacker.sendall(
            b"POST /v1/recommend HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Content-Length: 1000000000000\r\n\r\n{"
        )
        assert attacker.recv(1000).startswith(b"HTTP/1.1 413")
        assert server.ask("healthz").status == 200


def test_clients_that_hold_connections_keep_nobody_waiting(served_index: Path) -> None:
    with running(served_index) as server:
        held = [_socket(server) for _ in range(50)]
        try:
            for slow in held:
                slow.sendall(
                    b"POST /v1/recommend HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                    b"Content-Length: 100\r\n\r\n{"
                )
            assert server.ask("v1/recommend", {"history": ["item-1"]}).status == 200
        finally:
            for slow in held:
                slow.close()


def test_fifty_clients_get_what_one_gets(served_index: Path) -> None:
    with running(served_index) as server:
        body = {"history": ["item-1", "item-2"], "explain": True}
        alone = server.ask("v1/recommend", body).json
        with concurrent.futures.ThreadPoolExecutor(50) as pool:
            answers = list(pool.map(lambda _: server.ask("v1/recommend", body), range(300)))
        assert {answer.status for answer in answers} <= {200, 429}
        answered = [answer.json for answer in answers if answer.status == 200]
        assert answered
        assert all(document == alone for document in answered)


def test_while_index_runs_new_items_appear(own_index: Path, shop: Path, tmp_path: Path) -> None:
    with running(own_index) as server:
        before = server.ask("v1/items").json["total"]
        shutil.copytree(shop.parent, tmp_path / "photos", ignore=shutil.ignore_patterns("*.csv"))
        command = [sys.executable, str(PROGRAM), "index", str(tmp_path / "photos"), "--out", str(own_index)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as indexing:
            writers, totals = set(), [before]
            while indexing.poll() is None:
                writers.add(server.ask("v1/state").json["writer"])
                totals.append(server.ask("v1/items").json["total"])
                time.sleep(0.05)
            assert indexing.returncode == 0
        assert f"process {indexing.pid}" in {writer.partition(" on ")[0] for writer in writers}
        assert totals == sorted(totals)
        time.sleep(1.5)  # an answer is at most a second older than the index
        assert server.ask("v1/items").json["total"] > before


def test_an_uploaded_photo_is_described_where_the_server_was_started_for_it(
    index_by_captions: Path, shop: Path
) -> None:
    photo = next(shop.parent.rglob("*.jpg")).read_bytes()
    with running(index_by_captions, "--captioner") as server:
        place = urlsplit(server.address).netloc
        found = _uploaded(place, photo)
        assert found[0] == 200, found
        assert found[1]["query"]["caption"]
        assert found[1]["query"]["photo"] == ""
        assert found[1]["recommendations"][0]["score"] > 0.9
        refused = _uploaded(place, b"no photo")
        assert (refused[0], refused[1]["error"]["kind"]) == (422, "PhotoError")
        bomb = _uploaded(place, encoded(Image.new("1", (12_000, 12_000))))
        assert (bomb[0], "megapixels" in bomb[1]["error"]["message"]) == (422, True), bomb
        assert "/tmp" not in refused[1]["error"]["message"], "where it lay for a moment is nobody's business"


def _uploaded(place: str, photo: bytes) -> tuple[int, dict]:
    import json

    connection = http.client.HTTPConnection(place, timeout=120)
    connection.request("POST", "/v1/similar-photo?k=3", photo, {"Content-Type": "image/jpeg"})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())
