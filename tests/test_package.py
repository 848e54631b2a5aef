"""The package shows its public names and loads them only when they are asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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


def test_importing_the_package_imports_nothing_else_of_it_but_what_keeps_others_quiet() -> None:
    code = "import sys, vlm4rec_edge; print([name for name in sys.modules if name.startswith('vlm4rec_edge.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['vlm4rec_edge.errors', 'vlm4rec_edge.quiet']\n"


def test_a_type_checker_sees_the_types_of_the_installed_package(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(
        "from vlm4rec_edge import Recommender\n"
        'with Recommender.open("shop.index") as shop:\n'
        '    reveal_type(shop.recommend(["a"]))\n'
        '    shop.recommend(["a"], k="five")\n'
    )
    mypy = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), "shop.py"]
    said = subprocess.run(mypy, cwd=tmp_path, capture_output=True, text=True, check=False).stdout
    assert "py.typed" not in said
    assert 'Revealed type is "list[vlm4rec_edge.recommend.recommender.Recommendation]"' in said.replace("builtins.", "")
    assert "shop.py:4: error" in said
