"""What was learned from purchases, kept in an index, and forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vlm4rec_edge.encoding.protocol import Encoder
from vlm4rec_edge.errors import DeviceError, MissingDependencyError, ModelError, StoreError
from vlm4rec_edge.indexing.access import FolderAccess
from vlm4rec_edge.indexing.remembered import encoder_as_before
from vlm4rec_edge.plugins import opened
from vlm4rec_edge.provenance import made_by
from vlm4rec_edge.store.photo_vectors import ItemPhotos
from vlm4rec_edge.store.reader import StoreReader
from vlm4rec_edge.store.trouble import holds_nothing

if TYPE_CHECKING:
    from vlm4rec_edge.interactions import InteractionColumns, Interactions
    from vlm4rec_edge.learning.learning import OnStart
    from vlm4rec_edge.learning.report import LearnReport
    from vlm4rec_edge.learning.texts import OtherTexts


def learn_and_keep(
    access: FolderAccess,
    interactions: Path | str | Interactions,
    *,
    columns: InteractionColumns | None,
    new_items: str,
    dry_run: bool,
    seed: int,
    encoder: Encoder | None,
    on_start: OnStart | None,
    on_texts: OnStart | None,
) -> LearnReport:
    """Learn from purchases, and keep what recommends better; see ``IndexFolder.learn``."""
    from vlm4rec_edge.learning.learning import learn_from  # scipy, which no other job needs

    with nullcontext() if dry_run else access.writing() as writer:
        with StoreReader(access.folder, content=True) as store:
            if store.is_empty():
                raise holds_nothing(access.folder)
            others, note = _other_texts(store, encoder, on_texts)
            ids = store.table().ids
            photos, about_photos = _photos(store, ids)
            outcome = learn_from(
                store,
                interactions,
                columns=columns,
                new_items=new_items,
                others=others,
                photos=photos,
                seed=seed,
                on_start=on_start,
            )
        report = replace(outcome.report, note=" ".join(filter(None, (note, about_photos))))
        if writer is None or outcome.learned is None:
            return report
        if (chosen := outcome.texts) is None:
            writer.learn(outcome.learned)
        else:
            vectors = dict(zip(chosen.texts, chosen.vectors, strict=True))
            writer.learn(outcome.learned, dict(zip(ids, chosen.texts, strict=True)), vectors)
        access.refresh_index()
    return replace(report, stored=True)


def _other_texts(store: StoreReader, encoder: Encoder | None, on_texts: OnStart | None) -> tuple[list[OtherTexts], str]:
    """Return what items may be compared by instead, and why that is nothing where one would expect it."""
    from vlm4rec_edge.learning.texts import have_both, other_texts

    if not have_both(store):
        return [], ""
    try:
        with opened(encoder, lambda: encoder_as_before(store)) as its_encoder:
            if made_by(its_encoder).fingerprint != store.meta["encoder"]:
                raise ModelError(f"{its_encoder.identity.get('name')} is another encoder than made the index")
            return other_texts(store, its_encoder, on_texts), ""
    except (ModelError, DeviceError, MissingDependencyError) as error:
        return [], f"How far title and caption count was left as it is: {error}"


def _photos(store: StoreReader, ids: Sequence[str]) -> tuple[ItemPhotos | None, str]:
    """Return the photos' own vectors, None where no item has any, and why they are left out where one would expect them."""
    try:
        photos = store.photos_of(ids)
    except StoreError as error:
        return None, f"The photos' own vectors were left out: {error}"
    return (photos, "") if photos.count else (None, "")


def forget_learned(access: FolderAccess) -> bool:
    """Forget what was learned; see ``IndexFolder.forget_learned``."""
    with access.writing() as store:
        forgotten = store.forget_learned()
        access.refresh_index()
    return forgotten
