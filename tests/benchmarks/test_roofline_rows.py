"""One table serves the roofline of captioning and that of vision encoders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from timing.roofline_rows import rows_of

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
# Of each page: what its figures are of, and the digits of its milliseconds.
PAGES = {
    "latency-roofline.json": (("work", "step"), 3),
    "xeon/latency-roofline.json": (("work", "step"), 3),
    "vision-roofline.json": (("encoder",), 1),
}


@pytest.mark.parametrize("page", PAGES)
def test_the_rows_of_a_page_are_made_of_its_figures(page: str) -> None:
    named, digits = PAGES[page]
    for section in json.loads((RESULTS / page).read_text(encoding="utf-8"))["sections"]:
        assert rows_of(section["figures"], named, digits=digits) == section["rows"]


def test_what_is_not_counted_has_no_column() -> None:
    (row,) = rows_of([{"encoder": "fp32", "least_s": 0.5, "seconds": [2.0, 1.0, 4.0]}], ("encoder",), digits=1)
    assert row == {
        "encoder": "fp32",
        "least time, ms": "500.0",
        "measured, ms": "2,000.0 (1,000.0 to 4,000.0)",
        "share of the least time": "25%",
    }
