"""ONNX Runtime's tower is taken where it is right, faster and affordable, or asked for; what stands against it is told."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

from vlm4rec_edge import busy as load
from vlm4rec_edge import resolve_lvlm
from vlm4rec_edge.errors import MissingDependencyError, ModelError, Vlm4RecWarning
from vlm4rec_edge.grounding.llama import choice
from vlm4rec_edge.grounding.llama.choice import choose_graph, loaded_bytes, told_of
from vlm4rec_edge.grounding.vision.check import Agreement
from vlm4rec_edge.grounding.vision.graph_file import GraphFile, NotCovered
from vlm4rec_edge.grounding.vision.projector import NotCoveredError


def _graph(*, mtmd_s: float = 0.02, onnx_s: float = 0.01, load: float | None = 0.1) -> GraphFile:
    agreement = Agreement(4, 64, 0.9999, 0.9999, 0.001, mtmd_s, onnx_s, load)
    return GraphFile(Path("tower.onnx"), "fp32", 1, 32, 1000, agreement)


class _Found:
    """What is known of a model's graph, and what making it would give; counts how often it is made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.known: GraphFile | NotCovered | None = _graph()
        self.made: GraphFile | NotCovered = _graph()
        self.makings = 0
        monkeypatch.setattr(choice, "known_graph", lambda *_: self.known)
        monkeypatch.setattr(choice, "vision_graph", self._make)
        monkeypatch.setattr(choice, "check_model_covered", lambda _: None)
        monkeypatch.setattr(choice, "require_building", lambda: None)
        monkeypatch.setattr(choice, "available_bytes", lambda: 10_000)

    def _make(self, *_: Any) -> GraphFile | NotCovered:
        self.makings += 1
        return self.made


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> _Found:
    return _Found(monkeypatch)


def _chosen(**settings: Any) -> GraphFile | None:
    asked = {"vision": "auto", "precision": "fp32", "find_out": True, "on_gpu": False, **settings}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return choose_graph(resolve_lvlm(), **asked)


def test_unasked_it_is_taken_where_it_was_measured_to_be_faster(found: _Found) -> None:
    assert _chosen() == found.known
    assert found.makings == 0
    found.known = _graph(mtmd_s=0.0105, onnx_s=0.01)
    assert _chosen() is None
    assert _chosen(vision="onnx") == found.known


def test_it_is_found_out_unless_few_photos_are_not_worth_it(found: _Found) -> None:
    found.known = None
    assert _chosen(find_out=False) is None
    assert found.makings == 0
    assert _chosen() == found.made
    assert found.makings == 1


def test_one_that_was_timed_on_a_busy_machine_is_timed_again_on_a_quiet_one(
    found: _Found, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy, found.made = _graph(onnx_s=0.03, load=2.0), _graph()
    found.known = busy
    for now in (2.0, 0.4, None):
        monkeypatch.setattr(load, "load_of_a_core", lambda now=now: now)
        assert _chosen() is None
    monkeypatch.setattr(load, "load_of_a_core", lambda: 0.1)
    assert _chosen(find_out=False) is None  # few photos are not worth it
    assert _chosen(vision="onnx") == busy  # however fast it is
    assert found.makings == 0
    assert _chosen() == found.made
    monkeypatch.setattr(choice, "_LARGE_BYTES", 1)
    with pytest.raises(Vlm4RecWarning, match="again, because the machine was busy"):
        _chosen()


@pytest.mark.parametrize(("at", "says"), [(0.51, True), (0.5, False), (None, False)])
def test_that_the_machine_was_busy_is_told(at: float | None, says: bool) -> None:
    for graph in (_graph(load=at), _graph(onnx_s=0.03, load=at)):
        assert ("measured on a busy machine" in told_of(graph)) is says


def test_that_a_large_graph_is_made_is_told_before(found: _Found, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "_LARGE_BYTES", 1)
    assert _chosen() == _chosen(vision="onnx") == found.known  # it is there already
    found.known = None
    for asked, runtime in (
        ({}, "ONNX Runtime"),
        ({"vision": "onnx"}, "ONNX Runtime"),
        ({"precision": "bf16"}, "OpenVINO"),
    ):
        with pytest.raises(Vlm4RecWarning, match=f"made ready for {runtime}"):
            _chosen(**asked)


def test_llama_cpps_own_is_taken_where_it_is_asked_for_or_computes_on_a_gpu(found: _Found) -> None:
    assert _chosen(vision="mtmd") is None
    assert _chosen(on_gpu=True) is None
    assert _chosen(on_gpu=True, vision="onnx") == found.known


@pytest.mark.parametrize("precision", ["int8", "bf16"])
def test_another_precision_is_only_given_by_a_graph_however_fast(found: _Found, precision: str) -> None:
    found.known = _graph(mtmd_s=0.001)
    assert _chosen(precision=precision) == found.known
    assert _chosen(precision=precision, find_out=False, on_gpu=True) == found.known


def test_a_graph_that_takes_more_than_half_of_the_memory_is_not_taken_unasked(
    found: _Found, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "available_bytes", lambda: 2 * loaded_bytes(_graph()) - 1)
    assert _chosen() is None
    assert _chosen(vision="onnx") is not None
    monkeypatch.setattr(choice, "available_bytes", lambda: None)
    assert _chosen() is not None
    assert loaded_bytes(None) == 0


def test_a_graph_that_failed_its_check_is_told_and_llama_cpps_own_encodes(found: _Found) -> None:
    found.known = NotCovered("its tokens are not those of llama.cpp's own vision encoder")
    with pytest.warns(Vlm4RecWarning, match="llama.cpp's own vision encoder encodes .* its tokens are not those"):
        assert choose_graph(resolve_lvlm(), vision="auto", precision="fp32", find_out=True, on_gpu=False) is None


@pytest.mark.parametrize(
    "lack", [NotCoveredError("the family is unknown"), MissingDependencyError("onnx is not installed")]
)
def test_without_a_word_llama_cpps_own_encodes_where_no_graph_can_be_made(
    found: _Found, monkeypatch: pytest.MonkeyPatch, lack: Exception
) -> None:
    def refuse(*_: Any) -> None:
        raise lack

    monkeypatch.setattr(
        choice, "check_model_covered" if isinstance(lack, NotCoveredError) else "require_building", refuse
    )
    assert _chosen() is None
    assert found.makings == 0


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"vision": "onnx"}, "--vision onnx: the family is unknown"),
        ({"precision": "int8"}, "--vision-precision int8: the"),
        ({"precision": "bf16"}, "--vision-precision bf16: the"),
    ],
)
def test_what_is_asked_for_and_cannot_be_is_an_error(found: _Found, asked: dict[str, Any], says: str) -> None:
    found.known = NotCovered("the family is unknown")
    with pytest.raises(ModelError, match=says):
        _chosen(**asked)


def test_what_runs_the_vision_encoder_is_told_with_the_reason_and_that_nothing_is_to_be_done() -> None:
    assert told_of(_graph(mtmd_s=0.0129, onnx_s=0.0087)) == (
        "run by ONNX Runtime, which was faster here than llama.cpp when measured (8.7 instead of 12.9 ms a view of a photo) "
        "and agrees with it (cosine 0.9999 at worst); nothing to do"
    )
    assert told_of(_graph(onnx_s=0.03)) == (
        "run by llama.cpp, as ONNX Runtime was not clearly faster here when measured (30.0 instead of 20.0 ms a view of a "
        "photo); nothing to do"
    )
    assert told_of(NotCovered("the family is unknown")) == (
        "run by llama.cpp; ONNX Runtime is not used: the family is unknown"
    )
    assert told_of(None).startswith("run by llama.cpp; the next")
