"""What an index remembers of how it was made, opened again: for a run without other options."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlm4rec_edge.catalog.layouts import CatalogColumns
from vlm4rec_edge.encoding.opening import open_encoder
from vlm4rec_edge.encoding.text import DEFAULT_TEXT, EncodedText, check_encoded_text
from vlm4rec_edge.errors import CatalogError, ModelError, UsageError
from vlm4rec_edge.grounding.opening import open_captioner
from vlm4rec_edge.new_photo import settings_in

if TYPE_CHECKING:
    from vlm4rec_edge.encoding.protocol import Encoder
    from vlm4rec_edge.grounding.llama.native import Device
    from vlm4rec_edge.grounding.protocol import Captioner
    from vlm4rec_edge.store.reader import StoreReader

# Settings of a captioner that change no caption.
_WITHOUT_EFFECT = {"batch", "threads", "vision"}
# What is asked for with a form for captions is not what is asked for without one, or with another.
_OF_THE_FORM = {"prompt", "max_tokens", "structured"}


def captioner_as_before(
    store: StoreReader | None,
    model: str | Path | None = None,
    *,
    projector: Path | None = None,
    device: Device = "auto",
    photos: int | None = None,
    photo_vectors: bool | None = None,
    **settings: Any,
) -> Captioner:
    """Open the captioner that made the captions of an index, apart from what is given; without an index, the one given.

    Args:
        store: The index; None for a new one.
        model: Another model, which brings its own settings.
        projector: As for ``open_captioner``.
        device: As there.
        photos: As there.
        photo_vectors: As there; default: where the index has some, unless another model is given.
        settings: As there; None is as before.

    Raises:
        UsageError: the captions came from a table that is no longer there, or a setting cannot be used.
        ModelError, DeviceError, MissingDependencyError: the model is not on this machine, or what runs it.
    """
    identity = store.provenance("groundings") if store else {}
    place = _place(store, "captioner_place")
    given = {name: value for name, value in settings.items() if value is not None}
    imported = bool(identity.get("imported"))
    if store and imported and model is None and projector is None and not given.keys() - _WITHOUT_EFFECT:
        if photo_vectors:
            raise UsageError(
                f"The captions of {store.folder} come from a table, and no model looks at the photos; leave out "
                "--photo-vectors."
            )
        return _captions_of_before(store, identity, place)
    name = None if imported else identity.get("name")
    if model is not None and not _is_the_same(model, name, place):
        return open_captioner(
            model, projector=projector, device=device, photos=photos, photo_vectors=bool(photo_vectors), **given
        )
    before = settings_in(identity)
    form = before.get("structured")
    if form is not None and given.get("structured") is True:
        given["structured"] = form
    if given.get("structured", form or False) != (form or False):
        before = {name: value for name, value in before.items() if name not in _OF_THE_FORM}
    given["photo_vectors"] = has_photo_vectors(store) if photo_vectors is None else photo_vectors
    return _opened_again(store, model or name, place, projector, device=device, photos=photos, **{**before, **given})


def has_photo_vectors(store: StoreReader | None) -> bool:
    """Whether photos of an index have vectors of their own, so that new ones get them too."""
    return bool(store and store.meta.get("photo_vectors"))


def _is_the_same(model: str | Path, name: str | None, place: Mapping[str, str]) -> bool:
    """Whether a model is given by the name or the place of the one that made the captions; its folder counts as well."""
    where = place.get("model")
    return str(model) == name or (where is not None and Path(model).absolute() in (Path(where), Path(where).parent))


def _opened_again(
    store: StoreReader | None,
    name: str | Path | None,
    place: Mapping[str, str],
    projector: Path | None,
    **settings: Any,
) -> Captioner:
    """Open a model where it lay, else by its name."""
    where = place.get("model", "")
    if where and Path(where).exists():
        beside = place.get("projector")
        return open_captioner(where, projector=projector or (Path(beside) if beside else None), **settings)
    try:
        return open_captioner(name, projector=projector, **settings)
    except ModelError as error:
        if store is None or name is None:
            raise
        raise ModelError(
            f"The captions of {store.folder} were made by {name!r}, which is not found here; say where it is with --model, "
            f"or take another with --model NAME --remake. ({error})"
        ) from None


def _captions_of_before(store: StoreReader, identity: Mapping[str, Any], place: Mapping[str, str]) -> Captioner:
    from vlm4rec_edge.grounding.imported import ImportedCaptions

    table = place.get("captions", identity["source"])
    try:
        return ImportedCaptions(table, source=identity["source"])
    except CatalogError as error:
        raise UsageError(
            f"The captions of {store.folder} come from the table {table}, which cannot be read now; give it with "
            f"--captions, or let a model describe the photos with --model NAME --remake. ({error})"
        ) from None


def encoder_as_before(
    store: StoreReader | None, name: str | Path | None = None, *, device: Device = "auto", threads: int | None = None
) -> Encoder:
    """Open the encoder that made the vectors of an index, unless another is given; the embedded one for a new index.

    Raises:
        ModelError, DeviceError, MissingDependencyError: it is not on this machine, or what runs it.
    """
    if store is None or name is not None:
        return open_encoder(name, device=device, threads=threads)
    where = _place(store, "encoder_place").get("encoder", "")
    noted = store.provenance("encoders").get("name")
    try:
        return open_encoder(where if where and Path(where).exists() else noted, device=device, threads=threads)
    except ModelError as error:
        raise ModelError(
            f"The vectors of {store.folder} were made by the encoder {noted!r}, which is not found here; say where it is "
            f"with --encoder, or take another with --encoder NAME --remake. ({error})"
        ) from None


def encoded_text_as_before(store: StoreReader | None) -> EncodedText:
    """Return which text becomes the vectors of an index; ``weighted:0.9`` for a new one."""
    return check_encoded_text(store.meta.get("encoded_text", DEFAULT_TEXT)) if store else DEFAULT_TEXT


def columns_as_before(store: StoreReader | None) -> CatalogColumns | None:
    """Return how the columns of the catalog's table were named when the index was made; None if they were not."""
    named = json.loads(store.meta.get("catalog_columns", "null")) if store else None
    return None if named is None else CatalogColumns(**named)


def _place(store: StoreReader | None, note: str) -> dict[str, str]:
    """Return where a model lay, as it told the run that used it; empty where it did not, and before there was this note."""
    return dict(json.loads(store.meta.get(note, "{}"))) if store else {}


def place_of(model: object) -> str:
    """Return the note by which a model is found again, where it tells; else that it does not."""
    return json.dumps(getattr(model, "place", None) or {}, ensure_ascii=True)
