"""What the demo's report shows, before it is a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class ReportItem:
    """One product. ``attributes`` is what is known to be true of it; ``caption`` what the model said."""

    item_id: str
    title: str
    caption: str
    image: Path
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Offer:
    """One recommended product.

    Attributes:
        item: The product.
        score: Its score (a cosine).
        shared: Words of its caption that captions of the history have too, in lower case.
        mark: What is said of it, "for hiking" or "not for hiking"; may be empty.
        fits: Whether the mark is a good one.
    """

    item: ReportItem
    score: float
    shared: Sequence[str] = ()
    mark: str = ""
    fits: bool = False


@dataclass(frozen=True)
class Way:
    """What one way of recommending found: its name, a few words about it, and what it recommends, best first."""

    name: str
    told: str
    offers: Sequence[Offer]


@dataclass(frozen=True)
class Shopper:
    """One shopper: what they bought, what each way recommends to them, and a sentence about others of that taste."""

    name: str
    story: str
    history: Sequence[ReportItem]
    ways: Sequence[Way]
    told: str = ""


@dataclass(frozen=True)
class Bar:
    """One mean with the bounds of its interval, of so many at most."""

    name: str
    mean: float
    low: float
    high: float
    most: float


@dataclass(frozen=True)
class Count:
    """What was counted of one taste: a bar for each way, and what they show in a sentence."""

    name: str
    about: str
    bars: Sequence[Bar]
    verdict: str


@dataclass(frozen=True)
class ReportData:
    """All that a report shows.

    Attributes:
        title: Its heading.
        intro: The sentence that matters.
        facts: Numbers of the run, as (label, value).
        vector: Of the first item of the first shopper's history, [dimensions], shown as bars.
        shoppers: In order; the first has the photo, the words and the recommendation at the top of the page.
        counts: One a taste.
        counted: How they were counted.
        catalog: The items that are shown with their captions.
        notes: What else a reader should know.
        failures: What was left out, as (item id, reason).
    """

    title: str
    intro: str
    facts: Sequence[tuple[str, str]] = ()
    vector: Sequence[float] = ()
    shoppers: Sequence[Shopper] = ()
    counts: Sequence[Count] = ()
    counted: str = ""
    catalog: Sequence[ReportItem] = ()
    notes: Sequence[str] = ()
    failures: Sequence[tuple[str, str]] = ()
