"""The scripts that make wheels, importable, and what they made."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "packaging"))


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with llama_cpp as ``make wheels`` compiled it, its CPU code in a file for each kind of processor."""
    found = sorted((ROOT / "dist").glob("llama_cpp_python-*-1vlm4rec-*.whl"))
    if not found:
        pytest.skip("make wheels has made no llama-cpp-python")
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(found[0]) as wheel:
        wheel.extractall(folder)
    return folder
