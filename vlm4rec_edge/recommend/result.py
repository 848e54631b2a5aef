"""What a query is answered with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from vlm4rec_edge.items import StoredPhoto
from vlm4rec_edge.recommend.explanation import Reason, in_words

Basis = Literal["history", "history and text", "text", "popularity", "vector"]


@dataclass(frozen=True)
class Recommendation:
    """One recommended item.

    Attributes:
        rank: From 1.
        item_id, title, caption, image, attributes: As the index holds the item.
        score: The cosine between profile and item (-1 to 1); where ``basis`` is ``popularity``, the item's count.
        basis: What answered: ``history``, ``history and text``, ``text``, ``vector``, or ``popularity``.
        because: The reasons, strongest first, whose amounts sum to the score; empty unless they were asked for.
        interest: Which of several interests it belongs to, from 0.
        photos: All photos of the item, each with its caption, where it has several; a bundle keeps the first alone.
        shared: Informative words that its caption shares with those of the history, or of the strongest reasons where it is
            long, the most informative first; empty unless reasons were asked for.
    """

    rank: int
    item_id: str
    score: float
    title: str
    caption: str
    image: str
    attributes: Mapping[str, str]
    basis: Basis = "history"
    because: tuple[Reason, ...] = ()
    interest: int = 0
    photos: tuple[StoredPhoto, ...] = ()
    shared: tuple[str, ...] = ()

    @property
    def why(self) -> str:
        """The reasons as a sentence; empty where there are none."""
        return in_words(self.because)

    def to_dict(self) -> dict[str, Any]:
        """Return its part of the document that ``recommend --json`` prints."""
        # Not by ``asdict``, whose deep copies take longer than recommending.
        because = [
            {**vars(reason), "words": list(reason.words), "parts": dict(reason.parts)} for reason in self.because
        ]
        photos = [asdict(photo) for photo in self.photos]
        return {
            **vars(self),
            "attributes": dict(self.attributes),
            "because": because,
            "photos": photos,
            "shared": list(self.shared),
            "why": self.why,
        }


class Recommendations(list[Recommendation]):
    """The answer to one query: its recommendations, best first, and what was asked of which index.

    Attributes:
        folder: The path of the index or bundle.
        method: ``exact``, ``hnsw`` or another back end: how the index is searched.
        query: What was asked: ``history``, ``disliked``, ``text``, ``item``; empty for a vector.
        answered_by: The basis of the recommendations; None where there are none.
        unknown: Ids of history and disliked items that the index does not hold; they were ignored.
    """

    def __init__(
        self,
        hits: Iterable[Recommendation],
        *,
        folder: str,
        method: str,
        query: Mapping[str, Any],
        unknown: Sequence[str] = (),
    ) -> None:
        super().__init__(hits)
        self.folder = folder
        self.method = method
        self.query = query
        self.answered_by: str | None = self[0].basis if self else None
        self.unknown = unknown

    def to_dict(self) -> dict[str, Any]:
        """Return the document that ``recommend``, ``similar`` and ``search`` print with ``--json``."""
        return {
            "index": self.folder,
            "method": self.method,
            "query": dict(self.query),
            "answered_by": self.answered_by,
            "unknown": list(self.unknown),
            "recommendations": [hit.to_dict() for hit in self],
        }
