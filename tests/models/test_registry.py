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


def test_the_families_for_the_edge_are_there() -> None:
    names = " ".join(registry())
    for family in ("smolvlm-256m", "smolvlm-500m", "smolvlm2-500m", "qwen3-vl-2b", "lfm2.5-vl-450m", "gemma-4-e2b"):
        assert family in names
    for family in ("qwen3.5-0.8b", "qwen3.5-2b", "qwen3.5-4b", "all-minilm-l6-v2", "bge-small", "embeddinggemma-300m"):
        assert family in names
    for family in ("multilingual-e5-small", "paraphrase-multilingual-minilm-l12-v2"):
        assert family in names


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_an_entry_says_what_a_user_must_know(entry: ModelEntry) -> None:
    assert re.fullmatch(r"[a-z0-9][a-z0-9.-]+", entry.name)
    assert entry.license
    assert entry.description.endswith(".")
    assert 0 < entry.size_mb < entry.memory_mb
    assert (entry.encoder is None) == (entry.kind == "lvlm")
    assert all(published.figures and published.source for published in entry.published)
    assert entry.kind == "encoder" or entry.core_seconds or entry.work_gflop


@pytest.mark.parametrize("entry", [entry for entry in ENTRIES if not entry.embedded], ids=lambda entry: entry.name)
def test_every_file_to_fetch_is_pinned_by_two_who_do_not_know_each_other(entry: ModelEntry) -> None:
    assert re.fullmatch(r"[0-9a-f]{40}", entry.revision)
    for file in entry.files.values():
        assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)
        assert not file.approximate
        owners = {re.fullmatch(r"([\w.-]+)/[\w.-]+: .+", pin)[1] for pin in file.pinned_by}  # type: ignore[index]
        assert len(owners) >= 2
        assert entry.repository.partition("/")[0] not in owners


def test_only_what_was_run_says_so() -> None:
    assert {entry.name for entry in ENTRIES if entry.was_run} == {DEFAULT_LVLM, DEFAULT_ENCODER}


def test_bounds_of_image_tokens_leave_room_for_question_and_answer() -> None:
    for settings in (entry.lvlm for entry in ENTRIES if entry.lvlm):
        assert 0 <= settings.image_min_tokens <= settings.image_max_tokens < settings.context_length / 2


def test_weights_beside_a_graph_are_taken_and_other_files_refused(tmp_path: Path) -> None:
    entry = next(entry for entry in ENTRIES if "weights" in entry.files)
    assert entry.kind == "encoder"
    assert Path(entry.files["weights"].name).parent == Path(entry.files["model"].name).parent  # the graph names it so
    path = tmp_path / "registry.json"
    beside = {**_one()["files"], "weights": {"name": "w", "size_mb": 1}}  # type: ignore[dict-item]
    path.write_text(json.dumps({"format": 1, "models": [_one() | {"files": beside}]}))
    with pytest.raises(ModelError, match="file roles"):
        read_registry(path)


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
    e5, bge = registry()["multilingual-e5-small"].encoder, registry()["bge-small-en-v1.5"].encoder
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
