"""The wheels of the code and of the models: what is in them, under which licence, and that they find each other."""

from __future__ import annotations

import email.message
import email.parser
import json
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

import vlm4rec_edge
from vlm4rec_edge.models.registry import registry

ROOT = Path(__file__).parent.parent.parent
EMBEDDED = sorted(name for name, entry in registry().items() if entry.embedded)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheels of the code and of the embedded models."""
    folder = tmp_path_factory.mktemp("wheels")
    projects = [ROOT, *(ROOT / "models" / name for name in EMBEDDED)]
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    # What builds them is installed once; left to itself, pip does so for each.
    needed = {need for project in projects for need in _project(project)["build-system"]["requires"]}
    tools = tmp_path_factory.mktemp("tools")
    subprocess.run([*pip, "install", "--target", tools, *sorted(needed)], check=True)
    command = [*pip, "wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", folder, *projects]
    subprocess.run(command, env={**os.environ, "PYTHONPATH": str(tools)}, check=True)
    return folder


def _project(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))


def only(folder: Path, name: str) -> zipfile.ZipFile:
    (path,) = folder.glob(f"{name.replace('-', '_')}-*.whl")
    return zipfile.ZipFile(path)


def metadata_of(wheel: zipfile.ZipFile) -> email.message.Message:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return email.parser.Parser().parsestr(wheel.read(name).decode())


def test_the_code_is_free_software_without_weights_and_small(wheels: Path) -> None:
    with only(wheels, "vlm4rec-edge") as wheel:
        names = wheel.namelist()
        assert metadata_of(wheel)["License-Expression"] == "Apache-2.0"
    assert "vlm4rec_edge/models/registry.json" in names
    assert [name for name in names if name.endswith((".gguf", ".onnx", "tokenizer.json"))] == []
    (path,) = wheels.glob("vlm4rec_edge-*.whl")
    assert path.stat().st_size < 1_600_000  # half of it are the 165 pictures of the demo


def test_the_code_brings_the_pictures_of_the_demo_and_no_wheel_what_draws_them(wheels: Path) -> None:
    shop = ROOT / "vlm4rec_edge" / "demo" / "shop"
    pictures = {path.relative_to(ROOT).as_posix() for path in shop.rglob("*") if path.is_file()}
    with only(wheels, "vlm4rec-edge") as wheel:
        assert {name for name in wheel.namelist() if "/demo/shop/" in name} == pictures
    generator = {path.name for path in (ROOT / "models" / "training" / "drawings").glob("*.py")} - {"__init__.py"}
    assert "catalog.py" in generator
    for path in wheels.iterdir():
        with zipfile.ZipFile(path) as wheel:
            assert not generator & {Path(name).name for name in wheel.namelist()}


@pytest.mark.parametrize("name", EMBEDDED)
def test_a_model_is_in_its_own_wheel_under_its_own_licence(name: str, wheels: Path) -> None:
    manifest = json.loads((ROOT / "models" / name / "manifest.json").read_text(encoding="utf-8"))
    with only(wheels, f"vlm4rec-edge-{name}") as wheel:
        about, names = metadata_of(wheel), wheel.namelist()
        (licence,) = (entry for entry in names if entry.endswith(".dist-info/licenses/LICENSE"))
        text = wheel.read(licence).decode()
    assert about["License-Expression"] == manifest["license"]
    assert about["Version"] == vlm4rec_edge.__version__
    assert ("non-commercial research" if name == "stylist-lvlm" else "Apache License") in text
    place = f"vlm4rec_edge_models/{name}"
    files = {f"{place}/{file['name']}" for file in manifest["files"].values()}
    golden = {f"{place}/{one['image']}" for one in manifest["golden_captions"]}
    assert files | golden | {f"{place}/manifest.json"} <= set(names)
    assert all(entry.startswith(f"{place}/") for entry in names if ".dist-info/" not in entry)


def test_the_extra_names_every_model_at_the_version_of_the_code() -> None:
    project = _project(ROOT)["project"]
    expected = [f"vlm4rec-edge-{name}=={vlm4rec_edge.__version__}" for name in EMBEDDED]
    assert sorted(project["optional-dependencies"]["models"]) == expected


def test_installed_side_by_side_the_code_finds_the_models(wheels: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    for path in wheels.iterdir():
        with zipfile.ZipFile(path) as wheel:
            wheel.extractall(site)
    code = (
        "from vlm4rec_edge import resolve_encoder, resolve_lvlm; print(resolve_lvlm().folder, resolve_encoder().folder)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site), "VLM4REC_EDGE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    place = site / "vlm4rec_edge_models"
    assert done.stdout.split() == [str(place / "stylist-lvlm"), str(place / "all-minilm-l6-v2")]
