"""Describe a photo that an index does not hold, as the index itself would have: the offline half at work for one photo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vlm4rec_edge.cli import options
from vlm4rec_edge.errors import StoreError, UsageError

if TYPE_CHECKING:
    from vlm4rec_edge.recommend.source import ItemSource

# What a captioner notes of itself; captions that came from elsewhere have no such notes.
_NEEDED = ("name", "prompt", "max_tokens", "temperature", "seed", "max_side")


def caption_new_photo(source: ItemSource, photo: Path, *, model: str | None, projector: Path | None) -> str:
    """Return the caption of ``photo`` by the model and the settings that made the captions of an index.

    Args:
        source: The index.
        photo: A photo file.
        model: Where the model is, if it can not be found by the name that the index notes.
        projector: As for ``index``.

    Raises:
        UsageError: the index was made without a model that could describe the photo.
        StoreError: the model is another one, or another version, than made the index.
        PhotoError: the photo can not be used.
        ModelError, MissingDependencyError: the model is not on this machine, or what runs it.
    """
    grounding = source.provenance("groundings")
    if not grounding or grounding.get("imported") or source.meta.get("encoded_text") == "title":
        made_from = f"captions of {grounding['source']}" if grounding.get("imported") else "titles"
        raise UsageError(
            f"The index {source.folder} was made from {made_from}, so a photo can not be matched with it; look for words "
            "with `vlm4rec-edge search`."
        )
    if any(name not in grounding for name in _NEEDED):
        raise UsageError(
            f"The captions of {source.folder} were not made by a model of this program, so none can describe the photo in "
            "their way; look for words with `vlm4rec-edge search`."
        )
    with options.open_captioner(
        model=model or (str(source.lvlm_folder) if source.lvlm_folder else grounding["name"]),
        projector=projector,
        prompt=grounding["prompt"],
        structured=options.form_made_by(grounding),
        max_tokens=grounding["max_tokens"],
        temperature=grounding["temperature"],
        seed=grounding["seed"],
        batch=1,
        threads=None,
        image_size=grounding["max_side"],
        device=options.DeviceName.auto,
    ) as captioner:
        if captioner.fingerprint != source.meta["grounding"]:
            raise StoreError(
                f"The captions of {source.folder} were made by another model or another version of it than "
                f"{captioner.files.name}; give the right one with --model, or index again with this one."
            )
        return captioner.caption_file(photo)
