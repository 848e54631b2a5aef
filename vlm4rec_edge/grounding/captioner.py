"""Captions for photos: the model, the prompt and their fingerprint behind one small interface."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from vlm4rec_edge.catalog.photo import MAX_SIDE, PhotoFile, decode_photo, read_photo_file
from vlm4rec_edge.errors import ModelError, PhotoError, UsageError
from vlm4rec_edge.grounding.clean import clean_caption
from vlm4rec_edge.grounding.prompt import DEFAULT_PROMPT, ChatForm, Prompt
from vlm4rec_edge.items import Failure, Item
from vlm4rec_edge.models.manifest import sha256_of
from vlm4rec_edge.prefetch import prefetch
from vlm4rec_edge.provenance import fingerprint

if TYPE_CHECKING:
    from vlm4rec_edge.grounding.engine import Engine, Refusal
    from vlm4rec_edge.grounding.native import Device, NativeModel
    from vlm4rec_edge.grounding.prepare import PreparedPhoto
    from vlm4rec_edge.models.resolve import LvlmFiles

# Raised when preprocessing, prompting or cleaning changes what a caption says, so that old captions are made anew.
CAPTION_VERSION = 1
# Sequences decoded together when the user does not say: on the CPU the gain flattens out here; a GPU carries more.
_BATCH_CPU, _BATCH_GPU = 16, 32
# What the KV memory of all sequences may take together on a machine we do not know.
_KV_BUDGET_BYTES = 2 * 1024**3
_DECODING_THREADS = 2


@dataclass(frozen=True)
class CaptionRequest:
    """One photo to caption: the key its caption comes back under, the photo's bytes, and the filled-in question."""

    key: str
    photo: PhotoFile
    question: str


class Captioner:
    """A vision-language model that turns photos into captions; a context manager.

    Nothing is loaded before the first caption, so a run that finds every caption in its store needs no model memory.
    Not thread-safe: one captioner, one thread.

    Args:
        files: The checked model, from ``vlm4rec_edge.models.resolve.resolve_lvlm``.
        prompt: The question; default: the model's own, or ``DEFAULT_PROMPT``.
        max_tokens: Bound of a caption; default: the model's own.
        temperature: 0 for the likeliest words; above 0 words are drawn, the same ones for the same photo and ``seed``.
        seed: Of the drawing.
        device: ``auto``, ``cpu`` or ``cuda``.
        threads: CPU threads; default: the cores this process may use.
        batch: Photos decoded together; default: chosen from the model and the device.
        max_side: Longer side of a photo in pixels before the model's own preprocessing.

    Raises:
        UsageError: a setting out of range.
    """

    def __init__(
        self,
        files: LvlmFiles,
        *,
        prompt: Prompt | str | None = None,
        max_tokens: int | None = None,
        temperature: float = 0.0,
        seed: int = 0,
        device: Device = "auto",
        threads: int | None = None,
        batch: int | None = None,
        max_side: int = MAX_SIDE,
    ) -> None:
        self.files = files
        if prompt is None:
            prompt = files.settings.prompt or DEFAULT_PROMPT
        self.prompt = prompt if isinstance(prompt, Prompt) else Prompt(prompt)
        self._max_tokens = files.settings.max_tokens if max_tokens is None else max_tokens
        self._temperature, self._seed = temperature, seed
        self._device: Device = device
        self._threads, self._batch, self._max_side = threads, batch, max_side
        if self._max_tokens < 1 or temperature < 0 or (batch is not None and batch < 1) or max_side < 16:
            raise UsageError("max_tokens and batch are at least 1, temperature at least 0, max_side at least 16.")
        self._native: NativeModel | None = None
        self._engine: Engine | None = None
        self._form: ChatForm | None = None
        self.provenance = self._describe()
        self.fingerprint = fingerprint(self.provenance)

    def _describe(self) -> dict[str, Any]:
        """Return all that decides a caption besides the photo and the question."""
        manifest, files = self.files.manifest, self.files
        return {
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

    def check_columns(self, columns: Collection[str]) -> None:
        """Look before a run whether the prompt asks for columns that a catalog does not have.

        Raises:
            UsageError: it does.
        """
        self.prompt.check_columns(columns)

    def question(self, item: Item) -> str:
        """Return the prompt filled in for one item."""
        return self.prompt.fill(item)

    def caption_key(self, photo: PhotoFile, question: str) -> str:
        """Return the key of a caption: sha256 of photo, model, projector, parameters and question (hex)."""
        return hashlib.sha256(f"{photo.sha256}\n{self.fingerprint}\n{question}".encode()).hexdigest()

    def caption_file(self, path: Path) -> str:
        """Caption one photo file with the prompt as it is.

        Raises:
            PhotoError: the photo can not be used.
            ModelError: the model can not be loaded.
        """
        request = CaptionRequest(str(path), read_photo_file(path), self.question(Item(path.stem, path)))
        for result in self.caption([request]):
            if isinstance(result, Failure):
                raise PhotoError(result.reason)
            return result[1]
        raise ModelError(f"{self.files.name} gave no answer for {path}.")

    def caption(self, requests: Iterable[CaptionRequest]) -> Iterator[tuple[str, str] | Failure]:
        """Yield (key, caption), or a ``Failure`` named by the key, for each request, in the order they finish.

        ``requests`` may be endless; it is pulled in this thread, a little ahead of the model, while photos are decoded
        in other threads.

        Raises:
            ModelError: the model can not be loaded, or fails on something that is no single photo's fault.
            DeviceError: the asked-for device is not there.
        """
        from vlm4rec_edge.grounding.engine import Refusal
        from vlm4rec_edge.grounding.prepare import PreparedPhoto

        requests = iter(requests)
        first = next(requests, None)
        if first is None:
            return
        engine = self._load()

        def with_first() -> Iterator[CaptionRequest]:
            yield first
            yield from requests

        def discard(result: PreparedPhoto | Refusal) -> None:
            if isinstance(result, PreparedPhoto):
                result.free()

        prepared = prefetch(
            self._prepare, with_first(), threads=_DECODING_THREADS, ahead=2 * self.batch, discard=discard
        )
        try:
            for answer in engine.answer(prepared):
                if isinstance(answer, Refusal):
                    yield Failure(answer.key, "photo", answer.reason)
                    continue
                text = clean_caption(answer.text, cut_off=answer.cut_off)
                if text:
                    yield answer.key, text
                else:
                    yield Failure(answer.key, "grounding", f"{self.files.name} said nothing about this photo.")
        finally:
            prepared.close()  # type: ignore[attr-defined]  # it is a generator: stop its threads now

    @property
    def batch(self) -> int:
        """Photos decoded together (1 before the model is loaded and no number was asked for)."""
        return self._native.shape.slots if self._native else self._batch or 1

    @property
    def kv_bytes(self) -> int:
        """Bytes of KV memory that the loaded model holds (0 before it is loaded)."""
        return self._native.shape.kv_bytes if self._native else 0

    def _load(self) -> Engine:
        if self._engine is None:
            from vlm4rec_edge.grounding import native
            from vlm4rec_edge.grounding.engine import Engine

            slots = self._batch or native.affordable_slots(
                self.files,
                wanted=_BATCH_GPU if native.use_gpu(self._device) else _BATCH_CPU,
                kv_budget=_KV_BUDGET_BYTES,
            )
            self._native = native.NativeModel(
                self.files,
                device=self._device,
                threads=self._threads or native.default_threads(),
                slots=slots,
                context=self.files.settings.context_length,
            )
            self._form = self._chat_form(self._native)
            self._engine = Engine(self._native, max_tokens=self._max_tokens, temperature=self._temperature)
        return self._engine

    def _chat_form(self, model: NativeModel) -> ChatForm:
        template = self.files.settings.chat_template or model.metadata("tokenizer.chat_template")
        if not template:
            raise ModelError(
                f"{self.files.text} carries no chat template; add a manifest.json beside it with lvlm.chat_template."
            )
        llama = model.llama
        bos = model.piece(llama.llama_vocab_bos(model.vocabulary))
        return ChatForm(template, bos, model.piece(llama.llama_vocab_eos(model.vocabulary)))

    def _prepare(self, request: CaptionRequest) -> PreparedPhoto | Refusal:
        """Decode, preprocess and tokenise one photo; runs in a thread."""
        from vlm4rec_edge.grounding.engine import Refusal
        from vlm4rec_edge.grounding.prepare import prepare

        if self._native is None or self._form is None:
            raise ModelError("The captioner was closed while it was at work.")
        try:
            pixels = decode_photo(request.photo, "The photo", max_side=self._max_side)
            text = self._form.render(request.question, self._native.mtmd.mtmd_default_marker().decode())
            seed = int(hashlib.sha256(f"{self._seed}:{request.photo.sha256}".encode()).hexdigest()[:16], 16)
            return prepare(self._native, request.key, pixels, text, seed=seed)
        except PhotoError as error:
            return Refusal(request.key, str(error))

    def close(self) -> None:
        """Free the model."""
        if self._native is not None:
            self._native.close()
        self._native = self._engine = self._form = None

    def __enter__(self) -> Captioner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
