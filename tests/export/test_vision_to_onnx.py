"""vision_to_onnx.py: the graphs it writes are verified, and those that the package looks for."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import tiny_families
from tiny_checkpoints import need_export_extra, run_script

from vlm4rec_edge import resolve_lvlm
from vlm4rec_edge.grounding.vision.graph import Precision
from vlm4rec_edge.grounding.vision.graph_file import GraphFile, known_graph

pytest.importorskip("gguf")
pytest.importorskip("onnx")
sys.path.insert(0, str(Path(__file__).parents[1] / "grounding" / "vision"))
from made_projectors import SMALL, beside_the_embedded_text, random_weights, write_projector

SCRIPT = "vision_to_onnx.py"


@pytest.fixture
def projector(tmp_path: Path) -> Path:
    """A small projector in a folder of its own."""
    (tmp_path / "own").mkdir()
    return write_projector(tmp_path / "own" / "mmproj.gguf", SMALL, random_weights(SMALL))


def test_both_precisions_are_written_verified_and_found_beside_the_projector(projector: Path) -> None:
    done = run_script(SCRIPT, resolve_lvlm().text, "--projector", projector)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("cosine mean 0.99") + done.stdout.count("cosine mean 1.0000") == 2
    files = beside_the_embedded_text(projector)
    precisions: tuple[Precision, ...] = ("fp32", "int8")  # that of bf16 is made where OpenVINO is
    for precision in precisions:
        graph = known_graph(files, precision)
        assert isinstance(graph, GraphFile)
        assert graph.path.parent == projector.parent
        assert f"{graph.path}: {graph.bytes / 1e6:.1f} MB" in done.stdout
        assert f"worst {graph.agreement.cosine_worst:.5f}" in done.stdout


def test_a_single_precision_goes_where_it_is_asked_for(projector: Path, tmp_path: Path) -> None:
    arguments = ["--projector", projector, "--out", tmp_path / "graphs", "--precision", "int8"]
    done = run_script(SCRIPT, resolve_lvlm().text, *arguments)
    assert done.returncode == 0, done.stderr
    assert sorted(path.suffix for path in (tmp_path / "graphs").iterdir()) == [".json", ".onnx"]
    assert len(list(projector.parent.iterdir())) == 1


def test_another_family_is_refused_with_a_sentence(tmp_path: Path) -> None:
    shape = replace(SMALL, family="qwen3vl_merger")  # type: ignore[arg-type]
    path = write_projector(tmp_path / "mmproj.gguf", shape, random_weights(SMALL))
    done = run_script(SCRIPT, resolve_lvlm().text, "--projector", path)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: mmproj.gguf is of the family qwen3vl_merger")


@pytest.mark.parametrize("make", [tiny_families.make_tiles, tiny_families.make_gemma3])
def test_a_checkpoint_is_made_to_gguf_first(make: Callable[[Path], Path], tmp_path: Path) -> None:
    need_export_extra()
    checkpoint = make(tmp_path / "tiny")
    done = run_script(SCRIPT, checkpoint)
    assert done.returncode == 2
    assert "--out" in done.stderr
    arguments = ["--out", tmp_path / "out", "--text-type", "F16", "--precision", "fp32"]
    done = run_script(SCRIPT, checkpoint, *arguments)
    assert done.returncode == 0, done.stderr
    graph = known_graph(resolve_lvlm(tmp_path / "out"), "fp32")
    assert isinstance(graph, GraphFile)
    assert graph.path.parent == tmp_path / "out"
    assert graph.agreement.cosine_worst > 0.999
