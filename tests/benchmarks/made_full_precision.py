"""An export in F16 to begin from, without a checkpoint: the shipped model's files rounded to Q4_0 and widened again.

Rounded first, for what is only widened from Q8_0 gives the very same Q8_0: it would be the shipped model's own checkpoint.
"""

from __future__ import annotations

import ctypes
from dataclasses import replace
from pathlib import Path

import llama_cpp

from vlm4rec_edge import resolve_lvlm
from vlm4rec_edge.models.manifest import describe_file, read_manifest


def full_precision(folder: Path) -> Path:
    """Write text.gguf, mmproj.gguf and manifest.json into ``folder``."""
    shipped = resolve_lvlm()
    files = {}
    for role, source, name in (("text", shipped.text, "text"), ("projector", shipped.projector, "mmproj")):
        rounded, target = folder / "rounded.gguf", folder / f"{name}.gguf"
        _requantize(source, rounded, llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_0)
        _requantize(rounded, target, llama_cpp.LLAMA_FTYPE_MOSTLY_F16)
        rounded.unlink()
        files[role] = describe_file(target)
    manifest = read_manifest(shipped.folder)
    replace(
        manifest, files=files, quantization={"text": "F16", "projector": "F16"}, golden_captions=(), verification={}
    ).write(folder)
    return folder


def _requantize(source: Path, target: Path, file_type: int) -> None:
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype, parameters.allow_requantize = file_type, True
    assert not llama_cpp.llama_model_quantize(str(source).encode(), str(target).encode(), ctypes.byref(parameters))
