"""The vision encoder in ONNX Runtime, or OpenVINO: a photo's pixels to the embeddings that the text model reads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from vlm4rec_edge.closable import Closable
from vlm4rec_edge.errors import DeviceError, MissingDependencyError, ModelError, VisionEncoderError
from vlm4rec_edge.grounding.vision.bfloat16 import Bfloat16Session, first_line
from vlm4rec_edge.grounding.vision.graph import BUILDER_KEY, INPUT, PRECISION_KEY, SHAPE_KEY
from vlm4rec_edge.grounding.vision.projector import TowerShape
from vlm4rec_edge.grounding.vision.views import views
from vlm4rec_edge.quiet import load

if TYPE_CHECKING:
    from vlm4rec_edge.grounding.llama.native import Device
    from vlm4rec_edge.grounding.vision.graph import Precision


class OnnxTower(Closable):
    """A vision encoder, open; a context manager.

    ``encode`` must be called in threads in which llama.cpp never computes. Both configure the processor's tiles (AMX), each in
    its own way, and llama.cpp does so once a thread: what it computes after the other in the same thread is wrong. The
    owner of the engine sees to that. Several threads may call ``encode`` at once.

    Attributes:
        shape: Of the tower.
        identity: What decides its embeddings besides projector and photo: ``precision`` and ``builder_version``.
    """

    def __init__(self, session: Any, shape: TowerShape, identity: dict[str, Any]) -> None:
        self._session = session
        self.shape = shape
        self.identity = identity

    @classmethod
    def open(
        cls, graph_file: Path, threads: int, *, precision: Precision = "fp32", device: Device = "cpu", callers: int = 1
    ) -> Self:
        """Load a graph, one of ``graph.build_graph``.

        Args:
            graph_file: Where it lies.
            threads: CPU threads of one call of ``encode``.
            precision: Of the graph. In ``bf16`` OpenVINO computes, always on the CPU; else ONNX Runtime.
            device: ``auto`` takes CUDA where this ONNX Runtime has it; ``cuda`` insists; ``cpu``.
            callers: How many threads call ``encode`` at once; OpenVINO lets further ones wait.

        Raises:
            MissingDependencyError: onnxruntime, or openvino, is not installed.
            DeviceError: CUDA was asked for and is not there.
            NotCoveredError: ``bf16`` on a processor without instructions for it.
            VisionEncoderError: the graph cannot be loaded.
            ModelError: it does not state its vision encoder.
        """
        session: Any
        if precision == "bf16":
            session = Bfloat16Session(graph_file, threads, callers)
            properties = session.properties
        else:
            session = _onnx_session(graph_file, threads, device)
            properties = session.get_modelmeta().custom_metadata_map
        try:
            values = json.loads(properties[SHAPE_KEY])
            shape = TowerShape(**{**values, "mean": tuple(values["mean"]), "std": tuple(values["std"])})
            identity = {"precision": properties[PRECISION_KEY], "builder_version": int(properties[BUILDER_KEY])}
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"{graph_file} does not state its vision encoder ({error!r}); remove it, and it is rebuilt."
            ) from error
        return cls(session, shape, identity)

    def encode(self, pixels: np.ndarray) -> list[np.ndarray]:
        """Return the embeddings of a photo's views, in the order of mtmd's image chunks, each [tokens, width], float32.

        Views that are the same to the last bit (blank tiles; the overview of a single tile) are encoded once. Each view is a
        call of its own: the scale of 8-bit activations spans what is encoded together, and a photo's words must not depend on
        its neighbours.

        Args:
            pixels: Photo, [height, width, 3], uint8, RGB: the very pixels that llama.cpp's tokenizer was given.
        """
        return list(self.encode_each(pixels))

    def encode_each(self, pixels: np.ndarray) -> Iterator[np.ndarray]:
        """Yield what ``encode`` returns, view by view, so that the caller can stop."""
        encoded: dict[bytes, np.ndarray] = {}
        for view in views(pixels, self.shape):
            key = view.tobytes()
            if key not in encoded:
                encoded[key] = self.encode_view(view)
            yield encoded[key]

    def encode_view(self, view: np.ndarray) -> np.ndarray:
        """Return the embeddings [tokens, width] of one normalised view [3, side, side], both float32.

        Raises:
            VisionEncoderError: it cannot be computed, for want of memory for one.
        """
        try:
            return np.asarray(self._session.run(None, {INPUT: view[None]})[0])
        except Exception as error:  # those of ONNX Runtime and OpenVINO share no public base class
            raise VisionEncoderError(
                f"{runtime_of(self.identity['precision'])} cannot encode a photo ({first_line(error)})"
            ) from error

    def close(self) -> None:
        """Free the graph."""
        self._session = None


def runtime_of(precision: str) -> str:
    """Return the name of what computes a graph."""
    return "OpenVINO" if precision == "bf16" else "ONNX Runtime"


def _onnx_session(graph_file: Path, threads: int, device: Device) -> Any:
    """Load a graph with ONNX Runtime; arguments and errors as of ``OnnxTower.open``."""
    try:
        onnxruntime = load("onnxruntime")
    except ImportError:
        raise MissingDependencyError(
            'A vision encoder in ONNX Runtime needs ONNX Runtime: pip install "vlm4rec-edge[cpu]"'
        ) from None
    has_cuda = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    if device == "cuda" and not has_cuda:
        raise DeviceError(
            "This ONNX Runtime has no CUDA: pip uninstall -y onnxruntime && pip install onnxruntime-gpu, or use "
            "--vision mtmd."
        )
    providers = (["CUDAExecutionProvider"] if has_cuda and device != "cpu" else []) + ["CPUExecutionProvider"]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong comes back as an error
    options.intra_op_num_threads = threads
    # Between calls its threads leave the cores to llama.cpp.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    try:
        session = onnxruntime.InferenceSession(str(graph_file), options, providers=providers)
    except Exception as error:  # onnxruntime's errors share no public base class
        raise VisionEncoderError(
            f"ONNX Runtime cannot load {graph_file} ({first_line(error)}); remove it, and it is rebuilt."
        ) from error
    if device == "cuda" and "CUDAExecutionProvider" not in session.get_providers():
        raise DeviceError(
            "ONNX Runtime fell back to the CPU: CUDA or cuDNN is missing or of another version than onnxruntime-gpu "
            "needs; install it, or use --vision mtmd."
        )
    return session
