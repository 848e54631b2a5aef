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
from made_projectors import (
    FAMILIES,
    SMALL,
    as_pulled,
    beside_the_embedded_text,
    random_projector,
    random_weights,
    write_projector,
)
from with_bf16 import BF16

from vlm4rec_edge import busy
from vlm4rec_edge.errors import MissingDependencyError, ModelError, VisionEncoderError
from vlm4rec_edge.grounding.spawn import start
from vlm4rec_edge.grounding.vision import check, graph_file, making, record, references
from vlm4rec_edge.grounding.vision.graph import Precision, build_graph
from vlm4rec_edge.grounding.vision.graph_file import GraphFile, NotCovered, graph_name, known_graph, vision_graph
from vlm4rec_edge.grounding.vision.projector import Family, NotCoveredError, Projector, read_projector
from vlm4rec_edge.grounding.vision.record import Record, record_path
from vlm4rec_edge.grounding.vision.references import references_of
from vlm4rec_edge.models.home import HOME_VARIABLE
from vlm4rec_edge.models.manifest import describe_file
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


def recorded(files: LvlmFiles, graph: Path) -> Record:
    """Make a graph in this process."""
    sha256 = describe_file(files.projector).sha256
    return making.make_graph(
        files, sha256, "fp32", graph, lambda: check.ask_mtmd(files, check.reference_pictures(), threads=1)
    )


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
    assert {path.suffix for path in graph.path.parent.iterdir()} == {".onnx", ".json", ".npz"}
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
    folder = as_pulled("pulled", lambda place: shutil.copy(files.projector, place))
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
    recorded(files, graph)
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
    found = recorded(files, home / "vision" / "tower.onnx")
    assert found.reason == "it makes 2 views of a picture, llama.cpp 7"


@pytest.mark.parametrize(("name", "is_chance"), [("SIGKILL", True), ("SIGTERM", True), ("SIGABRT", False)])
def test_a_process_that_dies_leaves_no_graph_and_a_fault_of_native_code_is_remembered(
    files: LvlmFiles, home: Path, monkeypatch: pytest.MonkeyPatch, new_interpreter: None, name: str, is_chance: bool
) -> None:
    monkeypatch.setenv("DIES_OF", name)
    monkeypatch.setattr(graph_file, "start", lambda _, *arguments: start("dying_maker", *arguments))
    told = vision_graph(files, "fp32")
    assert isinstance(told, NotCovered)
    assert told.reason.startswith(f"its graph could not be made: the process that made it ended ({name}")
    assert [path.suffix for path in (home / "vision").iterdir()] == ([] if is_chance else [".json"])
    assert known_graph(files, "fp32") == (None if is_chance else told)


def test_a_projector_of_which_no_graph_can_be_made_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    odd = {**random_weights(SMALL), "v.class_embd": random_weights(SMALL)["v.post_ln.bias"]}
    (tmp_path / "own").mkdir()
    files = beside_the_embedded_text(write_projector(tmp_path / "own" / "mmproj.gguf", SMALL, odd))
    told = vision_graph(files, "fp32")
    assert told == NotCovered(
        "mmproj.gguf has the tensor v.class_embd, which is not known in a vision encoder of idefics3"
    )
    request.getfixturevalue("nothing_is_made")
    assert vision_graph(files, "fp32") == told
    monkeypatch.setattr(record, "processor", lambda: "another one")
    assert known_graph(files, "fp32") is None


def test_a_graph_that_cannot_be_computed_here_is_not_tried_again_unless_memory_was_short(
    files: LvlmFiles, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "vision").mkdir(parents=True)
    graph = home / "vision" / graph_name(describe_file(files.projector).sha256, "fp32")
    for reason, is_passing in (("Failed to allocate memory for a buffer", True), ("an odd kernel", False)):

        def fail(*_: object, words: str = reason, **__: object) -> None:
            raise VisionEncoderError(f"ONNX Runtime cannot load it ({words}).")

        monkeypatch.setattr(making, "compare", fail)
        if is_passing:
            with pytest.raises(VisionEncoderError, match=reason):
                recorded(files, graph)
            assert known_graph(files, "fp32") is None
        else:
            recorded(files, graph)
            assert known_graph(files, "fp32") == NotCovered("ONNX Runtime cannot load it (an odd kernel)")


def test_mtmd_is_asked_once_for_all_precisions(files: LvlmFiles) -> None:
    first, second = made(files, "fp32").agreement, made(files, "int8").agreement
    assert first.mtmd_s == second.mtmd_s  # measured anew it would differ in the last digits
    assert first.cosine_worst != second.cosine_worst


@pytest.mark.parametrize("change", ["nothing", "cut", "processor", "threads", "projector"])
def test_what_mtmd_said_is_kept_for_the_same_projector_and_machine(
    files: LvlmFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    place = tmp_path / "mtmd.npz"
    before = references_of(files, place, sha256=SHA256, threads=1)
    asked = []
    monkeypatch.setattr(references, "ask_mtmd", lambda *given, threads, load: asked.append(threads) or before)
    sha256, threads = SHA256, 1
    if change == "cut":
        place.write_bytes(place.read_bytes()[:-100])
    elif change == "processor":
        monkeypatch.setattr(record, "processor", lambda: "another one")
    elif change == "threads":
        threads = 2
    elif change == "projector":
        sha256 = "f" * 64
    again = references_of(files, place, sha256=sha256, threads=threads)
    assert asked == ([] if change == "nothing" else [threads])
    for one, other in zip(before, again, strict=True):
        assert (one.views, one.seconds, list(one.tokens)) == (other.views, other.seconds, list(other.tokens))
        for view, tokens in one.tokens.items():
            np.testing.assert_array_equal(tokens, other.tokens[view])


def timed_at(graph: GraphFile, load: float | None) -> None:
    """Have it noted that both encoders were timed at this load."""
    path = record_path(graph.path)
    content = json.loads(path.read_text())
    content["agreement"]["load"] = load
    path.write_text(json.dumps(content))


def test_the_load_of_the_machine_is_noted_and_a_busy_one_has_both_timed_again_once_it_is_quiet(
    files: LvlmFiles, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(busy, "load_of_a_core", lambda: 0.1)
    graph = made(files)
    assert graph.agreement.load == busy.busiest(graph.agreement.load, 0.0)  # a number
    timed_at(graph, None)  # as where it is not known
    assert made(files).agreement.load is None
    timed_at(graph, 2.0)
    assert known_graph(files, "fp32") == graph
    (place,) = (home / "vision").glob("*.npz")
    place.unlink()
    assert made(files).agreement.load != 2.0
    assert place.is_file()


def test_one_that_cannot_be_timed_again_stays_as_it_was(files: LvlmFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = made(files)
    timed_at(graph, 2.0)
    monkeypatch.setattr(busy, "load_of_a_core", lambda: 0.1)
    with monkeypatch.context() as patch:
        patch.setattr(graph_file, "start", lambda _, *arguments: start("dying_maker", *arguments))
        patch.setenv("DIES_OF", "SIGKILL")
        assert vision_graph(files, "fp32") == graph

    def refuse() -> None:
        raise MissingDependencyError("gguf is not installed")

    monkeypatch.setattr(graph_file, "require_building", refuse)
    assert vision_graph(files, "fp32") == graph


@pytest.mark.parametrize(("then", "now", "again"), [(2.0, 0.1, True), (2.0, 1.0, False), (0.1, 0.0, False)])
def test_what_mtmd_took_on_a_busy_machine_is_asked_again_on_a_quiet_one(
    files: LvlmFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, then: float, now: float, again: bool
) -> None:
    place = tmp_path / "mtmd.npz"
    first = references_of(files, place, sha256=SHA256, threads=1, load=then)
    assert {one.load for one in first} == {then}
    monkeypatch.setattr(busy, "load_of_a_core", lambda: now)
    second = references_of(files, place, sha256=SHA256, threads=1, load=now)
    assert {one.load for one in second} == {now if again else then}


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


def test_a_model_whose_manifest_bounds_the_tokens_of_a_photo_has_no_graph(
    files: LvlmFiles, nothing_is_made: None
) -> None:
    """llama.cpp cuts photos otherwise then, and the graph would see other views."""
    bounded = replace(files, settings=replace(files.settings, image_max_tokens=100))
    for found in (known_graph(bounded, "fp32"), vision_graph(bounded, "fp32")):
        assert isinstance(found, NotCovered)
        assert "image_max_tokens" in found.reason


def test_a_record_whose_figures_are_no_numbers_is_as_none(files: LvlmFiles) -> None:
    graph = made(files)
    path = record_path(graph.path)
    content = json.loads(path.read_text())
    content["agreement"]["onnx_s"] = None
    path.write_text(json.dumps(content))
    assert known_graph(files, "fp32") is None
