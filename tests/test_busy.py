"""How busy a machine is."""

from __future__ import annotations

import os

import pytest

from vlm4rec_edge.busy import busiest, is_worth_timing_again, load_of_a_core, was_busy


def test_the_load_is_of_each_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (6.0, 1.0, 1.0))
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert load_of_a_core() == 1.5


def test_where_the_system_does_not_count_it_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> tuple[float, float, float]:
        raise OSError

    monkeypatch.setattr(os, "getloadavg", refuse)
    assert load_of_a_core() is None
    monkeypatch.delattr(os, "getloadavg")
    assert load_of_a_core() is None
    assert not is_worth_timing_again(2.0)


def test_the_busiest_is_the_highest_that_is_known() -> None:
    assert (busiest(None, 0.5, 0.7), busiest(None), was_busy(None)) == (0.7, None, False)
