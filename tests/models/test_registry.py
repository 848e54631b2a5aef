"""The registry is readable data, and true of what is embedded."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from vlm4rec_edge.errors import ModelError
from vlm4rec_edge.models.installed import installed
from vlm4rec_edge.models.manifest import read_manifest
from vlm4rec_edge.models.registry import REGISTRY, ModelEntry, read_registry, registry
from vlm4rec_edge.models.resolve import DEFAULT_ENCODER, DEFAULT_LVLM

ENTRIES = list(registry().values())


def _one() -> dict[str, object]:
    content = json.loads(REGISTRY.read_text(encoding="utf-8"))
    entry = content["models"][0]
    assert isinstance(entry, dict)
    return entry


def test_the_families_of_the_paper_and_of_the_edge_are_there() -> None:
    names = " ".join(registry())
    for family in (
        "smolvlm-256m",
        "smolvlm-500m",
        "smolvlm2-2.2b",
        "qwen3-vl-2b",
        "lfm2-vl-450m",
        "moondream2",
    ):
        assert family in names
    for family in ("gemma-3-4b", "all-minilm-l6-v2", "bge-small", "e5-small"):
        assert family in names


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_an_entry_says_what_a_user_must_know(entry: ModelEntry) -> None:
    assert re.fullmatch(r"[a-z0-9][a-z0-9.-]+", entry.name)
    assert entry.license
    assert entry.description.endswith(".")
    assert 0 < entry.size_mb < entry.memory_mb
    assert entry.embedded or re.fullmatch(r"main|[0-9a-f]{40}", entry.revision)
    for file in entry.files.values():
        assert re.fullmatch(r"|[0-9a-f]{64}", file.sha256)
        assert not (file.sha256 and file.approximate)
    assert (entry.encoder is None) == (entry.kind == "lvlm")


@pytest.mark.parametrize("name", [DEFAULT_LVLM, DEFAULT_ENCODER])
def test_an_embedded_entry_agrees_with_its_manifest(name: str) -> None:
    entry, manifest = registry()[name], read_manifest(installed()[name])
    assert entry.embedded
    assert (entry.kind, entry.license) == (manifest.kind, manifest.license)
    assert (entry.encoder, entry.lvlm) == (manifest.encoder, manifest.lvlm)
    assert entry.quantization == manifest.quantization
    for role, file in entry.files.items():
        assert file.name == manifest.files[role].name
        assert file.size_mb == pytest.approx(manifest.files[role].size / 1e6, abs=0.5)


def test_e5_has_its_prefix_and_bge_its_pooling() -> None:
    e5, bge = registry()["e5-small-v2"].encoder, registry()["bge-small-en-v1.5"].encoder
    assert e5 is not None
    assert bge is not None
    assert (e5.prefix, e5.pooling) == ("query: ", "mean")
    assert (bge.prefix, bge.pooling) == ("", "cls")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "sound"}, "kind 'sound'"),
        ({"files": {"text": {"name": "a", "size_mb": 1}}}, "file roles"),
        ({"lvlm": {"colour": "red"}}, "colour"),
        ({"license": None, "lvlm": None}, "stylist-lvlm"),
    ],
)
def test_a_damaged_entry_is_named(tmp_path: Path, change: dict[str, object], message: str) -> None:
    path = tmp_path / "registry.json"
    path.write_text(json.dumps({"format": 1, "models": [_one() | change]}))
    with pytest.raises(ModelError, match=message):
        read_registry(path)


def test_a_registry_of_another_format_or_with_a_name_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "registry.json"
    for content, message in (
        ({"format": 2, "models": []}, "upgrade"),
        ({"format": 1, "models": [_one(), _one()]}, "twice"),
        ([], "cannot be read"),
    ):
        path.write_text(json.dumps(content))
        with pytest.raises(ModelError, match=message):
            read_registry(path)
