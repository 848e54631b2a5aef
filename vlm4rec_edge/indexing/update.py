"""A catalog brought into an index, made if there is none: with the models that made it, unless others are given."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import Any

from vlm4rec_edge.catalog.reader import Catalog, open_catalog
from vlm4rec_edge.catalog.web.cache import WebPhotoCache
from vlm4rec_edge.encoding.protocol import Encoder
from vlm4rec_edge.encoding.text import check_encoded_text
from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.grounding.protocol import Captioner
from vlm4rec_edge.index import open_backend
from vlm4rec_edge.indexing.access import FolderAccess
from vlm4rec_edge.indexing.remaking import RemakeError, remake_of
from vlm4rec_edge.indexing.remembered import (
    captioner_as_before,
    columns_as_before,
    encoded_text_as_before,
    encoder_as_before,
)
from vlm4rec_edge.indexing.report import IndexReport, OnProgress
from vlm4rec_edge.indexing.run import index_catalog
from vlm4rec_edge.items import WebPhotos
from vlm4rec_edge.plugins import opened


def update_index(
    access: FolderAccess,
    catalog: Path | str | Iterable[Any] | Catalog,
    *,
    captioner: Captioner | None,
    encoder: Encoder | None,
    encoded_text: str | None,
    remake: bool,
    prune: bool,
    prune_anyway: bool,
    fetch: WebPhotoCache | None,
    index_backend: str | None,
    on_progress: OnProgress | None,
    on_fetched: Callable[[int], None] | None,
) -> IndexReport:
    """Caption, encode and store every item of a catalog; see ``IndexFolder.update``."""
    given_text = None if encoded_text is None else check_encoded_text(encoded_text)
    if index_backend is not None:
        open_backend(index_backend)  # whether it can be used is known before the first photo
    cache, came = fetch or WebPhotoCache(access.folder / "photos"), 0
    given = _opened_catalog(access, catalog, cache)
    if fetch and given.is_read_once:
        raise UsageError("Photos are fetched before the first is captioned; give items as a list, not as a generator.")
    with access.making():
        with ExitStack() as models:
            with access.before() as before:
                kind = given_text or encoded_text_as_before(before)
                its_captioner: Any = None
                if kind != "title":
                    its_captioner = models.enter_context(opened(captioner, lambda: captioner_as_before(before)))
                its_encoder = models.enter_context(opened(encoder, lambda: encoder_as_before(before)))
                if given.columns is not None and hasattr(its_captioner, "check_columns"):
                    its_captioner.check_columns(given.columns)
                if before and not remake and (cost := remake_of(before, its_captioner, its_encoder, kind)):
                    raise RemakeError(cost)
            store = access.made(is_new=before is None)
            if index_backend is not None:
                store.note(index_backend=index_backend)
            if given.named is not None:
                store.note(catalog_columns=json.dumps(asdict(given.named)))
            if fetch:
                wanted = (entry.addresses for entry in given.read() if isinstance(entry, WebPhotos))
                came = cache.fetch(chain.from_iterable(wanted), on_progress=on_fetched)
            report = index_catalog(
                store,
                replace(given, read=lambda: cache.told(given.read())),
                captioner=its_captioner,
                encoder=its_encoder,
                encoded_text=kind,
                prune=prune or prune_anyway,
                prune_anyway=prune_anyway,
                on_progress=on_progress,
            )
        access.refresh_index()
    return replace(report, fetched=came)


def _opened_catalog(
    access: FolderAccess, catalog: Path | str | Iterable[Any] | Catalog, cache: WebPhotoCache
) -> Catalog:
    columns = None
    if isinstance(catalog, str | Path) and not Path(catalog).is_dir():
        with access.before() as before:
            columns = columns_as_before(before)
    return open_catalog(catalog, columns=columns, fetched=cache.path_of)
