"""A graph is made once, kept whole or not at all, checked against mtmd, and not used where it fails."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import gguf
import numpy as np
import pytest
from made_projectors import FAMILIES, SMALL, beside_the_embedded_text, random_projector, random_weights, write_projector
from with_bf16 import BF16

from vlm4rec_edge.errors import MissingDependencyError, ModelError
from vlm4rec_edge.grounding.spawn import start
from vlm4rec_edge.grounding.vision import check, graph_file, making, record
from vlm4rec_edge.grounding.vision.graph import Precision, build_graph
from vlm4rec_edge.grounding.vision.graph_file import GraphFile, NotCovered, graph_name, known_graph, vision_graph
from vlm4rec_edge.grounding.vision.projector import Family, NotCoveredError, Projector, read_projector
from vlm4rec_edge.grounding.vision.record import record_path
from vlm4rec_edge.models.home import HOME_VARIABLE, models_home
from vlm4rec_edge.models.manifest import LvlmSettings, Manifest, Source, describe_file
from vlm4rec_edge.models.resolve import LvlmFiles, resolve_lvlm

SHA256 = "0123456789abcdef" * 4


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own."""
    folder = tmp_path / "home"
    monkeypatch.setenv(HOME_VARIABLE, str(folder))
    return folder


@pytest.fixture
def files(tmp_path: Path) -> LvlmFiles:
    """The embedded text model with a small projector in a folder of the user's."""
    return pair(tmp_path / "own", "idefics3")


@pytest.fixture
def nothing_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that makes a graph would be a mistake."""

    def refuse(*_: object) -> None:
        raise AssertionError("a graph was made")

    monkeypatch.setattr(graph_file, "start", refuse)


def pair(folder: Path, family: Family) -> LvlmFiles:
    folder.mkdir()
    path = random_projector(folder / "mmproj.gguf", family, linear=gguf.GGMLQuantizationType.Q8_0)
    return beside_the_embedded_text(path)


def made(files: LvlmFiles, precision: Precision = "fp32") -> GraphFile:
    found = vision_graph(files, precision)
    assert isinstance(found, GraphFile), found
    return found


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("precision", ["fp32", "int8", BF16])
def test_a_graph_is_made_checked_and_found_again(
    tmp_path: Path, home: Path, family: Family, precision: Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = pair(tmp_path / "own", family)
    assert known_graph(files, precision) is None
    graph = made(files, precision)
    sha256 = describe_file(files.projector).sha256
    assert graph.path == home / "vision" / graph_name(sha256, precision)
    assert graph.precision == precision
    assert graph.bytes == graph.path.stat().st_size
    assert graph.agreement.cosine_worst > 0.99
    assert graph.agreement.tokens == graph.agreement.views * FAMILIES[family].tokens
    assert [path.name for path in files.projector.parent.iterdir()] == [
        "mmproj.gguf"
    ]  # the user's folder is left alone
    assert {path.suffix for path in graph.path.parent.iterdir()} == {".onnx", ".json"}
    monkeypatch.setattr(graph_file, "start", None)
    assert vision_graph(files, precision) == known_graph(files, precision) == graph


def test_the_record_beside_a_graph_tells_how_near_it_is_to_mtmd(files: LvlmFiles) -> None:
    graph = made(files)
    content = json.loads(record_path(graph.path).read_text(encoding="utf-8"))
    assert content["projector_sha256"] == describe_file(files.projector).sha256
    assert content["graph"]["sha256"] == describe_file(graph.path).sha256
    assert content["agreement"]["cosine_worst"] == graph.agreement.cosine_worst < 1
    assert {"processor", "llama-cpp-python"} < content["conditions"].keys()


def test_a_pulled_model_keeps_its_graph_in_its_folder(files: LvlmFiles) -> None:
    folder = models_home() / "pulled"
    folder.mkdir(parents=True)
    text, projector = folder / "text.gguf", folder / "mmproj.gguf"
    shutil.copy(files.text, text)
    shutil.copy(files.projector, projector)
    Manifest(
        name="pulled",
        kind="lvlm",
        license="unknown",
        source=Source("a/b", "c"),
        files={"text": describe_file(text), "projector": describe_file(projector)},
        quantization={},
        lvlm=LvlmSettings(context_length=1024),
    ).write(folder)
    pulled = resolve_lvlm("pulled")
    assert made(pulled).path.parent == folder
    assert resolve_lvlm("pulled") == pulled  # its checksums still fit


def test_a_graph_that_somebody_put_beside_the_projector_is_used(
    files: LvlmFiles, request: pytest.FixtureRequest
) -> None:
    graph = made(files)
    for path in (graph.path, record_path(graph.path)):
        shutil.move(path, files.projector.parent)
    request.getfixturevalue("nothing_is_made")
    found = vision_graph(files, "fp32")
    assert isinstance(found, GraphFile)
    assert found.path == files.projector.parent / graph.path.name


@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
def test_a_damaged_graph_is_made_anew(files: LvlmFiles, damage: str) -> None:
    graph = made(files)
    content = graph.path.read_bytes()
    if damage == "gone":
        graph.path.unlink()
    else:
        graph.path.write_bytes(content[:-1] if damage == "cut" else content[:-1] + bytes([content[-1] ^ 1]))
    assert known_graph(files, "fp32") is None
    assert made(files) == graph
    assert graph.path.read_bytes() == content


def test_a_graph_is_checked_anew_with_other_packages_or_on_another_processor(
    files: LvlmFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(files)
    monkeypatch.setattr(record, "processor", lambda: "another one")
    assert known_graph(files, "fp32") is None


@pytest.mark.parametrize(("precision", "holds"), [("fp32", True), ("int8", True), ("bf16", False)])
def test_openvino_is_a_condition_of_bfloat16_alone(
    monkeypatch: pytest.MonkeyPatch, precision: Precision, holds: bool
) -> None:
    before = record.conditions(precision)
    monkeypatch.setattr(record, "version", lambda name: "another" if name == "openvino" else version(name))
    assert (record.conditions(precision) == before) is holds


@pytest.mark.parametrize("lack", [MissingDependencyError("it is not installed"), NotCoveredError("no instructions")])
def test_bfloat16_that_there_is_not_is_told_and_tried_again(
    files: LvlmFiles, nothing_is_made: None, monkeypatch: pytest.MonkeyPatch, lack: Exception
) -> None:
    def refuse() -> None:
        raise lack

    monkeypatch.setattr(graph_file, "require_bfloat16", refuse)
    assert vision_graph(files, "bf16") == NotCovered(str(lack))
    assert known_graph(files, "bf16") is None


def test_a_family_without_a_graph_is_told(tmp_path: Path, nothing_is_made: None) -> None:
    (tmp_path / "own").mkdir()
    path = tmp_path / "own" / "mmproj.gguf"
    write_projector(path, replace(SMALL, family="qwen3vl_merger"), random_weights(SMALL))  # type: ignore[arg-type]
    files = replace(resolve_lvlm(), projector=path, manifest=None)
    told = NotCovered("mmproj.gguf is of the family qwen3vl_merger; a graph is made of idefics3 and gemma3 alone")
    assert known_graph(files, "fp32") == vision_graph(files, "int8") == told


def test_a_graph_that_gives_other_tokens_is_not_used_and_not_tried_again(
    files: LvlmFiles, home: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    other = read_projector(write_projector(files.projector.parent / "other.gguf", SMALL, random_weights(SMALL, seed=1)))

    def wrong(projector: Projector, precision: Precision, *, weight_bits: int) -> bytes:
        assert projector.shape == other.shape
        return build_graph(other, precision, weight_bits=weight_bits)

    monkeypatch.setattr(making, "build_graph", wrong)
    sha256 = describe_file(files.projector).sha256
    graph = home / "vision" / graph_name(sha256, "fp32")
    graph.parent.mkdir(parents=True)
    graph.write_bytes(b"of before")
    making.make_graph(files, sha256, "fp32", graph)
    assert [path.name for path in graph.parent.iterdir()] == [record_path(graph).name]
    request.getfixturevalue("nothing_is_made")
    told = vision_graph(files, "fp32")
    assert isinstance(told, NotCovered)
    assert "its tokens are not those of llama.cpp's own vision encoder: cosine 0." in told.reason


def test_views_unlike_those_of_mtmd_are_found_by_their_number(
    files: LvlmFiles, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "views", lambda pixels, shape: np.zeros((2, 3, shape.side, shape.side), np.float32))
    (home / "vision").mkdir(parents=True)
    found = making.make_graph(files, SHA256, "fp32", home / "vision" / "tower.onnx")
    assert found.reason == "it makes 2 views of a picture, llama.cpp 7"


def test_a_process_that_dies_leaves_nothing_and_is_told(
    files: LvlmFiles, home: Path, monkeypatch: pytest.MonkeyPatch, new_interpreter: None
) -> None:
    monkeypatch.setattr(graph_file, "start", lambda _, *arguments: start("dying_maker", *arguments))
    told = vision_graph(files, "fp32")
    assert isinstance(told, NotCovered)
    assert told.reason.startswith("its graph could not be made: the process that made it ended (SIGABRT")
    assert list((home / "vision").iterdir()) == []
    assert known_graph(files, "fp32") is None  # it may have been chance


def test_a_pair_that_llama_cpp_refuses_is_told(tmp_path: Path, home: Path) -> None:
    narrow = random_weights(SMALL)
    narrow["mm.model.fc.weight"] = narrow["mm.model.fc.weight"][:128]
    (tmp_path / "own").mkdir()
    files = beside_the_embedded_text(write_projector(tmp_path / "own" / "mmproj.gguf", SMALL, narrow))
    told = vision_graph(files, "fp32")
    assert isinstance(told, NotCovered)
    assert "its graph could not be made: llama.cpp cannot use the projector" in told.reason
    assert list((home / "vision").iterdir()) == []


def test_a_cache_that_cannot_be_written_is_told(
    files: LvlmFiles, home: Path, nothing_is_made: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.write_text("a file, not a folder")
    told = vision_graph(files, "fp32")
    assert isinstance(told, NotCovered)
    assert told.reason.startswith(f"its graph cannot be kept in {home / 'vision'}")


def test_a_damaged_projector_is_an_error(files: LvlmFiles) -> None:
    files.projector.write_bytes(files.projector.read_bytes()[:1000])
    with pytest.raises(ModelError, match=r"damaged|truncated"):
        vision_graph(files, "fp32")
