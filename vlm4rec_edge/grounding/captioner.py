"""Captions for photos: the model, the prompt and their fingerprint behind one small interface."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from vlm4rec_edge.catalog.photo import MAX_SIDE, PhotoFile, decode_photo, read_photo_file
from vlm4rec_edge.checksums import sha256_of
from vlm4rec_edge.cores import usable_cores
from vlm4rec_edge.errors import ModelError, PhotoError, UsageError
from vlm4rec_edge.grounding.clean import clean_caption
from vlm4rec_edge.grounding.grammar import Grammar, rules_of
from vlm4rec_edge.grounding.memory import available_bytes
from vlm4rec_edge.grounding.prompt import DEFAULT_PROMPT, ChatForm, Prompt
from vlm4rec_edge.grounding.schema import PRODUCT_SCHEMA, Schema, parse_schema
from vlm4rec_edge.grounding.structured import STRUCTURED_VERSION, as_json, fields_of, flatten
from vlm4rec_edge.items import Failure, Item
from vlm4rec_edge.prefetch import prefetch
from vlm4rec_edge.provenance import fingerprint

if TYPE_CHECKING:
    from vlm4rec_edge.grounding.engine import Answer, Engine, Refusal
    from vlm4rec_edge.grounding.native import Device, NativeModel
    from vlm4rec_edge.grounding.prepare import PreparedPhoto
    from vlm4rec_edge.models.resolve import LvlmFiles

# Raised when preprocessing, prompting or cleaning changes what a caption says, so that old captions are made anew.
CAPTION_VERSION = 1
# Sequences decoded together when the user does not say: on the CPU the gain flattens out here; a GPU carries more.
_BATCH_CPU, _BATCH_GPU = 16, 32
# What the KV memory of all sequences may take together where nobody tells how much there is, on a GPU for one.
_KV_BUDGET_BYTES = 2 * 1024**3
# The share that it may take of what the model leaves; the rest is for photos, llama.cpp's buffers and other programs.
_KV_SHARE = 2
_DECODING_THREADS = 2


@dataclass(frozen=True)
class CaptionRequest:
    """One photo to caption: the key its caption comes back under, the photo's bytes, and the filled-in question."""

    key: str
    photo: PhotoFile
    question: str


class Captioned(NamedTuple):
    """A finished caption under the key of its request; ``fields`` is the JSON of a structured one, None of a free one."""

    key: str
    text: str
    fields: str | None = None


class Captioner:
    """A vision-language model that turns photos into captions; a context manager.

    Nothing is loaded before the first caption, so a run that finds every caption in its store needs no model memory.
    Not thread-safe: one captioner, one thread.

    Args:
        files: The checked model, from ``vlm4rec_edge.models.resolve.resolve_lvlm``.
        prompt: The question; default: the model's own for this form, or the package's.
        structured: Hold every answer to a JSON schema: a ``Schema``, or True for the model's own or ``PRODUCT_SCHEMA``.
        max_tokens: Bound of a caption; default: the model's own, and for structured captions what the longest one takes.
        temperature: 0 for the likeliest words; above 0 words are drawn, the same ones for the same photo and ``seed``.
        seed: Of the drawing.
        device: ``auto``, ``cpu`` or ``cuda``.
        threads: CPU threads; default: the cores this process may use.
        batch: Photos decoded together; default: chosen from the model, the device and the memory at hand. On a CPU with
            several cores they are shared out to several engines, which load the projector once each.
        max_side: Longer side of a photo in pixels before the model's own preprocessing; default: the model's own, or 2048.

    Raises:
        UsageError: a setting out of range.
        ModelError: the model's manifest carries a schema that can not be used.
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
    ) -> None:
        self.files = files
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
        self._natives: list[NativeModel] = []
        self._engines: list[Engine] = []
        self._form: ChatForm | None = None
        self._rules = rules_of(self.schema) if self.schema else ""
        self.provenance = self._describe()
        self.fingerprint = fingerprint(self.provenance)

    def _describe(self) -> dict[str, Any]:
        """Return all that decides a caption besides the photo and the question."""
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
        if self.schema is not None:  # nothing of it in a free caption, whose fingerprint stays what it was
            described["structured"] = {
                "version": STRUCTURED_VERSION,
                "schema": self.schema.document,
                "grammar_sha256": hashlib.sha256(self._rules.encode()).hexdigest(),
            }
        return described

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
            return result.text
        raise ModelError(f"{self.files.name} gave no answer for {path}.")

    def caption(self, requests: Iterable[CaptionRequest]) -> Iterator[Captioned | Failure]:
        """Yield a caption, or a ``Failure`` named by the key, for each request, in the order they finish.

        ``requests`` may be endless; it is pulled in this thread, a little ahead of the model, while photos are decoded
        in other threads.

        Raises:
            ModelError: the model can not be loaded, or fails on something that is no single photo's fault.
            DeviceError: the asked-for device is not there.
        """
        from vlm4rec_edge.grounding.engine import Refusal
        from vlm4rec_edge.grounding.lanes import answer_side_by_side
        from vlm4rec_edge.grounding.prepare import PreparedPhoto

        requests = iter(requests)
        first = next(requests, None)
        if first is None:
            return
        engines = self._load()

        def with_first() -> Iterator[CaptionRequest]:
            yield first
            yield from requests

        def discard(result: PreparedPhoto | Refusal) -> None:
            if isinstance(result, PreparedPhoto):
                result.free()

        prepared = prefetch(
            self._prepare, with_first(), threads=_DECODING_THREADS, ahead=2 * self.batch, discard=discard
        )
        answers = answer_side_by_side(engines, prepared, slots=self.batch)
        try:
            for answer in answers:
                if isinstance(answer, Refusal):
                    yield Failure(answer.key, "photo", answer.reason)
                else:
                    yield self._captioned(answer)
        finally:
            answers.close()  # type: ignore[attr-defined]  # both are generators: stop their threads now
            prepared.close()  # type: ignore[attr-defined]

    def _captioned(self, answer: Answer) -> Captioned | Failure:
        fields = None
        if self.schema is None:
            text = clean_caption(answer.text, cut_off=answer.cut_off)
        else:
            try:
                said = fields_of(answer.text, self.schema, cut_off=answer.cut_off)
            except PhotoError as error:
                return Failure(answer.key, "grounding", str(error))
            text, fields = flatten(said), as_json(said)
        if not text:
            return Failure(answer.key, "grounding", f"{self.files.name} said nothing about this photo.")
        return Captioned(answer.key, text, fields)

    @property
    def batch(self) -> int:
        """Photos decoded together (1 before the model is loaded and no number was asked for)."""
        return sum(native.shape.slots for native in self._natives) or self._batch or 1

    @property
    def kv_bytes(self) -> int:
        """Bytes of KV memory that the loaded model holds (0 before it is loaded)."""
        return sum(native.shape.kv_bytes for native in self._natives)

    @property
    def engines(self) -> int:
        """How many engines work side by side (0 before the model is loaded)."""
        return len(self._engines)

    def _load(self) -> list[Engine]:
        if not self._engines:
            from vlm4rec_edge.grounding import native
            from vlm4rec_edge.grounding.engine import Engine
            from vlm4rec_edge.grounding.lanes import shares

            slots = self._batch or self._affordable_batch()
            threads = self._threads or usable_cores()
            lanes = self._lanes(slots, threads)
            for own_slots, own_threads in zip(shares(slots, lanes), shares(threads, lanes), strict=True):
                model = native.NativeModel(
                    self.files,
                    device=self._device,
                    threads=own_threads,
                    slots=own_slots,
                    context=self.files.settings.context_length,
                    beside=self._natives[0] if self._natives else None,
                )
                self._natives.append(model)
            self._form = self._chat_form(self._natives[0])
            self._engines = [
                Engine(
                    model,
                    max_tokens=self._max_tokens,
                    temperature=self._temperature,
                    grammar=Grammar(model, self._rules) if self.schema else None,
                )
                for model in self._natives
            ]
        return self._engines

    def _lanes(self, slots: int, threads: int) -> int:
        from vlm4rec_edge.grounding.lanes import lanes_for
        from vlm4rec_edge.grounding.native import use_gpu

        if use_gpu(self._device):
            return 1
        projector_bytes = self.files.projector.stat().st_size
        return lanes_for(slots=slots, threads=threads, projector_bytes=projector_bytes, free_bytes=available_bytes())

    def _affordable_batch(self) -> int:
        """Return how many photos to decode together on this machine: as many as are worth it, and as have room."""
        from vlm4rec_edge.grounding import native

        on_gpu = native.use_gpu(self._device)
        free = None if on_gpu else available_bytes()
        weights = sum(path.stat().st_size for path in (self.files.text, self.files.projector))
        budget = _KV_BUDGET_BYTES if free is None else max(free - weights, 0) // _KV_SHARE
        return native.affordable_slots(self.files, wanted=_BATCH_GPU if on_gpu else _BATCH_CPU, kv_budget=budget)

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

        if not self._natives or self._form is None:
            raise ModelError("The captioner was closed while it was at work.")
        try:
            pixels = decode_photo(request.photo, "The photo", max_side=self._max_side)
            native = self._natives[0]
            text = self._form.render(request.question, native.mtmd.mtmd_default_marker().decode())
            seed = int(hashlib.sha256(f"{self._seed}:{request.photo.sha256}".encode()).hexdigest()[:16], 16)
            return prepare(native, request.key, pixels, text, seed=seed)
        except PhotoError as error:
            return Refusal(request.key, str(error))

    def close(self) -> None:
        """Free the model."""
        for model in reversed(self._natives):  # the first owns the weights of all
            model.close()
        self._natives, self._engines, self._form = [], [], None

    def __enter__(self) -> Captioner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _own_schema(files: LvlmFiles) -> Schema:
    """Return the form a model was trained to answer in, or that of a product."""
    own = files.settings.schema
    if not own:
        return parse_schema(PRODUCT_SCHEMA)
    try:
        return parse_schema(own, f"The schema in the manifest of {files.name}")
    except UsageError as error:
        raise ModelError(f"{error} Mend it, or give another with --schema.") from None


def _question(files: LvlmFiles, schema: Schema) -> str:
    """Return the question for a form: the model's own where it is the model's own form."""
    if files.settings.structured_prompt and schema.document == _own_schema(files).document:
        return files.settings.structured_prompt
    return schema.question
