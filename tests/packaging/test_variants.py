"""A llama.cpp whose CPU code lies in files of its own: the right one is loaded, from its own folder and nowhere else."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from vlm4rec_edge.errors import DeviceError
from vlm4rec_edge.grounding.llama.variants import load_variant

ROOT = Path(__file__).parent.parent.parent
_PLANTED = """
#include <stdio.h>
#include <stdlib.h>
__attribute__((constructor)) static void loaded(void) {
    FILE *file = fopen(getenv("PLANTED_MARK"), "w");
    fclose(file);
}
"""
_OURS = "from vlm4rec_edge.grounding.llama.native import load_bindings; load_bindings().llama_backend_init()"
_STOCK = "import llama_cpp; llama_cpp.llama_backend_init()"


def bindings(name: str, searched: list[bytes], *, built_in: bool = False, suits: bool = True) -> SimpleNamespace:
    """Stand in for llama_cpp: its CPU code is built in, or is found where it is looked for and suits this processor."""
    found = [built_in]

    def load(folder: ctypes.c_char_p) -> None:
        searched.append(folder.value or b"")
        found.append(suits)

    library = SimpleNamespace(
        _name=name, ggml_backend_reg_count=lambda: found.count(True), ggml_backend_load_all_from_path=load
    )
    return SimpleNamespace(llama_cpp=SimpleNamespace(_lib=library))


def test_variants_are_looked_for_in_the_absolute_folder_of_the_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    searched: list[bytes] = []
    load_variant(bindings("lib/libllama.so", searched))
    assert searched == [os.fsencode(tmp_path / "lib")]


def test_a_library_with_its_code_built_in_looks_nowhere() -> None:
    searched: list[bytes] = []
    load_variant(bindings("/lib/libllama.so", searched, built_in=True))
    assert searched == []


def test_a_processor_that_no_variant_suits_is_a_sentence() -> None:
    with pytest.raises(
        DeviceError, match=r"None of llama.cpp's variants in /some runs on this processor.* pip install"
    ):
        load_variant(bindings("/some/libllama.so", [], suits=False))


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """A folder with a library that llama.cpp would take for CPU code."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    (tmp_path / "planted.c").write_text(_PLANTED)
    command = [compiler, "-shared", "-fPIC", "-o", "libggml-cpu-haswell.so", "planted.c"]
    subprocess.run(command, cwd=tmp_path, check=True)
    return tmp_path


@pytest.mark.parametrize(("code", "loaded"), [(_STOCK, True), (_OURS, False)], ids=["llama_cpp itself", "our package"])
def test_a_library_planted_in_the_current_folder_is_not_loaded(
    code: str, loaded: bool, site: Path, planted: Path
) -> None:
    environment = {"PYTHONPATH": f"{site}{os.pathsep}{ROOT}", "PLANTED_MARK": str(planted / "mark")}
    subprocess.run([sys.executable, "-c", code], cwd=planted, env={**os.environ, **environment}, check=True)
    assert (planted / "mark").exists() == loaded


def test_every_library_is_in_the_wheel_once_and_where_llama_cpp_looks(site: Path) -> None:
    libraries = sorted(path.relative_to(site) for path in site.rglob("*.so*"))
    own = [path for path in libraries if path.parts[0] == "llama_cpp"]
    assert {path.parent for path in own} == {Path("llama_cpp/lib")}
    assert [path.name for path in own if path.suffix != ".so"] == []
    assert len([path for path in own if path.name.startswith("libggml-cpu-")]) >= 6
    assert [path for path in libraries if path.parts[0] not in ("llama_cpp", "llama_cpp_python.libs")] == []
