"""Metrics by name: how good the recommendations of a system are, for each user or as a whole."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.evaluation.ranking import Ranking
from vlm4rec_edge.evaluation.split import Split

DEFAULT_METRICS = ("recall@10", "ndcg@10", "hit_rate@10", "mrr", "coverage@10", "novelty@10")


@dataclass(frozen=True)
class Metric:
    """A metric with its cutoff: ``recall@10`` is ``Metric("recall", 10)``; without a cutoff (``mrr``) it is None."""

    kind: str
    cutoff: int | None

    @property
    def name(self) -> str:
        """The name it is asked for by."""
        return self.kind if self.cutoff is None else f"{self.kind}@{self.cutoff}"


def parse_metric(name: str) -> Metric:
    """Return the metric of a name such as ``ndcg@10``.

    Raises:
        UsageError: there is no such metric.
    """
    match = re.fullmatch(r"([a-z_]+)(?:@([1-9]\d{0,5}))?", name.strip().lower())
    if match is None or match[1] not in _FORMULAS or (match[2] is None and match[1] != "mrr"):
        known = ", ".join(kind if kind == "mrr" else f"{kind}@10" for kind in _FORMULAS)
        raise UsageError(f"There is no metric {name!r}; the metrics are {known}, with any number in place of the 10.")
    return Metric(match[1], int(match[2]) if match[2] else None)


def measure(metric: Metric, ranking: Ranking, split: Split) -> np.ndarray:
    """Return the value of a metric: [users], float64; [1] for ``coverage``, which only a whole system has.

    - ``recall@k``: found test items among the first k, by all test items of the user.
    - ``hit_rate@k``: 1 if there is a test item among the first k.
    - ``ndcg@k``: sum of 1 / log2(rank + 1) over the found test items, by the largest such sum that k allows (Järvelin
      and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", TOIS 2002; binary gains).
    - ``mrr``: 1 / rank of the best test item among all candidates; ``mrr@k``: 0 beyond k.
    - ``coverage@k``: part of the catalog that at least one user gets among the first k.
    - ``novelty@k``: mean of -log2 p over the first k, in bits, where p is the part of the training users who have the item
      (Vargas and Castells, "Rank and relevance in novelty and diversity metrics", RecSys 2011). One more user is
      counted for every item, so that an item without interactions has a finite value. 0 for a user who gets nothing.

    Raises:
        ValueError: the ranking is not as deep as the cutoff.
    """
    if metric.cutoff is not None and metric.cutoff > ranking.top.shape[1]:
        raise ValueError(
            f"{metric.name} needs a ranking of depth {metric.cutoff}, this one has {ranking.top.shape[1]}."
        )
    cutoff = ranking.top.shape[1] if metric.cutoff is None else metric.cutoff
    cut = Ranking(ranking.top[:, :cutoff], ranking.hits[:, :cutoff], ranking.first_hit)
    return np.asarray(_FORMULAS[metric.kind](cut, split, metric), dtype=np.float64)


def _recall(ranking: Ranking, split: Split, _: Metric) -> np.ndarray:
    return np.asarray(ranking.hits.sum(axis=1) / split.test.sizes)


def _hit_rate(ranking: Ranking, _: Split, __: Metric) -> np.ndarray:
    return np.asarray(ranking.hits.any(axis=1))


def _ndcg(ranking: Ranking, split: Split, _: Metric) -> np.ndarray:
    depth = ranking.hits.shape[1]
    discounts = 1 / np.log2(np.arange(depth) + 2)
    ideal = np.cumsum(discounts)[np.minimum(split.test.sizes, depth) - 1]
    return np.asarray(ranking.hits @ discounts / ideal)


def _mrr(ranking: Ranking, _: Split, metric: Metric) -> np.ndarray:
    is_found = ranking.first_hit > 0
    if metric.cutoff is not None:
        is_found &= ranking.first_hit <= metric.cutoff
    return np.where(is_found, 1 / np.maximum(ranking.first_hit, 1), 0.0)


def _coverage(ranking: Ranking, split: Split, _: Metric) -> np.ndarray:
    shown = np.unique(ranking.top)
    return np.array([(shown >= 0).sum() / split.item_count])


def _novelty(ranking: Ranking, split: Split, _: Metric) -> np.ndarray:
    information = -np.log2((split.counts + 1) / (split.training_users + 1))
    is_there = ranking.top >= 0
    return np.asarray((information[ranking.top] * is_there).sum(axis=1) / np.maximum(is_there.sum(axis=1), 1))


_FORMULAS: Mapping[str, Callable[[Ranking, Split, Metric], np.ndarray]] = {
    "recall": _recall,
    "ndcg": _ndcg,
    "hit_rate": _hit_rate,
    "mrr": _mrr,
    "coverage": _coverage,
    "novelty": _novelty,
}
