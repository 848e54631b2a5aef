"""llama.cpp computes in threads of its own, in which no ONNX Runtime session runs: on AMX the two would spoil each other."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pictures import answers, drawn, requests_for

from vlm4rec_edge import LlamaCaptioner, OnnxEncoder, resolve_encoder, resolve_lvlm
from vlm4rec_edge.grounding.llama.native import load_bindings

sys.path.insert(0, str(Path(__file__).parents[1] / "encoding"))
from made_encoder import int8_product


@pytest.mark.parametrize("batch", [1, 8])
def test_the_threads_of_llama_cpp_and_of_onnx_runtime_are_not_the_same(
    batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: dict[str, set[threading.Thread]] = {"llama.cpp": set(), "ONNX Runtime": set()}

    def noting(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*arguments: Any) -> Any:
            threads[name].add(threading.current_thread())  # its number may be given to another one later
            return call(*arguments)

        return noted

    bindings = load_bindings()
    from llama_cpp import mtmd_cpp

    for module, name in ((bindings, "llama_decode"), (mtmd_cpp, "mtmd_batch_encode")):
        monkeypatch.setattr(module, name, noting("llama.cpp", getattr(module, name)))
    monkeypatch.setattr(OnnxEncoder, "_run", noting("ONNX Runtime", OnnxEncoder._run))
    photos = requests_for({"a": drawn("dress", "red"), "b": drawn("coat", "black")})
    with (
        LlamaCaptioner(resolve_lvlm(), batch=batch, max_tokens=4) as captioner,
        OnnxEncoder(resolve_encoder()) as encoder,
    ):
        for result in captioner.caption(photos):  # as an index does it: captions are encoded while others are made
            encoder.encode([str(result[1])])
            list(encoder.encode_stream([str(result[1])] * 9))
        list(captioner.caption(photos))
    assert len(threads["llama.cpp"]) >= 2  # a new one each time
    assert threading.current_thread() not in threads["llama.cpp"]
    assert threading.current_thread() in threads["ONNX Runtime"]
    assert not threads["llama.cpp"] & threads["ONNX Runtime"]


@pytest.mark.skipif(
    b"AMX_INT8 = 1" not in load_bindings().llama_print_system_info(), reason="llama.cpp uses no AMX on this machine"
)
def test_captions_stay_what_they_are_beside_8_bit_products_of_onnx_runtime() -> None:
    photos = requests_for({kind: drawn(kind, "red") for kind in ("dress", "coat", "t-shirt", "sweater")})
    product = int8_product(threads=1)
    given = np.full((64, 384), 7, np.uint8)
    with LlamaCaptioner(resolve_lvlm(), batch=4, threads=1) as captioner:
        expected = answers(captioner, photos)[0]
        for _ in range(3):
            found = {}
            for result in captioner.caption(photos):
                product(given)  # loads another shape of tiles into this thread
                found[result[0]] = result[1]
            assert found == expected
