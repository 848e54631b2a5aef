"""Rows are numbered from 0 on by their ids, whatever gaps those have."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as some

from vlm4rec_edge.lance.row_numbers import RowNumbers


@given(some.sets(some.integers(0, 60) | some.integers(2**32, 2**32 + 60)), some.integers(1, 20), some.randoms())
def test_numbers_and_ids_are_each_others_inverse(ids: set[int], size: int, chance: object) -> None:
    in_order = np.array(sorted(ids), np.int64)
    blocks = [in_order[start : start + size].astype(np.uint64) for start in range(0, len(in_order), size)]
    chance.shuffle(blocks)  # type: ignore[attr-defined]
    numbers = RowNumbers(blocks)
    assert len(numbers) == len(ids)
    assert numbers.numbers(in_order).tolist() == list(range(len(ids)))
    assert numbers.row_ids(np.arange(len(ids))).tolist() == in_order.tolist()


def test_what_goes_on_by_one_takes_no_memory() -> None:
    numbers = RowNumbers([np.arange(5000, 9000), np.arange(5000)])
    assert len(numbers._starts) == 1
    assert numbers.numbers(np.array([8999])).tolist() == [8999]
