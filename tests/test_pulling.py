"""A pulled model is ready to work: the graph of its vision encoder lies beside its files."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("gguf")
pytest.importorskip("onnx")
sys.path.insert(0, str(Path(__file__).parent / "grounding" / "vision"))
from made_projectors import SMALL, as_pulled, random_weights, write_projector

from vlm4rec_edge import pulling
from vlm4rec_edge.errors import MissingDependencyError
from vlm4rec_edge.grounding.vision.graph_file import GraphFile, NotCovered
from vlm4rec_edge.models.home import HOME_VARIABLE
from vlm4rec_edge.pulling import pull_model


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model that was just fetched: the embedded text model with a small projector."""
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    place = as_pulled("fetched", lambda path: write_projector(path, SMALL, random_weights(SMALL)))
    monkeypatch.setattr(pulling, "pull", lambda *_, **__: place)
    return place


def test_the_graph_is_made_once_beside_the_files(folder: Path) -> None:
    notes: list[str] = []
    pulled = pull_model("fetched", note=notes.append)
    assert isinstance(pulled.graph, GraphFile)
    assert pulled.graph.path.parent == folder
    assert notes == ["Making the ONNX graph of its vision encoder, and comparing it with llama.cpp's own encoder."]
    assert pulled.to_dict() == {"name": "fetched", "folder": str(folder), "graph": str(pulled.graph.path)}
    assert pull_model("fetched", note=notes.append) == pulled
    assert len(notes) == 1  # it is there


def test_a_graph_that_cannot_be_made_is_told_and_the_model_is_there(folder: Path) -> None:
    weights = {**random_weights(SMALL), "v.class_embd": random_weights(SMALL)["v.post_ln.bias"]}
    as_pulled("fetched", lambda path: write_projector(path, SMALL, weights))
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
