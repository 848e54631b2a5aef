"""One vector an item, of what reads alike, what is bought together and how often it is bought.

    v = [sqrt(1 - a) c, sqrt(a) f, sqrt(b) q, pad] / sqrt(1 + b)

with unit content vector c, factors f (length 1 at most), popularity q (0 to 1), and ``pad`` what makes v unit length. A query
is a mean of such vectors with its pad set to 0, so a score is a sum of three parts, and of the items of the history:

    (1 + b) score = (1 - a) c'c_mean + a f'f_mean + b q q_mean        up to the length of the query
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

# What the parts of a vector are called where a recommendation is explained.
CONTENT, TOGETHER, OFTEN = "reads alike", "bought together", "often bought"


@dataclass(frozen=True)
class Weights:
    """How much factors count (a above, content the rest), and popularity beside both (b above)."""

    together: float = 0.0
    often: float = 0.0

    @property
    def of_content(self) -> float:
        """Length of the content part of a mixed vector, above 0 and at most 1."""
        return float(np.sqrt((1 - self.together) / (1 + self.often)))


@dataclass(frozen=True)
class Layout:
    """Where the parts of a mixed vector lie."""

    content: int
    factors: int

    @property
    def dimensions(self) -> int:
        """Length of a mixed vector."""
        return self.content + self.factors + 2

    @property
    def parts(self) -> Mapping[str, slice]:
        """The parts that a score is the sum of; the pad is none."""
        end = self.content + self.factors
        return {CONTENT: slice(0, self.content), TOGETHER: slice(self.content, end), OFTEN: slice(end, end + 1)}


def mixed(content: np.ndarray, factors: np.ndarray, popularity: np.ndarray, weights: Weights) -> np.ndarray:
    """Return one vector an item, unit length: [n, ``Layout.dimensions``], float32.

    Args:
        content: Unit vectors, [n, dimensions].
        factors: [n, factors], none longer than 1.
        popularity: [n], 0 to 1.
        weights: Of the parts.
    """
    scale = 1 / np.sqrt(1 + weights.often)
    parts = np.concatenate(
        [
            content * np.float32(np.sqrt(1 - weights.together) * scale),
            factors * np.float32(np.sqrt(weights.together) * scale),
            (popularity * np.sqrt(weights.often) * scale)[:, None],
        ],
        axis=1,
        dtype=np.float32,
    )
    rest = 1 - np.einsum("ij,ij->i", parts, parts, dtype=np.float64)
    return np.concatenate([parts, np.sqrt(np.maximum(rest, 0))[:, None]], axis=1, dtype=np.float32)


def as_query(vectors: np.ndarray) -> np.ndarray:
    """Return mixed vectors [n, dimensions] with their pad set to 0, as a query is made of them."""
    asked = np.array(vectors, np.float32)
    asked[..., -1] = 0
    return asked


def popularity_of_buyers(buyers: np.ndarray, new: np.ndarray | None = None) -> np.ndarray:
    """Return log(1 + n) / log(1 + the largest n) of how many users bought each item: [items], float32.

    Items that are ``new`` [items, bool] and were never bought get that of a typical purchase: that nobody bought them yet
    says nothing.
    """
    popularity = np.log1p(buyers) / np.log1p(max(int(buyers.max(initial=0)), 1))
    if new is not None:
        popularity[new & (buyers == 0)] = popularity_of_a_purchase(buyers)
    return np.asarray(popularity, np.float32)


def popularity_of_a_purchase(buyers: np.ndarray) -> float:
    """Return the mean popularity over purchases, not over items: how popular what somebody buys is, before it is known."""
    return float(popularity_of_buyers(buyers) @ buyers / max(int(buyers.sum()), 1))


def beside_photos(content: np.ndarray, photos: np.ndarray, share: float) -> np.ndarray:
    """Return the vectors that factors are predicted from, [sqrt(1 - s) c, sqrt(s) p]: [n, d + p], float32, unit length.

    An item without a photo vector has [c, 0]: its factors are predicted from its words alone.

    Args:
        content: Unit vectors, [n, d].
        photos: Unit vectors, zero where an item has none, [n, p].
        share: s above.
    """
    counts = np.where(photos.any(axis=1), np.float32(share), np.float32(0))[:, None]
    return np.concatenate([content * np.sqrt(1 - counts), photos * np.sqrt(counts)], axis=1, dtype=np.float32)


def predicted_factors(content: np.ndarray, projection: np.ndarray, trust: float) -> np.ndarray:
    """Return the factors that content vectors [n, dimensions] predict: [n, factors], float32, of length ``trust``.

    Args:
        content: Unit vectors.
        projection: [dimensions, factors].
        trust: How well texts predict purchases, 0 to 1.
    """
    guessed = np.asarray(content, np.float32) @ projection
    lengths = np.linalg.norm(guessed, axis=1, keepdims=True)
    return np.asarray(guessed * (trust / np.maximum(lengths, 1e-12)), np.float32)
