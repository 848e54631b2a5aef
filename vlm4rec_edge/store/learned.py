"""What was learned from purchases, as one file of a store: enough to give every item, new ones too, its mixed vector.

``learned-<fingerprint>.npz`` is NumPy's own format without pickles: the ids of the items bought, their factors and how many
bought them, the projection for all others, and, as JSON, the weights and what the learning was like. Histories are not in it.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from vlm4rec_edge.atomic import atomic_path
from vlm4rec_edge.errors import StoreError
from vlm4rec_edge.mixture import Layout, Weights, beside_photos, mixed, predicted_factors

_PATTERN = "learned-*.npz"
# What a column says of items that are not new.
NOT_NEW = {"", "0", "false", "no"}


@dataclass(frozen=True, eq=False)
class Learned:
    """What was learned.

    Attributes:
        encoder: Fingerprint of the encoder whose vectors it was learned from.
        encoded_text: Of which text of an item.
        weights: Of the parts of a mixed vector.
        ids: Of the items that were bought; first of those that have factors of their own.
        factors: Of the latter, [n, factors], float32, unit length.
        popularity: Of all, [n or more], float32, 0 to 1.
        projection: From content to factors, for all other items: [dimensions, factors], float32.
        trust: Length of factors that come from the projection.
        new_popularity: Of a new item, 0 to 1.
        new_items: The column that marks new items, or empty.
        last_number: The highest number of an item then; what came later is new by itself.
        facts: What is told of it: when, from how many purchases of when, what was gained. JSON.
        photos: Fingerprint of what made the photos' own vectors, where factors are predicted from these too; else empty.
        photo_dimensions: Their length; so many last rows of ``projection`` are theirs.
        photo_share: How much they count beside the content.
    """

    encoder: str
    encoded_text: str
    weights: Weights
    ids: Sequence[str]
    factors: np.ndarray
    popularity: np.ndarray
    projection: np.ndarray
    trust: float
    new_popularity: float
    new_items: str = ""
    last_number: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)
    photos: str = ""
    photo_dimensions: int = 0
    photo_share: float = 0.0

    @property
    def layout(self) -> Layout:
        """Where the parts of a mixed vector lie."""
        rows, factors = self.projection.shape
        return Layout(rows - self.photo_dimensions, factors)

    @cached_property
    def fingerprint(self) -> str:
        """Sha256 (hex) of all of it."""
        digest = hashlib.sha256(self._document().encode())
        for values in self._arrays().values():
            digest.update(values.tobytes())
        return digest.hexdigest()

    @cached_property
    def _places(self) -> dict[str, int]:
        return {item_id: place for place, item_id in enumerate(self.ids)}

    def vectors(
        self,
        ids: Sequence[str],
        content: np.ndarray,
        attributes: Sequence[Mapping[str, str]],
        numbers: Sequence[int],
        photos: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return the mixed vectors of items: [n, ``layout.dimensions``], float32.

        Args:
            ids: Of the items.
            content: Their unit vectors, [n, dimensions].
            attributes: Their columns, where ``new_items`` is looked up.
            numbers: In which order they came into the store.
            photos: Their photo vectors, zero where an item has none, [n, ``photo_dimensions``]; where ``photos`` is not empty.
        """
        seen = content if photos is None else beside_photos(content, photos, self.photo_share)
        factors = predicted_factors(seen, self.projection, self.trust)
        new = [
            number > self.last_number or cells.get(self.new_items, "").strip().lower() not in NOT_NEW
            for number, cells in zip(numbers, attributes, strict=True)
        ]
        # That nobody bought a new item yet says nothing of it.
        popularity = np.where(new, self.new_popularity, 0.0)
        places = np.array([self._places.get(item_id, -1) for item_id in ids], np.int64)
        bought, has_factors = places >= 0, (places >= 0) & (places < len(self.factors))
        factors[has_factors] = self.factors[places[has_factors]]
        popularity[bought] = self.popularity[places[bought]]
        return mixed(content, factors, popularity, self.weights)

    def save(self, folder: Path) -> Path:
        """Write the file, whole or not at all, and return its path."""
        path = folder / file_name(self.fingerprint)
        with atomic_path(path) as part, part.open("wb") as stream:
            np.savez(stream, **{**self._arrays(), "document": _bytes(self._document())})  # type: ignore[arg-type]
        return path

    def _document(self) -> str:
        scalars = {
            name: getattr(self, name)
            for name in ("encoder", "encoded_text", "trust", "new_popularity", "new_items", "last_number")
        }
        if self.photos:  # without them it says what it said before there were any
            scalars |= {name: getattr(self, name) for name in ("photos", "photo_dimensions", "photo_share")}
        return json.dumps({**scalars, "weights": asdict(self.weights), "facts": dict(self.facts)}, sort_keys=True)

    def _arrays(self) -> dict[str, np.ndarray]:
        numbers = {name: getattr(self, name) for name in ("factors", "popularity", "projection")}
        arrays = {name: np.ascontiguousarray(values, "<f4") for name, values in numbers.items()}
        return {**arrays, "ids": _bytes(json.dumps(list(self.ids)))}


def file_name(fingerprint: str) -> str:
    """Return the name of the file of what was learned."""
    return f"learned-{fingerprint[:16]}.npz"


def read_learned(folder: Path, fingerprint: str) -> Learned:
    """Return what was learned, compared with its fingerprint.

    Raises:
        StoreError: the file is missing, damaged, or of something else.
    """
    path = folder / file_name(fingerprint)
    try:
        with np.load(path, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
        document = json.loads(bytes(found.pop("document")))
        ids = json.loads(bytes(found.pop("ids")))
        learned = Learned(ids=ids, weights=Weights(**document.pop("weights")), **document, **found)
        whole = learned.fingerprint == fingerprint
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise StoreError(_lost(path, error)) from error
    if not whole:
        raise StoreError(_lost(path, "it is not what was written"))
    return learned


def drop_other_files(folder: Path, fingerprint: str) -> None:
    """Remove what was learned before."""
    for path in folder.glob(_PATTERN):
        if path.name != file_name(fingerprint):
            path.unlink(missing_ok=True)


def _lost(path: Path, reason: object) -> str:
    return (
        f"{path} cannot be used ({reason}). Learn again: vlm4rec-edge learn {path.parent} --interactions FILE; or go on "
        f"without: vlm4rec-edge learn {path.parent} --forget"
    )


def _bytes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8)
