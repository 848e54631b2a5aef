"""The models this package knows by name: ``registry.json`` as frozen dataclasses.

The registry is data, so that a model is added without touching code; ``models/README.md`` says how.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args

from vlm4rec_edge.errors import ModelError
from vlm4rec_edge.models.manifest import EncoderSettings, Kind, LvlmSettings

REGISTRY = Path(__file__).with_name("registry.json")
REGISTRY_FORMAT = 1

_ROLES: dict[str, set[str]] = {"lvlm": {"text", "projector"}, "encoder": {"model", "tokenizer"}}
# Some graphs keep their weights in a file of their own.
_MAY_HAVE: dict[str, set[str]] = {"lvlm": set(), "encoder": {"weights"}}


@dataclass(frozen=True)
class RegistryFile:
    """One file of a model: its path inside the repository, its size and its sha256 (empty for an embedded model).

    ``size_mb`` counts 10^6 bytes; ``approximate`` says that the size was not read from the file itself. ``pinned_by`` names
    public repositories, and files of theirs, that state this sha256 for this file.
    """

    name: str
    size_mb: float
    approximate: bool = True
    sha256: str = ""
    pinned_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Published:
    """Figures of a model's quality or speed that others published, and where."""

    figures: str
    source: str


@dataclass(frozen=True)
class ModelEntry:
    """One model of the registry.

    ``repository`` and ``revision`` name a Hugging Face repository and a branch or commit; for an embedded
    model they say what it was made from. ``memory_mb`` is an estimate of the memory the model needs while it
    runs. Exactly one of ``encoder`` and ``lvlm`` is set, as ``kind`` says. ``was_run`` says whether the makers of this
    package ever ran it. ``work_gflop`` counts the operations (10^9) of a caption of 60 tokens for a photo of 1,024 x 1,024
    pixels, and ``core_seconds`` is what one took on a core of an x86-64 server; ``core_gflops`` is how many operations such a
    core did in a second for a model with the same vision encoder. They are 0 where they were not counted or measured.
    """

    name: str
    kind: Kind
    description: str
    license: str
    repository: str
    revision: str
    embedded: bool
    files: dict[str, RegistryFile]
    quantization: dict[str, str]
    memory_mb: int
    was_run: bool
    encoder: EncoderSettings | None = None
    lvlm: LvlmSettings | None = None
    work_gflop: float = 0
    core_seconds: float = 0
    core_gflops: float = 0
    published: tuple[Published, ...] = ()

    @property
    def size_mb(self) -> float:
        """Size of all files together, MB."""
        return sum(file.size_mb for file in self.files.values())

    @property
    def approximate_size(self) -> bool:
        """Whether the size of any file is an approximation."""
        return any(file.approximate for file in self.files.values())


@lru_cache(maxsize=1)
def registry() -> dict[str, ModelEntry]:
    """Return every known model by name, in the order of the file.

    Raises:
        ModelError: the registry is missing or damaged.
    """
    return read_registry(REGISTRY)


def read_registry(path: Path) -> dict[str, ModelEntry]:
    """Read one registry file.

    Raises:
        ModelError: the file cannot be read, or an entry lacks or misuses a field (it is named).
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found, entries = content["format"], content["models"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} cannot be read ({error}); install vlm4rec-edge again.") from error
    if found != REGISTRY_FORMAT:
        raise ModelError(f"{path} has format {found}, this version reads {REGISTRY_FORMAT}; upgrade vlm4rec-edge.")
    known: dict[str, ModelEntry] = {}
    for content in entries:
        try:
            entry = _parse(content)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            name = content.get("name", "?") if isinstance(content, dict) else "?"
            raise ModelError(f"{path}: the entry {name} lacks or misuses {error}.") from error
        if entry.name in known:
            raise ModelError(f"{path}: the name {entry.name} is there twice.")
        known[entry.name] = entry
    return known


def _parse(content: dict[str, Any]) -> ModelEntry:
    kind = content["kind"]
    if kind not in get_args(Kind):
        raise ValueError(f"the kind {kind!r}")
    files = {role: _file(file) for role, file in content["files"].items()}
    if set(files) - _MAY_HAVE[kind] != _ROLES[kind]:
        raise ValueError(f"the file roles {sorted(files)}; a model of kind {kind} has {sorted(_ROLES[kind])}")
    return ModelEntry(
        name=content["name"],
        kind=kind,
        description=content["description"],
        license=content["license"],
        repository=content["repository"],
        revision=content["revision"],
        embedded=content["embedded"],
        files=files,
        quantization=content["quantization"],
        memory_mb=content["memory_mb"],
        was_run=content["was_run"],
        encoder=EncoderSettings(**content["encoder"]) if kind == "encoder" else None,
        lvlm=LvlmSettings(**content["lvlm"]) if kind == "lvlm" else None,
        work_gflop=content.get("work_gflop", 0),
        core_seconds=content.get("core_seconds", 0),
        core_gflops=content.get("core_gflops", 0),
        published=tuple(Published(**published) for published in content.get("published", ())),
    )


def _file(content: dict[str, Any]) -> RegistryFile:
    return RegistryFile(**{**content, "pinned_by": tuple(content.get("pinned_by", ()))})
