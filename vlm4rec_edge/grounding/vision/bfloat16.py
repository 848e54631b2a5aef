"""A vision encoder's graph in OpenVINO, which multiplies in bfloat16 where the processor has instructions for it.

bfloat16 has the range of float32 and 8 bits of its precision. ONNX Runtime has no such kernels for a CPU. OpenVINO reads the
float graph as it is, the operators of "com.microsoft" included, and rounds while it computes.

Source of the properties: OpenVINO's documentation, "CPU Device" and "Precision Control".
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np

from vlm4rec_edge.errors import MissingDependencyError, VisionEncoderError
from vlm4rec_edge.grounding.vision.projector import NotCoveredError
from vlm4rec_edge.quiet import load


def require_bfloat16() -> None:
    """Look for OpenVINO, and for a processor that multiplies in bfloat16. Computes nothing.

    Raises:
        MissingDependencyError: openvino is not installed.
        NotCoveredError: the processor has no instructions for bfloat16, with which nothing would be gained.
    """
    if "BF16" not in _openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise NotCoveredError("this processor has no instructions for bfloat16 (AVX512_BF16, AMX)")


class Bfloat16Session:
    """A graph, loaded; ``run`` is that of ONNX Runtime's session. Several threads may call it at once.

    Attributes:
        properties: The metadata of the graph.

    Args:
        graph_file: A graph in float.
        threads: CPU threads of one call.
        callers: How many threads call at once; further ones wait.

    Raises:
        MissingDependencyError, NotCoveredError: as ``require_bfloat16``.
        VisionEncoderError: OpenVINO cannot load the graph.
    """

    def __init__(self, graph_file: Path, threads: int, callers: int) -> None:
        require_bfloat16()
        core = _openvino().Core()
        settings = {
            "INFERENCE_PRECISION_HINT": "bf16",
            "NUM_STREAMS": callers,
            "INFERENCE_NUM_THREADS": threads * callers,
            "ENABLE_CPU_PINNING": False,  # engines and other programs use the same cores
        }
        try:
            model = core.read_model(str(graph_file))
            self.properties = {name: value.value for name, value in model.get_rt_info()["framework"].items()}
            self._compiled = core.compile_model(model, "CPU", settings)
        except (RuntimeError, KeyError) as error:
            raise VisionEncoderError(
                f"OpenVINO cannot load {graph_file} ({first_line(error)}); remove it, it is made anew."
            ) from error
        self._own = threading.local()

    def run(self, _: None, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        """Return the graph's only output for the inputs by their names."""
        if not hasattr(self._own, "request"):  # a request holds one call's tensors, so each thread has its own
            self._own.request = self._compiled.create_infer_request()
        request = self._own.request
        request.infer(feed)
        return [request.get_output_tensor().data.copy()]


def first_line(error: Exception) -> str:
    """Return what an error of native code says, without where in that code it came from."""
    lines = [line for line in str(error).splitlines() if line and not line.startswith("Exception from")]
    return lines[0] if lines else type(error).__name__


def _openvino() -> Any:
    try:
        return load("openvino")
    except ImportError:
        raise MissingDependencyError('bfloat16 needs OpenVINO: pip install "vlm4rec-edge[openvino]"') from None
