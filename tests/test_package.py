"""The package shows its public names and loads them only when they are asked for."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
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


def test_every_package_that_is_imported_is_declared() -> None:
    root = Path(vlm4rec_edge.__file__).parent
    project = tomllib.loads((root.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [
        *project["dependencies"],
        *(one for name in ("cpu", "parquet", "faiss", "qdrant", "serve") for one in extras[name]),
    ]
    declared = {re.split(r"[<>=\[;]", one)[0].lower().replace("_", "-") for one in wanted}
    imported = set()
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {name.name.partition(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                imported.add(str(node.module).partition(".")[0])
    imported -= sys.stdlib_module_names | {"vlm4rec_edge"}
    assert {"numpy", "jinja2", "llama_cpp", "PIL"} <= imported
    known = packages_distributions()
    named = {name: {one.lower().replace("_", "-") for one in known[name]} for name in imported}
    assert {name: found for name, found in named.items() if not found & declared} == {}


def test_a_type_checker_sees_the_types_of_the_installed_package(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(
        "from vlm4rec_edge import Recommender\n"
        'with Recommender.open("shop.index") as shop:\n'
        '    reveal_type(shop.recommend(["a"]))\n'
        '    shop.recommend(["a"], k="five")\n'
    )
    known = Path(__file__).parents[1] / ".mypy_cache"  # of `make check`: what is unchanged is not checked anew
    mypy = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(known), "shop.py"]
    said = subprocess.run(mypy, cwd=tmp_path, capture_output=True, text=True, check=False).stdout
    assert "py.typed" not in said
    assert 'Revealed type is "vlm4rec_edge.recommend.result.Recommendations"' in said
    assert "shop.py:4: error" in said
