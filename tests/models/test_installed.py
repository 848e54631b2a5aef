"""The embedded models are found as packages of their own and in a checkout, and nowhere else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from vlm4rec_edge.models.hub import pull
from vlm4rec_edge.models.installed import PACKAGES, embedded_places, installed
from vlm4rec_edge.models.resolve import resolve_encoder

ROOT = Path(__file__).parent.parent.parent
EMBEDDED = {"stylist-lvlm", "all-minilm-l6-v2"}


@pytest.fixture(autouse=True)
def _empty_home(home: Path) -> None:
    """No test sees the models that the developer has pulled."""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that packages are imported from, first of all."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    return site


def test_a_checkout_has_its_embedded_models() -> None:
    assert set(installed()) == EMBEDDED
    assert all(folder.parent == ROOT / "models" for folder in installed().values())


def test_a_model_that_is_a_package_is_found_beside_those_of_the_checkout(site: Path) -> None:
    shutil.copytree(ROOT / "models" / "all-minilm-l6-v2", site / PACKAGES / "of-its-own")
    assert set(installed()) == EMBEDDED | {"of-its-own"}
    assert resolve_encoder("of-its-own").folder == site / PACKAGES / "of-its-own"


def test_a_package_called_models_beside_an_installed_package_is_not_ours(tmp_path: Path, site: Path) -> None:
    (site / PACKAGES).mkdir()
    (tmp_path / "models").mkdir()
    assert embedded_places(tmp_path) == [site / PACKAGES]


def test_looking_for_models_imports_none_of_them(site: Path) -> None:
    (site / PACKAGES).mkdir()
    (site / PACKAGES / "__init__.py").write_text("raise RuntimeError('imported')")
    assert site / PACKAGES in embedded_places()


@pytest.fixture(scope="module")
def without_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as an installation has it: no checkout around it, and no package of models beside it."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "vlm4rec_edge", folder / "vlm4rec_edge", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["models", "path", "all-minilm-l6-v2"], "all-minilm-l6-v2"),
        (["models", "pull", "stylist-lvlm"], "stylist-lvlm"),
        (["caption", "photo.png"], "stylist-lvlm"),
    ],
)
def test_an_embedded_model_that_is_not_installed_says_both_commands(
    command: list[str], name: str, without_models: Path
) -> None:
    shutil.copy(ROOT / "models" / "stylist-lvlm" / "reference-1.png", without_models / "photo.png")
    code = "import sys; from vlm4rec_edge.cli import main; sys.argv[0] = 'vlm4rec-edge'; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *command],
        cwd=without_models,
        env={**os.environ, "PYTHONPATH": str(without_models)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    said = " ".join(done.stderr.split())
    assert f"pip install vlm4rec-edge-{name} " in said
    assert f"pip install ./models/{name}" in said


def test_pulling_an_embedded_model_that_is_here_checks_it() -> None:
    assert pull("all-minilm-l6-v2") == installed()["all-minilm-l6-v2"]
