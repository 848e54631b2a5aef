"""Items and vectors as a folder that a vector engine loads: NumPy, hnswlib, FAISS.

Beside the engine's own file lies ``items.jsonl``: what the engine calls label or row n is its line n, from 0.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from vlm4rec_edge.index.hnsw import EF_CONSTRUCTION, EF_SEARCH, LINKS
from vlm4rec_edge.interchange.batches import TEXTS, about, batches, record_of
from vlm4rec_edge.recommend.source import ItemSource
from vlm4rec_edge.tables.writing import table_writer

ITEMS_NAME, ABOUT_NAME = "items.jsonl", "about.json"
NUMPY_NAME, HNSWLIB_NAME, FAISS_NAME = "vectors.npy", "index.hnsw", "index.faiss"
_SEED = 100


def write_numpy(source: ItemSource, folder: Path) -> None:
    """Write ``vectors.npy``, shape [items, dimensions], float32, unit length; loads with ``np.load(mmap_mode="r")``."""
    shape = (source.count(), source.dimensions)
    vectors = np.lib.format.open_memmap(folder / NUMPY_NAME, mode="w+", dtype=np.float32, shape=shape)
    first = 0
    for block in _vectors(source, folder):
        vectors[first : first + len(block)] = block
        first += len(block)
    vectors.flush()
    _write_about(source, folder, {})


def write_hnswlib(source: ItemSource, folder: Path) -> None:
    """Write ``index.hnsw``: space ``ip``, where distance is 1 - cosine; hnswlib does not save ``ef``, see about.json."""
    import hnswlib

    graph = hnswlib.Index(space="ip", dim=source.dimensions)
    graph.init_index(max_elements=source.count(), M=LINKS, ef_construction=EF_CONSTRUCTION, random_seed=_SEED)
    first = 0
    for block in _vectors(source, folder):
        graph.add_items(block, np.arange(first, first + len(block)))
        first += len(block)
    graph.save_index(str(folder / HNSWLIB_NAME))
    if (folder / HNSWLIB_NAME).stat().st_size != graph.index_file_size():  # it does not look whether writing succeeds
        raise OSError(28, "the disk is full", str(folder / HNSWLIB_NAME))
    _write_about(source, folder, {"space": "ip", "ef": EF_SEARCH, "M": LINKS, "ef_construction": EF_CONSTRUCTION})


def write_faiss(source: ItemSource, folder: Path) -> None:
    """Write ``index.faiss``, an ``IndexFlatIP``: exact, and its inner products are cosines."""
    import faiss

    flat = faiss.IndexFlatIP(source.dimensions)
    for block in _vectors(source, folder):
        flat.add(block)
    faiss.write_index(flat, str(folder / FAISS_NAME))
    _write_about(source, folder, {"metric": "inner product"})


def _vectors(source: ItemSource, folder: Path) -> Any:
    """Yield the vectors, and write the items beside them in the same order."""
    with table_writer(folder / ITEMS_NAME, "jsonl", dict.fromkeys((*TEXTS, "attributes"), "string")) as write:
        for items, vectors in batches(source):
            write(record_of(item).values() for item in items)
            yield vectors


def _write_about(source: ItemSource, folder: Path, settings: dict[str, Any]) -> None:
    document = {**about(source), **settings}
    (folder / ABOUT_NAME).write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
