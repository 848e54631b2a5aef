"""The command ``info``: what an index or a bundle holds.

Its ``--json`` document: ``vlm4rec_edge/documents/info.schema.json``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from vlm4rec_edge.cli import options
from vlm4rec_edge.cli.output import emit_json, table
from vlm4rec_edge.encoding.text import CAPTION

if TYPE_CHECKING:
    from vlm4rec_edge.info import IndexInfo

# What encodes photos, by the names of ``IndexReport.tower``.
TOWERS = {
    "onnx-fp32": "ONNX Runtime, fp32",
    "onnx-int8": "ONNX Runtime, int8",
    "onnx-bf16": "OpenVINO, bf16",
    "mtmd": "llama.cpp (mtmd)",
}


def info(index: options.Shipped, as_json: options.AsJson = False) -> None:
    """Show what an index holds, and what made it.

    \b
    Example:
      vlm4rec-edge info shop.index
    """  # noqa: D301 (click reads the control character)
    from vlm4rec_edge.info import describe_index

    found = describe_index(index)
    if as_json:
        emit_json(found.to_dict())
        return
    rows = [
        ["items", f"{found.items:,}"],
        *([["photos", f"{found.photos:,}"]] if found.photos > found.items else []),
        *([["photo vectors", _photo_vectors(found)]] if found.photo_vectors else []),
        ["captions", f"{found.captions:,}"],
        ["vectors", f"{found.vectors:,} of {found.dimensions} values"],
        ["on disk", f"{found.bytes / 1e6:.1f} MB"],
        [
            "search",
            found.method + (f", {found.index_backend} where there are many vectors" if found.index_backend else ""),
        ],
        ["encoded", found.encoded_text + _of_titles(found)],
        ["captioner", _captioner(found.grounding)],
        ["caption fields", ", ".join(found.caption_fields) or "none, captions are free"],
        ["encoder", found.encoder.get("name", "none")],
    ]
    if found.learned:
        rows.append(["learned", _learned(found.learned)])
    if found.bundle is None:
        rows.insert(len(rows) - 6, ["left out", f"{found.failures:,} in the last run"])
        if found.tower:
            rows.append(["vision encoder", TOWERS.get(found.tower, found.tower)])
        if found.kv_bytes:
            rows.append(
                [
                    "captioned",
                    f"{found.batch} at a time, with a working memory (KV cache) of {found.kv_bytes / 1e6:.0f} MB",
                ]
            )
    else:
        models = found.bundle["models"]
        rows += [[f"license of {model['role']}", f"{model['license']} ({model['name']})"] for model in models]
        rows += [["stored as", found.bundle["vectors"]], ["carries", ", ".join(found.bundle["carries"]) or "no model"]]
        rows += [["digest", found.bundle["digest"]]]
    table("", ["what", str(index)], rows)


def _of_titles(found: IndexInfo) -> str:
    if not found.without_title or found.encoded_text == CAPTION:
        return ""
    if found.captions_alone:
        return "; no item has a title, so captions alone"
    return f"; {found.without_title:,} without a title, by caption alone"


def _photo_vectors(found: IndexInfo) -> str:
    by = found.photo_vectors_by
    # A plug-in says of itself what it likes.
    how = f", in {by.get('vision_precision', 'full precision')}" if "projector_sha256" in by else ""
    return f"{found.photo_vectors:,}, by the vision encoder of {by.get('name', '?')}{how}"


def _learned(told: Mapping[str, Any]) -> str:
    days = (datetime.now(UTC).date() - date.fromisoformat(told["learned_at"])).days
    newest = f", the newest of {told['newest_purchase']}" if told["newest_purchase"] else ""
    return f"{days:,} days ago from {told['purchases']:,} purchases of {told['users']:,} users{newest}"


def _captioner(grounding: Mapping[str, Any]) -> str:
    if grounding.get("imported"):
        return f"none, captions imported from {grounding.get('source', '?')}"
    prompt = f", prompt: {grounding['prompt']}" if "prompt" in grounding else ""
    return f"{grounding.get('name', '?')}{prompt}" if grounding else "none"
