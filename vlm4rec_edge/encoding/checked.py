"""Encode, and check what the encoder returns: an invalid vector would silently damage an index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from vlm4rec_edge.encoding.protocol import Encoder
from vlm4rec_edge.encoding.text import TextPart, parts_of
from vlm4rec_edge.errors import ModelError, StoreError
from vlm4rec_edge.given import Place
from vlm4rec_edge.provenance import made_by

# Float32 rounding of a unit vector stays far below this.
LENGTH_TOLERANCE = 1e-3


def check_encoder_of(folder: Place, fingerprint: str | None, encoder: Encoder) -> None:
    """Check that an encoder is the one of this fingerprint, which made the vectors of the index or the bundle at ``folder``.

    Raises:
        StoreError: it is another one.
        ModelError: it is no encoder.
    """
    own = made_by(encoder)
    if own.fingerprint != fingerprint:
        raise StoreError(
            f"The vectors of {folder} were made by another encoder or another version of it than {own.identity['name']}; "
            "give the right one with --encoder, or index the catalog again with this one."
        )


def encoded(encoder: Encoder, texts: Sequence[str]) -> np.ndarray:
    """Return the vectors of ``texts``, shape [len(texts), dimensions], float32, each of length 1.

    Raises:
        ModelError: the encoder gives something else.
    """
    name, width = encoder.identity.get("name"), getattr(encoder, "dimensions", None)
    if not isinstance(width, (int, np.integer)) or width < 1 or not hasattr(encoder, "encode"):
        raise ModelError(
            f"{name} is not an encoder: it needs dimensions, a number from 1 on (not {width!r}), and encode."
        )
    vectors = encoder.encode(texts)
    form = (vectors.dtype, vectors.shape) if isinstance(vectors, np.ndarray) else None
    if form != (np.dtype(np.float32), (len(texts), width)):
        gave = f"{form[0]} of shape {list(form[1])}" if form else f"a {type(vectors).__name__}"
        raise ModelError(
            f"The encoder {name} gives {gave} for {len(texts)} texts, not float32 of [{len(texts)}, {width}]."
        )
    vectors = np.asarray(vectors)  # of a subclass, such as np.matrix, whose rows are no vectors
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
    for text, length in zip(texts, lengths.tolist(), strict=True):
        if not abs(length - 1) <= LENGTH_TOLERANCE:  # "not", because NaN is no length either
            raise ModelError(f"The encoder {name} gives a vector of length {length:.3g}, not 1, for {text!r:.80}.")
    return vectors


def encoded_items(encoder: Encoder, texts: Sequence[str]) -> np.ndarray:
    """Return the vectors of the texts of items, shape [len(texts), dimensions], float32, each of length 1.

    That of an item of several photos is the mean of its texts' vectors, scaled to length 1; that of a weighted text is the
    weighted mean of the title's vector and of the one that the captions have, scaled to length 1.

    Raises:
        ModelError: the encoder gives something else than unit vectors.
    """
    items = [parts_of(text) for text in texts]
    different = list(dict.fromkeys(text for parts in items for part in parts for text in part.texts))
    vectors = dict(zip(different, encoded(encoder, different), strict=True))
    means = np.empty((len(items), encoder.dimensions), dtype=np.float32)
    for mean, parts in zip(means, items, strict=True):
        mean[:] = _weighted_mean(parts, vectors)
    return means


def _weighted_mean(parts: Sequence[TextPart], vectors: Mapping[str, np.ndarray]) -> np.ndarray:
    means = [_mean([vectors[text] for text in part.texts]) for part in parts]
    if len(means) == 1:
        return means[0]
    weights = np.array([[part.weight] for part in parts])
    return _scaled((weights * np.array(means)).sum(axis=0), means[0])


def _mean(vectors: Sequence[np.ndarray]) -> np.ndarray:
    return vectors[0] if len(vectors) == 1 else _scaled(np.array(vectors).sum(axis=0, dtype=np.float64), vectors[0])


def _scaled(total: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    """Return a sum of vectors scaled to length 1; where they take each other away, ``otherwise``."""
    length = np.linalg.norm(total)
    return total / length if length > LENGTH_TOLERANCE else otherwise
