"""benchmarks/mistakes.py: what is corrected is right and all else stays, and one run on drawings and made customers."""

from __future__ import annotations

import csv
import json
import subprocess
from pathlib import Path

import pytest
from forked import run_script
from made_shop_folder import made_shop_folder
from recommending.corrected import ALL, ATTRIBUTES, COLUMNS, FIRST, corrected_texts, said_and_true, shares_right
from rows import read_rows

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "mistakes.py"
ROWS = [
    {
        "type": "Sweater",
        "colour": "Dark Blue",
        "appearance": "Stripe",
        "audience": "Menswear",
        "colour_family": "Blue",
        "description": "Jumper with a hood. Length 70 cm.",
    },
    {
        "type": "Skirt",
        "colour": "Red",
        "appearance": "Solid",
        "audience": "Ladieswear",
        "colour_family": "Red",
        "description": "Short skirt with pleats.",
    },
]
CAPTIONS = ["Red striped skirt for men. Skirt with pockets.", "Red sweater for women."]


def test_one_kind_of_mistake_is_put_right_and_all_else_stays() -> None:
    texts = {name: own[0] for name, own in corrected_texts(ROWS, CAPTIONS, said_and_true(ROWS, CAPTIONS)).items()}
    assert texts == {
        "caption": CAPTIONS[0],
        "first sentence": "Red striped skirt for men.",
        "first sentence, kind corrected": "Red striped sweater for men.",
        "first sentence, colour corrected": "Dark blue striped skirt for men.",
        "first sentence, pattern corrected": "Red striped skirt for men.",
        "first sentence, audience corrected": "Red striped skirt for men.",
        "first sentence, all four corrected": "Dark blue striped sweater for men.",
        "caption, all four corrected": "Dark blue striped sweater for men. Skirt with pockets.",
        "caption, details corrected": "Red striped skirt for men. Jumper with a hood.",
        "caption, everything corrected": "Dark blue striped sweater for men. Jumper with a hood.",
        "the shop's description": ROWS[0]["description"],
    }


def shares(rows: list[dict[str, str]], captions: list[str]) -> dict[str, float]:
    return shares_right(captions, said_and_true(rows, captions))


def test_what_is_right_is_counted_where_something_was_said() -> None:
    assert shares(ROWS, CAPTIONS) == {"kind": 0, "colour": 0.5, "pattern": 1, "audience": 1, ALL: 0}
    assert set(shares(ROWS[1:], ["Red skirt for women. Pleats."]).values()) == {1}
    assert shares(ROWS, [CAPTIONS[0], ""]) == {"kind": 0, "colour": 0, "pattern": 1, "audience": 1, ALL: 0}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawings with the columns of a catalog, of which what is drawn is not true: the captions cannot be right."""
    folder = made_shop_folder(tmp_path_factory.mktemp("shop"))
    known = read_rows(folder)
    for number, row in enumerate(known):
        row.update(ROWS[number % len(ROWS)])
    with (folder / "items.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(known[0]))
        writer.writeheader()
        writer.writerows(known)
    return folder


def run(shop: Path, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    arguments = ["--data", str(shop), "--cache", str(folder / "cache"), "--out", str(folder / "out"), "--threads", "1"]
    return run_script(SCRIPT, *arguments, *more)


def test_a_run_compares_every_text_with_the_captions(shop: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    done = run(shop, tmp_path)
    assert done.returncode == 0, done.stderr
    document = json.loads((tmp_path / "out" / "mistakes.json").read_text(encoding="utf-8"))
    sections = {section["name"]: section for section in document["sections"]}
    assert [name for name in sections if "vision" not in name] == [
        "customers",
        "customers-first-sentence",
        "baskets",
        "baskets-first-sentence",
        "right",
    ]
    names = list(corrected_texts(ROWS, CAPTIONS, said_and_true(ROWS, CAPTIONS)))
    for name in ("customers", "baskets"):
        figures = sections[f"{name}-first-sentence"]["figures"]
        assert [row["row"] for row in figures] == [own for own in names if own.startswith(FIRST)]
        assert [bool(row["differences"]) for row in figures] == [False] + [True] * (len(figures) - 1)
    for name in ("customers", "baskets"):
        figures = sections[name]["figures"]
        assert [row["row"] for row in figures if not row["row"].startswith("vision")] == names
        assert [bool(row["differences"]) for row in figures] == [False] + [True] * (len(figures) - 1)
    assert set(sections["right"]["figures"][0]) == {*ATTRIBUTES, ALL}
    assert (tmp_path / "out" / "mistakes-baskets.png").is_file()


def test_a_catalog_that_does_not_know_what_is_right_is_refused(tmp_path: Path) -> None:
    done = run(made_shop_folder(tmp_path), tmp_path, "--no-plots")
    assert done.returncode == 1
    missing = [name for name in COLUMNS if name not in read_rows(tmp_path)[0]]
    assert f"items.csv has no column {', '.join(missing)}: what is right is not known." in done.stderr
