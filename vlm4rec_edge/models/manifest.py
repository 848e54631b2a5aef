"""The manifest that lies beside every exported model: what it is, and how to check that a copy works.

``manifest.json`` is written by the export scripts and by ``models pull``, and read by everything else. A
file role is ``model`` and ``tokenizer`` for an encoder (and ``weights`` where its graph keeps them in a file of their
own), ``text`` and ``projector`` for a vision-language model.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from vlm4rec_edge.checksums import sha256_of
from vlm4rec_edge.errors import ModelError

MANIFEST_NAME = "manifest.json"
MANIFEST_FORMAT = 1

Kind = Literal["encoder", "lvlm"]
# Settings that came later: where they are unset they are not written, so that earlier versions read the manifest too.
# More than any model takes, and what a C int holds.
_MOST_TOKENS = 2**31 - 1
_LATER = ("output", "image_min_tokens", "image_max_tokens")
# How token vectors become one text vector: in the graph itself (our exports), or outside it (the hub's usual
# ONNX).
TokenPooling = Literal["mean", "cls", "last"]
Pooling = Literal["in-graph"] | TokenPooling


@dataclass(frozen=True)
class ModelFile:
    """One file of a model: its name inside the model's folder, size in bytes and sha256 (hex)."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Source:
    """Where a model came from: Hugging Face repository or package, and the revision that was read."""

    repository: str
    revision: str
    sha256: str = ""


@dataclass(frozen=True)
class EncoderSettings:
    """What the runtime must know of a text encoder.

    ``dimensions`` is 0 where it is not known: ask the graph. ``prefix`` is put before every text (the e5
    family was trained with ``"query: "`` for symmetric matching). ``pooling`` is ``in-graph`` where the
    graph gives finished unit vectors; ``mean`` (over the attention mask), ``cls`` (first token) or ``last`` (last
    token) where it gives ``last_hidden_state``, which the runtime then pools and normalises. ``output`` names the
    output of the graph to take (empty: the first).
    """

    dimensions: int
    max_tokens: int
    prefix: str = ""
    pooling: Pooling = "in-graph"
    output: str = ""


@dataclass(frozen=True)
class LvlmSettings:
    """What the runtime must know of a vision-language model.

    ``prompt`` is the question the model was trained for (empty: it is a general model, which gets the package's
    default prompt, and from whose captions openings such as "This image shows" are cut);
    ``chat_template`` replaces the one in the GGUF file (empty: the file's own); ``max_tokens`` bounds an
    answer. Photos are made smaller to ``max_side`` pixels, their longer side, before llama.cpp's own
    preprocessing, which smooths less than Pillow (0: the package's bound). ``schema`` is the JSON schema the
    model was trained to answer in (None: the package's) and ``structured_prompt`` the question that asks for
    it (empty: one made from the schema). ``image_min_tokens`` and ``image_max_tokens`` bound the tokens of a photo
    where the model looks at it at its own resolution (Qwen-VL, Gemma 4); 0: llama.cpp's bounds.
    """

    context_length: int
    prompt: str = ""
    chat_template: str = ""
    max_tokens: int = 150
    max_side: int = 0
    structured_prompt: str = ""
    schema: dict[str, Any] | None = None
    image_min_tokens: int = 0
    image_max_tokens: int = 0


@dataclass(frozen=True)
class GoldenVector:
    """The first values of the unit vector of one text."""

    text: str
    first_values: tuple[float, ...]


@dataclass(frozen=True)
class GoldenCaption:
    """The caption of one reference photo that lies in the model's folder."""

    image: str
    caption: str


@dataclass(frozen=True)
class Manifest:
    """All that is known of one model in one folder. ``quantization`` maps a file role to its type."""

    name: str
    kind: Kind
    license: str
    source: Source
    files: dict[str, ModelFile]
    quantization: dict[str, str]
    encoder: EncoderSettings | None = None
    lvlm: LvlmSettings | None = None
    golden_vectors: tuple[GoldenVector, ...] = ()
    golden_captions: tuple[GoldenCaption, ...] = ()
    verification: dict[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> Path:
        """Write ``manifest.json`` into ``folder`` and return its path."""
        path = folder / MANIFEST_NAME
        path.write_bytes(manifest_bytes(self))
        return path


def manifest_bytes(manifest: Manifest) -> bytes:
    """Return ``manifest.json`` as it is written."""
    content = {"format": MANIFEST_FORMAT, **asdict(manifest)}
    for settings in filter(None, (content["encoder"], content["lvlm"])):
        for name in _LATER:
            if not settings.get(name, True):
                del settings[name]
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode("utf-8")


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a model folder.

    Raises:
        ModelError: there is none, it is not readable, or a newer version of this package wrote it.
    """
    path = folder / MANIFEST_NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{folder} has no {MANIFEST_NAME}; is it a model folder?") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read ({error}); pull or export the model again.") from error
    return parse_manifest(content, str(path))


def parse_manifest(content: dict[str, Any], place: str) -> Manifest:
    """Return the manifest that a JSON document is.

    Raises:
        ModelError: it lacks or misuses a field, or a newer version of this package wrote it.
    """
    try:
        return _parse(content)
    except (KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{place} lacks or misuses the field {error}; pull or export the model again.") from error


def _lvlm_settings(content: dict[str, Any]) -> LvlmSettings:
    settings = LvlmSettings(**content)
    for name in ("context_length", "max_tokens", "max_side", "image_min_tokens", "image_max_tokens"):
        value = getattr(settings, name)
        if type(value) is not int or not 0 <= value <= _MOST_TOKENS:
            raise TypeError(f"lvlm.{name}, which is a whole number from 0 to {_MOST_TOKENS:,} and not {value!r}")
    if settings.image_max_tokens and settings.image_min_tokens > settings.image_max_tokens:
        raise TypeError(f"lvlm.image_min_tokens, which is at most image_max_tokens ({settings.image_max_tokens})")
    return settings


def _parse(content: dict[str, Any]) -> Manifest:
    if not isinstance(content, dict):
        raise TypeError("format, for it holds no object")
    if content["format"] != MANIFEST_FORMAT:
        raise ModelError(
            f"The manifest of {content.get('name', 'this model')} has format {content['format']}, "
            f"this version reads {MANIFEST_FORMAT}; upgrade vlm4rec-edge."
        )
    encoder, lvlm = content.get("encoder"), content.get("lvlm")
    return Manifest(
        name=content["name"],
        kind=content["kind"],
        license=content["license"],
        source=Source(**content["source"]),
        files={role: ModelFile(**file) for role, file in content["files"].items()},
        quantization=content["quantization"],
        encoder=EncoderSettings(**encoder) if encoder else None,
        lvlm=_lvlm_settings(lvlm) if lvlm else None,
        golden_vectors=tuple(
            GoldenVector(text=golden["text"], first_values=tuple(golden["first_values"]))
            for golden in content.get("golden_vectors", ())
        ),
        golden_captions=tuple(GoldenCaption(**golden) for golden in content.get("golden_captions", ())),
        verification=content.get("verification", {}),
    )


def describe_file(path: Path) -> ModelFile:
    """Return name, size and sha256 of a file."""
    return ModelFile(name=path.name, size=path.stat().st_size, sha256=sha256_of(path))


def check_files(folder: Path, manifest: Manifest) -> None:
    """Compare every file of ``folder`` with its manifest.

    Raises:
        ModelError: a file is missing or its size or sha256 differs; native code never sees such a file.
    """
    for file in manifest.files.values():
        path = folder / file.name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ModelError(f"{folder / MANIFEST_NAME} names the file {file.name}, which lies outside its folder.")
        if not path.is_file():
            raise ModelError(f"{path} is missing; pull or export the model {manifest.name} again.")
        if path.stat().st_size != file.size or sha256_of(path) != file.sha256:
            raise ModelError(
                f"{path} is damaged (size or sha256 differs from {MANIFEST_NAME}); "
                f"pull or export {manifest.name} again."
            )
