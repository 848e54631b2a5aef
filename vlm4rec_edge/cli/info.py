"""The command ``info``: what an index or a bundle holds.

Its ``--json`` document (a field may be added, none is renamed or removed):

- ``info``: ``{"index", "items", "captions", "vectors", "failures", "dimensions", "bytes", "method", "encoded_text",
  "run", "grounding", "encoder", "caption_fields": [name], "batch", "kv_bytes"}``; ``grounding`` and ``encoder`` hold the
  provenance of captions and vectors, ``caption_fields`` the fields of structured captions, which are attributes of the
  items (none of free ones). ``batch`` photos were captioned together in the last run that captioned, for which
  ``kv_bytes`` of KV memory were held (0 if not known, and in a bundle). Of a bundle also
  ``"bundle": {"digest", "format", "package", "vectors", "thumbnails", "carries": ["encoder" or "lvlm"], "models": [{"role",
  "name", "licence", "source"}]}``; its ``failures`` and ``run`` are 0.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vlm4rec_edge.cli import options
from vlm4rec_edge.cli.output import emit_json, table


def info(index: options.Shipped, as_json: options.AsJson = False) -> None:
    """Say what an index holds, and what made it.

    \b
    Example:
      vlm4rec-edge info shop.index
    """  # noqa: D301 (click reads the control character)
    from vlm4rec_edge.bundle.container import is_bundle

    document = _of_bundle(index) if is_bundle(index) else _of_index(index)
    if as_json:
        emit_json(document)
        return
    grounding, encoder, bundle = document["grounding"], document["encoder"], document.get("bundle")
    rows = [
        ["items", f"{document['items']:,}"],
        ["captions", f"{document['captions']:,}"],
        ["vectors", f"{document['vectors']:,} of {document['dimensions']} values"],
        ["on disk", f"{document['bytes'] / 1e6:.1f} MB"],
        ["search", document["method"]],
        ["encoded", document["encoded_text"]],
        ["captioner", _captioner(grounding)],
        ["caption fields", ", ".join(document["caption_fields"]) or "none, captions are free"],
        ["encoder", encoder.get("name", "none")],
    ]
    if bundle is None:
        rows.insert(3, ["left out", f"{document['failures']:,} in the last run"])
        rows.append(["captioned", f"{document['batch']} at a time in {document['kv_bytes'] / 1e6:.0f} MB of KV memory"])
    else:
        rows += [[f"licence of {model['role']}", f"{model['licence']} ({model['name']})"] for model in bundle["models"]]
        rows += [["stored as", bundle["vectors"]], ["carries", ", ".join(bundle["carries"]) or "no model"]]
        rows += [["digest", bundle["digest"]]]
    table("", ["what", str(index)], rows)


def _captioner(grounding: dict[str, Any]) -> str:
    if grounding.get("imported"):
        return f"none, captions imported from {grounding.get('source', '?')}"
    return f"{grounding.get('name', '?')}, prompt: {grounding.get('prompt', '?')}" if grounding else "none"


def _caption_fields(grounding: dict[str, Any]) -> list[str]:
    form = grounding.get("structured")
    return list(form["schema"]["properties"]) if form else []


def _of_index(index: Path) -> dict[str, Any]:
    from vlm4rec_edge.index import open_index
    from vlm4rec_edge.store.reader import StoreReader

    with StoreReader(index) as store:
        grounding = store.provenance("groundings")
        return {
            "index": str(index),
            **store.counts(),
            "dimensions": int(store.meta.get("dimensions", 0)),
            "bytes": sum(path.stat().st_size for path in index.iterdir() if path.is_file()),
            "method": open_index(store).name,
            "encoded_text": store.meta.get("encoded_text", ""),
            "run": int(store.meta.get("run", 0)),
            "grounding": grounding,
            "encoder": store.provenance("encoders"),
            "caption_fields": _caption_fields(grounding),
            **{key: int(store.meta.get(key, 0)) for key in ("batch", "kv_bytes")},
        }


def _of_bundle(path: Path) -> dict[str, Any]:
    from vlm4rec_edge.bundle.manifest import FORMAT
    from vlm4rec_edge.bundle.reader import BundleReader

    with BundleReader(path) as bundle:
        content, files = bundle.manifest.content, bundle.manifest.files
        grounding = bundle.provenance("groundings")
        return {
            "index": str(path),
            "items": bundle.count(),
            "captions": content["captions"],
            "vectors": bundle.rows,
            "failures": 0,
            "dimensions": bundle.dimensions,
            "bytes": sum(entry.size for entry in files.values()),
            "method": bundle.vectors.name,
            "encoded_text": bundle.meta["encoded_text"],
            "run": 0,
            "grounding": grounding,
            "encoder": bundle.provenance("encoders"),
            "caption_fields": _caption_fields(grounding),
            "batch": 0,
            "kv_bytes": 0,
            "bundle": {
                "digest": bundle.manifest.digest,
                "format": FORMAT,
                "package": bundle.manifest.package,
                "vectors": content["vectors"]["type"],
                "thumbnails": content.get("thumbnails", {}).get("pixels"),
                "carries": sorted({name.partition("/")[0] for name in files if "/" in name}),
                "models": content["models"],
            },
        }
