"""The page of models says what the registry says."""

from __future__ import annotations

from pathlib import Path

import pytest

from vlm4rec_edge.models.registry import ModelEntry, registry

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "models.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("entry", registry().values(), ids=lambda entry: entry.name)
def test_a_row_has_size_memory_license_and_figures_of_its_model(entry: ModelEntry) -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith(f"| `{entry.name}` |")]
    assert rows[0].startswith(f"| `{entry.name}` | {entry.size_mb:.0f} | {entry.memory_mb:,} | {entry.license} |")
    assert not entry.work_gflop or f"| {entry.work_gflop:,} |" in rows[0]
    assert all(published.figures in rows[0] for published in entry.published)
    if not entry.embedded:
        assert f"{entry.repository}/tree/{entry.revision}" in rows[1]
        pins = {pin.partition(":")[0] for file in entry.files.values() for pin in file.pinned_by}
        assert all(f"https://github.com/{repository})" in rows[1] for repository in pins)


def test_no_row_is_of_a_model_that_is_gone() -> None:
    named = {line.split("`")[1] for line in PAGE.splitlines() if line.startswith("| `")}
    assert named == set(registry())
