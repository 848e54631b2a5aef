"""The two plug-ins of the documentation keep the public contract, and work by name through every command."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_store import unit
from pictures import encoded, photo_of, swatch, swatches
from PIL import Image, UnidentifiedImageError
from program import PROGRAM

from vlm4rec_edge import (
    Captioned,
    CaptionRequest,
    ModelError,
    OnnxEncoder,
    UsageError,
    caption_photos,
)
from vlm4rec_edge.testing import check_captioner, check_encoder

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
sys.path.insert(0, str(EXAMPLES))
from openai_captioner import OpenAICaptioner  # noqa: E402
from static_encoder import StaticEncoder  # noqa: E402

_COLOURS = {"red": (200, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 200)}
_WORDS = ("red", "green", "blue", "photo", "jacket")


class _Endpoint(BaseHTTPRequestHandler):
    """Says which colour a photo has most of."""

    asked: list[str]
    down = False
    nonsense: Any = None

    def do_GET(self) -> None:
        self._answer(200, {"data": [{"id": "made-model"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(body["model"])
        (picture,) = (
            part["image_url"]["url"] for part in body["messages"][0]["content"] if part["type"] == "image_url"
        )
        try:
            with Image.open(io.BytesIO(base64.b64decode(picture.partition(",")[2]))) as image:
                mean = np.asarray(image.convert("RGB"), np.float64).mean(axis=(0, 1))
        except UnidentifiedImageError:
            self._answer(400, {"error": "no image"})
            return
        if type(self).down:
            self._answer(500, {"error": "out of memory"})
            return
        if type(self).nonsense is not None:
            self._answer(200, type(self).nonsense)
            return
        colour = min(_COLOURS, key=lambda name: float(np.abs(mean - _COLOURS[name]).sum()))
        self._answer(200, {"choices": [{"message": {"content": f" A {colour}\nphoto. "}}]})

    def _answer(self, code: int, document: Any) -> None:
        content = json.dumps(document).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def endpoint() -> Iterator[str]:
    """The address of a server on this machine."""
    _Endpoint.asked, _Endpoint.down, _Endpoint.nonsense = [], False, None
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Endpoint)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A folder of word vectors."""
    folder = tmp_path / "table"
    folder.mkdir()
    (folder / "words.txt").write_text("\n".join(_WORDS), encoding="utf-8")
    np.save(folder / "vectors.npy", unit(np.eye(len(_WORDS)) + 0.1))
    return folder


def test_each_example_is_one_file_of_under_80_lines() -> None:
    for name in ("openai_captioner.py", "static_encoder.py"):
        assert len((EXAMPLES / name).read_text(encoding="utf-8").splitlines()) < 80


def test_the_captioner_keeps_the_contract(endpoint: str) -> None:
    photos = [encoded(swatch(*colour)) for colour in _COLOURS.values()]
    check_captioner(OpenAICaptioner(endpoint), photos)
    assert set(_Endpoint.asked) == {"made-model"}


def test_the_encoder_keeps_the_contract(table: Path) -> None:
    check_encoder(StaticEncoder(str(table)))


def test_the_embedded_encoder_keeps_the_same_contract(encoder: OnnxEncoder) -> None:
    check_encoder(encoder)


@pytest.mark.parametrize("address", ["http://example.com/v1", "http://192.0.2.1/v1", "nonsense"])
def test_photos_go_to_no_other_machine(address: str) -> None:
    with pytest.raises(UsageError, match="photos do not leave it"):
        OpenAICaptioner(address)


def test_a_server_that_is_not_there_or_fails_is_a_sentence(endpoint: str) -> None:
    with pytest.raises(ModelError, match="Is the server running"):
        OpenAICaptioner("http://127.0.0.1:9/v1")
    captioner = OpenAICaptioner(endpoint)
    _Endpoint.down = True
    with pytest.raises(AssertionError, match="cannot answer"):
        check_captioner(captioner, [encoded(swatch(1, 2, 3))] * 2)


def test_photos_do_not_leave_by_way_of_a_proxy(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody is there
    monkeypatch.delenv("no_proxy", raising=False)
    request = CaptionRequest("red", photo_of(encoded(swatch(200, 30, 30))))
    assert [*OpenAICaptioner(endpoint).caption([request])] == [Captioned("red", "A red photo.")]


def _says(content: object) -> dict[str, Any]:
    return {"choices": [{"message": {"content": content}}]}


_NONSENSE = [[], {}, {"choices": []}, {"choices": [{"message": "x"}]}, "nothing", *map(_says, (5, True, ["red"], [{}]))]


@pytest.mark.parametrize("answer", _NONSENSE)
def test_an_answer_in_another_form_is_a_sentence(endpoint: str, answer: object) -> None:
    captioner = OpenAICaptioner(endpoint)
    _Endpoint.nonsense = answer
    with pytest.raises(ModelError, match="gives no answer"):
        list(captioner.caption([CaptionRequest("red", photo_of(encoded(swatch(200, 30, 30))))]))


def test_an_answer_in_parts_is_its_texts(endpoint: str) -> None:
    captioner = OpenAICaptioner(endpoint)
    _Endpoint.nonsense = _says(
        [{"type": "text", "text": "A red"}, {"type": "audio"}, {"type": "text", "text": "photo."}]
    )
    request = CaptionRequest("red", photo_of(encoded(swatch(200, 30, 30))))
    assert [*captioner.caption([request])] == [Captioned("red", "A red photo.")]


def test_only_the_end_of_a_line_ends_a_word_of_the_table(table: Path) -> None:
    words = ["red", "\x85", "green\u2028", "photo", "jacket"]
    (table / "words.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    vectors = np.load(table / "vectors.npy")
    assert np.allclose(StaticEncoder(str(table)).encode(["jacket"])[0], vectors[4], atol=1e-6)


@pytest.mark.parametrize("size", [1e30, 3e38, 1e-30])
def test_vectors_of_any_finite_size_become_unit_vectors(table: Path, size: float) -> None:
    np.save(table / "vectors.npy", (np.eye(len(_WORDS)) * size).astype(np.float32))
    check_encoder(StaticEncoder(str(table)))
    assert np.allclose(StaticEncoder(str(table)).encode(["red green"])[0, :2], np.sqrt(0.5))


def test_a_photo_of_which_the_server_says_nothing_is_a_failure(endpoint: str, tmp_path: Path) -> None:
    captioner = OpenAICaptioner(endpoint)
    _Endpoint.nonsense = _says(None)
    report = caption_photos(swatches(tmp_path, 2), captioner)
    assert (len(report.captions), len(report.failures)) == (0, 2)


def test_a_path_that_is_no_endpoint_is_a_sentence(endpoint: str) -> None:
    with pytest.raises(ModelError, match="gives no answer"):
        OpenAICaptioner(endpoint.replace("http:", "file:"))


def test_two_servers_with_the_same_model_make_the_same_captions(endpoint: str) -> None:
    one, other = OpenAICaptioner(f"{endpoint}#m"), OpenAICaptioner("http://localhost:9/v1#m")
    assert {**one.identity, "name": ""} == {**other.identity, "name": ""}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """What pip makes of a package with both examples, announced as entry points."""
    folder = tmp_path / "site"
    facts = folder / "examples-1.0.dist-info"
    facts.mkdir(parents=True)
    for name in ("openai_captioner.py", "static_encoder.py"):
        shutil.copy(EXAMPLES / name, folder)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: examples\nVersion: 1.0\n", encoding="utf-8")
    (facts / "entry_points.txt").write_text(
        "[vlm4rec_edge.captioners]\nopenai = openai_captioner:OpenAICaptioner\nbroken = no_such_module:Nothing\n"
        "[vlm4rec_edge.encoders]\nstatic = static_encoder:StaticEncoder\n",
        encoding="utf-8",
    )
    return folder


def test_the_commands_take_both_by_name_and_find_them_again(
    endpoint: str, table: Path, site: Path, tmp_path: Path
) -> None:
    def run(*arguments: object) -> tuple[int, str, str]:
        path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
        done = subprocess.run(
            [str(PROGRAM), *map(str, arguments)],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    photos = tmp_path / "photos"
    photos.mkdir()
    for name, colour in _COLOURS.items():
        swatch(*colour).save(photos / f"{name}.png")
    index = tmp_path / "shop.index"
    code, out, err = run(
        "index", photos, "--out", index, "--model", f"openai:{endpoint}", "--encoder", f"static:{table}", "--json"
    )
    assert code == 0, err
    assert (json.loads(out)["items"], json.loads(out)["captioned"]) == (3, 3)

    code, out, err = run("caption", photos / "red.png", "--model", f"openai:{endpoint}")  # fewer than any batch
    assert (code, "A red photo." in out) == (0, True), err
    code, _, err = run("bundle", index, tmp_path / "shop.zip", "--with-encoder")
    assert (code, "leave out --with-encoder" in err) == (2, True)

    made_by = json.loads(run("info", index, "--json")[1])
    assert made_by["grounding"]["model"] == "made-model"
    assert made_by["encoder"]["pooling"] == "mean"

    new = swatches(tmp_path / "new", 1)[0]
    assert run("add", index, new)[0] == 0  # both are found by the names that the index notes
    code, out, err = run("search", index, "a blue photo", "-k", "1", "--json")
    assert code == 0, err
    assert json.loads(out)["recommendations"][0]["item_id"] == "blue"
    code, out, err = run("similar", index, "--photo", photos / "green.png", "-k", "1", "--json")
    assert code == 0, err
    assert json.loads(out)["recommendations"][0]["item_id"] == "green"
    (vectors,) = index.glob("vectors-*.f32")
    vectors.write_bytes(b"\0" * vectors.stat().st_size)
    assert json.loads(run("repair", index, "--json")[1])["encoded"] == 4
    assert run("verify", index)[0] == 0

    code, _, err = run(
        "index", photos, "--out", tmp_path / "other", "--model", f"openai:{endpoint}", "--prompt", "What?"
    )
    assert (code, "leave out prompt" in err) == (2, True)
    code, _, err = run("index", photos, "--out", tmp_path / "other", "--model", "broken")
    assert (code, "cannot be imported" in err) == (1, True)
