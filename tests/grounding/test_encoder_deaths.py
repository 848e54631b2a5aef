"""A vision encoder in ONNX Runtime that ends the captioning process, or fails there, is replaced by llama.cpp's own, once."""

from __future__ import annotations

import json
import shutil
import signal
import warnings
from pathlib import Path

import pytest
from isolation import deadly, isolated_captioner, posix
from pictures import answers

pytest.importorskip("gguf")
pytest.importorskip("onnx")

from vlm4rec_edge import LlamaCaptioner, resolve_lvlm
from vlm4rec_edge.errors import ModelError, VisionEncoderError, Vlm4RecWarning
from vlm4rec_edge.grounding.child import process
from vlm4rec_edge.grounding.llama.choice import told_of
from vlm4rec_edge.grounding.protocol import CaptionRequest
from vlm4rec_edge.grounding.vision import graph_file, record
from vlm4rec_edge.grounding.vision.graph_file import GraphFile, NotCovered, known_graph, vision_graph
from vlm4rec_edge.grounding.vision.record import record_path
from vlm4rec_edge.grounding.vision.tower import OnnxTower
from vlm4rec_edge.models.home import HOME_VARIABLE

FALLS_BACK = (
    "llama.cpp's own vision encoder encodes the photos for stylist-lvlm, because ONNX Runtime's cannot be used: "
)
NO_MEMORY = "terminate called after throwing an instance of 'std::bad_alloc'\n"
SEGV = int(signal.SIGSEGV)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder with the graph of the embedded model, noted as so fast that it is taken unasked."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(HOME_VARIABLE, str(folder))
        graph = vision_graph(resolve_lvlm(), "fp32")
    assert isinstance(graph, GraphFile)
    content = json.loads(record_path(graph.path).read_text(encoding="utf-8"))
    content["agreement"]["onnx_s"] = content["agreement"]["mtmd_s"] / 10
    record_path(graph.path).write_text(json.dumps(content), encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def home(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it of the test's own."""
    shutil.copytree(made, tmp_path / "home")
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    return tmp_path / "home"


def known() -> GraphFile | NotCovered | None:
    return known_graph(resolve_lvlm(), "fp32")


def test_unharmed_the_graph_encodes(photos: list[CaptionRequest], captions: dict[str, str]) -> None:
    with warnings.catch_warnings(), isolated_captioner() as captioner:
        warnings.simplefilter("error")
        assert answers(captioner, photos) == (captions, {})
        assert captioner.tower == "onnx-fp32"


@posix
@pytest.mark.parametrize(("at", "name"), [("open", "SIGSEGV"), ("encode_view", "SIGILL")])
def test_one_that_kills_is_replaced_and_no_photo_is_lost_or_blamed(
    at: str, name: str, photos: list[CaptionRequest], captions: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    deadly(monkeypatch, encoder=[at, int(signal.Signals[name])])
    reason = f"it ended the captioning process \\({name}: .*\\)"
    with isolated_captioner() as captioner, pytest.warns(Vlm4RecWarning, match=FALLS_BACK + reason):
        assert answers(captioner, photos) == (captions, {})
        assert (captioner.tower, captioner.batch) == ("mtmd", 4)
    assert "ended the captioning process" in told_of(known())


@posix
def test_that_it_kills_is_remembered_and_said_by_the_next_run(
    photos: list[CaptionRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    deadly(monkeypatch, encoder=["open", SEGV])
    with isolated_captioner() as captioner, pytest.warns(Vlm4RecWarning, match=FALLS_BACK):
        answers(captioner, photos[:1])
    started = []
    start = process.start
    monkeypatch.setattr(process, "start", lambda module: (started.append(module), start(module))[1])
    with isolated_captioner() as captioner, pytest.warns(Vlm4RecWarning, match=f"{FALLS_BACK}.*SIGSEGV"):
        answers(captioner, photos[:1])
    assert len(started) == 1
    with isolated_captioner(vision="onnx") as captioner, pytest.raises(ModelError, match=r"--vision onnx: it ended"):
        answers(captioner, photos[:1])


@posix
@pytest.mark.parametrize("change", ["the graph", "onnxruntime", "the builder"])
def test_what_is_remembered_is_forgotten_with_what_it_was_found_of(
    change: str, photos: list[CaptionRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = known()
    assert isinstance(graph, GraphFile)
    with monkeypatch.context() as patch, isolated_captioner() as captioner:
        deadly(patch, encoder=["open", SEGV])
        with pytest.warns(Vlm4RecWarning, match=FALLS_BACK):
            answers(captioner, photos[:1])
    assert isinstance(known(), NotCovered)
    if change == "the graph":
        graph.path.write_bytes(graph.path.read_bytes()[:-1])
    elif change == "onnxruntime":
        monkeypatch.setattr(record, "version", lambda name: "another")
    else:
        monkeypatch.setattr(graph_file, "BUILDER_VERSION", -1)
    assert known() is None


@posix
def test_one_that_finds_no_memory_is_tried_again_where_there_is_more(
    photos: list[CaptionRequest], captions: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    deadly(monkeypatch, encoder=["open", int(signal.SIGABRT)], say=NO_MEMORY)
    with isolated_captioner() as captioner, pytest.warns(Vlm4RecWarning, match=f"{FALLS_BACK}.*lack of memory"):
        assert answers(captioner, photos[:3])[0] == {photo.key: captions[photo.key] for photo in photos[:3]}
        assert captioner.batch == 4  # the memory is there for them
    assert isinstance(known(), NotCovered)
    monkeypatch.setattr(graph_file, "available_bytes", lambda: 1 << 60)
    assert isinstance(known(), GraphFile)


@posix
@pytest.mark.parametrize(
    ("at", "when"), [("open", "while it loaded the model"), ("encode_view", "on a plain grey picture")]
)
def test_one_that_was_asked_for_and_kills_is_an_error_that_names_it(
    at: str, when: str, photos: list[CaptionRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    deadly(monkeypatch, encoder=[at, SEGV])
    with (
        isolated_captioner(vision="onnx") as captioner,
        pytest.raises(ModelError, match=f"ONNX Runtime ended {when} .*SIGSEGV.*--vision mtmd"),
    ):
        answers(captioner, photos[:1])
    assert isinstance(known(), GraphFile)


@posix
@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL"])
def test_kills_from_outside_are_not_its_fault_and_the_other_one_is_named(
    name: str, photos: list[CaptionRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "oom_kills", lambda: 0)  # none is the system's, for lack of memory
    monkeypatch.setattr("vlm4rec_edge.grounding.death.oom_kills", lambda: 0)
    deadly(monkeypatch, encoder=["encode_view", int(signal.Signals[name])])
    with (
        isolated_captioner() as captioner,
        pytest.warns(Vlm4RecWarning, match="another one continues"),
        pytest.raises(ModelError, match=rf"{name}.*limits.*run the same command again\. .*--vision mtmd"),
    ):
        answers(captioner, photos[:2])
    assert isinstance(known(), GraphFile)


@posix
def test_a_photo_that_kills_llama_cpp_is_not_its_fault(
    photos: list[CaptionRequest], captions: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    killer = photos[2]
    deadly(monkeypatch, photos={killer.photo.sha256: SEGV})
    with isolated_captioner() as captioner, pytest.warns(Vlm4RecWarning, match="one at a time"):
        found, failures = answers(captioner, photos)
        assert captioner.tower == "onnx-fp32"
    assert set(failures) == {killer.key}
    assert found == {key: caption for key, caption in captions.items() if key != killer.key}
    assert isinstance(known(), GraphFile)


def test_one_that_fails_by_an_error_at_work_is_replaced(
    photos: list[CaptionRequest], captions: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    deadly(monkeypatch, encoder=["encode_view", 0], say="ONNX Runtime cannot encode a photo (an odd kernel).")
    with isolated_captioner() as captioner, pytest.warns(Vlm4RecWarning, match=rf"{FALLS_BACK}.*\(an odd kernel\)\.$"):
        assert answers(captioner, photos) == (captions, {})
        assert captioner.tower == "mtmd"
    assert isinstance(known(), NotCovered)
    with (
        isolated_captioner(vision_precision="int8") as captioner,
        pytest.raises(VisionEncoderError, match=r"\(an odd kernel\)\. [^()]*--vision mtmd --vision-precision fp32\.$"),
    ):
        answers(captioner, photos[:1])


def test_in_this_process_too_one_that_cannot_be_loaded_is_replaced(
    photos: list[CaptionRequest], captions: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise VisionEncoderError("ONNX Runtime cannot load it (an odd kernel).")

    monkeypatch.setattr(OnnxTower, "open", fail)
    with LlamaCaptioner(resolve_lvlm(), batch=4) as captioner:
        with pytest.warns(Vlm4RecWarning, match=rf"{FALLS_BACK}.*\(an odd kernel\)\.$"):
            assert answers(captioner, photos) == (captions, {})
        assert captioner.tower == "mtmd"
    with LlamaCaptioner(resolve_lvlm(), vision="onnx") as captioner, pytest.raises(ModelError, match="an odd kernel"):
        captioner.load()
