"""What it costs to make an index in another way than it was made: reported first, and done only after a confirmation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlm4rec_edge.catalog.photo import PhotoFile
from vlm4rec_edge.encoding.text import EncodedText, text_of_photos
from vlm4rec_edge.errors import StoreError
from vlm4rec_edge.grounding.answers import question_of
from vlm4rec_edge.grounding.protocol import caption_key
from vlm4rec_edge.provenance import MadeBy, made_by
from vlm4rec_edge.store.made_items import MadePhoto, made_items

if TYPE_CHECKING:
    from vlm4rec_edge.encoding.protocol import Encoder
    from vlm4rec_edge.grounding.protocol import Captioner
    from vlm4rec_edge.store.reader import StoreReader

# What is reported of a change, in this order, by the names that the identity of a captioner has for it.
_TOLD = ("prompt", "max_tokens", "temperature", "seed", "max_side")


@dataclass(frozen=True)
class Remake:
    """What a run would make again, because it was asked to make the index in another way than it was made.

    Attributes:
        folder: The index.
        differences: What is another, each as "what: before -> now".
        items: How many items the index has.
        replaced: How many of them get another caption.
        captions: How many captions are not known yet, and are made.
        texts: How many texts are encoded at most: two captions that are still to be made may say the same.
        forgets_learned: Whether what was learned from purchases is of other vectors then.
    """

    folder: Path
    differences: tuple[str, ...]
    items: int
    replaced: int
    captions: int
    texts: int
    forgets_learned: bool = False

    def __str__(self) -> str:
        forgets = " What it learned from purchases would be forgotten." if self.forgets_learned else ""
        return (
            f"{self.folder} was made in another way ({'; '.join(self.differences)}): {self.replaced:,} of its "
            f"{self.items:,} items would get another caption, {self.captions:,} captions would be made and up to "
            f"{self.texts:,} texts encoded.{forgets}"
        )


class RemakeError(StoreError):
    """An index would be made in another way, which was not agreed to; ``remake`` holds what that costs."""

    def __init__(self, remake: Remake) -> None:
        super().__init__(
            f"{remake} Nothing was changed: leave out the options that cause it, give the model that made it (--model, "
            "--encoder), or confirm it with --remake (in Python remake=True)."
        )
        self.remake = remake


def remake_of(
    store: StoreReader, captioner: Captioner | None, encoder: Encoder, encoded_text: EncodedText
) -> Remake | None:
    """Return what a run with these models would make again, or None if they make the index as it was made."""
    captions_by = made_by(captioner) if captioner else None
    differences = tuple(_differences(store, captions_by, made_by(encoder), encoded_text))
    if not differences:
        return None
    fresh_vectors = made_by(encoder).fingerprint != store.meta["encoder"]
    items = replaced = 0
    captions: set[str] = set()
    texts: set[tuple[str, ...] | str] = set()
    for made in made_items(store):
        items += 1
        said: list[str | None] = [photo.caption for photo in made.photos]
        if captioner is not None and captions_by is not None:
            question = question_of(captioner, made.item)
            keys = [_key(photo, captions_by, question) for photo in made.photos]
            replaced += keys != [photo.caption_key for photo in made.photos]
            said = [store.caption(key) for key in keys]
            # Where only titles were encoded, which items show the same photo is not known.
            names = [key if photo.image_sha256 else made.item.id for key, photo in zip(keys, made.photos, strict=True)]
            if new := [name for name, caption in zip(names, said, strict=True) if caption is None]:
                captions.update(new)
                texts.add((*names, made.item.title))
                continue
        text = text_of_photos(encoded_text, title=made.item.title, captions=[caption or "" for caption in said])
        if fresh_vectors or not store.has_vector(text):
            texts.add(text)
    other_vectors = fresh_vectors or store.meta.get("encoded_text") != encoded_text
    forgets = other_vectors and bool(store.meta.get("learned"))
    return Remake(store.folder, differences, items, replaced, len(captions), len(texts), forgets) if items else None


def _key(photo: MadePhoto, captions_by: MadeBy, question: str) -> str:
    return caption_key(PhotoFile(b"", photo.image_sha256), captions_by.fingerprint, question)


def _differences(
    store: StoreReader, captions_by: MadeBy | None, vectors_by: MadeBy, encoded_text: EncodedText
) -> Iterator[str]:
    """Yield what is another; what damage took from the notes is no difference."""
    noted = store.meta.get("encoded_text", encoded_text)
    if noted != encoded_text:
        yield f"encoded text: {noted} -> {encoded_text}"
    if (
        captions_by
        and noted != "title"
        and store.meta.get("grounding", captions_by.fingerprint) != captions_by.fingerprint
    ):
        yield from _of_captions(store.provenance("groundings"), captions_by.identity)
    if store.meta.get("encoder", vectors_by.fingerprint) != vectors_by.fingerprint:
        yield f"encoder: {_names(store.provenance('encoders'), vectors_by.identity)}"


def _of_captions(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    told = False
    if before.get("name") != now.get("name"):
        yield f"captions by: {_names(before, now)}"
        told = True
    for name in _TOLD:
        if name in before and name in now and before[name] != now[name]:
            yield f"{name}: {before[name]!r} -> {now[name]!r}"
            told = True
    precision, other = (identity.get("vision_precision", "fp32") for identity in (before, now))
    if precision != other:
        yield f"vision precision: {precision} -> {other}"
        told = True
    if before.get("structured") != now.get("structured"):
        yield f"fields: {_fields(before)} -> {_fields(now)}"
        told = True
    if not told:
        yield f"captions by: {_names(before, now)}"


def _fields(identity: Mapping[str, Any]) -> str:
    form = identity.get("structured")
    return ", ".join(form["schema"]["properties"]) if form else "none"


def _names(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    old, new = before.get("name", "no longer known"), now.get("name")
    return f"{old} -> another version of it" if old == new else f"{old} -> {new}"
