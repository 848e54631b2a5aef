"""What this machine can do at most, measured: matrix products in float32 and in 8 bit, and moving memory."""

from __future__ import annotations

import ctypes
import importlib.util
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from vlm4rec_edge.quiet import load

# Large enough that the processor and not Python or the caches is measured, small enough to take a second in all.
SIDE = 1536
_COPY_BYTES = 1 << 28
_REPEATS = 5
# Three matrices in float32, and the buffer that each call takes out of the same memory.
_GGML_ROOM = 4 * SIDE * SIDE * (5 + _REPEATS)
# ggml_type of ggml.h.
_GGML_TYPES = {"F32": 0, "Q4_0": 2, "Q8_0": 8}


def machine_rates(threads: int) -> dict[str, float]:
    """Return operations a second of matrix products by kind, and bytes a second read and written, ``memory``.

    A multiplication and an addition are two operations. What is not installed is left out.
    """
    rates = {"float32, numpy": _float32()}
    if importlib.util.find_spec("onnx") and importlib.util.find_spec("onnxruntime"):
        rates["int8, ONNX Runtime"] = _int8(threads)
    if importlib.util.find_spec("llama_cpp"):
        rates |= {f"{name}, ggml": ggml_rate(name, threads) for name in _GGML_TYPES}
    return {**rates, "memory": _memory(threads)}


def fastest(call: Callable[[], object]) -> float:
    """Return the seconds of the fastest of several calls: what is asked for is what the machine can, not what it did."""
    call()
    times = []
    for _ in range(_REPEATS):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return min(times)


def operations() -> int:
    """Return the operations of one product of ``SIDE`` x ``SIDE``."""
    return int(2 * SIDE**3)


def _float32() -> float:
    a, b = (np.random.default_rng(seed).standard_normal((SIDE, SIDE), np.float32) for seed in (0, 1))
    out = np.empty_like(a)
    return operations() / fastest(lambda: np.matmul(a, b, out=out))


def _int8(threads: int) -> float:
    """Measure ``MatMulInteger``, unsigned by signed, as dynamically quantized graphs have it."""
    from onnx import TensorProto, helper

    onnxruntime = load("onnxruntime")
    weights = np.random.default_rng(0).integers(-127, 127, (SIDE, SIDE), np.int8)
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["a", "b"], ["c"])],
        "product",
        [helper.make_tensor_value_info("a", TensorProto.UINT8, [SIDE, SIDE])],
        [helper.make_tensor_value_info("c", TensorProto.INT32, [SIDE, SIDE])],
        [helper.make_tensor("b", TensorProto.INT8, [SIDE, SIDE], weights.tobytes(), raw=True)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    a = np.random.default_rng(1).integers(0, 255, (SIDE, SIDE), np.uint8)
    return operations() / fastest(lambda: session.run(None, {"a": a}))


class _InitParams(ctypes.Structure):
    _fields_ = (("mem_size", ctypes.c_size_t), ("mem_buffer", ctypes.c_void_p), ("no_alloc", ctypes.c_bool))


def ggml_rate(kind: str, threads: int) -> float:
    """Return operations a second of ``ggml_mul_mat`` in llama-cpp-python's own library: weights of a type by float32."""
    base, cpu = _libraries()
    context = base.ggml_init(_InitParams(_GGML_ROOM, None, False))
    try:
        a = base.ggml_new_tensor_2d(context, _GGML_TYPES[kind], SIDE, SIDE)
        b = base.ggml_new_tensor_2d(context, _GGML_TYPES["F32"], SIDE, SIDE)
        for tensor in (a, b):
            base.ggml_set_zero(tensor)
        graph = base.ggml_new_graph(context)
        base.ggml_build_forward_expand(graph, base.ggml_mul_mat(context, a, b))
        seconds = fastest(lambda: cpu.ggml_graph_compute_with_ctx(context, graph, threads))
    finally:
        base.ggml_free(context)
    return operations() / seconds


def _libraries() -> tuple[Any, Any]:
    import llama_cpp

    folder = Path(llama_cpp.__file__).parent / "lib"
    base, cpu = (ctypes.CDLL(str(next(folder.glob(f"*ggml-{part}.*")))) for part in ("base", "cpu"))
    pointer, integer = ctypes.c_void_p, ctypes.c_int64
    for name, result, arguments in (
        ("ggml_init", pointer, [_InitParams]),
        ("ggml_free", None, [pointer]),
        ("ggml_new_tensor_2d", pointer, [pointer, ctypes.c_int, integer, integer]),
        ("ggml_set_zero", pointer, [pointer]),
        ("ggml_mul_mat", pointer, [pointer, pointer, pointer]),
        ("ggml_new_graph", pointer, [pointer]),
        ("ggml_build_forward_expand", None, [pointer, pointer]),
    ):
        function = getattr(base, name)
        function.restype, function.argtypes = result, arguments
    cpu.ggml_graph_compute_with_ctx.restype = ctypes.c_int
    cpu.ggml_graph_compute_with_ctx.argtypes = [pointer, pointer, ctypes.c_int]
    return base, cpu


def _memory(threads: int) -> float:
    """Measure a copy much larger than the caches, a part for each thread; read and written bytes both count."""
    source = [np.ones(_COPY_BYTES // 8 // threads) for _ in range(threads)]
    target = [np.zeros_like(part) for part in source]
    with ThreadPoolExecutor(threads) as pool:
        seconds = fastest(lambda: list(pool.map(np.copyto, target, source)))
    return 2 * _COPY_BYTES / seconds
