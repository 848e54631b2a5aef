"""How sure a figure is, and whether two systems differ: users are resampled, or exchanged between the systems."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Enough for the second digit of an interval's bounds, and for p-values down to 0.0005.
RESAMPLES = 2000
LEVEL = 0.95
# Means that differ only by the order of their sums are equal.
_ROUNDING = 1e-12
# Random signs generated at a time: 16 MB.
_SIGNS_PER_BLOCK = 16 * 1024 * 1024


@dataclass(frozen=True)
class Estimate:
    """A mean over users and the bounds of its interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class PairedDifference:
    """The mean over users of one system's value less the other's, its interval, and the p-value of "no difference"."""

    mean: float
    low: float
    high: float
    p_value: float


def bootstrap_interval(
    values: np.ndarray, *, resamples: int = RESAMPLES, level: float = LEVEL, seed: int = 0
) -> Estimate:
    """Return the mean of ``values`` [users] and its bootstrap percentile interval over users.

    Users are sampled with replacement, as many as there are, ``resamples`` times (Efron and Tibshirani, "An Introduction to
    the Bootstrap", 1993, chapter 13). The same seed samples the same users for all values.
    """
    generator = np.random.default_rng(seed)
    count = len(values)
    means = [float(values[generator.integers(0, count, count)].mean()) for _ in range(resamples)]
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(float(np.mean(values)), float(low), float(high))


def randomisation_p_value(differences: np.ndarray, *, resamples: int = RESAMPLES, seed: int = 0) -> float:
    """Return the two-sided p-value of paired ``differences`` [users] under exchange of the two systems' values.

    If the systems are alike, each user's difference might as well have the other sign: the p-value is the part of
    random signs that give a mean at least as far from zero, the signs as they are counted among them (Fisher's
    randomisation test, as in Smucker, Allan and Carterette, "A comparison of statistical significance tests for
    information retrieval evaluation", CIKM 2007).
    """
    moved = differences[differences != 0]  # the others add nothing with either sign
    if not len(moved):
        return 1.0
    generator = np.random.default_rng(seed)
    observed = abs(float(moved.sum()))
    as_far = 1
    block = max(1, _SIGNS_PER_BLOCK // len(moved))
    for start in range(0, resamples, block):
        draws = (min(block, resamples - start), len(moved))
        positive = generator.integers(0, 2, draws, dtype=np.int8)
        sums = 2.0 * (positive @ moved) - moved.sum()
        as_far += int((np.abs(sums) >= observed - _ROUNDING * len(differences)).sum())
    return as_far / (resamples + 1)


def compare(
    values: np.ndarray, baseline: np.ndarray, *, resamples: int = RESAMPLES, level: float = LEVEL, seed: int = 0
) -> PairedDifference:
    """Return how far ``values`` [users] lie above those of a ``baseline`` for the same users in the same order.

    Raises:
        ValueError: the two are not of the same users.
    """
    if values.shape != baseline.shape:
        raise ValueError(f"{len(values)} values cannot be paired with {len(baseline)}; take the users of one split.")
    differences = values - baseline
    estimate = bootstrap_interval(differences, resamples=resamples, level=level, seed=seed)
    p_value = randomisation_p_value(differences, resamples=resamples, seed=seed)
    return PairedDifference(estimate.mean, estimate.low, estimate.high, p_value)
