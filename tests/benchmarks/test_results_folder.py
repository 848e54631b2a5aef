"""What lies among the results is shown: a page with its figures beside it, and the plots of the page."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
# Written by people, about what the other pages found.
_TOLD = {RESULTS / "recommending.md", RESULTS / "xeon" / "README.md"}


def linked_files() -> set[Path]:
    """Every file of the results that a page of the repository links; a folder's page is its README."""
    pages = [
        ROOT / "README.md",
        *(page for name in ("benchmarks", "docs", "models") for page in (ROOT / name).rglob("*.md")),
    ]
    targets = {
        (page.parent / target).resolve()
        for page in pages
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8"))
    }
    return {target / "README.md" if target.is_dir() else target for target in targets}


def files(*suffixes: str) -> set[Path]:
    return {path for path in RESULTS.rglob("*") if path.suffix in suffixes}


def test_every_page_and_every_plot_is_linked() -> None:
    assert len(files(".md")) > 20
    assert sorted(files(".md", ".png") - linked_files()) == []


def test_every_page_has_its_figures_and_all_figures_have_a_page() -> None:
    assert {path.with_suffix("") for path in files(".md") - _TOLD} == {path.with_suffix("") for path in files(".json")}


def test_nothing_else_lies_there() -> None:
    assert {path for path in RESULTS.rglob("*") if path.is_file()} == files(".md", ".json", ".png")
