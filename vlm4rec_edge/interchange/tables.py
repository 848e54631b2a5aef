"""Items and vectors as one table: Parquet, JSONL or CSV."""

from __future__ import annotations

from pathlib import Path

from vlm4rec_edge.interchange.batches import TEXTS, attribute_columns, batches
from vlm4rec_edge.recommend.source import ItemSource
from vlm4rec_edge.tables.writing import table_writer


def write_table(source: ItemSource, path: Path, form: str) -> None:
    """Write one row an item: id, title, caption, image, attributes and ``vector``.

    The attributes are a column each; in JSONL they are one object. The vector is a fixed-size list of float32 in Parquet, a
    list of numbers in JSONL, a JSON list in one cell of CSV. The metadata of Parquet's schema holds the encoder's fingerprint
    and name: vectors of two encoders must not be mixed.
    """
    is_nested = form == "jsonl"
    names = {} if is_nested else attribute_columns(source)
    columns = dict.fromkeys((*TEXTS, *(["attributes"] if is_nested else names.values())), "string")
    made_by = {"encoder": source.meta["encoder"], "encoder_name": str(source.provenance("encoders").get("name", ""))}
    with table_writer(path, form, {**columns, "vector": source.dimensions}, metadata=made_by) as write:
        for items, vectors in batches(source):
            write(
                [
                    *(getattr(item, name) for name in TEXTS),
                    *([dict(item.attributes)] if is_nested else map(item.attributes.get, names)),
                    vector,
                ]
                for item, vector in zip(items, vectors, strict=True)
            )
