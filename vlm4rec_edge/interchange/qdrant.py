"""Put items and vectors into a Qdrant collection, through Qdrant's own client."""

from __future__ import annotations

import os
import uuid
from typing import Any

from vlm4rec_edge.errors import StoreError
from vlm4rec_edge.interchange.batches import about, batches, record_of
from vlm4rec_edge.optional import optional
from vlm4rec_edge.recommend.source import ItemSource

KEY_VARIABLE = "QDRANT_API_KEY"
# Qdrant advises a few hundred points a request; at 384 dimensions this is 1 MB.
_BATCH_POINTS = 256
# Point ids are numbers or UUIDs there; a UUID of the item's id is the same every time, so a second export replaces the first.
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "vlm4rec-edge")
# The key of a collection's metadata for what ``about`` returns, and for the fingerprint of the space of its vectors.
ABOUT_KEY = "vlm4rec_edge"


def open_client(url: str) -> Any:
    """Return a client for a server's address, a folder of Qdrant's local mode, or ``:memory:``.

    Raises:
        MissingDependencyError: qdrant-client is not installed.
    """
    client = optional(
        "qdrant_client", "Writing to Qdrant needs its client", "qdrant", " (or pip install qdrant-client)"
    ).QdrantClient
    if "://" in url:
        return client(url=url, api_key=os.environ.get(KEY_VARIABLE))
    return client(url) if url == ":memory:" else client(path=url)


def point_id(item_id: str) -> str:
    """Return the id of an item's point."""
    return str(uuid.uuid5(_NAMESPACE, item_id))


def upsert(source: ItemSource, client: Any, collection: str) -> int:
    """Write every item as a point, its record as the payload, and return how many; makes the collection if it is not there.

    Points of items that the source no longer has are left alone. The metadata of the collection says what made the vectors,
    and, where something was learned from purchases, how a query is made of them.

    Raises:
        StoreError: the server cannot be reached or refuses, or the collection is for vectors of another length or space.
    """
    from qdrant_client import models

    try:
        if not client.collection_exists(collection):
            space = models.VectorParams(size=source.dimensions, distance=models.Distance.COSINE)
            client.create_collection(collection, vectors_config=space)
        _check_space(client, collection, source)
        client.update_collection(collection, metadata={ABOUT_KEY: {**about(source), "space": source.space}})
        written = 0
        for items, vectors in batches(source, _BATCH_POINTS):
            points = [
                models.PointStruct(id=point_id(item.id), vector=vector.tolist(), payload=record_of(item))
                for item, vector in zip(items, vectors, strict=True)
            ]
            client.upsert(collection, points)
            written += len(points)
    except StoreError:
        raise
    except Exception as error:  # the client hands on what its transports raise, which share no base class
        raise StoreError(f"Qdrant could not take the items into {collection!r}: {_first_line(error)}.") from error
    return written


def _check_space(client: Any, collection: str, source: ItemSource) -> None:
    config = client.get_collection(collection).config
    size = getattr(config.params.vectors, "size", None)
    if size != source.dimensions:
        raise StoreError(
            f"The collection {collection!r} is for other vectors ({size or 'named ones'}) than these of {source.dimensions} "
            "values; give another name with --collection."
        )
    noted = (config.metadata or {}).get(ABOUT_KEY, {}).get("space", source.space)
    if noted != source.space:
        raise StoreError(
            f"The collection {collection!r} holds vectors of another encoder, or of what was learned from other purchases, "
            "which cannot be compared with these; give another name with --collection."
        )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
