"""benchmarks/captions.py, whole, on a few drawings with the embedded models."""

from __future__ import annotations

import csv
import json
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from drawings import Drawing, catalog_of_drawings, draw
from forked import run_script
from rows import row_of_drawing

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "captions.py"
CEILING = "the sentences of the training"
_TYPES = {"t-shirt": "Tshirts", "bag": "Handbags", "boots": "Casual Shoes", "cap": "Cufflinks"}


def write_table(folder: Path, rows: Iterable[Mapping[str, str]]) -> None:
    rows = list(rows)
    with (folder / "items.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def save(drawing: Drawing, folder: Path) -> dict[str, str]:
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{drawing.item_id}.png"
    draw(drawing, (96, 144)).save(folder / name)
    return {"id": drawing.item_id, "image": name}


def shop_rows(drawings: list[Drawing], photos: Path) -> Iterable[dict[str, str]]:
    for drawing in drawings:
        row = {**row_of_drawing(drawing), "audience": "Ladieswear", "description": f"{drawing.title} with a collar."}
        yield {**save(drawing, photos), **row, "colour_family": row["colour"].rpartition(" ")[2]}


@pytest.fixture(scope="module")
def catalogs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training catalog with its photos in a folder of their own, a shop and another with theirs beside the table."""
    folder = tmp_path_factory.mktemp("catalogs")
    training, shop, other = folder / "training", folder / "shop", folder / "other"
    # So many that the rows learnt from have every word of those held out.
    drawings = catalog_of_drawings(4, seed=5)
    write_table_of = [(training, drawings, training / "images"), (shop, drawings[-6:], shop)]
    for place, some, photos in write_table_of:
        photos.mkdir(parents=True)
        write_table(place, shop_rows(some, photos))
    some = [next(drawing for drawing in drawings if drawing.kind == kind) for kind in _TYPES]
    other_rows = [
        {**save(one, other), "gender": "Unisex", "articleType": _TYPES[one.kind], "baseColour": one.colour.title()}
        for one in some
    ]
    write_table(other, other_rows)
    return folder


def run(catalogs: Path, cache: Path, out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    arguments = ["--model", "embedded=stylist-lvlm", "--held-out", str(catalogs / "training"), "--cache", str(cache)]
    arguments += ["--shop", str(catalogs / "shop"), "--other-shop", str(catalogs / "other"), "--out", str(out)]
    return run_script(SCRIPT, *arguments, "--drawings", "1", "--sample", "6", "--threads", "1", *more)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def document(catalogs: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The JSON of a first run."""
    out = tmp_path_factory.mktemp("out")
    done = run(catalogs, cache, out, "--no-plots")
    assert done.returncode == 0, done.stderr
    assert "captions to make" in done.stderr
    assert (out / "captions.md").read_text(encoding="utf-8").strip() == done.stdout.strip()
    found: dict[str, Any] = json.loads((out / "captions.json").read_text(encoding="utf-8"))
    return found


def test_every_set_has_its_figures_with_their_intervals(document: dict[str, Any]) -> None:
    measured = {(one["model"], one["set"].partition(" ")[0]): one for one in document["figures"]}
    assert {model for model, _ in measured} == {"embedded", "majority class", CEILING}
    assert {name for _, name in measured} == {"held-out", "held-out-framed", "shop", "other-shop", "drawings"}
    for figures in document["figures"]:
        for figure in figures["right"].values():
            assert 0 <= figure["low"] <= figure["value"] <= figure["high"] <= 1
            assert 0 < figure["count"] <= figures["photos"]
    shop, other = measured["embedded", "shop"], measured["embedded", "other-shop"]
    assert shop["right"].keys() >= {"kind", "group", "colour", "colour family", "pattern", "audience"}
    assert shop["cosine"].keys() == {"description", "shuffled", "sentence"}
    assert shop["seen words"]["collar"]["true"] == shop["photos"] == 6
    # What training would have said is right in all that a caption of its form can say.
    for name in ("held-out", "held-out-framed", "shop", "drawings"):
        perfect = measured[CEILING, name]["right"]
        assert {perfect[column]["value"] for column in ("kind", "colour", "pattern")} == {1.0}
    # No exact kinds of a second shop, and no group for cufflinks.
    assert other["right"].keys() == {"group", "colour family"}
    assert other["right"]["group"]["count"] == other["photos"] - 1 == 3
    assert any("Cufflinks 1" in remark for remark in document["remarks"])


def test_what_captions_state_of_drawings_has_its_figures(document: dict[str, Any]) -> None:
    of_drawings = {one["model"]: one["facts"] for one in document["figures"] if "facts" in one}
    perfect = of_drawings["the sentences of the training"]
    assert perfect["two further facts"]["value"] == perfect["kind and colour"]["value"] == 1
    assert perfect["stated facts wrong"]["value"] == 0
    assert "embedded" in of_drawings
    assert all(one["set"].startswith("drawings") for one in document["figures"] if "facts" in one)


def test_a_sample_is_called_one_and_no_folder_of_this_machine_is_told(document: dict[str, Any], catalogs: Path) -> None:
    assert any(row["set"] == "drawings (sample of 6 from 33)" for row in document["rows"])
    assert str(catalogs) not in json.dumps(document)


def test_a_second_run_makes_no_caption_and_says_the_same(
    document: dict[str, Any], catalogs: Path, cache: Path, tmp_path: Path
) -> None:
    done = run(catalogs, cache, tmp_path, "--no-plots")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert json.loads((tmp_path / "captions.json").read_text(encoding="utf-8"))["figures"] == document["figures"]


def test_models_are_compared_and_plots_are_drawn(
    document: dict[str, Any], catalogs: Path, cache: Path, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    done = run(catalogs, cache, tmp_path, "--model", "again=stylist-lvlm", "--only", "shop")
    assert done.returncode == 0, done.stderr
    again = next(line for line in done.stdout.splitlines() if line.startswith("| again - embedded "))
    assert "| 100.0 | +0.0 (+0.0 to +0.0) |" in again
    for name in ("captions.png", "captions-confusion.png"):
        assert (tmp_path / name).stat().st_size > 1000
        assert f"\n![{name}]({name})\n" in done.stdout


def test_a_wrong_model_is_a_sentence(catalogs: Path, cache: Path, tmp_path: Path) -> None:
    done = run(catalogs, cache, tmp_path, "--no-plots", "--model", "typo=stylist-lvml")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: There is no vision-language model 'stylist-lvml'")
    assert "did you mean stylist-lvlm?" in done.stderr
