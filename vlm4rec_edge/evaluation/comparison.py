"""Several systems on the same users, candidates and masks: their figures, and how each differs from the first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from vlm4rec_edge.evaluation.metrics import DEFAULT_METRICS, measure, parse_metric
from vlm4rec_edge.evaluation.ranking import Scorer, rank
from vlm4rec_edge.evaluation.significance import RESAMPLES, Estimate, PairedDifference, bootstrap_interval, compare
from vlm4rec_edge.evaluation.split import Split

# Without cutoffs there is still a first page to look at.
_LEAST_DEPTH = 10


@dataclass(frozen=True)
class SystemFigures:
    """What was measured of one system.

    Attributes:
        system: Its name.
        values: Metric to its values: [users], float64; [1] for metrics of the whole system.
        figures: Metric to mean and interval; a metric of the whole system has no interval, its bounds are the value.
        differences: Metric to the paired difference from the first system; empty for the first system itself, and without
            the metrics of a whole system.
    """

    system: str
    values: Mapping[str, np.ndarray]
    figures: Mapping[str, Estimate]
    differences: Mapping[str, PairedDifference]

    def to_dict(self) -> dict[str, Any]:
        """Return figures and differences as ``evaluate --json`` prints them."""
        return {
            "system": self.system,
            "figures": {metric: asdict(figure) for metric, figure in self.figures.items()},
            "differences": {metric: asdict(difference) for metric, difference in self.differences.items()},
        }


def compare_systems(
    systems: Mapping[str, Scorer],
    split: Split,
    *,
    metrics: Sequence[str] = DEFAULT_METRICS,
    resamples: int = RESAMPLES,
    seed: int = 0,
    on_progress: Callable[[int], None] | None = None,
) -> list[SystemFigures]:
    """Measure systems on one split; each is compared with the first, user by user.

    Args:
        systems: Name to scorer, the baseline first.
        split: Users, candidates and masks, the same for all.
        metrics: Names as ``parse_metric`` knows them.
        resamples: Bootstrap resamples of the intervals, and permutations of the tests.
        seed: The random seed of those and of the order of equal scores; the same seed gives the same figures.
        on_progress: Called with how many users are done, all systems counted together.

    Raises:
        UsageError: there is no such metric.
    """
    wanted = [parse_metric(name) for name in dict.fromkeys(metrics)]
    depth = max([metric.cutoff or _LEAST_DEPTH for metric in wanted], default=_LEAST_DEPTH)
    measured: list[SystemFigures] = []
    for number, (system, scorer) in enumerate(systems.items()):

        def advance(done: int, before: int = number * len(split)) -> None:
            if on_progress is not None:
                on_progress(before + done)

        ranking = rank(scorer, split, depth=depth, seed=seed, on_progress=advance)
        values = {metric.name: measure(metric, ranking, split) for metric in wanted}
        measured.append(_figures(system, values, measured, resamples, seed, len(split)))
    return measured


def _figures(
    system: str,
    values: Mapping[str, np.ndarray],
    before: Sequence[SystemFigures],
    resamples: int,
    seed: int,
    users: int,
) -> SystemFigures:
    figures: dict[str, Estimate] = {}
    differences: dict[str, PairedDifference] = {}
    for name, own in values.items():
        if len(own) != users:
            figures[name] = Estimate(float(own[0]), float(own[0]), float(own[0]))
            continue
        figures[name] = bootstrap_interval(own, resamples=resamples, seed=seed)
        if before:
            differences[name] = compare(own, before[0].values[name], resamples=resamples, seed=seed)
    return SystemFigures(system, values, figures, differences)
