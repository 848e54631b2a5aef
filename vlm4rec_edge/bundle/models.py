"""The models in a bundle: copied in, found again, and under which licenses what they made stands."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from vlm4rec_edge.bundle.manifest import ENCODER_FOLDER, LVLM_FOLDER, is_file_name
from vlm4rec_edge.bundle.output import BundleOutput
from vlm4rec_edge.errors import ModelError, UsageError
from vlm4rec_edge.models.installed import installed
from vlm4rec_edge.models.manifest import (
    MANIFEST_NAME,
    Kind,
    Manifest,
    Source,
    describe_file,
    manifest_bytes,
    parse_manifest,
    read_manifest,
)
from vlm4rec_edge.models.registry import registry
from vlm4rec_edge.models.resolve import EncoderFiles, LvlmFiles

_FOLDERS: Mapping[Kind, str] = {"encoder": ENCODER_FOLDER, "lvlm": LVLM_FOLDER}
# What a file is called in a bundle if its own name cannot be: with a blank or an accent, or that of another file.
_PLAIN_NAMES = {"model": "model.onnx", "tokenizer": "tokenizer.json", "text": "text.gguf", "projector": "mmproj.gguf"}
_UNKNOWN = "unknown"
_BLOCK = 1 << 20


def licences(grounding: Mapping[str, Any], encoder: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return role, name, license and source of the models whose work a bundle holds; ``unknown`` where it was not recorded."""
    made_by = [("captions", grounding, "text_sha256"), ("vectors", encoder, "model_sha256")]
    return [_licence(role, made, str(made.get(key, ""))) for role, made, key in made_by if made]


def _licence(role: str, made_by: Mapping[str, Any], sha256: str) -> dict[str, str]:
    """Find the license on this machine, or in the registry; a manifest counts only if it is of the very same file."""
    name = str(made_by.get("name", ""))
    licence, source = _UNKNOWN, ""
    folder = installed().get(name)
    if folder is not None:
        manifest = read_manifest(folder)
        if any(file.sha256 == sha256 for file in manifest.files.values()):
            licence, source = manifest.license, manifest.source.repository
    elif (entry := registry().get(name)) and any(file.sha256 == sha256 for file in entry.files.values()):
        licence, source = entry.license, entry.repository
    return {"role": role, "name": name, "licence": licence, "source": source}


def check_made_by(files: EncoderFiles | LvlmFiles, made_by: Mapping[str, Any]) -> None:
    """Check that a model is the one that made an index.

    Raises:
        UsageError: it is another one; what it makes could not be compared with the index.
    """
    path, key = (files.model, "model_sha256") if isinstance(files, EncoderFiles) else (files.text, "text_sha256")
    if describe_file(Path(str(path))).sha256 != made_by.get(key):
        raise UsageError(f"{path} is not the model that made this index; name it with --encoder or --model.")


def add_model(output: BundleOutput, files: EncoderFiles | LvlmFiles) -> None:
    """Copy a model into a bundle, with a manifest of its own, so that its folder is found as a model.

    Raises:
        ModelError: the model needs more files than those that are known.
    """
    kind: Kind = "encoder" if isinstance(files, EncoderFiles) else "lvlm"
    if isinstance(files, EncoderFiles):
        roles = {"model": Path(str(files.model)), "tokenizer": Path(str(files.tokenizer))}
        beside = list(roles["model"].parent.glob(f"{roles['model'].name}?data"))
        if beside:
            raise ModelError(f"{roles['model']} keeps its weights in {beside[0].name}; export it as one file first.")
    else:
        roles = {"text": files.text, "projector": files.projector}
    described = {role: describe_file(path) for role, path in roles.items()}
    names = [MANIFEST_NAME, *(file.name for file in described.values())]
    if len(set(names)) < len(names) or not all(is_file_name(f"{_FOLDERS[kind]}/{name}") for name in names):
        described = {role: replace(file, name=_PLAIN_NAMES[role]) for role, file in described.items()}
    manifest = files.manifest or Manifest(
        name=files.name, kind=kind, license=_UNKNOWN, source=Source("", ""), files={}, quantization={}
    )
    settings = {"encoder": files.settings} if isinstance(files, EncoderFiles) else {"lvlm": files.settings}
    # Reference photos of its own tests are no part of what a device needs.
    manifest = replace(manifest, files=described, golden_captions=(), **settings)
    data = manifest_bytes(manifest)
    contents: dict[str, tuple[int, Iterable[bytes]]] = {MANIFEST_NAME: (len(data), [data])}
    contents |= {described[role].name: (described[role].size, _content(path)) for role, path in roles.items()}
    for name in sorted(contents):
        output.add(f"{_FOLDERS[kind]}/{name}", *contents[name])


def _content(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            yield block


def encoder_inside(bundle: Path) -> EncoderFiles:
    """Return the encoder in a bundle whose files are known to be whole; from a zip file it is read, never extracted.

    Raises:
        ModelError: its manifest is not one of an encoder.
    """
    folder = (bundle if bundle.is_dir() else zipfile.Path(bundle)) / ENCODER_FOLDER
    manifest = parse_manifest(json.loads((folder / MANIFEST_NAME).read_text(encoding="utf-8")), str(folder))
    if manifest.encoder is None or not {"model", "tokenizer"} <= set(manifest.files):
        raise ModelError(f"{folder} holds no text encoder; get the bundle again.")
    names = {role: Path(file.name).name for role, file in manifest.files.items()}  # never a path out of its folder
    return EncoderFiles(
        manifest.name, folder / names["model"], folder / names["tokenizer"], manifest.encoder, manifest, bundle
    )
