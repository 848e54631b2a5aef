"""The graph of a tower gives mtmd's embeddings, for every family, type of weights, precision and shape of a photo."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gguf
import numpy as np
import onnx
import pytest
from made_projectors import FAMILIES, random_projector
from test_views import photo
from with_bf16 import BF16, needs_bf16

from vlm4rec_edge import resolve_lvlm
from vlm4rec_edge.errors import ModelError
from vlm4rec_edge.grounding.vision.graph import Precision, build_graph
from vlm4rec_edge.grounding.vision.projector import Family, read_projector
from vlm4rec_edge.grounding.vision.tower import OnnxTower

Encode = Callable[..., list[list[np.ndarray]]]
Kind = gguf.GGMLQuantizationType
# Width and height: wide, tall, tiny, the very size of the views, many tiles.
SIZES = [(300, 60), (60, 300), (3, 2), (64, 64), (192, 192), (500, 400)]


def cosines(own: list[list[np.ndarray]], theirs: list[list[np.ndarray]]) -> np.ndarray:
    """Cosine of each token with the same one of mtmd."""
    found = []
    for one, other in zip(own, theirs, strict=True):
        for a, b in zip(one, other, strict=True):
            assert a.shape == b.shape
            assert a.dtype == np.float32
            found.append((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1))
    return np.concatenate(found)


@pytest.mark.parametrize("family", FAMILIES)
def test_embeddings_in_full_precision_are_those_of_mtmd(
    tmp_path: Path, family: Family, by_mtmd: Encode, by_graph: Encode
) -> None:
    projector = random_projector(tmp_path / "mmproj.gguf", family, linear=Kind.F32)
    photos = [photo(*size) for size in SIZES]
    theirs = by_mtmd(projector, photos)
    own = by_graph(projector, photos, "fp32")
    found = cosines(own, theirs)
    assert found.min() > 0.9998
    assert found.mean() > 0.99999
    np.testing.assert_allclose(own[0][0], theirs[0][0], atol=0.02)  # mtmd's GELU is a table of 16-bit numbers
    # Were the tokens alike, whatever the photo, a cosine would tell nothing.
    assert cosines([own[0][:1]], [own[1][:1]]).max() < 0.99


@pytest.mark.parametrize("kind", [Kind.F16, Kind.BF16, Kind.Q8_0, Kind.Q4_0])
def test_weights_of_any_type_are_unpacked(tmp_path: Path, kind: Kind, by_mtmd: Encode, by_graph: Encode) -> None:
    projector = random_projector(tmp_path / "mmproj.gguf", "idefics3", linear=kind)
    photos = [photo(300, 60)]
    found = cosines(by_graph(projector, photos, "fp32"), by_mtmd(projector, photos))
    assert found.min() > 0.999  # mtmd rounds what it multiplies with such weights to 8 or 16 bits


@pytest.mark.parametrize("precision", ["int8", BF16])
@pytest.mark.parametrize("family", FAMILIES)
def test_embeddings_in_less_precision_are_near_those_of_mtmd_and_not_the_same(
    tmp_path: Path, family: Family, precision: Precision, by_mtmd: Encode, by_graph: Encode
) -> None:
    projector = random_projector(tmp_path / "mmproj.gguf", family, linear=Kind.F32)
    photos = [photo(*size) for size in SIZES]
    found = cosines(by_graph(projector, photos, precision), by_mtmd(projector, photos))
    assert 0.999 < found.min() < 0.999999


@needs_bf16
def test_the_embedded_tower_in_bfloat16_is_near_that_of_mtmd(by_mtmd: Encode, by_graph: Encode) -> None:
    projector = resolve_lvlm().projector
    photos = [photo(240, 320), photo(300, 60)]
    assert cosines(by_graph(projector, photos, "bf16"), by_mtmd(projector, photos)).min() > 0.998


@needs_bf16
@pytest.mark.parametrize("callers", [1, 4])
def test_several_threads_encode_in_bfloat16_at_once(tmp_path: Path, callers: int) -> None:
    graph = tmp_path / "tower.onnx"
    graph.write_bytes(build_graph(read_projector(resolve_lvlm().projector), "bf16"))
    photos = [photo(64 + 20 * number, 64) for number in range(16)]
    with OnnxTower.open(graph, threads=1, precision="bf16", callers=callers) as tower:
        with ThreadPoolExecutor(1) as one:
            alone = list(one.map(tower.encode, photos))
        with ThreadPoolExecutor(4) as several:
            together = list(several.map(tower.encode, photos))
    for own, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(own, other)


def test_the_embedded_tower_gives_the_embeddings_of_mtmd(by_mtmd: Encode, by_graph: Encode) -> None:
    projector = resolve_lvlm().projector
    photos = [photo(240, 320), photo(300, 60)]
    theirs = by_mtmd(projector, photos)
    assert cosines(by_graph(projector, photos, "fp32"), theirs).min() > 0.999
    assert cosines(by_graph(projector, photos, "int8"), theirs).min() > 0.99


def test_a_photo_is_encoded_alike_in_any_company(tmp_path: Path, by_graph: Encode) -> None:
    projector = random_projector(tmp_path / "mmproj.gguf", "idefics3", linear=Kind.F32)
    dark, bright = photo(64, 64) // 8, photo(64, 64) | 128
    alone = by_graph(projector, [dark], "int8")[0]
    together = by_graph(projector, [bright, dark, bright], "int8")[1]
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_views_that_are_the_same_are_encoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    projector = random_projector(tmp_path / "mmproj.gguf", "idefics3", linear=Kind.F32)
    graph = tmp_path / "tower.onnx"
    graph.write_bytes(build_graph(read_projector(projector), "fp32"))
    with OnnxTower.open(graph, threads=1) as tower:
        runs = []
        session = tower._session
        monkeypatch.setattr(tower, "_session", Counting(session, runs))
        blank = np.full((300, 300, 3), 255, np.uint8)
        found = tower.encode(blank)
        assert len(found) == 10  # nine tiles and the overview
        assert len(runs) == 1
        blank[:60, :60] = 0  # within the first tile
        assert len(tower.encode(blank)) == 10
        assert len(runs) == 1 + 3  # that tile, the others, the overview


class Counting:
    """A session that counts its runs."""

    def __init__(self, session: object, runs: list[object]) -> None:
        self.session, self.runs = session, runs

    def run(self, *arguments: object) -> object:
        self.runs.append(arguments)
        return self.session.run(*arguments)  # type: ignore[attr-defined]


@pytest.mark.parametrize("precision", ["fp32", "int8", BF16])
def test_a_graph_tells_what_it_is(tmp_path: Path, precision: Precision) -> None:
    projector = read_projector(random_projector(tmp_path / "mmproj.gguf", "gemma3", linear=Kind.F32))
    graph = tmp_path / "tower.onnx"
    graph.write_bytes(build_graph(projector, precision))
    with OnnxTower.open(graph, threads=1, precision=precision) as tower:
        assert tower.shape == projector.shape
        assert tower.identity["precision"] == precision


@pytest.mark.parametrize("precision", ["fp32", BF16])
def test_a_damaged_graph_is_refused_with_a_sentence(tmp_path: Path, precision: Precision) -> None:
    graph = tmp_path / "tower.onnx"
    graph.write_bytes(b"no graph")
    with pytest.raises(ModelError, match=r"cannot load .*tower\.onnx \([^E].*\); remove it"):
        OnnxTower.open(graph, threads=1, precision=precision)


def test_a_graph_that_does_not_tell_of_its_tower_is_refused(tmp_path: Path) -> None:
    graph = tmp_path / "tower.onnx"
    model = onnx.load_from_string(
        build_graph(read_projector(random_projector(tmp_path / "mmproj.gguf", "gemma3", linear=Kind.F32)), "fp32")
    )
    del model.metadata_props[:]
    onnx.save(model, graph)
    with pytest.raises(ModelError, match=r"tower\.onnx does not state its vision encoder"):
        OnnxTower.open(graph, threads=1)
