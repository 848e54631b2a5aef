"""What came of learning: how well each way to recommend found what was held back, and what was chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from vlm4rec_edge.evaluation.significance import Estimate, PairedDifference
from vlm4rec_edge.items import Failure
from vlm4rec_edge.mixture import Weights


@dataclass(frozen=True)
class JudgedSystem:
    """How well one way to recommend predicts what was held back; its weights are those that fit all users best."""

    name: str
    recall: Estimate
    ndcg: Estimate
    weights: Weights | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the system as ``learn --json`` prints it."""
        figures = {"recall@10": asdict(self.recall), "ndcg@10": asdict(self.ndcg)}
        return {"system": self.name, **figures, "weights": asdict(self.weights) if self.weights else None}


@dataclass(frozen=True)
class LearnReport:
    """What was learned, and how good it is.

    Attributes:
        index: The path of the index.
        interactions: The path of the table, or empty.
        used: How many interactions could be used.
        failures: Rows that could not.
        unknown_items: Ids that the interactions name and the index does not hold.
        users: How many were evaluated, each by the last item bought.
        items_bought: How many items of the index were bought by anybody.
        items_new: How many are marked as new.
        same_day: Share of the held-back items that were bought on the day of another item of the same user: where it is
            large, the figures measure basket completion.
        newest: Day of the newest purchase (ISO), or empty where the dates are other numbers.
        age_days: How old that is, below 0 where it is in the future, or None.
        systems: Content, popularity, content and popularity, learned, and learned from photos too where they have vectors.
        gain: NDCG@10 of what was chosen less that of content, user by user, with the interval that decides.
        weights: What was chosen.
        encoded_text: By which text items are compared: as before, unless another share of the title is better.
        encoded_before: By which they were.
        judged_texts: The others that were evaluated.
        photos: How many items have a photo vector that could be learned from.
        uses_photos: Whether what was chosen is learned from these.
        note: Why other texts or photo vectors were left out, where there are such; else empty.
        stored: Whether the index recommends by it from now on.
        reason: Why it does, or does not.
        seconds: How long it took.
        hint: What one of the unknown ids may have been meant for, or where all ids are listed; empty where there are none.
    """

    index: str
    interactions: str
    used: int
    failures: Sequence[Failure]
    unknown_items: Sequence[str]
    users: int
    items_bought: int
    items_new: int
    same_day: float
    newest: str
    age_days: int | None
    systems: Sequence[JudgedSystem]
    gain: PairedDifference
    weights: Weights
    encoded_text: str
    encoded_before: str
    judged_texts: Sequence[str]
    stored: bool
    reason: str
    seconds: float
    hint: str = ""
    note: str = ""
    photos: int = 0
    uses_photos: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the document that ``learn --json`` prints."""
        failures = [asdict(failure) for failure in self.failures]
        return {
            "index": self.index,
            "interactions": {"file": self.interactions, "used": self.used, "failures": failures},
            "unknown_items": list(self.unknown_items),
            **{
                name: getattr(self, name)
                for name in ("users", "items_bought", "items_new", "same_day", "newest", "age_days")
            },
            "systems": [system.to_dict() for system in self.systems],
            "gain": asdict(self.gain),
            "weights": asdict(self.weights),
            "judged_texts": list(self.judged_texts),
            "photos": self.photos,
            "uses_photos": self.uses_photos,
            **{
                name: getattr(self, name)
                for name in ("encoded_text", "encoded_before", "note", "stored", "reason", "seconds")
            },
        }
