"""What a smaller set-up keeps of what a larger one gives the same users."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vlm4rec_edge.evaluation import Estimate
from vlm4rec_edge.evaluation.significance import LEVEL, RESAMPLES


@dataclass(frozen=True)
class Target:
    """What is to be kept of something, as a share, and what is; ``units``: how many users have something to lose."""

    row: str
    what: str
    least: float
    found: Estimate
    units: int | None = None

    @property
    def verdict(self) -> str:
        """Whether it is reached: the whole interval, the mean only, or neither.

        Where no user loses anything, every draw of the bootstrap keeps everything, and its interval says too much: that none
        of ``units`` users lost anything is to be expected even if up to 3 / units of them do (the rule of three).
        """
        if not np.isfinite(self.found.mean):
            return "cannot be said: nothing was found at all"
        if self.units and self.found.low >= 1 and 1 - 3 / self.units < self.least:
            return f"reached by the mean; {self.units} users with a hit are too few to say more"
        if self.found.low >= self.least:
            return "reached, with its whole interval"
        return "reached by the mean, not by the whole interval" if self.found.mean >= self.least else "missed"


def kept_share(values: np.ndarray, reference: np.ndarray, *, resamples: int = RESAMPLES, seed: int = 0) -> Estimate:
    """Return the mean of ``values`` [users] over that of ``reference`` for the same users, with a bootstrap interval.

    The same users are drawn for both (the bootstrap of a ratio: Efron and Tibshirani, "An Introduction to the Bootstrap",
    1993, section 10.5), so what makes a user easy or hard for both goes away. Draws in which the reference found nothing
    have no share and are left out; all are not-a-number where it found nothing for anybody.
    """
    if not reference.any():
        return Estimate(np.nan, np.nan, np.nan)
    generator = np.random.default_rng(seed)
    shares = []
    for _ in range(resamples):
        drawn = generator.integers(0, len(values), len(values))
        if total := float(reference[drawn].sum()):
            shares.append(float(values[drawn].sum()) / total)
    low, high = np.quantile(shares, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(float(values.sum() / reference.sum()), float(low), float(high))


def overlap(top: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return which share of each user's reference items [users, k] is among the others, in any order: [users], float64.

    Places without an item hold -1; a user to whom the reference recommends nothing keeps everything.
    """
    shares = np.ones(len(reference))
    for user, (own, others) in enumerate(zip(reference, top, strict=True)):
        wanted = own[own >= 0]
        if len(wanted):
            shares[user] = np.isin(wanted, others).mean()
    return shares
