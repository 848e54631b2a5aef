"""How near each vision encoder is to what this machine can do: its work over measured rates, beside the time of a view.

The roofline as in ``timing.roofline``; weights fit the caches or are read once a view, so that only operations count.
Products of weights are held against the rate of the precision that the encoder computes them in, attention against that of
float32 (in bf16 of bfloat16), as the graphs do.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from running.fresh_process import ask_process
from running.results_file import Section

from timing.machine_rates import SIDE, fastest, ggml_rate, operations
from timing.model_work import CaptioningWork
from timing.roofline_rows import rows_of
from vlm4rec_edge import resolve_lvlm
from vlm4rec_edge.cores import usable_cores
from vlm4rec_edge.grounding.vision.bfloat16 import Bfloat16Session
from vlm4rec_edge.grounding.vision.check import ask_mtmd, compare, reference_pictures
from vlm4rec_edge.grounding.vision.graph import Precision
from vlm4rec_edge.grounding.vision.graph_file import GraphFile, vision_graph
from vlm4rec_edge.quiet import load

# The type of a product of weights, and of one within attention, by the encoder.
_RATES = {
    "mtmd": ("Q8_0, ggml", "F32, ggml"),
    "fp32": ("fp32", "fp32"),
    "int8": ("int8", "fp32"),
    "bf16": ("bf16", "bf16"),
}


@dataclass(frozen=True)
class Encoder:
    """What one process measures: a model's vision encoder in one precision, beside mtmd's."""

    model: str
    precision: Precision
    threads: int


def roofline(model: Path | str, precisions: list[Precision], *, rounds: int) -> Section:
    """Measure the rates of this machine and the seconds of a view, each precision in a process of its own."""
    threads, files = usable_cores(), resolve_lvlm(model)
    done = [ask_process(__name__, Encoder(str(model), one, threads)) for _ in range(rounds) for one in precisions]
    rates: dict[str, float] = {}
    for own in done:
        rates |= {name: max(rate, rates.get(name, 0.0)) for name, rate in own["rates"].items()}
    work = CaptioningWork.of(files)
    tower = work.vision
    attention = tower.layers * tower.attention * work.patches**2
    products = work.look(1, 1).operations - attention
    figures = []
    for name in ("mtmd", *precisions):
        seconds = [
            own["mtmd_s"] if name == "mtmd" else own["onnx_s"] for own in done if name in ("mtmd", own["precision"])
        ]
        of_products, of_attention = (rates[kind] for kind in _RATES[name])
        least = products / of_products + attention / of_attention
        figures.append({"encoder": name, "seconds": seconds, "least_s": least})
    rows = rows_of(figures, ("encoder",), digits=1)
    remarks = [
        f"Milliseconds of a view, which has {work.patches:,} patches: {products / 1e9:,.1f} billion operations in products of "
        f"weights, {attention / 1e9:,.1f} in attention. The quickest of some runs, {threads} threads; medians of {rounds} "
        "rounds.",
        "Rates measured in the same run, billion operations a second: "
        + "; ".join(f"{name} {rate / 1e9:,.0f}" for name, rate in sorted(rates.items()))
        + f". Products of {SIDE:,} x {SIDE:,}, the fastest of some calls; mtmd's of weights in Q8_0.",
    ]
    figures = [{"model": files.name, **own, "rates": rates} for own in figures]
    return Section("roofline", f"{files.name}: against what the machine can do", rows, figures, remarks)


def _measure(task: Encoder) -> dict[str, Any]:
    files = resolve_lvlm(task.model)
    graph = vision_graph(files, task.precision)
    if not isinstance(graph, GraphFile):
        raise SystemExit(graph.reason)
    references = ask_mtmd(files, reference_pictures()[:1], threads=task.threads)
    agreement = compare(graph.path, references, precision=task.precision, threads=task.threads)
    rates = {task.precision: _rate(task.precision, task.threads), "F32, ggml": ggml_rate("F32", task.threads)}
    rates["Q8_0, ggml"] = ggml_rate("Q8_0", task.threads)
    return {"precision": task.precision, "mtmd_s": agreement.mtmd_s, "onnx_s": agreement.onnx_s, "rates": rates}


def _rate(precision: Precision, threads: int) -> float:
    """Return operations a second of the product that a graph in this precision is made of, in the runtime that computes it."""
    from onnx import TensorProto, helper, numpy_helper

    chance = np.random.default_rng(0)
    weights = chance.standard_normal((SIDE, SIDE), np.float32)
    inputs, node = [numpy_helper.from_array(weights, "w")], helper.make_node("MatMul", ["x", "w"], ["y"])
    if precision == "int8":
        inputs = [
            numpy_helper.from_array(chance.integers(-127, 127, (SIDE, SIDE), np.int8), "w"),
            numpy_helper.from_array(np.full(SIDE, 0.01, np.float32), "scale"),
        ]
        node = helper.make_node("DynamicQuantizeMatMul", ["x", "w", "scale"], ["y"], domain="com.microsoft")
    graph = helper.make_graph(
        [node],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [SIDE, SIDE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [SIDE, SIDE])],
        inputs,
    )
    domains = [helper.make_opsetid("", 13), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=domains, ir_version=8)
    helper.set_model_props(model, {"product": precision})
    feed = {"x": chance.standard_normal((SIDE, SIDE), np.float32)}
    if precision == "bf16":
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / "product.onnx"
            place.write_bytes(model.SerializeToString())
            opened = Bfloat16Session(place, threads, 1)
            return operations() / fastest(lambda: opened.run(None, feed))
    onnxruntime = load("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return operations() / fastest(lambda: session.run(None, feed))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_measure(Encoder(**json.load(sys.stdin)))) + "\n")
