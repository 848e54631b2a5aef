"""``shard`` as it is typed: what it says, how it ends, and which shards its options mean."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

sys.path.append(str(Path(__file__).parents[1] / "shards"))

from made_shards import odd_catalog, plain_catalog

from vlm4rec_edge.cli.app import make_app
from vlm4rec_edge.shards.folder import read_plan

_CODE = """
from pathlib import Path
from made_plugins import MadeEncoder
from made_shards import LoggingCaptioner

def captioner(argument):
    return LoggingCaptioner(Path(argument))

def encoder(argument):
    return MadeEncoder()
"""


@pytest.fixture(autouse=True)
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins for the models, installed as plug-ins; and no array job around the tests."""
    facts = tmp_path / "site" / "shard_stand_ins-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts.parent / "shard_stand_ins.py").write_text(_CODE, encoding="utf-8")
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: shard-stand-ins\nVersion: 1.0\n", encoding="utf-8")
    points = "".join(f"[vlm4rec_edge.{kind}s]\nnamer = shard_stand_ins:{kind}\n" for kind in ("captioner", "encoder"))
    (facts / "entry_points.txt").write_text(points, encoding="utf-8")
    monkeypatch.syspath_prepend(str(facts.parent))
    for name in ("SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """40 items in four shards."""
    _typed("plan", plain_catalog(tmp_path / "shop", 40), "--out", tmp_path / "plain", "--rows", 10)
    return tmp_path / "plain"


def _typed(*words: object, **environment: str) -> Any:
    return CliRunner().invoke(make_app(["shard"]), ["shard", *map(str, words)], env=environment)


def _run(folder: Path, *words: object, **environment: str) -> Any:
    models = ("--model", f"namer:{folder.parent / 'captions.log'}", "--encoder", "namer")
    return _typed("run", folder, *models, *words, **environment)


def test_from_a_catalog_to_an_index(tmp_path: Path) -> None:
    table, folder = odd_catalog(tmp_path / "shop"), tmp_path / "shards"
    planned = _typed("plan", table, "--out", folder, "--rows", 16)
    assert planned.exit_code == 3
    assert f"{folder}: 4 shards with 62 items." in planned.stdout
    assert "4 rows have the id of an earlier one" in planned.stderr
    assert "2 could not be used" in planned.stderr
    missing = _typed("status", folder)
    assert missing.exit_code == 3
    assert "0 of 4 shards done" in missing.stdout
    assert "missing: 0, 1, 2, 3" in missing.stdout
    assert _typed("merge", folder, "--out", tmp_path / "shop.index").exit_code == 1
    first = _run(folder)
    assert first.exit_code == 3, "some photos could not be used"
    assert "4 shards done" in first.stdout
    again = _typed("run", folder)
    assert again.exit_code == 0
    assert "nothing to do" in again.stdout
    done = _typed("status", folder)
    assert done.exit_code == 0
    assert "4 of 4 shards done" in done.stdout
    assert "at the stage grounding" in done.stdout
    merged = _typed("merge", folder, "--out", tmp_path / "shop.index")
    assert merged.exit_code == 3
    assert f"{tmp_path / 'shop.index'}: 57 items of 4 shards" in merged.stdout
    assert _typed("merge", folder, "--out", tmp_path / "shop.index").exit_code == 2


@pytest.mark.parametrize(
    ("words", "environment", "done"),
    [
        (["--index", "2"], {}, [2]),
        (["--index", "3,0-1"], {}, [3, 0, 1]),
        (["--index", "3", "--index", "1"], {}, [3, 1]),
        ([], {"SLURM_ARRAY_TASK_ID": "1"}, [1]),
        ([], {"JOB_COMPLETION_INDEX": "0"}, [0]),
        (["--index", "3"], {"SLURM_ARRAY_TASK_ID": "1"}, [3]),
        ([], {}, [0, 1, 2, 3]),
    ],
    ids=str,
)
def test_which_shards_are_run(plain: Path, words: list[str], environment: dict[str, str], done: list[int]) -> None:
    said = _run(plain, *words, "--json", **environment)
    assert said.exit_code == 0, said.output
    assert json.loads(said.stdout)["done"] == done


@pytest.mark.parametrize("index", ["x", "4-2", "-1", "1-", "1,,2", "7", "0-999999999999"])
def test_what_is_no_shard_is_wrong_usage(plain: Path, index: str) -> None:
    assert _run(plain, f"--index={index}").exit_code == 2


def test_other_models_than_those_of_the_first_run_are_refused(plain: Path) -> None:
    assert _run(plain, "--index", 0).exit_code == 0
    other = _typed("run", plain, "--encoded-text", "title", "--encoder", "namer")
    assert other.exit_code == 1
    assert "are made by made and made" in other.stderr
    assert _typed("run", plain).exit_code == 0, "the options of the first run are remembered"
    assert len(read_plan(plain).shards) == 4


def test_a_failed_shard_ends_a_run_with_1_and_a_merge_without_it_with_3(plain: Path) -> None:
    (plain / "plan" / read_plan(plain).shards[1].name).write_bytes(b"no rows")
    for done in ("3 shards done", "no shard done"):
        said = _run(plain)
        assert said.exit_code == 1
        assert done in said.stdout
        assert "Shard 1 failed: " in said.stderr
    out = plain.parent / "shop.index"
    assert _typed("merge", plain, "--out", out).exit_code == 1
    merged = _typed("merge", plain, "--out", out, "--partial")
    assert merged.exit_code == 3
    assert "Without the shards 1, which are not done." in merged.stderr


def test_options_of_ray_need_ray(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _run(plain, "--actors", 2).exit_code == 2
    assert _run(plain, "--ray", "--cores-per-actor", 0).exit_code == 2
    monkeypatch.setitem(sys.modules, "ray", None)
    said = _run(plain, "--ray")
    assert said.exit_code == 1
    assert 'pip install "vlm4rec-edge[ray]"' in said.stderr


def test_a_folder_without_a_plan_is_a_sentence(tmp_path: Path) -> None:
    for command in (["run"], ["status"], ["merge", "--out", tmp_path / "x.index"]):
        said = _typed(command[0], tmp_path / "nothing", *command[1:])
        assert said.exit_code == 1
        assert "vlm4rec-edge shard plan CATALOG" in said.stderr
