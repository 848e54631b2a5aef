"""What a list of models says of this machine: whether a model fits, and how long it takes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vlm4rec_edge import known_models as known
from vlm4rec_edge.models.registry import registry


def test_hours_are_measured_on_such_a_machine_else_estimated_else_not_known() -> None:
    made = replace(registry()["stylist-lvlm"], core_seconds=36, work_gflop=7200)
    assert known.hours_of(made, 2, "x86_64") == (5.0, "measured")
    assert known.hours_of(made, 1, "AMD64") == (10.0, "measured")
    assert known.hours_of(made, 2, "aarch64") == (round(1000 / known.CORE_GFLOPS_OTHER, 3), "estimated")
    counted = replace(made, core_seconds=0)
    assert known.hours_of(counted, 2, "x86_64") == (round(1000 / known.CORE_GFLOPS_X86, 3), "estimated")
    assert known.hours_of(counted, 2, "arm64") == (round(1000 / known.CORE_GFLOPS_OTHER, 3), "estimated")
    kin = replace(counted, core_gflops=200)
    assert known.hours_of(kin, 2, "x86_64") == (5.0, "estimated")
    assert known.hours_of(kin, 2, "arm64") == known.hours_of(counted, 2, "arm64")
    assert known.hours_of(replace(counted, work_gflop=0), 2, "x86_64") == (None, None)


@pytest.mark.parametrize(
    ("free", "fits"), [(2 * 10**9, {True, False}), (10**12, {True}), (10**6, {False}), (None, {None})]
)
def test_a_model_fits_where_its_memory_is_free(
    monkeypatch: pytest.MonkeyPatch, free: int | None, fits: set[bool | None]
) -> None:
    monkeypatch.setattr(known, "available_bytes", lambda: free)
    listed = known.list_models()
    assert {model.fits for model in listed} == fits
    for model in listed:
        assert free is None or model.memory_mb is None or model.fits == (model.memory_mb * 10**6 <= free)


def test_a_larger_model_of_a_family_takes_longer_and_encoders_no_photos() -> None:
    hours = {model.name: model.hours_per_1000_photos for model in known.list_models()}
    small, middle, large = (hours[f"qwen3.5-{size}"] for size in ("0.8b", "2b", "4b"))
    assert small is not None
    assert middle is not None
    assert large is not None
    assert small < middle < large
    assert hours["bge-small-en-v1.5"] is None
