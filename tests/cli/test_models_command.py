"""``vlm4rec-edge models`` through real processes, on the embedded models and copies of them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
from program import on_a_terminal, program

import vlm4rec_edge
from vlm4rec_edge.known_models import list_models
from vlm4rec_edge.models.installed import installed


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty home for pulled models."""
    return tmp_path / "home"


def _models(home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from vlm4rec_edge.cli import main; main()", "models", *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={
            **os.environ,
            "PYTHONPATH": str(Path(vlm4rec_edge.__file__).parent.parent),
            "VLM4REC_EDGE_HOME": str(home),
            **environment,
        },
        cwd=home.parent,
        timeout=60,
        check=False,
    )


def _own_copy(home: Path, name: str = "my-encoder") -> Path:
    folder = home / "models" / name
    shutil.copytree(installed()["all-minilm-l6-v2"], folder)
    return folder


def _flip_last_byte(path: Path) -> None:
    with path.open("r+b") as stream:
        stream.seek(-1, os.SEEK_END)
        last = stream.read(1)
        stream.seek(-1, os.SEEK_END)
        stream.write(bytes([last[0] ^ 1]))


def test_list_tells_people_what_is_here_and_what_could_be(home: Path) -> None:
    done = _models(home, "list")
    assert done.returncode == 0, done.stderr
    lines = {line.split()[0]: line for line in done.stdout.splitlines() if line.strip()}
    assert "embedded" in lines["stylist-lvlm"]
    assert "absent" in lines["smolvlm-256m-instruct"]
    assert re.search(r" ~\d+ (days|h|min)$", lines["qwen3.5-0.8b"])
    below = dict(pairwise(done.stdout.splitlines()))
    assert below[lines["smolvlm-256m-instruct"]].endswith("License: Apache-2.0. Not run by this project.")
    assert below[lines["stylist-lvlm"]].endswith("License: research-noncommercial.")
    assert "License: MIT. Not run by this project." in below[lines["bge-small-en-v1.5"]]


@pytest.mark.parametrize("columns", ["80", "120"])
def test_list_fits_a_terminal_and_leaves_nothing_out(columns: str, home: Path) -> None:
    environment = {**os.environ, "VLM4REC_EDGE_HOME": str(home), "TERM": "dumb", "COLUMNS": columns}
    shown = on_a_terminal("models", "list", environment=environment).stdout.decode("utf-8")
    assert max(map(len, shown.splitlines())) <= int(columns)
    words = " ".join(shown.split())
    for model in list_models():
        assert model.name in words
        assert model.description in words


def test_list_tells_programs_the_same_with_stable_fields(home: Path) -> None:
    folder = _own_copy(home)
    rows = {row["name"]: row for row in json.loads(_models(home, "list", "--json").stdout)["models"]}
    assert set(rows["stylist-lvlm"]) == {
        "name", "kind", "state", "description", "license", "repository", "revision", "size_mb",
        "approximate_size", "memory_mb", "quantization", "folder", "was_run", "fits", "hours_per_1000_photos", "hours_from",
        "published",
    }  # fmt: skip
    assert rows["stylist-lvlm"]["state"] == "embedded"
    assert rows["qwen3.5-0.8b"]["folder"] is None
    assert (rows["stylist-lvlm"]["was_run"], rows["qwen3.5-0.8b"]["was_run"]) == (True, False)
    assert rows["qwen3.5-0.8b"]["hours_from"] == "estimated"
    assert rows["my-encoder"]["fits"] is rows["my-encoder"]["was_run"] is None
    assert rows["all-minilm-l6-v2"]["hours_per_1000_photos"] is None
    assert (rows["my-encoder"]["state"], rows["my-encoder"]["folder"]) == ("own", str(folder))
    assert set(rows["my-encoder"]) == set(rows["stylist-lvlm"])


def test_path_prints_the_folder_and_nothing_else(home: Path) -> None:
    done = _models(home, "path", "stylist-lvlm")
    assert (done.returncode, done.stdout) == (0, f"{installed()['stylist-lvlm']}\n")
    files = json.loads(_models(home, "path", "all-minilm-l6-v2", "--json").stdout)["files"]
    assert set(files) == {"model", "tokenizer"}
    assert all(Path(file).is_file() for file in files.values())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("smolvlm-256m-instruct", "run: vlm4rec-edge models pull smolvlm-256m-instruct"),
        ("stylist-lvml", "did you mean stylist-lvlm"),
    ],
)
def test_a_model_that_is_not_here_is_a_sentence(home: Path, name: str, message: str) -> None:
    for command in ("path", "verify"):
        done = _models(home, command, name)
        assert done.returncode == 1
        assert message in done.stderr
        assert "Traceback" not in done.stderr


def test_verify_finds_the_embedded_models_whole(home: Path) -> None:
    done = _models(home, "verify", "--json")
    assert done.returncode == 0, done.stdout
    results = json.loads(done.stdout)["models"]
    assert {row["name"] for row in results} == {"stylist-lvlm", "all-minilm-l6-v2"}
    assert all(row["ok"] and row["problem"] is None for row in results)


def test_verify_finds_one_flipped_byte_and_says_where(home: Path) -> None:
    folder = _own_copy(home)
    _flip_last_byte(folder / "tokenizer.json")
    done = _models(home, "verify")
    assert done.returncode == 1
    assert str(folder / "tokenizer.json") in done.stderr
    assert "damaged" in done.stdout
    results = {row["name"]: row for row in json.loads(_models(home, "verify", "--json").stdout)["models"]}
    assert not results["my-encoder"]["ok"]
    assert results["stylist-lvlm"]["ok"]
    assert _models(home, "verify", "stylist-lvlm").returncode == 0
    assert _models(home, "verify", str(folder)).returncode == 1


def test_a_damaged_manifest_hides_no_other_model(home: Path) -> None:
    (_own_copy(home) / "manifest.json").write_text("{")
    assert "stylist-lvlm" in _models(home, "list").stdout
    done = _models(home, "verify")
    assert done.returncode == 1
    assert "manifest.json cannot be read" in done.stderr


def test_pull_of_an_embedded_model_needs_no_network(home: Path) -> None:
    done = _models(home, "pull", "stylist-lvlm", HF_ENDPOINT="http://127.0.0.1:9")
    assert (done.returncode, done.stderr) == (0, "")
    assert str(installed()["stylist-lvlm"]) in done.stdout


def test_pull_offline_says_what_is_missing(home: Path) -> None:
    done = _models(home, "pull", "SmolVLM-256M-Instruct", "--offline")
    assert done.returncode == 1
    assert "mmproj-SmolVLM-256M-Instruct-Q8_0.gguf" in done.stderr
    assert "Traceback" not in done.stderr


def test_pull_of_an_unknown_name_suggests_one(home: Path) -> None:
    done = _models(home, "pull", "smolvlm-256m")
    assert done.returncode == 1
    assert "did you mean smolvlm-256m-instruct" in done.stderr


def test_help_shows_examples_at_once(home: Path) -> None:
    started = time.monotonic()
    done = _models(home, "pull", "--help")
    assert "vlm4rec-edge models pull smolvlm-256m-instruct\n" in done.stdout
    assert time.monotonic() - started < 5
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, vlm4rec_edge.cli.models; print(*sorted(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(vlm4rec_edge.__file__).parent.parent)},
    ).stdout.split()
    assert not {"huggingface_hub", "numpy", "onnxruntime", "llama_cpp", "PIL"} & set(loaded)


def test_an_unknown_name_is_answered_with_each_known_one_once() -> None:
    done = program("models", "verify", "nope")
    assert done.code == 1
    named = done.err.partition("known names: ")[2].rstrip(".\n").split(", ")
    assert len(named) > 5
    assert len(named) == len(set(named))
