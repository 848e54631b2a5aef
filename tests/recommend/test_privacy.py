"""What docs/reference/profiles.md says can be read back from a profile can be, so nobody takes a vector for a secret."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from made_store import random_vectors

from vlm4rec_edge.recommend.running import Profile

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from profile_privacy import read_back

CATALOG = random_vectors(500, 64)


def _profile(rows: list[int], **options: float) -> np.ndarray:
    profile = Profile.empty("an encoder", 64)
    for row in rows:
        profile = profile.add(CATALOG[row], **options)
    return profile.vector()


def test_a_history_of_one_is_no_secret() -> None:
    for row in range(0, 500, 25):
        assert int(np.argmax(CATALOG @ _profile([row]))) == row


@pytest.mark.parametrize("size", [2, 3])
def test_a_sum_of_few_items_can_be_taken_apart(size: int) -> None:
    for seed in range(10):
        rows = np.random.default_rng(seed).permutation(500)[:size].tolist()
        assert sorted(read_back(_profile(rows), CATALOG, size)) == sorted(rows)


def test_a_sum_of_more_items_than_dimensions_cannot_be_taken_apart_so() -> None:
    rows = np.random.default_rng(1).permutation(500)[:100].tolist()
    assert len(set(read_back(_profile(rows), CATALOG, 100)) & set(rows)) < 80


def test_the_order_in_which_things_were_bought_is_gone() -> None:
    np.testing.assert_allclose(_profile([4, 9, 30]), _profile([30, 4, 9]), atol=1e-6)
