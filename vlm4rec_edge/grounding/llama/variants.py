"""The CPU code of a llama.cpp that has it in files of its own, one for each kind of processor."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any

from vlm4rec_edge.errors import DeviceError


def load_variant(llama: Any) -> None:
    """Load the best CPU code for this processor from the folder of llama.cpp itself; nothing where it is built in.

    Left to itself, llama.cpp would look beside the interpreter and in the current folder, where anybody may have put a
    library, and not in its own folder.

    Args:
        llama: The ``llama_cpp`` module.

    Raises:
        DeviceError: none of the variants runs on this processor.
    """
    library = llama.llama_cpp._lib
    library.ggml_backend_reg_count.restype = ctypes.c_size_t
    if library.ggml_backend_reg_count():
        return
    folder = Path(library._name).absolute().parent
    library.ggml_backend_load_all_from_path(ctypes.c_char_p(os.fsencode(folder)))
    if not library.ggml_backend_reg_count():
        raise DeviceError(
            f"None of llama.cpp's variants in {folder} runs on this processor. Compile it on this machine: pip install "
            "--force-reinstall --no-cache-dir --no-binary llama-cpp-python llama-cpp-python==0.3.36"
        )
