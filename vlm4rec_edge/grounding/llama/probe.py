"""A program that tries products in llama.cpp, and may die of it; ``vlm4rec_edge.grounding.llama.library`` runs it.

For each kind of buffer it prints a line of JSON before the first product, ``{"buffer": NAME, "right": null}``, and one after
the last, with true or false: a crash in between shows which buffer it was.
"""

from __future__ import annotations

import ctypes
import json
import sys
from collections.abc import Iterator
from ctypes import c_bool, c_char_p, c_int, c_int64, c_size_t, c_void_p
from typing import Any

import numpy as np

from vlm4rec_edge.grounding.llama.library import PLAIN
from vlm4rec_edge.grounding.llama.native import load_bindings

# Numbers of ggml.h: the types of a float, of a half, and of the quantizations in 8 and 4 bits that models are shipped in.
_F32 = 0
_KINDS = {"F16": 1, "Q8_0": 8, "Q4_0": 2}
_CPU_DEVICE = 0
_INPUTS, _OUTPUTS = 256, 64
# Products in one operation, and rows of each: for a single row there are other kernels than for many.
_SHAPES = ((1, 32), (1, 1), (3, 32), (3, 1))
# Share of the largest value. The same arithmetic in another order differs in the last bits; 4 bits keep less of a weight.
_ORDER, _QUANTIZED = 0.01, 0.2
_CONTEXT_BYTES = 1 << 20


def main() -> None:
    """Run the program."""
    ggml = _Ggml(load_bindings().llama_cpp._lib)
    chance = np.random.default_rng(0)
    weights = chance.standard_normal((_OUTPUTS, _INPUTS)).astype(np.float32)
    given = [chance.standard_normal((*shape, _INPUTS)).astype(np.float32) for shape in _SHAPES]
    _say(PLAIN, None)
    plain = [ggml.product(weights, inputs, kind, ggml.plain) for inputs in given for kind in _KINDS.values()]
    exact = [inputs @ weights.T for inputs in given for _ in _KINDS]
    _say(PLAIN, all(_is_near(found, right, _QUANTIZED) for found, right in zip(plain, exact, strict=True)))
    for buffers in ggml.extra():
        name = ggml.name(buffers)
        _say(name, None)
        extra = [ggml.product(weights, inputs, kind, buffers) for inputs in given for kind in _KINDS.values()]
        _say(name, all(_is_near(found, right, _ORDER) for found, right in zip(extra, plain, strict=True)))


def _say(buffer: str, right: bool | None) -> None:
    sys.stdout.write(json.dumps({"buffer": buffer, "right": right}) + "\n")
    sys.stdout.flush()


def _is_near(found: np.ndarray | None, expected: np.ndarray | None, share: float) -> bool:
    """Whether two products agree; None stands for one that a buffer leaves to another."""
    if found is None or expected is None:
        return True
    return bool(np.abs(found - expected).max() <= share * np.abs(expected).max())


class _Parameters(ctypes.Structure):
    """``ggml_init_params``: tensors are described in this memory, their values lie in buffers."""

    _fields_ = (("bytes", c_size_t), ("memory", c_void_p), ("no_values", c_bool))


class _Ggml:
    """The functions of ggml that one product takes; what they allocate is the process's to free."""

    def __init__(self, library: Any) -> None:
        def function(name: str, result: Any, *arguments: Any) -> Any:
            found = getattr(library, f"ggml_{name}")
            found.restype, found.argtypes = result, arguments
            return found

        self._init = function("init", c_void_p, _Parameters)
        self._tensor = function("new_tensor_3d", c_void_p, c_void_p, c_int, c_int64, c_int64, c_int64)
        self._multiply = function("mul_mat", c_void_p, c_void_p, c_void_p, c_void_p)
        self._graph = function("new_graph", c_void_p, c_void_p)
        self._expand = function("build_forward_expand", None, c_void_p, c_void_p)
        self._row_bytes = function("row_size", c_size_t, c_int, c_int64)
        self._quantize = function(
            "quantize_chunk", c_size_t, c_int, c_void_p, c_void_p, c_int64, c_int64, c_int64, c_void_p
        )
        self._allocate = function("backend_alloc_ctx_tensors_from_buft", c_void_p, c_void_p, c_void_p)
        self._set = function("backend_tensor_set", None, c_void_p, c_void_p, c_size_t, c_size_t)
        self._get = function("backend_tensor_get", None, c_void_p, c_void_p, c_size_t, c_size_t)
        self._compute = function("backend_graph_compute", c_int, c_void_p, c_void_p)
        self._supports = function("backend_dev_supports_op", c_bool, c_void_p, c_void_p)
        self._name = function("backend_buft_name", c_char_p, c_void_p)
        self._device = function("backend_dev_by_type", c_void_p, c_int)(_CPU_DEVICE)
        self._backend = function("backend_dev_init", c_void_p, c_void_p, c_char_p)(self._device, None)
        self.plain = function("backend_dev_buffer_type", c_void_p, c_void_p)(self._device)
        registry = function("backend_dev_backend_reg", c_void_p, c_void_p)(self._device)
        address = function("backend_reg_get_proc_address", c_void_p, c_void_p, c_char_p)
        self._extra = address(registry, b"ggml_backend_dev_get_extra_bufts")

    def name(self, buffers: int) -> str:
        """Return what ggml calls a kind of buffer."""
        return str(self._name(buffers).decode("ascii", "replace"))

    def extra(self) -> Iterator[int]:
        """Yield each kind of buffer besides the plain one that this processor has kernels for."""
        if not self._extra:
            return
        kinds = ctypes.CFUNCTYPE(ctypes.POINTER(c_void_p), c_void_p)(self._extra)(self._device)
        number = 0
        while kinds[number]:  # a null pointer ends them
            yield kinds[number]
            number += 1

    def product(self, weights: np.ndarray, inputs: np.ndarray, kind: int, buffers: int) -> np.ndarray | None:
        """Return ``inputs @ weights.T`` with weights quantized as ``kind`` and kept in ``buffers``, None if that cannot be.

        Args:
            weights: Shape [outputs, inputs], float32.
            inputs: Shape [products, rows, inputs], float32.
            kind: A number of ``ggml_type``.
            buffers: A ``ggml_backend_buffer_type_t``.
        """
        outputs, width = weights.shape
        kept = self._init(_Parameters(_CONTEXT_BYTES, None, True))
        matrix = self._tensor(kept, kind, width, outputs, 1)
        self._allocate(kept, buffers)
        working = self._init(_Parameters(_CONTEXT_BYTES, None, True))
        products, rows, _ = inputs.shape
        given = self._tensor(working, _F32, width, rows, products)
        result = self._multiply(working, matrix, given)
        if not self._supports(self._device, result):
            return None
        self._allocate(working, self.plain)
        quantized = np.empty(self._row_bytes(kind, width) * outputs, np.uint8)
        self._quantize(kind, weights.ctypes.data, quantized.ctypes.data, 0, outputs, width, None)
        self._set(matrix, quantized.ctypes.data, 0, quantized.nbytes)
        self._set(given, inputs.ctypes.data, 0, inputs.nbytes)
        graph = self._graph(working)
        self._expand(graph, result)
        found = np.empty((products, rows, outputs), np.float32)
        if self._compute(self._backend, graph) != 0:
            found.fill(np.nan)
            return found
        self._get(result, found.ctypes.data, 0, found.nbytes)
        return found


if __name__ == "__main__":
    main()
