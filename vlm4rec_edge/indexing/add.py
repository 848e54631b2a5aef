"""Items added to an index, or replaced, as all its others were made."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import replace

from vlm4rec_edge.catalog.checks import id_trouble
from vlm4rec_edge.catalog.reader import Catalog, open_catalog
from vlm4rec_edge.catalog.web.cache import WebPhotoCache
from vlm4rec_edge.encoding.checked import check_encoder_of
from vlm4rec_edge.encoding.opening import open_encoder
from vlm4rec_edge.encoding.protocol import Encoder
from vlm4rec_edge.encoding.text import check_encoded_text
from vlm4rec_edge.errors import StoreError, UsageError
from vlm4rec_edge.grounding.protocol import Captioner
from vlm4rec_edge.indexing.access import FolderAccess
from vlm4rec_edge.indexing.remembered import has_photo_vectors
from vlm4rec_edge.indexing.report import IndexReport, OnProgress
from vlm4rec_edge.indexing.run import index_catalog
from vlm4rec_edge.items import Item, item_id
from vlm4rec_edge.new_photo import captioner_of, check_captioner_of
from vlm4rec_edge.plugins import opened
from vlm4rec_edge.recommend.ids import KnownIds
from vlm4rec_edge.store.reader import StoreReader


def add_items(
    access: FolderAccess,
    items: Iterable[Item],
    *,
    captioner: Captioner | None,
    encoder: Encoder | None,
    on_progress: OnProgress | None,
) -> IndexReport:
    """Add items with the models, the prompt and the settings the index was made with; see ``IndexFolder.add``."""
    chosen = _checked(items)
    ids = [item_id(item.id).strip() for item in chosen]  # as every catalog reads them
    if trouble := next(filter(None, map(id_trouble, ids)), None):
        raise UsageError(trouble)
    fetched = WebPhotoCache(access.folder / "photos").path_of
    catalog = open_catalog(chosen, fetched=fetched) if chosen else Catalog(None, None, lambda: iter(()))
    with access.writing() as writer, ExitStack() as models:
        with StoreReader(access.folder) as store:
            if not {"encoded_text", "encoder"} <= store.meta.keys():
                raise StoreError(
                    f"{access.folder} has lost the record of how it was made; run `vlm4rec-edge index` on the catalog "
                    "again, then add."
                )
            encoded_text = check_encoded_text(store.meta["encoded_text"])
            its_captioner: Captioner | None = None
            if encoded_text != "title":
                photos = sum(len(item.photos) for item in chosen)
                its_captioner = models.enter_context(
                    opened(
                        captioner,
                        lambda: captioner_of(store, photos=photos or None, photo_vectors=has_photo_vectors(store)),
                    )
                )
                check_captioner_of(store, its_captioner)
            name = store.provenance("encoders").get("name")
            its_encoder = models.enter_context(opened(encoder, lambda: open_encoder(name)))
            check_encoder_of(access.folder, store.meta["encoder"], its_encoder)
            there = KnownIds(store).look_up(ids).rows
        report = index_catalog(
            writer,
            catalog,
            captioner=its_captioner,
            encoder=its_encoder,
            encoded_text=encoded_text,
            on_progress=on_progress,
        )
        access.refresh_index()
        with StoreReader(access.folder) as store:
            left_out = {failure.where for failure in store.failures()}
            found = KnownIds(store).look_up(ids)
            written = [each for each in dict.fromkeys(found.ids) if each in found.rows and each not in left_out]
    added = tuple(each for each in written if each not in there)
    replaced = () if report.interrupted else tuple(each for each in written if each in there)
    return replace(report, added=added, replaced=replaced)


def _checked(items: Iterable[Item]) -> list[Item]:
    if not isinstance(items, Iterable):
        raise UsageError(f"Items to add are a list of Item, not one {type(items).__name__}.")
    chosen = list(items)
    for item in chosen:
        if not isinstance(item, Item):
            raise UsageError(
                f"Items to add are a list of Item, without {item!r:.60}; a folder or a table is for update."
            )
    return chosen
