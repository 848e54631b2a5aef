"""What is installed, and whether the main job works: a photo to a caption to a vector."""

from __future__ import annotations

import os
import platform
import re
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from vlm4rec_edge.cores import physical_cores, usable_cores
from vlm4rec_edge.errors import MissingDependencyError, Vlm4RecError
from vlm4rec_edge.grounding.llama.library import check_llama
from vlm4rec_edge.grounding.llama.memory import available_bytes
from vlm4rec_edge.grounding.llama.native import compile_here, require_captioning
from vlm4rec_edge.index.exact import ExactIndex
from vlm4rec_edge.models.home import cache_home
from vlm4rec_edge.models.installed import installed
from vlm4rec_edge.models.manifest import Manifest, check_files, read_manifest
from vlm4rec_edge.models.resolve import DEFAULT_ENCODER, DEFAULT_LVLM, resolve_encoder, resolve_lvlm
from vlm4rec_edge.plugins import installed_plugins
from vlm4rec_edge.quiet import VARIABLES, load, telemetry_of
from vlm4rec_edge.recommend.profile import combine

_CAPTIONING = 'pip install "vlm4rec-edge[cpu]"'
# Distributions that a photo needs on its way to a vector, and those that something else needs.
_ESSENTIAL = ("numpy", "llama-cpp-python", "tokenizers", "pillow", "jinja2")
_ONNX_RUNTIMES = ("onnxruntime", "onnxruntime-gpu")
_OPTIONAL = {
    "hnswlib": (
        "more than 20,000 items are searched without a graph, which is slower",
        'pip install "vlm4rec-edge[hnsw]"',
    ),
    "huggingface-hub": ("no model can be pulled", "pip install huggingface_hub"),
    "gguf": ("llama.cpp encodes the photos itself, which is slower", _CAPTIONING),
    "onnx": ("llama.cpp encodes the photos itself, which is slower", _CAPTIONING),
    "pyarrow": ("no Parquet file can be read", 'pip install "vlm4rec-edge[parquet]"'),
    "starlette": ("`serve` cannot run", 'pip install "vlm4rec-edge[serve]"'),
    "uvicorn": ("`serve` cannot run", 'pip install "vlm4rec-edge[serve]"'),
    "scipy": ("`learn` cannot run", 'pip install "vlm4rec-edge[learn]"'),
}
_OTHERS = ("vlm4rec-edge", "typer", "rich", "openvino")


@dataclass(frozen=True)
class Finding:
    """One thing that was checked.

    Attributes:
        topic: What it is.
        says: What was found.
        ok: Whether it is as it should be.
        remedy: What repairs it; empty where nothing is to be done.
        essential: Whether no photo can be indexed as long as it is not ok.
    """

    topic: str
    says: str
    ok: bool = True
    remedy: str = ""
    essential: bool = False


@dataclass(frozen=True)
class Diagnosis:
    """All findings, and the facts behind them for programs; see ``to_dict``."""

    findings: tuple[Finding, ...]
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether photos can be indexed here."""
        return all(finding.ok for finding in self.findings if finding.essential)

    def to_dict(self) -> dict[str, Any]:
        """Return the document of ``doctor --json``."""
        return {"ok": self.ok, "findings": [asdict(finding) for finding in self.findings], **self.facts}


def examine() -> Diagnosis:
    """Look at the installation and the machine, and run both embedded models on their reference inputs (a few seconds)."""
    facts: dict[str, Any] = {"llama_cpp": None}
    looks = (
        _packages, _machine, _llama, _onnx_runtime, _models, _plugins, _caption, _vision, _vector, _recommending, _telemetry,
        _cache,
    )  # fmt: skip
    findings: list[Finding] = []
    for look in looks:
        # What fails is reported once, where it was found first; what only rests on it would repeat the cause.
        if look not in _RESTS_ON or all(found.ok for found in findings if found.topic in _RESTS_ON[look]):
            findings += look(facts)
    return Diagnosis(tuple(findings), facts)


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _plugins(facts: dict[str, Any]) -> Iterator[Finding]:
    plugins = installed_plugins()
    facts["plugins"] = [plugin.to_dict() for plugin in plugins]
    for plugin in plugins:
        says = f"{plugin.group.removesuffix('s')} of {plugin.package or 'a package without metadata'} ({plugin.value})"
        yield Finding(f"plug-in {plugin.name}", plugin.problem or says, not plugin.problem)


def _recommending(facts: dict[str, Any]) -> Iterator[Finding]:
    """Ask an index of a few made vectors; needs no model."""
    vectors = np.eye(8, dtype=np.float32)
    found, scores = ExactIndex(vectors).top(combine(vectors[:2], np.ones(2)).vector, 2)
    facts["recommends"] = sorted(found.tolist()) == [0, 1] and bool(np.allclose(scores, np.sqrt(0.5)))
    if facts["recommends"]:
        yield Finding("recommending", f"works here, from an index or a bundle; SQLite {sqlite3.sqlite_version}")
    else:
        remedy = "pip install --force-reinstall numpy"
        yield Finding("recommending", "gives wrong results: NumPy does not compute correctly", False, remedy)


def _packages(facts: dict[str, Any]) -> Iterator[Finding]:
    names = (*_OTHERS, *_ESSENTIAL, *_ONNX_RUNTIMES, *_OPTIONAL)
    versions = facts["versions"] = {name: _version(name) for name in names}
    versions["python"] = platform.python_version()
    present = ", ".join(f"{name} {own}" for name, own in versions.items() if own and name != "vlm4rec-edge")
    yield Finding("vlm4rec-edge", f"{versions['vlm4rec-edge']}, {present}")
    for name in _ESSENTIAL:
        if versions[name] is None:
            yield Finding(name, "not installed; no photo can be captioned", False, _CAPTIONING, essential=True)
    runtimes = [name for name in _ONNX_RUNTIMES if versions[name]]
    if not runtimes:
        yield Finding("onnxruntime", "not installed; no text can be encoded", False, _CAPTIONING, essential=True)
    elif len(runtimes) > 1:
        remedy = "pip uninstall -y onnxruntime onnxruntime-gpu, then install one of them"
        yield Finding("onnxruntime", "both onnxruntime and onnxruntime-gpu, which overwrite each other", False, remedy)
    for name, (lack, remedy) in _OPTIONAL.items():
        if versions[name] is None:
            yield Finding(name, f"not installed; {lack}", False, remedy)


def _machine(facts: dict[str, Any]) -> Iterator[Finding]:
    simd = np.show_config(mode="dicts")["SIMD Extensions"]
    features = [*simd.get("baseline", []), *simd.get("found", [])]
    free = available_bytes()
    facts["machine"] = {
        "system": platform.platform(),
        "architecture": platform.machine(),
        "processor": _processor(),
        "features": features,
        "cores": usable_cores(),
        "physical_cores": physical_cores(),
        "available_bytes": free,
    }
    yield Finding("system", f"{platform.platform()}, Python {platform.python_version()} ({sys.executable})")
    yield Finding("processor", f"{_processor()}: {', '.join(features)}")
    memory = "unknown" if free is None else f"{free / 2**30:.1f} GiB"
    yield Finding(
        "cores, memory", f"{usable_cores()} threads on {physical_cores()} cores, {memory} available to this process"
    )


def _processor() -> str:
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        if name := next((line for line in lines if line.startswith("model name")), ""):
            return name.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _llama(facts: dict[str, Any]) -> Iterator[Finding]:
    try:
        require_captioning()
        check = check_llama()
    except MissingDependencyError as error:
        yield Finding("llama.cpp", str(error), False, _CAPTIONING, essential=True)
        return
    except Vlm4RecError as error:
        yield Finding("llama.cpp", str(error), False, essential=True)
        return
    facts["llama_cpp"] = asdict(check)
    if not check.works:
        yield Finding("llama.cpp", f"cannot compute here: {check.reason}", False, compile_here(), essential=True)
    elif not check.extra_buffers:
        yield Finding("llama.cpp", f"is slower than it could be: {check.reason}", False, compile_here())
    else:
        yield Finding("llama.cpp", "computes correctly, with each of its buffers for this processor")


def _onnx_runtime(facts: dict[str, Any]) -> Iterator[Finding]:
    facts["onnx_providers"] = []
    if any(facts["versions"][name] for name in _ONNX_RUNTIMES):
        try:
            facts["onnx_providers"] = load("onnxruntime").get_available_providers()
            # Others, such as Azure's in every wheel, are never asked for.
            on_gpu = "CUDAExecutionProvider" in facts["onnx_providers"]
            yield Finding("ONNX Runtime", f"computes on the {'GPU (CUDA) and the CPU' if on_gpu else 'CPU'}")
        except ImportError as error:
            yield Finding("ONNX Runtime", f"cannot be loaded: {error}", False, _CAPTIONING, essential=True)


def _models(facts: dict[str, Any]) -> Iterator[Finding]:
    models = facts["models"] = []
    folders = installed()
    for name, folder in folders.items():
        try:
            manifest = read_manifest(folder)
            check_files(folder, manifest)
        except Vlm4RecError as error:
            yield Finding(f"model {name}", str(error), False, essential=name in {DEFAULT_LVLM, DEFAULT_ENCODER})
            continue
        files = {role: file.sha256 for role, file in manifest.files.items()}
        models.append({"name": name, "kind": manifest.kind, "folder": str(folder), "sha256": files})
        sums = ", ".join(f"{role} {digest[:12]}" for role, digest in files.items())
        yield Finding(f"model {name}", f"whole ({sums}), {manifest.license}")
    for name in (DEFAULT_LVLM, DEFAULT_ENCODER):
        if name not in folders:
            yield Finding(
                f"model {name}",
                f"not installed (in a clone: pip install ./models/{name})",
                False,
                f"pip install vlm4rec-edge-{name}",
                essential=True,
            )


def _caption(facts: dict[str, Any]) -> Iterator[Finding]:
    from vlm4rec_edge.grounding.child.isolated import IsolatedCaptioner
    from vlm4rec_edge.models.golden import check_captions

    try:
        require_captioning()
        files = resolve_lvlm()
        with IsolatedCaptioner(files, batch=1, vision="mtmd") as captioner:
            report = check_captions(_manifest(files.manifest), files.folder, captioner.caption_file)
            facts["llama_cpp_uses"] = captioner.llama_cpp.strip(" |")
            facts["llama_cpp_gpu"] = captioner.gpu
    except Vlm4RecError as error:
        yield Finding("a caption", f"cannot be made: {error}", False, essential=True)
        return
    used = re.findall(r"(\w+) = 1", facts["llama_cpp_uses"])
    yield Finding("llama.cpp uses", f"{', '.join(used)}; {'a GPU' if facts['llama_cpp_gpu'] else 'no GPU'}")
    same = f"{report.same_captions} of {report.captions} reference captions are identical"
    yield Finding("a caption", f"is as expected ({same})")


def _vision(facts: dict[str, Any]) -> Iterator[Finding]:
    """Tell what encodes photos; of the embedded model that is found out, of others it is told as far as it is known."""
    from vlm4rec_edge.grounding.llama.choice import told_of
    from vlm4rec_edge.grounding.vision.graph_file import GraphFile, known_graph, vision_graph

    towers = facts["vision"] = []
    for model in facts["models"]:
        if model["kind"] != "lvlm":
            continue
        name = model["name"]
        try:
            find = vision_graph if name == DEFAULT_LVLM else known_graph
            known = find(resolve_lvlm(model["folder"]), "fp32")
        except Vlm4RecError as error:
            yield Finding(f"vision encoder of {name}", str(error), False)
            continue
        agreement = asdict(known.agreement) if isinstance(known, GraphFile) else None
        towers.append({"model": name, "says": told_of(known), "agreement": agreement})
        yield Finding(f"vision encoder of {name}", told_of(known))


def _vector(facts: dict[str, Any]) -> Iterator[Finding]:
    from vlm4rec_edge.encoding.encoder import OnnxEncoder
    from vlm4rec_edge.models.golden import check_vectors

    try:
        files = resolve_encoder()
        with OnnxEncoder(files) as encoder:
            report = check_vectors(_manifest(files.manifest), encoder.encode)
    except Vlm4RecError as error:
        yield Finding("a vector", f"cannot be made: {error}", False, essential=True)
        return
    facts["vector_difference"] = report.worst_difference
    yield Finding(
        "a vector", f"is as expected (within {report.worst_difference:.1e} of {report.vectors} reference texts)"
    )


def _manifest(manifest: Manifest | None) -> Manifest:
    assert manifest is not None  # the embedded models have one
    return manifest


def _telemetry(facts: dict[str, Any]) -> Iterator[Finding]:
    states = [telemetry_of(package) for package in VARIABLES]
    facts["telemetry"] = {state.package: not state.is_off for state in states}
    for state in states:
        remedy = "" if state.is_off else f"set {VARIABLES[state.package]}=1 before Python starts"
        yield Finding("telemetry", state.sentence, state.is_off, remedy)


def _cache(facts: dict[str, Any]) -> Iterator[Finding]:
    place = cache_home()
    facts["cache"] = str(place)
    existing = next((folder for folder in (place, *place.parents) if folder.exists()), Path("/"))
    if existing.is_dir() and os.access(existing, os.W_OK):
        yield Finding("cache folder", str(place))
    else:
        remedy = "set VLM4REC_EDGE_HOME to a folder that can be written"
        yield Finding(
            "cache folder",
            f"{place} cannot be written; models cannot be pulled, llama.cpp is checked again each time",
            False,
            remedy,
        )


# Looks that say nothing new where one of these findings has failed.
_RESTS_ON = {
    _llama: ("llama-cpp-python",),
    _caption: ("llama-cpp-python", "pillow", "jinja2", "llama.cpp", f"model {DEFAULT_LVLM}"),
    _vision: ("llama-cpp-python", "llama.cpp", "ONNX Runtime", "gguf", "onnx", f"model {DEFAULT_LVLM}", "a caption"),
    _vector: ("onnxruntime", "ONNX Runtime", "tokenizers", f"model {DEFAULT_ENCODER}"),
}
