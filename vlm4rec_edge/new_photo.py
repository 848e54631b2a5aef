"""The captioner that made an index or a bundle, opened again: for new photos, which it describes as it did the others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlm4rec_edge.errors import ModelError, StoreError, UsageError
from vlm4rec_edge.given import path_of
from vlm4rec_edge.grounding.opening import open_captioner
from vlm4rec_edge.grounding.photos import caption_photo
from vlm4rec_edge.plugins import close_model
from vlm4rec_edge.provenance import made_by
from vlm4rec_edge.recommend.selection import Selection

if TYPE_CHECKING:
    from vlm4rec_edge.encoding.protocol import Encoder
    from vlm4rec_edge.grounding.llama.base import Vision
    from vlm4rec_edge.grounding.llama.native import Device
    from vlm4rec_edge.grounding.protocol import Captioner
    from vlm4rec_edge.recommend.recommender import Recommender
    from vlm4rec_edge.recommend.result import Recommendations
    from vlm4rec_edge.recommend.source import ItemSource

# What a captioner of llama.cpp notes of itself: what decides its captions besides the files of the model.
_SETTINGS = ("prompt", "max_tokens", "temperature", "seed", "max_side")


def captioner_of(
    source: ItemSource,
    model: str | Path | None = None,
    *,
    projector: Path | None = None,
    device: Device = "auto",
    vision: Vision = "auto",
    photos: int | None = None,
    photo_vectors: bool = False,
) -> Captioner:
    """Open the captioner that made the captions of an index or a bundle, with the settings it had.

    Args:
        source: The index or the bundle.
        model: Where the model is, if it cannot be found by the name that is noted.
        projector: As for ``open_captioner``.
        device: As there.
        vision: As there. In which precision is noted.
        photos: As there.
        photo_vectors: As there.

    Raises:
        UsageError: its captions come from a table, or its items are encoded by their titles alone.
        StoreError: it is no longer noted what made them, or the model is another one, or another version.
        ModelError, DeviceError, MissingDependencyError: the model is not on this machine, or what runs it.
    """
    identity = source.provenance("groundings")
    if identity.get("imported"):
        raise UsageError(
            f"The captions of {source.folder} come from {identity['source']}, so no model can caption a new photo in the same "
            "way. Put its caption into a table and run `vlm4rec-edge index` with --captions, or search by text with "
            "`vlm4rec-edge search`."
        )
    if source.meta.get("encoded_text") == "title":
        raise UsageError(
            f"The index {source.folder} was made from titles, so no photo can be matched with it; search by text with "
            "`vlm4rec-edge search`."
        )
    name = model or source.lvlm_folder or identity.get("name")
    if not name:
        raise StoreError(
            f"There is no record of what made the captions of {source.folder}; give the model with --model."
        )
    settings = settings_in(identity)
    if vision != "auto":
        settings["vision"] = vision
    try:
        captioner = open_captioner(
            str(name), projector=projector, device=device, photos=photos, photo_vectors=photo_vectors, **settings
        )
    except ModelError as error:
        if settings or model:
            raise
        raise UsageError(
            f"The captions of {source.folder} were not made by a model of this program, but by {name!r}, which is not "
            f"installed here; search by text with `vlm4rec-edge search`. ({error})"
        ) from None
    try:
        check_captioner_of(source, captioner)
    except BaseException:
        close_model(captioner)
        raise
    return captioner


def check_captioner_of(source: ItemSource, captioner: Captioner) -> None:
    """Check that a captioner is the one that made the captions of an index or a bundle, with the settings it had.

    Raises:
        StoreError: it is another one.
        ModelError: it is no captioner.
    """
    own = made_by(captioner)
    if own.fingerprint != source.meta.get("grounding"):
        raise StoreError(
            f"The captions of {source.folder} were made by another model or another version of it than "
            f"{own.identity['name']}, or with other settings; give the right one with --model, or index again with this one."
        )


def settings_in(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of llama.cpp's captioner in an identity; none in that of another one."""
    if not set(_SETTINGS) <= identity.keys():
        return {}
    settings = {name: identity[name] for name in _SETTINGS}
    if precision := identity.get("vision_precision"):
        settings["vision_precision"] = precision
    if form := identity.get("structured"):
        from vlm4rec_edge.grounding.schema import parse_schema

        settings["structured"] = parse_schema(form["schema"])
    return settings


def describe_new_photo(
    source: ItemSource,
    photo: Path | str,
    *,
    model: str | None = None,
    projector: Path | None = None,
    vision: Vision = "auto",
) -> str:
    """Describe a photo that an index or a bundle does not hold, as the captioner that made it would have.

    Args:
        source: The index or the bundle; ``Recommender.store`` is one.
        photo: A photo file.
        model: Where the model is, if it cannot be found by the name that is noted.
        projector: As for ``open_captioner``.
        vision: As there.

    Raises:
        UsageError, StoreError: as ``captioner_of``.
        PhotoError: the photo cannot be used.
        ModelError, DeviceError, MissingDependencyError: the model is not on this machine, or what runs it.
    """
    photo = path_of(photo, "A photo")
    captioner = captioner_of(source, model, projector=projector, vision=vision, photos=1)
    try:
        return caption_photo(photo, captioner)
    finally:
        close_model(captioner)


def similar_to_photo(
    shop: Recommender,
    photo: Path | str,
    k: int = 10,
    *,
    model: str | None = None,
    projector: Path | None = None,
    vision: Vision = "auto",
    captioner: Captioner | None = None,
    encoder: Encoder | None = None,
    selection: Selection | None = None,
    explain: bool = False,
) -> Recommendations:
    """Find the items most similar to a new photo: the photo is captioned, and the caption is the query.

    Args:
        shop: An open index or bundle.
        photo: A photo file; its caption is in ``query`` of the answer.
        k: How many items to return.
        model: As for ``describe_new_photo``.
        projector: As there.
        vision: As there.
        captioner: In place of the three an open one, as ``captioner_of`` returns it; stays open.
        encoder: As for ``Recommender.search``.
        selection: What may be recommended.
        explain: Whether to say what each came from.

    Raises:
        UsageError, StoreError, PhotoError, ModelError, DeviceError, MissingDependencyError: as ``describe_new_photo``.
    """
    if captioner is None:
        caption = describe_new_photo(shop.store, photo, model=model, projector=projector, vision=vision)
    else:
        check_captioner_of(shop.store, captioner)
        caption = caption_photo(path_of(photo, "A photo"), captioner)
    found = shop.search(caption, k, encoder=encoder, selection=selection or Selection(), explain=explain)
    found.query, found.answered_by = {"photo": str(photo), "caption": caption}, "photo" if found else None
    return found
