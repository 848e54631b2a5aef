"""From a name or a path to checked model files: nothing reaches native code that was not looked at here.

A name is that of an embedded model, or of one brought by ``vlm4rec-edge models pull``. A path is a folder or
a file of the user's own. Where a name and a path are the same text, the name wins; ``./NAME`` is always a
path.
"""

from __future__ import annotations

import difflib
import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from zipfile import Path as ZipPath

from vlm4rec_edge.errors import ModelError, UsageError
from vlm4rec_edge.given import path_of
from vlm4rec_edge.models.gguf import check_projector, check_text_model, read_header
from vlm4rec_edge.models.home import models_home
from vlm4rec_edge.models.installed import installed, not_installed
from vlm4rec_edge.models.manifest import (
    MANIFEST_NAME,
    EncoderSettings,
    Kind,
    LvlmSettings,
    Manifest,
    check_files,
    read_manifest,
)
from vlm4rec_edge.models.registry import registry
from vlm4rec_edge.models.sentence_transformers import longest_text_of, pooling_of
from vlm4rec_edge.plugins import installed_plugins

DEFAULT_LVLM = "stylist-lvlm"
DEFAULT_ENCODER = "all-minilm-l6-v2"

# Room for an image of some 1,500 tokens, a prompt and an answer; a model's training context may be 262,144
# tokens, whose key-value cache no edge machine holds.
OWN_CONTEXT = 4096
# Captions and titles are far shorter; BERT-like encoders take 512 at most.
OWN_MAX_TOKENS = 256

_KIND_WORDS: dict[Kind, str] = {"lvlm": "a vision-language model", "encoder": "a text encoder"}


@dataclass(frozen=True)
class LvlmFiles:
    """A checked vision-language model; ``manifest`` is None for a bare pair of GGUF files."""

    name: str
    text: Path
    projector: Path
    settings: LvlmSettings
    manifest: Manifest | None
    folder: Path


@dataclass(frozen=True)
class EncoderFiles:
    """A checked text encoder; ``manifest`` is None for a folder of the user's own.

    ``settings.dimensions`` is 0 where no manifest has it: ask the graph. The files may lie in a zip file.
    """

    name: str
    model: Path | ZipPath
    tokenizer: Path | ZipPath
    settings: EncoderSettings
    manifest: Manifest | None
    folder: Path


def resolve_lvlm(name_or_path: str | Path = DEFAULT_LVLM, *, projector: Path | None = None) -> LvlmFiles:
    """Find and check a vision-language model.

    Accepted: an embedded or pulled name; a folder with a manifest; a folder with two ``*.gguf`` files, a text model and its
    projector, however they are called; a text ``.gguf`` file with ``projector``, or with one projector beside it. Which
    file is a projector (an "mmproj") is read from its header.
    With a manifest, the sha256 of every file is compared: about 1 s for every 0.4 to 2 GB, as the CPU has it.

    Raises:
        ModelError: there is no such model, it is not pulled, or a file is damaged or of the wrong kind.
        UsageError: ``projector`` was given with something that is not a text GGUF file.
    """
    place = _find(str(path_of(name_or_path, "A model")), "lvlm")
    if place.is_dir():
        if projector is not None:
            raise UsageError(f"A projector belongs to a text .gguf file, but {name_or_path} is a model folder.")
        if (place / MANIFEST_NAME).is_file():
            return _lvlm_with_manifest(place)
        text, projector = _pair_in(place)
    else:
        text, projector = place, projector or _projector_beside(place)
    header = check_text_model(text)
    check_projector(projector)
    context = min(header.context_length or OWN_CONTEXT, OWN_CONTEXT)
    return LvlmFiles(text.stem, text, projector, LvlmSettings(context_length=context), None, text.parent)


def resolve_encoder(name_or_path: str | Path = DEFAULT_ENCODER) -> EncoderFiles:
    """Find and check a text encoder.

    Accepted: an embedded or pulled name; a folder with a manifest; a folder with ``tokenizer.json`` and one
    ``*.onnx`` (or ``model.onnx`` among several; also below ``onnx/``, the hub's layout); an ``.onnx`` file
    with ``tokenizer.json`` beside it, or above its folder ``onnx/``. Without a manifest the pooling and the longest text
    are read from the
    sentence-transformers files (``1_Pooling/config.json``, ``sentence_bert_config.json``) if they are there;
    else the graph must pool and normalise by itself. With a manifest, the sha256 of every file is compared:
    about 15 to 60 ms for the embedded 23 MB, as the CPU has it.

    Raises:
        ModelError: there is no such model, it is not pulled, or a file is damaged or of the wrong kind.
    """
    place = _find(str(path_of(name_or_path, "An encoder")), "encoder")
    if place.is_dir() and (place / MANIFEST_NAME).is_file():
        return _encoder_with_manifest(place)
    model = place if place.is_file() else _graph_in(place)
    folder = place if place.is_dir() else place.parent
    if (
        folder.name == "onnx" and (folder.parent / _TOKENIZER).is_file()
    ):  # a graph named in a folder of the hub's layout
        folder = folder.parent
    tokenizer = next((path for path in (folder / _TOKENIZER, model.parent / _TOKENIZER) if path.is_file()), None)
    if tokenizer is None:
        raise ModelError(f"{folder} has no {_TOKENIZER}; an encoder needs it beside its graph.")
    _check_graph(model)
    _check_tokenizer(tokenizer)
    name = folder.name if place.is_dir() else place.stem
    return EncoderFiles(name, model, tokenizer, _own_encoder_settings(folder), None, folder)


def unknown_name(name: str, known: list[str]) -> str:
    """Return the half sentence that lists the known names most like ``name`` (all of them if none is)."""
    known = list(dict.fromkeys(known))
    close = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(close)}?" if close else f"known names: {', '.join(known)}."


def _find(given: str, kind: Kind) -> Path:
    """Return the folder or the file that ``given`` means."""
    known = [name for name, entry in registry().items() if entry.kind == kind]
    name = given.lower()
    if entry := registry().get(name):
        if entry.kind != kind:
            raise ModelError(
                f"{given} is {_KIND_WORDS[entry.kind]}, not {_KIND_WORDS[kind]}; choose one of {', '.join(known)}."
            )
        if folder := installed().get(name):
            return folder
        raise not_installed(entry)
    is_name = given not in ("", ".", "..") and not {"/", "\\"} & set(given) and not Path(given).is_absolute()
    if is_name and (folder := installed().get(given)):
        return folder
    path = Path(given)
    # A name no path can have (too long, unknown ~user) is a name that was not found.
    with suppress(OSError, RuntimeError, ValueError):
        path = path.expanduser()
        if given and (path.is_dir() or path.is_file()):
            return path
    plugins = [plugin.name for plugin in installed_plugins("captioners" if kind == "lvlm" else "encoders")]
    among = f" Installed plug-ins: {', '.join(plugins)}." if plugins else ""
    tried = ["the names of the registry", f"the pulled models in {models_home()}"] if is_name else []
    tried.append(f"the path {path.absolute()}")
    raise ModelError(
        f"There is no {_KIND_WORDS[kind].removeprefix('a ')} {given!r}; tried {', '.join(tried)}. "
        f"A path to {_OWN_FILES[kind]} works too; {unknown_name(given, [*known, *plugins])}{among}"
    )


_OWN_FILES: dict[Kind, str] = {
    "lvlm": "a text .gguf with its projector .gguf (mmproj) beside it",
    "encoder": "a folder with an .onnx file and tokenizer.json",
}


def _read_checked(folder: Path, kind: Kind) -> Manifest:
    manifest = read_manifest(folder)
    if manifest.kind != kind:
        raise ModelError(f"{folder} holds {_KIND_WORDS.get(manifest.kind, manifest.kind)}, not {_KIND_WORDS[kind]}.")
    needed = ("text", "projector") if kind == "lvlm" else ("model", "tokenizer")
    for role in needed:
        if role not in manifest.files:
            raise ModelError(f"{folder / MANIFEST_NAME} names no file for the role {role}; pull or export it again.")
    check_files(folder, manifest)
    return manifest


def _lvlm_with_manifest(folder: Path) -> LvlmFiles:
    manifest = _read_checked(folder, "lvlm")
    if manifest.lvlm is None:
        raise ModelError(f"{folder / MANIFEST_NAME} has no settings under lvlm; pull or export the model again.")
    text, projector = folder / manifest.files["text"].name, folder / manifest.files["projector"].name
    check_text_model(text)
    check_projector(projector)
    return LvlmFiles(manifest.name, text, projector, manifest.lvlm, manifest, folder)


def _encoder_with_manifest(folder: Path) -> EncoderFiles:
    manifest = _read_checked(folder, "encoder")
    if manifest.encoder is None:
        raise ModelError(f"{folder / MANIFEST_NAME} has no settings under encoder; pull or export the model again.")
    model, tokenizer = folder / manifest.files["model"].name, folder / manifest.files["tokenizer"].name
    return EncoderFiles(manifest.name, model, tokenizer, manifest.encoder, manifest, folder)


def _pair_in(folder: Path) -> tuple[Path, Path]:
    found = sorted(folder.glob("*.gguf"))
    projectors = [path for path in found if _is_projector(path)]
    texts = [path for path in found if path not in projectors]
    if len(texts) != 1 or len(projectors) != 1:
        raise ModelError(
            f"{folder} has no {MANIFEST_NAME} and not exactly one text .gguf and one projector .gguf (found: "
            f"{_as_found(texts, projectors) or 'no .gguf file'}); "
            "give the text .gguf file and its projector."
        )
    return texts[0], projectors[0]


def _as_found(texts: list[Path], projectors: list[Path]) -> str:
    return ", ".join([*(path.name for path in texts), *(f"{path.name} (a projector)" for path in projectors)])


def _is_projector(path: Path) -> bool:
    """Whether a file says so in its header; one that cannot be read is what it is called, and refused when it is opened."""
    try:
        return read_header(path).is_projector
    except ModelError:
        return path.name.lower().startswith("mmproj")


def _projector_beside(text: Path) -> Path:
    # Looked at first: a swapped pair should not be reported as a missing projector.
    if read_header(text).is_projector:
        raise ModelError(f"{text} is a projector (mmproj); give the text .gguf file, and this one as its projector.")
    found = [path for path in sorted(text.parent.glob("*.gguf")) if path != text and _is_projector(path)]
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise ModelError(
            f"{text} needs its projector: not exactly one projector .gguf (mmproj) lies beside it (found: {names}); say which."
        )
    return found[0]


_TOKENIZER = "tokenizer.json"


def _graph_in(folder: Path) -> Path:
    for place in (folder, folder / "onnx"):
        found = sorted(place.glob("*.onnx"))
        if len(found) == 1:
            return found[0]
        if (place / "model.onnx") in found:
            return place / "model.onnx"
        if found:
            names = ", ".join(path.name for path in found)
            raise ModelError(f"{place} has several .onnx files ({names}); give the path of one of them.")
    raise ModelError(f"{folder} has no {MANIFEST_NAME} and no .onnx file; is it an encoder's folder?")


def _check_graph(path: Path) -> None:
    try:
        with path.open("rb") as stream:
            start = stream.read(64)
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror or error}).") from error
    if not start:
        raise ModelError(f"{path} is empty; get the file again.")
    if start.startswith(b"version https://git-lfs"):
        raise ModelError(f"{path} is a Git LFS pointer, not the file itself; run: git lfs pull")
    # Field 1 of an ONNX ModelProto (ir_version, a varint) comes first:
    # https://onnx.ai/onnx/api/serialization.html
    if start[0] != 0x08:
        raise ModelError(f"{path} is not an ONNX file.")


def _check_tokenizer(path: Path) -> None:
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not a readable tokenizer file ({error}); get the file again.") from error


def _own_encoder_settings(folder: Path) -> EncoderSettings:
    max_tokens = longest_text_of(folder) or OWN_MAX_TOKENS
    return EncoderSettings(dimensions=0, max_tokens=max_tokens, pooling=pooling_of(folder) or "in-graph")
