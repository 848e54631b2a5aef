"""From the vectors of a history to one vector that stands for the shopper.

Every profile here is a weighted sum of vectors, scaled to unit length:

    u = s / |s|,   s = sum of c_i * v_i

so the score of an item x, the cosine u . x, is itself a sum, one part for each v_i: c_i / |s| * (v_i . x). Explanations
are these parts. Which c_i belong to which profile is written at each function.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral

import numpy as np

from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.given import number_of

# Below this length a sum has no direction left: the items point exactly away from each other.
_NO_DIRECTION = 1e-6
# How much the mean of what is disliked counts against the mean of what is liked: 0.15 to 0.75, the values that Manning,
# Raghavan and Schuetze name as reasonable for Rocchio's formula (Introduction to Information Retrieval, 2008, section 9.1.1).
DISLIKE_WEIGHT = 0.2
# A text beside a history counts as much as the whole history.
TEXT_WEIGHT = 1.0


@dataclass(frozen=True)
class ProfileSettings:
    """How a history becomes a profile; the default is the paper's, the plain mean.

    Attributes:
        last: Only the newest so many events count.
        half_life: An event counts half as much as one that is so much newer; in the unit of the events' times, or, where
            events have no times, in events.
        interests: Into how many separate interests a history is split, at most.
        merge: How the items of several interests become one list: ``quota`` gives each interest places in proportion to
            its weight in the history, ``best`` takes the nearest items, whichever interest they come from.
        dislike_weight: How strongly disliked items push away.
        text_weight: How much a text counts beside the history, which counts 1.

    Raises:
        UsageError: a setting out of range.
    """

    last: int | None = None
    half_life: float | None = None
    interests: int = 1
    merge: str = "quota"
    dislike_weight: float = DISLIKE_WEIGHT
    text_weight: float = TEXT_WEIGHT

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        for name in ("half_life", "dislike_weight", "text_weight"):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, number_of(value, f"The setting {name} of a profile"))
        for name in ("last", "interests"):
            if (value := getattr(self, name)) is not None and not isinstance(value, Integral):
                raise UsageError(f"The setting {name} of a profile is a whole number, not {value!r:.60}.")
        if self.last is not None and self.last < 1:
            raise UsageError(f"The last {self.last} events are asked for; ask for at least 1.")
        if self.half_life is not None and not 0 < self.half_life < np.inf:
            raise UsageError(f"The half-life is {self.half_life:g}; it must be above 0.")
        if self.interests < 1:
            raise UsageError(f"{self.interests} interests are asked for; ask for at least 1.")
        if self.merge not in ("quota", "best"):
            raise UsageError(f"{self.merge!r} is not a way to merge interests; choose quota or best.")
        if not (0 <= self.dislike_weight < np.inf and 0 <= self.text_weight < np.inf):
            raise UsageError("The weights of disliked items and of the text must be numbers from 0 on.")


@dataclass(frozen=True)
class Combination:
    """A unit vector and what it is made of: ``vector`` = ``coefficients`` @ ``parts``.

    Attributes:
        vector: Shape [dimensions], float32.
        parts: Shape [n, dimensions], float32, unit vectors.
        coefficients: Shape [n], float64; negative where a part pushes away.
    """

    vector: np.ndarray
    parts: np.ndarray
    coefficients: np.ndarray

    def contributions(self, vectors: np.ndarray, where: slice = slice(None)) -> np.ndarray:
        """Return what each part adds to the score of each of ``vectors`` [m, dimensions]: [m, n], float64.

        A row's sum is that vector's score, or, with ``where``, what those dimensions add to it.
        """
        left, right = vectors[:, where].astype(np.float64), self.parts[:, where].astype(np.float64)
        return np.asarray((left @ right.T) * self.coefficients)


def combine(parts: np.ndarray, coefficients: np.ndarray) -> Combination:
    """Return the weighted sum of ``parts`` [n, dimensions], scaled to unit length.

    Raises:
        ValueError: there is no part, or the sum is zero.
    """
    if len(parts) == 0:
        raise ValueError("A profile needs at least one item.")
    total = np.asarray(coefficients, dtype=np.float64) @ np.asarray(parts, dtype=np.float64)
    length = math.sqrt(total @ total)
    if not length > _NO_DIRECTION:
        raise ValueError("The items of this history cancel each other out; their mean has no direction.")
    return Combination((total / length).astype(np.float32), parts, coefficients / length)


def mean_profile(vectors: np.ndarray) -> np.ndarray:
    """Return the mean of ``vectors`` [n, dimensions], scaled to unit length: [dimensions], float32.

    The paper's profile (Valencia et al., arXiv 2603.12625): u = (1/n) * sum of v_i, matched by cosine. Scaling does not
    change the order of the matches and makes their scores cosines.

    Raises:
        ValueError: there is no vector, or their mean is zero.
    """
    return combine(vectors, np.full(len(vectors), 1 / max(len(vectors), 1))).vector


def rocchio(
    liked: np.ndarray,
    weights: np.ndarray,
    disliked: np.ndarray,
    texts: np.ndarray,
    settings: ProfileSettings,
) -> Combination:
    """Return the profile s = a * q + p - g * n: what is asked for, what is liked, and what is disliked.

    p is the weighted mean of ``liked`` (c_i = w_i / sum of w), n the mean of ``disliked``, q the mean of ``texts``; a is
    ``text_weight`` and g ``dislike_weight``. A part that has no vectors is left out. Source: J. Rocchio, "Relevance
    feedback in information retrieval", in Salton (ed.), The SMART Retrieval System, 1971; here p has the factor 1.

    Args:
        liked: Shape [n, dimensions].
        weights: Shape [n], from 0 on; ones give the paper's mean.
        disliked: Shape [m, dimensions].
        texts: Shape [t, dimensions].
        settings: Its two weights are used.

    Raises:
        ValueError: nothing is left of the sum.
    """
    own = np.asarray(weights, dtype=np.float64)
    own = own / (float(own.sum()) or 1.0)
    if len(disliked) == len(texts) == 0:
        return combine(liked, own)
    coefficients = [
        own,
        np.full(len(disliked), -settings.dislike_weight / max(len(disliked), 1)),
        np.full(len(texts), settings.text_weight / max(len(texts), 1)),
    ]
    return combine(np.concatenate([liked, disliked, texts]), np.concatenate(coefficients))


def event_weights(
    count: int, settings: ProfileSettings, *, weights: Sequence[float] | None, times: Sequence[float] | None
) -> np.ndarray:
    """Return how much each of ``count`` events counts: shape [count], float64; 0 for those that are too old.

    w_i = weight_i * 2^(-age_i / half_life). The age is ``times``' distance to the newest event, or, without times, how
    many events came after it (the last one is the newest). Ages from a later moment would give the same profile: a common
    factor goes away with the length. Source of the exponential time weight: Ding and Li, "Time weight collaborative
    filtering", CIKM 2005.

    Raises:
        UsageError: weights or times are not one finite number an event, a weight is negative, or all are 0.
    """
    if weights is None and times is None and settings.last is None and settings.half_life is None:
        return np.ones(count)
    own = _checked("weights", weights, count, np.ones(count))
    if (own < 0).any():
        raise UsageError("A weight is negative; name what is disliked as disliked instead.")
    moments = _checked("times", times, count, np.arange(count, dtype=np.float64))
    if settings.last is not None:
        oldest_first = np.argsort(moments, kind="stable")
        own[oldest_first[: max(count - settings.last, 0)]] = 0
    if settings.half_life is not None and count:
        own = own * np.exp2((moments - moments.max()) / settings.half_life)
    if count and not own.any():
        raise UsageError("Every event of the history has the weight 0; nothing is left to recommend from.")
    return own


def _checked(name: str, values: Sequence[float] | None, count: int, default: np.ndarray) -> np.ndarray:
    if values is None:
        return default
    numbers = np.array(values, dtype=np.float64)
    if numbers.shape != (count,):
        raise UsageError(f"There are {numbers.size} {name} for {count} items of the history; give one for each.")
    if not np.isfinite(numbers).all():
        raise UsageError(f"The {name} must be finite numbers.")
    return numbers
