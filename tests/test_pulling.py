"""A pulled model is ready to work: the graph of its vision encoder lies beside its files."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

pytest.importorskip("gguf")
pytest.importorskip("onnx")
sys.path.insert(0, str(Path(__file__).parent / "grounding" / "vision"))
from made_projectors import SMALL, random_weights, write_projector

from vlm4rec_edge import pulling, resolve_lvlm
from vlm4rec_edge.errors import MissingDependencyError
from vlm4rec_edge.grounding.vision.graph_file import GraphFile, NotCovered
from vlm4rec_edge.models.home import HOME_VARIABLE, models_home
from vlm4rec_edge.models.manifest import LvlmSettings, Manifest, Source, describe_file
from vlm4rec_edge.pulling import pull_model


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model that was just fetched: the embedded text model with a small projector."""
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    place = models_home() / "fetched"
    place.mkdir(parents=True)
    text, projector = place / "text.gguf", place / "mmproj.gguf"
    shutil.copy(resolve_lvlm().text, text)
    write_projector(projector, SMALL, random_weights(SMALL))
    Manifest(
        name="fetched",
        kind="lvlm",
        license="unknown",
        source=Source("a/b", "c"),
        files={"text": describe_file(text), "projector": describe_file(projector)},
        quantization={},
        lvlm=LvlmSettings(context_length=1024),
    ).write(place)
    monkeypatch.setattr(pulling, "pull", lambda *_, **__: place)
    return place


def test_the_graph_is_made_once_beside_the_files(folder: Path) -> None:
    notes: list[str] = []
    pulled = pull_model("fetched", note=notes.append)
    assert isinstance(pulled.graph, GraphFile)
    assert pulled.graph.path.parent == folder
    assert notes == [
        "Making the ONNX graph of its vision encoder, and comparing it with llama.cpp's own vision encoder."
    ]
    assert pulled.to_dict() == {"name": "fetched", "folder": str(folder), "graph": str(pulled.graph.path)}
    assert pull_model("fetched", note=notes.append) == pulled
    assert len(notes) == 1  # it is there


def test_a_graph_that_cannot_be_made_is_told_and_the_model_is_there(folder: Path) -> None:
    weights = {**random_weights(SMALL), "v.class_embd": random_weights(SMALL)["v.post_ln.bias"]}
    projector = write_projector(folder / "mmproj.gguf", SMALL, weights)
    files = {"text": describe_file(folder / "text.gguf"), "projector": describe_file(projector)}
    Manifest("fetched", "lvlm", "unknown", Source("a/b", "c"), files, {}, lvlm=LvlmSettings(1024)).write(folder)
    pulled = pull_model("fetched")
    assert isinstance(pulled.graph, NotCovered)
    assert "has the tensor v.class_embd, which is not known" in pulled.graph.reason
    assert pulled.to_dict()["graph"] is None


def test_without_the_packages_for_it_no_graph_is_made_and_nothing_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise MissingDependencyError("gguf")

    monkeypatch.setattr(pulling, "require_building", missing)
    notes: list[str] = []
    assert pull_model("fetched", note=notes.append).graph is None
    assert notes == []


def test_an_embedded_model_and_an_encoder_are_left_as_they_are() -> None:
    for name in ("stylist-lvlm", "all-minilm-l6-v2"):
        assert pull_model(name).graph is None
