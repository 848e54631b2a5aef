"""From a shop's purchases to better recommendations, if they are: learn, judge, and keep what was learned or say why not."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vlm4rec_edge.columns import ItemTable
from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.evaluation.purchases import Purchases, read_purchases
from vlm4rec_edge.evaluation.significance import (
    RESAMPLES,
    PairedDifference,
    bootstrap_interval,
    compare,
)
from vlm4rec_edge.evaluation.split import Split, leave_last_out
from vlm4rec_edge.interactions import InteractionColumns, Interactions, days_of
from vlm4rec_edge.learning.factors import Factors, FactorSettings, learn_factors
from vlm4rec_edge.learning.judging import (
    GRID,
    LEVEL,
    PHOTO_SHARE,
    WITHOUT_FACTORS,
    Judged,
    is_beyond_chance,
    joined,
    judge,
    ndcg,
    recall,
)
from vlm4rec_edge.learning.report import JudgedSystem, LearnReport
from vlm4rec_edge.learning.texts import OtherTexts
from vlm4rec_edge.mixture import Weights, popularity_of_a_purchase, popularity_of_buyers
from vlm4rec_edge.store.learned import NOT_NEW, Learned
from vlm4rec_edge.store.photo_vectors import ItemPhotos

if TYPE_CHECKING:
    from vlm4rec_edge.store.reader import StoreReader

CONTENT, WITH_PHOTOS = "content", "learned, photos too"
_LONG_LONG_AGO, _FAR_AHEAD = 3_650, 73_000  # days since 1970: dates of purchases lie between 1980 and 2170

OnStart = Callable[[int], Callable[[int], None]]


@dataclass(frozen=True)
class Outcome:
    """What came of learning: the report, what is worth keeping, and the texts that items are compared by from then on.

    ``learned`` is None if nothing is, ``texts`` if they stay what they were.
    """

    report: LearnReport
    learned: Learned | None
    texts: OtherTexts | None


def learn_from(
    store: StoreReader,
    interactions: Path | str | Interactions,
    *,
    columns: InteractionColumns | None = None,
    new_items: str = "",
    others: Sequence[OtherTexts] = (),
    photos: ItemPhotos | None = None,
    seed: int = 0,
    settings: FactorSettings | None = None,
    on_start: OnStart | None = None,
) -> Outcome:
    """Learn from purchases, and judge what was learned; the index is only read.

    Args:
        store: The open index, its content vectors.
        interactions: A table as ``read_interactions`` reads it, or interactions.
        columns: What the columns of the table are called, where it is nothing known.
        new_items: A column that marks new items, by anything but 0, no and false.
        others: What items may be compared by instead of what the index encodes now.
        photos: The photos' own vectors, in the order of the store's table, if it may be learned from them too.
        seed: Of the folds, the intervals and the order of equal scores.
        settings: Of the factors.
        on_start: Called with how many users are evaluated; returns a function that is called with how many are done.

    Raises:
        CatalogError, UsageError: the table cannot be read, or holds too little; ``new_items`` is no column.
        UnknownItemError: the index holds none of the items.
        MissingDependencyError: scipy is not installed.
    """
    started = time.monotonic()
    table = store.table()
    new = marked_new(table, new_items)
    purchases = read_purchases(store, interactions, columns)
    split = _split(purchases, table.ids)

    def content(positions: np.ndarray) -> np.ndarray:
        return store.vectors_once(table.rows[positions])

    contents = [content, *(other.at for other in others)]
    seen = photos.at if photos else None
    judged = judge(split, contents, photos=seen, new=new, settings=settings, seed=seed, on_start=on_start)
    ways = ways_of(judged, seed)
    name, weights, gain = _decided(ways, seed)
    chosen = others[judged.content - 1] if judged.content and name != CONTENT else None
    encoded_text = chosen.kind if chosen else store.meta["encoded_text"]
    newest, age = _newest(purchases.interactions)
    everything, learned = split.with_tests(), None
    if name != CONTENT:
        by_photos = seen if name == WITH_PHOTOS else None
        from_what = joined(contents[judged.content], by_photos) if by_photos else contents[judged.content]
        factors = learn_factors(everything, from_what, len(table.ids), settings)
        facts = _facts(split, judged, gain, newest, store.meta["photo_vectors"] if by_photos else "")
        learned = _kept(store, table, factors, weights, new_items, encoded_text, facts)
    report = LearnReport(
        index=str(store.folder),
        interactions=purchases.file,
        used=len(purchases.interactions),
        failures=purchases.failures,
        unknown_items=split.unknown_items,
        users=len(judged.users),
        items_bought=len(np.unique(everything.items)),
        items_new=0 if new is None else int(new.sum()),
        same_day=_same_day(split),
        newest=newest,
        age_days=age,
        systems=[way for way, _ in ways],
        gain=gain,
        weights=weights,
        encoded_text=encoded_text,
        encoded_before=store.meta["encoded_text"],
        judged_texts=[other.kind for other in others],
        photos=photos.count if photos else 0,
        uses_photos=name == WITH_PHOTOS,
        stored=False,
        reason=_reason(name, gain, store.learned),
        seconds=round(time.monotonic() - started, 3),
        hint=purchases.hint,
    )
    return Outcome(report, learned, chosen)


def _facts(split: Split, judged: Judged, gain: PairedDifference, newest: str, photos: str) -> dict[str, Any]:
    return {
        "newest_purchase": newest,
        "users": len(split.training),
        "judged_users": len(judged.users),
        "purchases": len(split.training.items) + len(split.test.items),
        "gain": asdict(gain),
        **({"photos": photos, "photo_share": PHOTO_SHARE} if photos else {}),
    }


def _split(purchases: Purchases, ids: Sequence[str]) -> Split:
    try:
        return leave_last_out(purchases.interactions, ids)
    except UsageError:
        raise UsageError(
            "No user bought two different items of this index, so nothing tells what is bought together."
            f"{purchases.about_left_out or ' Give more purchases.'}"
        ) from None


def ways_of(judged: Judged, seed: int) -> list[tuple[JudgedSystem, np.ndarray]]:
    """Return each way to recommend, with the ranks that it gave to what was held back."""
    ways: list[tuple[str, Weights | None, np.ndarray]] = [
        (CONTENT, GRID[0], judged.present),
        ("popularity", None, judged.popularity),
    ]
    every = np.arange(len(GRID))
    for name, rows, found in (
        ("content and popularity", WITHOUT_FACTORS, judged.ranks),
        ("learned", every, judged.ranks),
        (WITH_PHOTOS, every, judged.with_photos),
    ):
        if found is not None:
            best, ranks = judged.chosen(rows, found)
            ways.append((name, GRID[best], ranks))
    return [
        (
            JudgedSystem(
                name,
                bootstrap_interval(recall(ranks), resamples=RESAMPLES, seed=seed),
                bootstrap_interval(ndcg(ranks), resamples=RESAMPLES, seed=seed),
                weights,
            ),
            ranks,
        )
        for name, weights, ranks in ways
    ]


def decided(judged: Judged, seed: int = 0) -> tuple[str, Weights, PairedDifference]:
    """Return by what to recommend from now on, its weights, and how much better than content that is in NDCG@10."""
    return _decided(ways_of(judged, seed), seed)


def _decided(ways: Sequence[tuple[JudgedSystem, np.ndarray]], seed: int) -> tuple[str, Weights, PairedDifference]:
    """Return what to recommend by from now on: the simplest way that none beats significantly."""
    ranks = {way.name: own for way, own in ways}
    weights = {way.name: way.weights for way, _ in ways}
    chosen = CONTENT
    for name in ("content and popularity", "learned", WITH_PHOTOS):
        if name not in ranks:
            continue
        gain = compare(ndcg(ranks[name]), ndcg(ranks[chosen]), resamples=RESAMPLES, level=LEVEL, seed=seed)
        if is_beyond_chance(gain):
            chosen = name
    gain = compare(ndcg(ranks[chosen]), ndcg(ranks[CONTENT]), resamples=RESAMPLES, level=LEVEL, seed=seed)
    if chosen == CONTENT:  # then report what was not enough
        gain = compare(ndcg(ranks["learned"]), ndcg(ranks[CONTENT]), resamples=RESAMPLES, level=LEVEL, seed=seed)
    return chosen, weights[chosen] or GRID[0], gain


def _reason(name: str, gain: PairedDifference, before: Mapping[str, Any]) -> str:
    interval = f"{LEVEL:.0%} interval {gain.low:+.4f} to {gain.high:+.4f}"
    told = f"NDCG@10 {gain.mean:+.4f} ({interval}) against content, on purchases held back"
    if name == CONTENT:
        stays = "What was learned before stays" if before else "It stays with content"
        return f"What was learned is not significantly better than content: {told}. {stays}."
    replaced = ""
    if before:
        replaced = f" It replaces what was learned from {before['purchases']:,} purchases of {before['users']:,} users."
    return f"{name[0].upper()}{name[1:]} recommends significantly better than content: {told}.{replaced}"


def _kept(
    store: StoreReader,
    table: ItemTable,
    factors: Factors,
    weights: Weights,
    new_items: str,
    encoded_text: str,
    facts: dict[str, Any],
) -> Learned:
    others = np.setdiff1d(np.flatnonzero(factors.buyers), factors.bought)
    bought = np.concatenate([factors.bought, others])
    photos = facts.get("photos", "")
    return Learned(
        encoder=store.meta["encoder"],
        encoded_text=encoded_text,
        weights=weights,
        ids=[table.ids[position] for position in bought.tolist()],
        factors=factors.vectors,
        popularity=popularity_of_buyers(factors.buyers)[bought],
        projection=factors.projection,
        trust=factors.trust,
        new_popularity=popularity_of_a_purchase(factors.buyers),
        new_items=new_items,
        last_number=store.last_number(),
        facts={
            "weights": asdict(weights),
            "new_items": new_items,
            "learned_at": datetime.now(UTC).date().isoformat(),
            **facts,
        },
        photos=photos,
        photo_dimensions=int(store.meta["photo_dimensions"]) if photos else 0,
        photo_share=PHOTO_SHARE if photos else 0.0,
    )


def marked_new(table: ItemTable, column: str) -> np.ndarray | None:
    """Return which items a column marks as new: [items], bool."""
    if not column:
        return None
    if column not in table.columns:
        raise UsageError(f"The index has no column {column!r}; its columns: {', '.join(table.columns)}.")
    found = table.columns[column]
    says_new = np.array([value.strip().lower() not in NOT_NEW for value in found.values] + [False])
    return np.asarray(says_new[found.codes])  # the code of a missing value is -1


def _same_day(split: Split) -> float:
    """Return the share of held-back items that were bought on the day of another item of the same user."""
    last = split.history.starts[1:] - 1
    days = days_of(np.concatenate([split.dates[last], split.test_dates])).reshape(2, -1)
    return round(float(np.mean(days[0] == days[1])), 4)


def _newest(interactions: Interactions) -> tuple[str, int | None]:
    """Return the day of the newest purchase and how many days ago that was, where dates are dates."""
    days = int(interactions.days.max())
    if not _LONG_LONG_AGO < days < _FAR_AHEAD:
        return "", None
    day = date(1970, 1, 1) + timedelta(days=days)
    return day.isoformat(), (datetime.now(UTC).date() - day).days
