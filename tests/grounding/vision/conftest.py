"""Both towers at work: mtmd's in this thread, the graph's in another, as the engine has them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("gguf")
pytest.importorskip("onnx")
sys.path.insert(0, str(Path(__file__).parent))

from made_projectors import beside_the_embedded_text

from vlm4rec_edge.grounding.llama.native import NativeModel
from vlm4rec_edge.grounding.llama.prepare import prepare
from vlm4rec_edge.grounding.llama.vision import encode_images
from vlm4rec_edge.grounding.vision.graph import Precision, build_graph
from vlm4rec_edge.grounding.vision.projector import read_projector
from vlm4rec_edge.grounding.vision.tower import OnnxTower

Embeddings = list[list[np.ndarray]]


@pytest.fixture(scope="session")
def by_mtmd() -> Callable[[Path, list[np.ndarray]], Embeddings]:
    """Encode photos with llama.cpp's own vision encoder."""

    def encode(projector: Path, photos: list[np.ndarray]) -> Embeddings:
        with NativeModel(beside_the_embedded_text(projector), device="cpu", threads=1, slots=1, context=8192) as native:
            found = []
            for pixels in photos:
                photo = prepare(native, "", pixels, native.mtmd.mtmd_default_marker().decode())
                found.append(encode_images(native, photo.images()))
                photo.free()
        return found

    return encode


@pytest.fixture(scope="session")
def by_graph(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[Path, list[np.ndarray], Precision], Embeddings]:
    """Encode photos with the graph, in a thread in which llama.cpp never computes."""

    def encode(projector: Path, photos: list[np.ndarray], precision: Precision) -> Embeddings:
        path = tmp_path_factory.mktemp("graph") / "tower.onnx"
        path.write_bytes(build_graph(read_projector(projector), precision))

        def work() -> Embeddings:
            with OnnxTower.open(path, threads=1, precision=precision) as tower:
                return [tower.encode(pixels) for pixels in photos]

        with ThreadPoolExecutor(1) as own_thread:
            return own_thread.submit(work).result()

    return encode
