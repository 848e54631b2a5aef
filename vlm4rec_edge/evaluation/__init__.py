"""Evaluation: how well a catalog's items are recommended, on what its users really took.

    >>> from vlm4rec_edge import evaluation
    >>> interactions, _ = evaluation.read_interactions("purchases.csv")  # doctest: +SKIP
    >>> split = evaluation.chronological_split(interactions, item_ids)  # doctest: +SKIP
    >>> systems = {  # doctest: +SKIP
    ...     "captions": evaluation.profile_scorer(split, vectors),
    ...     "popularity": evaluation.popularity_scorer(split),
    ... }
    >>> captions, popularity = evaluation.compare_systems(systems, split)  # doctest: +SKIP
    >>> captions.figures["recall@10"], popularity.differences["recall@10"]  # doctest: +SKIP

``evaluate`` does all of this for an index, beside popularity and a random ranking.

Every system sees the same users, the same candidates and the same masks. Everything random has a seed.
"""

from __future__ import annotations

from vlm4rec_edge.evaluation.comparison import SystemFigures, compare_systems
from vlm4rec_edge.evaluation.evaluating import Evaluation, EvaluationSettings, EvaluationTable, evaluate
from vlm4rec_edge.evaluation.metrics import DEFAULT_METRICS, Metric, measure, parse_metric
from vlm4rec_edge.evaluation.ranking import (
    Ranking,
    Scorer,
    popularity_scorer,
    profile_scorer,
    random_scorer,
    rank,
)
from vlm4rec_edge.evaluation.significance import (
    Estimate,
    PairedDifference,
    bootstrap_interval,
    compare,
    randomisation_p_value,
)
from vlm4rec_edge.evaluation.split import (
    ItemLists,
    Split,
    chronological_split,
    leave_last_out,
)
from vlm4rec_edge.evaluation.variants import without_variants
from vlm4rec_edge.interactions import Interactions, read_interactions

__all__ = [
    "DEFAULT_METRICS",
    "Estimate",
    "Evaluation",
    "EvaluationSettings",
    "EvaluationTable",
    "Interactions",
    "ItemLists",
    "Metric",
    "PairedDifference",
    "Ranking",
    "Scorer",
    "Split",
    "SystemFigures",
    "bootstrap_interval",
    "chronological_split",
    "compare",
    "compare_systems",
    "evaluate",
    "leave_last_out",
    "measure",
    "parse_metric",
    "popularity_scorer",
    "profile_scorer",
    "random_scorer",
    "randomisation_p_value",
    "rank",
    "read_interactions",
    "without_variants",
]
