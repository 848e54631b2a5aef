"""The package shows its public names and loads them only when they are asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

import vlm4rec_edge


@pytest.mark.parametrize("name", vlm4rec_edge.__all__)
def test_every_public_name_is_there_and_explained(name: str) -> None:
    found = getattr(vlm4rec_edge, name)
    assert found == vlm4rec_edge.__version__ or found.__doc__
    assert name in dir(vlm4rec_edge)


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Recomender'"):
        vlm4rec_edge.Recomender  # noqa: B018


def test_importing_the_package_imports_nothing_else_of_it() -> None:
    code = "import sys, vlm4rec_edge; print([name for name in sys.modules if name.startswith('vlm4rec_edge.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
