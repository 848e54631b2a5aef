"""How well one index predicts what the users of a shop bought next, beside popularity and a random ranking."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from vlm4rec_edge.columns import ItemTable, group_codes
from vlm4rec_edge.errors import StoreError, UsageError
from vlm4rec_edge.evaluation.candidates import candidates
from vlm4rec_edge.evaluation.comparison import SystemFigures, compare_systems
from vlm4rec_edge.evaluation.metrics import DEFAULT_METRICS, parse_metric
from vlm4rec_edge.evaluation.purchases import Purchases, read_purchases
from vlm4rec_edge.evaluation.ranking import Scorer, popularity_scorer, profile_scorer, random_scorer
from vlm4rec_edge.evaluation.significance import RESAMPLES
from vlm4rec_edge.evaluation.split import MIN_ITEMS, TEST_SHARE, SameDay, Split, chronological_split, leave_last_out
from vlm4rec_edge.evaluation.variants import without_variants
from vlm4rec_edge.given import Place
from vlm4rec_edge.interactions import InteractionColumns, Interactions
from vlm4rec_edge.items import Failure
from vlm4rec_edge.mixture import Weights
from vlm4rec_edge.recommend.profile import ProfileSettings
from vlm4rec_edge.recommend.source import ItemSource, open_source

Protocol = Literal["chronological", "last"]
OnStart = Callable[[int], Callable[[int], None]]
_LEAST_ITEMS: dict[Protocol, int] = {"chronological": MIN_ITEMS, "last": 2}


@dataclass(frozen=True)
class EvaluationSettings:
    """What is held back, what is measured, and how a history becomes a profile.

    Attributes:
        protocol: ``chronological`` holds the last part of each user's items back, ``last`` the last item (baskets).
        test_share: The part that is held back, with ``chronological``.
        same_day: What becomes of items of one date; see ``chronological_split``.
        min_items: Least different items of a tested user; default: 5, and 2 with ``last``.
        metrics: Names as ``parse_metric`` knows them.
        group: What variants of one product share, as for ``group_codes``; adds a table without the user's own variants.
        last, half_life: As in ``ProfileSettings``; the half-life in the unit of the dates.
        weighted: Whether the weights of the interactions count.
        seed: Of everything random.
        resamples: Bootstrap resamples of the intervals, and permutations of the tests.

    Raises:
        UsageError: there is no such protocol or metric, or a setting of the profile is out of range.
    """

    protocol: Protocol = "chronological"
    test_share: float = TEST_SHARE
    same_day: SameDay = "by-id"
    min_items: int | None = None
    metrics: Sequence[str] = DEFAULT_METRICS
    group: str | None = None
    last: int | None = None
    half_life: float | None = None
    weighted: bool = False
    seed: int = 0
    resamples: int = RESAMPLES

    def __post_init__(self) -> None:
        """Refuse what cannot be meant, before any long work."""
        for name, kind in (("protocol", Protocol), ("same_day", SameDay)):
            if (value := getattr(self, name)) not in get_args(kind):
                raise UsageError(f"{name} is {value!r}; choose one of {', '.join(get_args(kind))}.")
        for metric in self.metrics:
            parse_metric(metric)
        ProfileSettings(last=self.last, half_life=self.half_life)

    @property
    def profile(self) -> ProfileSettings:
        """How a history becomes a profile."""
        return ProfileSettings(last=self.last, half_life=self.half_life)

    @property
    def least_items(self) -> int:
        """Least different items of a tested user."""
        return self.min_items or _LEAST_ITEMS[self.protocol]

    def split(self, interactions: Interactions, item_ids: Sequence[str]) -> Split:
        """Hold back what is to be predicted.

        Raises:
            UsageError: a setting is out of range, or no user has enough items.
        """
        how: dict[str, Any] = {"min_items": self.least_items, "same_day": self.same_day}
        if self.protocol == "last":
            return leave_last_out(interactions, item_ids, **how)
        return chronological_split(interactions, item_ids, test_share=self.test_share, **how)

    def to_dict(self) -> dict[str, Any]:
        """Return the protocol as ``evaluate --json`` prints it."""
        share = self.test_share if self.protocol == "chronological" else None
        document = {"name": self.protocol, **asdict(self), "test_share": share, "min_items": self.least_items}
        return {name: value for name, value in document.items() if name not in ("protocol", "metrics")}


@dataclass(frozen=True)
class EvaluationTable:
    """The systems on one set of users, the index first; ``own_variants`` of a user are ``kept`` or ``removed``."""

    own_variants: str
    users: int
    systems: Sequence[SystemFigures]


@dataclass(frozen=True)
class Evaluation:
    """What was measured, of what, and what was left out.

    Attributes:
        index: The path of the index.
        interactions: The path of the table, or empty if it was given as ``Interactions``.
        used: How many interactions could be used.
        failures: Rows that could not.
        settings: How it was measured.
        items, vectors: How many candidates there are, and how many different vectors.
        unknown_items: Ids that the interactions name and the index does not hold.
        hint: What one of those may have been meant for, or where all ids are listed; empty where there are none.
        short_users: Users with too few items to be tested.
        seconds: How long it took.
        tables: One, or with ``settings.group`` two: without removing variants, and with.
        notes: What a user should know of how the interactions were read, as sentences.
    """

    index: str
    interactions: str
    used: int
    failures: Sequence[Failure]
    settings: EvaluationSettings
    items: int
    vectors: int
    unknown_items: Sequence[str]
    short_users: int
    seconds: float
    tables: Sequence[EvaluationTable]
    notes: Sequence[str] = ()
    hint: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the document that ``evaluate --json`` prints."""
        failures = [asdict(failure) for failure in self.failures]
        return {
            "index": self.index,
            "interactions": {"file": self.interactions, "used": self.used, "failures": failures},
            "protocol": self.settings.to_dict(),
            **{name: getattr(self, name) for name in ("items", "vectors")},
            "unknown_items": list(self.unknown_items),
            **{name: getattr(self, name) for name in ("short_users", "seconds")},
            "tables": [
                {
                    "own_variants": table.own_variants,
                    "users": table.users,
                    "systems": [each.to_dict() for each in table.systems],
                }
                for table in self.tables
            ],
            "notes": list(self.notes),
        }


_LEARNED_ANEW = (
    "The index learned from purchases; for this evaluation it learned again, with the same weights, without the purchases to "
    "predict. The row content uses titles and captions alone."
)


_WITHOUT_PHOTOS = (
    "The index learned from photo vectors too, which are missing here: what is evaluated learned from titles and captions "
    "alone, and differs from what the index recommends by."
)


def _representations(
    source: ItemSource,
    items: ItemTable,
    vectors: np.ndarray,
    split: Split,
    settings: EvaluationSettings,
    photos: np.ndarray | None,
) -> dict[str, Callable[[Split], Scorer]]:
    """Return the index as a system, and, where it learned from purchases, its words alone."""
    if source.layout is None:
        return {"index": partial(_profiles, settings, vectors, items.rows)}
    from vlm4rec_edge.learning.split import content_part, mixed_in

    content, facts = content_part(vectors[items.rows], source.layout), source.learned
    column = facts["new_items"]
    new_items = column if column in items.columns else ""  # where it is gone from the catalog, nothing is new
    share = facts.get("photo_share", 0.0)
    learned = mixed_in(split, items, content, Weights(**facts["weights"]), new_items, photos, share)
    rows = np.arange(len(content))
    return {
        "index": partial(_profiles, settings, learned, rows),
        "content": partial(_profiles, settings, content, rows),
    }


def _photos(source: ItemSource, ids: Sequence[str]) -> np.ndarray | None:
    """Return the photo vectors that an index learned from; None if it did not, or they are lost, or in a bundle."""
    from vlm4rec_edge.store.reader import StoreReader

    by = source.learned.get("photos", "")
    if not (by and isinstance(source, StoreReader) and source.meta.get("photo_vectors") == by):
        return None
    try:
        return source.photos_of(ids).at(np.arange(len(ids)))
    except StoreError:
        return None


def _profiles(settings: EvaluationSettings, vectors: np.ndarray, rows: np.ndarray, users: Split) -> Scorer:
    return profile_scorer(users, vectors, rows, settings=settings.profile, weighted=settings.weighted)


def _split(settings: EvaluationSettings, purchases: Purchases, ids: Sequence[str]) -> Split:
    if settings.weighted and not purchases.interactions.has_weights:
        raise UsageError(
            f"{purchases.file} has no column weight, and --weighted (weighted=True) was given; leave it out, or name the "
            "column with --weight-column."
        )
    try:
        return settings.split(purchases.interactions, ids)
    except UsageError as error:
        raise UsageError(f"{error}{purchases.about_left_out}") from None


def evaluate(
    index: Place,
    interactions: Path | str | Interactions,
    *,
    columns: InteractionColumns | None = None,
    settings: EvaluationSettings | None = None,
    on_start: OnStart | None = None,
) -> Evaluation:
    """Measure how well an index predicts what users bought next, beside popularity and a random ranking.

    The index is searched exactly at any size; equal scores are put in random order. One that learned from purchases
    learns again from the histories, without what is held back, and stands beside its words alone.

    Args:
        index: An index folder, a bundle, or the address of a table.
        interactions: A table as ``read_interactions`` reads it, or interactions.
        columns: What the columns of the table are called, where it is nothing known.
        settings: How; default: the last fifth of each user's items is held back, and every metric measured.
        on_start: Called with the number of users, over all systems and tables; returns what is called with how many are done.

    Raises:
        CatalogError, StoreError: the table or the index cannot be read.
        UnknownItemError: the index holds none of the items.
        UsageError: a setting cannot be meant, no user has enough items, or weights shall count and there are none.
    """
    started = time.monotonic()
    settings = settings or EvaluationSettings()
    source, _ = open_source(index)
    with closing(source):
        items, vectors = candidates(source)
        purchases = read_purchases(source, interactions, columns)
        split = _split(settings, purchases, items.ids)
        splits = {"kept": split}
        if settings.group is not None:
            splits["removed"] = without_variants(split, group_codes(items, settings.group))
        photos = _photos(source, items.ids)
        systems: dict[str, Callable[[Split], Scorer]] = {
            **_representations(source, items, vectors, split, settings, photos),
            "popularity": popularity_scorer,
            "random": lambda users: random_scorer(users, settings.seed),
        }
        done = 0
        advance = on_start(len(systems) * sum(map(len, splits.values()))) if on_start else lambda _: None
        tables = []
        for own_variants, users in splits.items():
            measured = compare_systems(
                {name: system(users) for name, system in systems.items()},
                users,
                metrics=settings.metrics,
                resamples=settings.resamples,
                seed=settings.seed,
                on_progress=lambda now, before=done: advance(before + now),  # type: ignore[misc]
            )
            done += len(systems) * len(users)
            tables.append(EvaluationTable(own_variants, len(users), measured))
        return Evaluation(
            index=str(index),
            interactions=purchases.file,
            used=len(purchases.interactions),
            failures=purchases.failures,
            settings=settings,
            items=len(items.ids),
            vectors=len(vectors),
            unknown_items=split.unknown_items,
            short_users=split.short_users,
            seconds=round(time.monotonic() - started, 3),
            tables=tables,
            notes=(
                *purchases.interactions.notes,
                *([_LEARNED_ANEW] if source.layout else []),
                *([_WITHOUT_PHOTOS] if source.learned.get("photos") and photos is None else []),
            ),
            hint=purchases.hint,
        )
