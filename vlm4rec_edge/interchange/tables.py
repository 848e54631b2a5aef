"""Items and vectors as one table: Parquet, JSONL or CSV."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

from vlm4rec_edge.errors import MissingDependencyError
from vlm4rec_edge.interchange.batches import attribute_columns, batches, record_of, row_of
from vlm4rec_edge.recommend.source import ItemSource

_TEXTS = ("id", "title", "caption", "image")


def require_pyarrow() -> None:
    """Raise an error before any work if Parquet can not be written here.

    Raises:
        MissingDependencyError: pyarrow is not installed.
    """
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise MissingDependencyError('Writing Parquet needs pyarrow: pip install "vlm4rec-edge[parquet]"') from None


def write_parquet(source: ItemSource, path: Path) -> None:
    """Write one row an item: id, title, caption, image, the attributes, and ``vector``, a fixed-size list of float32.

    The schema's metadata holds the encoder's fingerprint and name: vectors of two encoders must not be mixed.
    """
    import pyarrow as pa
    from pyarrow import parquet

    columns = attribute_columns(source)
    fields = [pa.field(name, pa.string()) for name in (*_TEXTS, *columns.values())]
    fields.append(pa.field("vector", pa.list_(pa.float32(), source.dimensions)))
    made_by = {"encoder": source.meta["encoder"], "encoder_name": str(source.provenance("encoders").get("name", ""))}
    schema = pa.schema(fields, metadata=made_by)
    with parquet.ParquetWriter(path, schema) as writer:
        for items, vectors in batches(source):
            texts = zip(*(row_of(item, columns) for item in items), strict=True)
            arrays: list[Any] = [pa.array(column, pa.string()) for column in texts]
            arrays.append(pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), source.dimensions))
            writer.write_batch(pa.record_batch(arrays, schema=schema))


def write_jsonl(source: ItemSource, path: Path) -> None:
    """Write one JSON object a line: id, title, caption, image, attributes (an object) and vector (a list of numbers)."""
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        for items, vectors in batches(source):
            for item, vector in zip(items, vectors, strict=True):
                record = {**record_of(item), "vector": _numbers(vector)}
                stream.write(json.dumps(record, ensure_ascii=False) + "\n")


def write_csv(source: ItemSource, path: Path) -> None:
    """Write one row an item, with a header; ``vector`` is a JSON list in one cell."""
    columns = attribute_columns(source)
    with path.open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow([*_TEXTS, *columns.values(), "vector"])
        for items, vectors in batches(source):
            for item, vector in zip(items, vectors, strict=True):
                rows.writerow([*row_of(item, columns), json.dumps(_numbers(vector))])


def _numbers(vector: np.ndarray) -> list[float]:
    # The shortest decimal that reads back as the same float32.
    return [float(str(value)) for value in vector]
