"""The models known by name, where they lie, and whether they are whole."""

from __future__ import annotations

import platform
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from vlm4rec_edge.cores import physical_cores
from vlm4rec_edge.errors import ModelError
from vlm4rec_edge.given import path_of
from vlm4rec_edge.grounding.llama.memory import available_bytes
from vlm4rec_edge.models.installed import installed, not_installed
from vlm4rec_edge.models.manifest import MANIFEST_NAME, Kind, read_manifest
from vlm4rec_edge.models.registry import ModelEntry, registry
from vlm4rec_edge.models.resolve import resolve_encoder, resolve_lvlm, unknown_name

# What a core is taken to compute in a second, 10^9 operations, where a model was not measured: on x86-64 little more than
# llama.cpp reached on a busy Intel Xeon with AVX-512 (45, a model of SmolVLM-256M's shape; 99 on an AMD EPYC), for many have
# AVX2 alone; elsewhere what it reaches on a big core of a phone (Cortex-A78) in float. Nothing is timed: a list comes at once.
CORE_GFLOPS_X86, CORE_GFLOPS_OTHER = 50, 20
_X86 = ("x86_64", "amd64")


@dataclass(frozen=True)
class ModelInfo:
    """A model known by name.

    ``state`` is ``embedded``, ``pulled``, ``absent``, or ``own`` if it is not of the registry; ``folder`` is None where it is
    absent, ``memory_mb`` where it is not known. Sizes are in MB. ``was_run`` says whether the makers of this package ever ran
    it (None: it is the user's own). ``fits`` compares ``memory_mb`` with the memory that is free now, None where either is
    not known. ``hours_per_1000_photos`` is for the processor alone, all its cores, and photos of 1,024 pixels; ``hours_from``
    says whether the model was measured on processors of this kind or the hours are estimated from its operations. Both
    are None for a text encoder and where they were not counted. ``published`` holds others' figures and where they stand.
    """

    name: str
    kind: Kind
    state: Literal["embedded", "pulled", "absent", "own"]
    description: str
    license: str
    repository: str
    revision: str
    size_mb: float
    approximate_size: bool
    memory_mb: int | None
    quantization: Any
    folder: str | None
    was_run: bool | None = None
    fits: bool | None = None
    hours_per_1000_photos: float | None = None
    hours_from: Literal["measured", "estimated"] | None = None
    published: tuple[dict[str, str], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return an entry of the document that ``models list --json`` prints."""
        return asdict(self)


@dataclass(frozen=True)
class ModelCheck:
    """Whether a model is whole; ``problem`` is a sentence, and None where it is."""

    name: str
    folder: str
    problem: str | None

    @property
    def ok(self) -> bool:
        """Whether it is whole."""
        return self.problem is None

    def to_dict(self) -> dict[str, Any]:
        """Return an entry of the document that ``models verify --json`` prints."""
        return {"name": self.name, "folder": self.folder, "ok": self.ok, "problem": self.problem}


def list_models() -> list[ModelInfo]:
    """Return the models of the registry, and those of the user's own beside the pulled ones.

    Raises:
        ModelError: the registry of this installation cannot be read.
    """
    present = installed()
    free, cores, machine = available_bytes(), physical_cores(), platform.machine()
    found = []
    for entry in registry().values():
        folder = present.pop(entry.name, None)
        hours, hours_from = hours_of(entry, cores, machine)
        found.append(
            ModelInfo(
                entry.name,
                entry.kind,
                "absent" if folder is None else "embedded" if entry.embedded else "pulled",
                entry.description,
                entry.license,
                entry.repository,
                entry.revision,
                round(entry.size_mb, 1),
                entry.approximate_size,
                entry.memory_mb,
                entry.quantization,
                None if folder is None else str(folder),
                entry.was_run,
                None if free is None else entry.memory_mb * 10**6 <= free,
                hours,
                hours_from,
                tuple(asdict(figures) for figures in entry.published),
            )
        )
    for folder in present.values():
        with suppress(ModelError):  # one damaged folder must not hide the others; `check_model` names it
            found.append(_own(folder))
    return found


def hours_of(
    entry: ModelEntry, cores: int, machine: str
) -> tuple[float | None, Literal["measured", "estimated"] | None]:
    """Return how many hours 1,000 photos take on the cores of a machine, and whether that was measured or estimated.

    Args:
        entry: The model's.
        cores: How many may be used, each counted once.
        machine: What kind they are, as ``platform.machine()`` calls it.
    """
    is_x86 = machine.lower() in _X86
    if entry.core_seconds and is_x86:
        return round(entry.core_seconds * 1000 / cores / 3600, 3), "measured"
    if entry.work_gflop:
        rate = (entry.core_gflops or CORE_GFLOPS_X86) if is_x86 else CORE_GFLOPS_OTHER
        return round(entry.work_gflop * 1000 / rate / cores / 3600, 3), "estimated"
    return None, None


def _own(folder: Path) -> ModelInfo:
    manifest = read_manifest(folder)
    size = round(sum(file.size for file in manifest.files.values()) / 1e6, 1)
    source = manifest.source
    return ModelInfo(
        folder.name,
        manifest.kind,
        "own",
        "",
        manifest.license,
        source.repository,
        source.revision,
        size,
        approximate_size=False,
        memory_mb=None,
        quantization=manifest.quantization,
        folder=str(folder),
    )


def model_folder(name: str) -> Path:
    """Return the folder of a model of this machine, or the model folder that ``name`` is the path of.

    Raises:
        ModelError: there is none.
    """
    present = installed()
    if folder := present.get(name) or present.get(name.lower()):
        return folder
    if (Path(name) / MANIFEST_NAME).is_file():
        return Path(name)
    if entry := registry().get(name.lower()):
        raise not_installed(entry)
    raise ModelError(f"There is no model {name!r}; {unknown_name(name, [*registry(), *present])}")


def check_model(folder: Path | str, *, golden: bool = False) -> ModelCheck:
    """Compare every file of a model with the sha256 in its manifest.

    Args:
        folder: The model's.
        golden: Also run it, and compare with the outputs it was exported with.

    Raises:
        UsageError: ``folder`` is not a path.
        DeviceError, MissingDependencyError: with ``golden``, what runs the model is not installed. A damaged model is
            reported, not raised.
    """
    folder, problem = path_of(folder, "A model"), None
    try:
        if read_manifest(folder).kind == "lvlm":
            _check_lvlm(folder, golden=golden)
        else:
            _check_encoder(folder, golden=golden)
    except ModelError as error:
        problem = str(error)
    return ModelCheck(folder.name, str(folder), problem)


def _check_lvlm(folder: Path, *, golden: bool) -> None:
    files = resolve_lvlm(str(folder.absolute()))
    if golden and files.manifest and files.manifest.golden_captions:
        from vlm4rec_edge.grounding.child.isolated import IsolatedCaptioner
        from vlm4rec_edge.models.golden import check_captions

        with IsolatedCaptioner(files, device="cpu", batch=1, vision="mtmd") as captioner:
            check_captions(files.manifest, folder, captioner.caption_file)


def _check_encoder(folder: Path, *, golden: bool) -> None:
    files = resolve_encoder(str(folder.absolute()))
    if golden and files.manifest and files.manifest.golden_vectors:
        from vlm4rec_edge.encoding.encoder import OnnxEncoder
        from vlm4rec_edge.models.golden import check_vectors

        with OnnxEncoder(files, device="cpu") as encoder:
            check_vectors(files.manifest, encoder.encode)
