"""What every captioner of a model has in common: its settings, and the fingerprint of all that decides a caption."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from vlm4rec_edge.catalog.photo import MAX_SIDE
from vlm4rec_edge.checksums import sha256_of
from vlm4rec_edge.closable import Closable
from vlm4rec_edge.errors import ModelError, UsageError
from vlm4rec_edge.grounding.llama.grammar import rules_of
from vlm4rec_edge.grounding.llama.prompt import DEFAULT_PROMPT, Prompt
from vlm4rec_edge.grounding.photos import caption_photo
from vlm4rec_edge.grounding.protocol import Captioned, CaptionRequest
from vlm4rec_edge.grounding.schema import PRODUCT_SCHEMA, Schema, parse_schema
from vlm4rec_edge.grounding.structured import STRUCTURED_VERSION
from vlm4rec_edge.items import Failure, Item
from vlm4rec_edge.models.gguf import read_header
from vlm4rec_edge.provenance import fingerprint

if TYPE_CHECKING:
    from vlm4rec_edge.grounding.llama.native import Device
    from vlm4rec_edge.models.resolve import LvlmFiles

# Raised when preprocessing, prompting or cleaning changes what a caption says, so that old captions are made again.
CAPTION_VERSION = 1
# The same for the openings that are cut from the captions of general models, and of theirs alone.
OPENINGS_VERSION = 1
# The same for photos' own vectors.
VECTOR_VERSION = 1
# Which vision encoder encodes photos: ONNX Runtime's where it is known here and faster, that one, or llama.cpp's own (mtmd).
Vision = Literal["auto", "onnx", "mtmd"]
# In which precision ONNX Runtime's computes; in bf16 OpenVINO takes its place.
VisionPrecision = Literal["fp32", "int8", "bf16"]
# Two ways to use a captioner wrongly.
CLOSED = "The captioner was closed while it was at work."
ONE_STREAM = "A captioner goes through one stream of photos at a time; end the other one or close the captioner first."


class BaseCaptioner(Closable):
    """A vision-language model that turns photos into captions; a context manager.

    Nothing is loaded before the first caption, so a run that finds every caption in its store needs no model memory.
    Not thread-safe: one captioner, one thread, and one stream of photos at a time.

    Args:
        files: The checked model, from ``vlm4rec_edge.models.resolve.resolve_lvlm``.
        prompt: The prompt; default: the model's own for free or structured captions, or the package's.
        structured: Make every output follow a JSON schema: a ``Schema``, or True for the model's own or ``PRODUCT_SCHEMA``.
        max_tokens: Bound of a caption; default: the model's own, and for structured captions what the longest one takes.
        temperature: 0 takes the likeliest token; above 0 tokens are sampled, the same ones for the same photo and ``seed``.
        seed: The sampling seed.
        device: ``auto``, ``cpu`` or ``cuda``.
        threads: CPU threads; default: the cores this process may use.
        batch: Photos decoded together; default: chosen from the model, the device and the memory at hand. On a CPU with
            several cores they are shared out to several engines, which load the projector once each.
        max_side: Longer side of a photo in pixels before the model's own preprocessing; default: the model's own, or 2048.
        vision: What encodes photos: ``onnx`` (ONNX Runtime), ``mtmd`` (llama.cpp's own), or ``auto``, the one that was
            measured to be faster here. They give the same embeddings up to rounding, so this is no part of ``identity``.
        vision_precision: ``fp32``; ``int8``, which is faster and gives other captions, and is ONNX Runtime's alone; or
            ``bf16``, which is fast on processors with instructions for it, and is OpenVINO's alone (``[openvino]``).
        find_out: Whether ``auto`` makes, checks and measures ONNX Runtime's vision encoder where that was not done here yet,
            which takes as long as a photo or two; without it, llama.cpp's own encodes until somebody did.
        photo_vectors: Whether captions come with the photo's own vector (``Captioned.vector``): the mean of its image tokens
            over all its views, as the text model reads them, scaled to length 1.

    Raises:
        UsageError: a setting out of range.
        ModelError: the model's manifest carries a schema that cannot be used.
    """

    def __init__(
        self,
        files: LvlmFiles,
        *,
        prompt: Prompt | str | None = None,
        structured: bool | Schema = False,
        max_tokens: int | None = None,
        temperature: float = 0.0,
        seed: int = 0,
        device: Device = "auto",
        threads: int | None = None,
        batch: int | None = None,
        max_side: int | None = None,
        photo_vectors: bool = False,
        vision: Vision = "auto",
        vision_precision: VisionPrecision = "fp32",
        find_out: bool = True,
    ) -> None:
        # The folder that the program works in may change before the model is loaded.
        places = {role: getattr(files, role).absolute() for role in ("text", "projector", "folder")}
        self.files = replace(files, **places)
        self.schema = _own_schema(files) if structured is True else structured or None
        if prompt is None:
            prompt = files.settings.prompt or DEFAULT_PROMPT if self.schema is None else _question(files, self.schema)
        self.prompt = prompt if isinstance(prompt, Prompt) else Prompt(prompt)
        if max_tokens is None:
            # A token says a letter at least, nearly always: only an answer that nothing bounds would be cut off.
            max_tokens = max(files.settings.max_tokens, self.schema.longest if self.schema else 0)
        self._max_tokens = max_tokens
        self._temperature, self._seed = temperature, seed
        self._device: Device = device
        self._threads, self._batch = threads, batch
        self._max_side = (files.settings.max_side or MAX_SIDE) if max_side is None else max_side
        if self._max_tokens < 1 or temperature < 0 or (batch is not None and batch < 1) or self._max_side < 16:
            raise UsageError("max_tokens and batch are at least 1, temperature at least 0, max_side at least 16.")
        self._vision, self._vision_precision, self._find_out = vision, vision_precision, find_out
        _check_vision(vision, vision_precision)
        self._photo_vectors = photo_vectors
        self._rules = rules_of(self.schema) if self.schema else ""

    @cached_property
    def identity(self) -> dict[str, Any]:
        """All that decides a caption besides the photo and the prompt."""
        manifest, files = self.files.manifest, self.files
        described = {
            "caption_version": CAPTION_VERSION,
            "name": files.name,
            "text_sha256": manifest.files["text"].sha256 if manifest else sha256_of(files.text),
            "projector_sha256": manifest.files["projector"].sha256 if manifest else sha256_of(files.projector),
            "chat_template": files.settings.chat_template,
            "context_length": files.settings.context_length,
            "prompt": self.prompt.text,
            "max_tokens": self._max_tokens,
            "temperature": self._temperature,
            "seed": self._seed if self._temperature > 0 else 0,
            "max_side": self._max_side,
        }
        if (
            self._vision_precision != "fp32"
        ):  # the towers that compute in full precision give the same captions up to rounding
            described["vision_precision"] = self._vision_precision
        if self.schema is not None:  # nothing of it in a free caption, whose fingerprint stays what it was
            described["structured"] = {
                "version": STRUCTURED_VERSION,
                "schema": self.schema.document,
                "grammar_sha256": hashlib.sha256(self._rules.encode()).hexdigest(),
            }
        elif self.is_general:  # nor anything of it in that of a model trained to caption, which says no openings
            described["openings"] = OPENINGS_VERSION
        if self._thinks:
            described["thinking"] = False
        return described | self._image_tokens

    @property
    def is_general(self) -> bool:
        """Whether the model was trained for more than captions of its own kind: it has no prompt of its own."""
        return not self.files.settings.prompt

    @cached_property
    def _thinks(self) -> bool:
        """Whether the model's chat template can turn thoughts on and off, which a caption goes without."""
        template: Any = self.files.settings.chat_template
        if not template and self.is_general:
            with suppress(ModelError):
                template = read_header(self.files.text).metadata.get("tokenizer.chat_template")
        return "enable_thinking" in str(template)

    @property
    def _image_tokens(self) -> dict[str, list[int]]:
        """The bounds of a photo's tokens where they are not llama.cpp's own, as a part of what decides a caption."""
        settings = self.files.settings
        bounds = [settings.image_min_tokens, settings.image_max_tokens]
        return {"image_tokens": bounds} if any(bounds) else {}

    @cached_property
    def vector_identity(self) -> dict[str, Any] | None:
        """All that decides a photo's own vector besides the photo; None where none was asked for."""
        if not self._photo_vectors:
            return None
        from vlm4rec_edge.grounding.llama.native import context_of

        shared = {name: self.identity[name] for name in ("name", "projector_sha256", "max_side")}
        decisive = {"vector_version": VECTOR_VERSION, **shared, "context": context_of(self.files)}
        if (
            self._vision_precision != "fp32"
        ):  # as in a caption's: in full precision both towers give the same up to rounding
            decisive["vision_precision"] = self._vision_precision
        return decisive | self._image_tokens

    @cached_property
    def fingerprint(self) -> str:
        """The sha256 (hex) of ``identity``, the model's name left out."""
        return fingerprint(self.identity)

    @property
    def place(self) -> dict[str, str]:
        """Where the model lies: by which an index finds it again."""
        if self.files.manifest:
            return {"model": str(self.files.folder)}
        return {"model": str(self.files.text), "projector": str(self.files.projector)}

    def check_columns(self, columns: Collection[str]) -> None:
        """Check before a run that the prompt uses no columns that a catalog does not have.

        Raises:
            UsageError: it does.
        """
        self.prompt.check_columns(columns)

    def question(self, item: Item) -> str:
        """Return the prompt filled in for one item."""
        return self.prompt.fill(item)

    def caption_file(self, path: Path | str) -> str:
        """Caption one photo file with the prompt as it is.

        Raises:
            PhotoError: the photo cannot be used.
            ModelError: the model cannot be loaded.
        """
        return caption_photo(path, self)

    @abstractmethod
    def caption(self, requests: Iterable[CaptionRequest]) -> Iterator[Captioned | Failure]:
        """Yield a caption, or a ``Failure`` named by the key, for each request, in the order they finish.

        ``requests`` may be endless; it is pulled in this thread, a little ahead of the model.

        Raises:
            UsageError: another stream of this captioner has not ended.
            ModelError: the model cannot be loaded, or fails on something that no single photo caused; or the captioner
                was closed meanwhile.
            DeviceError: the asked-for device is not there.
            MissingDependencyError: llama-cpp-python is not installed.
        """

    @property
    @abstractmethod
    def batch(self) -> int:
        """Photos decoded together (1 before the model is loaded and no number was asked for)."""

    @property
    @abstractmethod
    def kv_bytes(self) -> int:
        """Bytes of KV memory that the loaded model holds (0 before it is loaded)."""

    @property
    @abstractmethod
    def engines(self) -> int:
        """How many engines work side by side (0 before the model is loaded)."""

    @property
    @abstractmethod
    def tower(self) -> str:
        """What encodes photos: ``onnx-fp32``, ``onnx-int8``, ``onnx-bf16`` or ``mtmd`` (empty before the model is loaded)."""


def _check_vision(vision: str, precision: str) -> None:
    if vision not in get_args(Vision) or precision not in get_args(VisionPrecision):
        raise UsageError("vision is auto, onnx or mtmd, and vision_precision fp32, int8 or bf16.")
    if vision == "mtmd" and precision != "fp32":
        raise UsageError(
            f"llama.cpp's own vision encoder has the precision of its file, and {precision} was asked for or made the index; "
            "leave out --vision mtmd, or give --vision-precision fp32."
        )


def _own_schema(files: LvlmFiles) -> Schema:
    """Return the form a model was trained to answer in, or that of a product."""
    own = files.settings.schema
    if not own:
        return parse_schema(PRODUCT_SCHEMA)
    try:
        return parse_schema(own, f"The schema in the manifest of {files.name}")
    except UsageError as error:
        raise ModelError(f"{error} Correct it, or give another with --schema.") from None


def _question(files: LvlmFiles, schema: Schema) -> str:
    """Return the question for a form: the model's own where it is the model's own form."""
    if files.settings.structured_prompt and schema.document == _own_schema(files).document:
        return files.settings.structured_prompt
    return schema.question
