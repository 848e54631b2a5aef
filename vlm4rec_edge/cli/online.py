"""The commands that answer from an index: ``recommend``, ``similar``, ``search`` and ``info``.

Their ``--json`` documents (a field may be added, none is renamed or removed):

- ``recommend``, ``similar``, ``search``: ``{"index", "method", "query", "unknown": [id], "recommendations": [{"rank",
  "item_id", "score", "title", "caption", "image", "attributes"}]}``; ``query`` is ``{"history": [id]}``,
  ``{"item": id}`` or ``{"text": text}``; ``method`` is ``exact`` or ``hnsw``.
- ``info``: ``{"index", "items", "captions", "vectors", "failures", "dimensions", "bytes", "method", "encoded_text",
  "run", "grounding", "encoder", "caption_fields": [name], "batch", "kv_bytes"}``; ``grounding`` and ``encoder`` hold the
  provenance of captions and vectors, ``caption_fields`` the fields of structured captions, which are attributes of the
  items (none of free ones). ``batch`` photos were captioned together in the last run that captioned, for which
  ``kv_bytes`` of KV memory were held (0 if not known).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vlm4rec_edge.cli import options
from vlm4rec_edge.cli.output import emit_json, note, table

if TYPE_CHECKING:
    from vlm4rec_edge.recommend.recommender import Recommendation, Recommender

EXIT_SOME_FAILED = 3


def recommend(
    index: options.Index,
    history: Annotated[
        list[str],
        typer.Option(help="Item ids, comma between them; may be given several times.", show_default=False),
    ],
    k: options.Count = 10,
    as_json: options.AsJson = False,
) -> None:
    """Recommend items to someone from what was bought before; the history itself is left out.

    \b
    Example:
      vlm4rec-edge recommend shop.index --history shirt-1,shoe-7 -k 5
    """  # noqa: D301 (click reads the control character)
    from vlm4rec_edge.recommend.recommender import Recommender

    with Recommender.open(index) as shop:
        ids = _split_ids(shop, history)
        found = shop.recommend(ids, k, skip_unknown=True)
        unknown = shop.unknown(ids)
        _show(shop, {"history": ids}, found, k, as_json=as_json, unknown=unknown)
    if unknown:
        raise typer.Exit(EXIT_SOME_FAILED)


def similar(
    index: options.Index,
    item: Annotated[str, typer.Argument(help="An item id.", show_default=False)],
    k: options.Count = 10,
    as_json: options.AsJson = False,
) -> None:
    """Show the items most like one item.

    \b
    Example:
      vlm4rec-edge similar shop.index shirt-1
    """  # noqa: D301 (click reads the control character)
    from vlm4rec_edge.recommend.recommender import Recommender

    with Recommender.open(index) as shop:
        _show(shop, {"item": item}, shop.similar(item, k), k, as_json=as_json)


def search(
    index: options.Index,
    text: Annotated[str, typer.Argument(help="What is looked for, in words.", show_default=False)],
    k: options.Count = 10,
    encoder: options.EncoderModel = None,
    as_json: options.AsJson = False,
) -> None:
    """Find items by words. The one command of the online half that loads the text encoder.

    \b
    Example:
      vlm4rec-edge search shop.index "warm jacket for autumn"
    """  # noqa: D301 (click reads the control character)
    from vlm4rec_edge.recommend.recommender import Recommender

    with Recommender.open(index) as shop:
        if encoder is None:
            found = shop.search(text, k)
        else:
            from vlm4rec_edge.encoding.encoder import Encoder
            from vlm4rec_edge.models.resolve import resolve_encoder

            with Encoder(resolve_encoder(encoder), device="cpu") as own:
                found = shop.search(text, k, encoder=own)
        _show(shop, {"text": text}, found, k, as_json=as_json)


def info(index: options.Index, as_json: options.AsJson = False) -> None:
    """Say what an index holds, and what made it.

    \b
    Example:
      vlm4rec-edge info shop.index
    """  # noqa: D301 (click reads the control character)
    from vlm4rec_edge.index import open_index
    from vlm4rec_edge.store.reader import StoreReader

    with StoreReader(index) as store:
        document: dict[str, Any] = {
            "index": str(index),
            **store.counts(),
            "dimensions": int(store.meta.get("dimensions", 0)),
            "bytes": sum(path.stat().st_size for path in index.iterdir() if path.is_file()),
            "method": open_index(store).name,
            "encoded_text": store.meta.get("encoded_text", ""),
            "run": int(store.meta.get("run", 0)),
            "grounding": store.provenance("groundings"),
            "encoder": store.provenance("encoders"),
        }
        form = document["grounding"].get("structured")
        document |= {key: int(store.meta.get(key, 0)) for key in ("batch", "kv_bytes")}
        document["caption_fields"] = list(form["schema"]["properties"]) if form else []
        if as_json:
            emit_json(document)
            return
        grounding, encoder = document["grounding"], document["encoder"]
        rows = [
            ["items", f"{document['items']:,}"],
            ["captions", f"{document['captions']:,}"],
            ["vectors", f"{document['vectors']:,} of {document['dimensions']} values"],
            ["left out", f"{document['failures']:,} in the last run"],
            ["on disk", f"{document['bytes'] / 1e6:.1f} MB"],
            ["search", document["method"]],
            ["encoded", document["encoded_text"]],
            ["captioner", f"{grounding['name']}, prompt: {grounding['prompt']}" if grounding else "none"],
            ["captioned", f"{document['batch']} at a time in {document['kv_bytes'] / 1e6:.0f} MB of KV memory"],
            ["caption fields", ", ".join(document["caption_fields"]) or "none, captions are free"],
            ["encoder", encoder.get("name", "none")],
        ]
        table("", ["what", str(index)], rows)


def _split_ids(shop: Recommender, values: Sequence[str]) -> list[str]:
    """Split at commas, except where the whole text is the id of an item."""
    ids: list[str] = []
    for value in values:
        whole = not shop.unknown([value])
        ids += [value] if whole else [part.strip() for part in value.split(",") if part.strip()]
    return ids


def _show(
    shop: Recommender,
    query: dict[str, Any],
    found: Sequence[Recommendation],
    k: int,
    *,
    as_json: bool,
    unknown: Sequence[str] = (),
) -> None:
    if as_json:
        emit_json(
            {
                "index": str(shop.store.folder),
                "method": shop.method,
                "query": query,
                "unknown": list(unknown),
                "recommendations": [{**asdict(hit), "attributes": dict(hit.attributes)} for hit in found],
            }
        )
        return
    rows = [[str(hit.rank), hit.item_id, f"{hit.score:.3f}", hit.caption or hit.title] for hit in found]
    table("", ["#", "item", "score", "what it is"], rows)
    if len(found) < k:
        note(f"The index has only {len(found)} items to offer.")
    if unknown:
        note(f"Not in the index, and left out: {', '.join(unknown)}.")
