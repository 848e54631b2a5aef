"""Captions made in this process: a loaded model, its engines, and the photos on their way through them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from vlm4rec_edge.catalog.photo import decode_photo
from vlm4rec_edge.cores import usable_cores
from vlm4rec_edge.errors import ModelError, PhotoError, UsageError, VisionEncoderError
from vlm4rec_edge.grounding.clean import clean_caption
from vlm4rec_edge.grounding.death import tells_of_memory
from vlm4rec_edge.grounding.llama.base import CLOSED, ONE_STREAM, BaseCaptioner
from vlm4rec_edge.grounding.llama.choice import choose_graph, fall_back, loaded_bytes, may_fall_back
from vlm4rec_edge.grounding.llama.grammar import Grammar
from vlm4rec_edge.grounding.llama.memory import available_bytes
from vlm4rec_edge.grounding.llama.prompt import ChatForm
from vlm4rec_edge.grounding.protocol import Captioned, CaptionRequest
from vlm4rec_edge.grounding.structured import as_json, fields_of, flatten
from vlm4rec_edge.grounding.vision.tower import OnnxTower
from vlm4rec_edge.items import Failure

if TYPE_CHECKING:
    from vlm4rec_edge.grounding.llama.engine import Answer, Engine, Refusal
    from vlm4rec_edge.grounding.llama.native import NativeModel
    from vlm4rec_edge.grounding.llama.prepare import PreparedPhoto
    from vlm4rec_edge.grounding.vision.graph_file import GraphFile

# Sequences decoded together when the user does not say: on the CPU the gain flattens out here; a GPU carries more.
BATCH_CPU, _BATCH_GPU = 16, 32
# What the KV memory of all sequences may take together where it is not known how much there is, on a GPU for one.
_KV_BUDGET_BYTES = 2 * 1024**3
# The share that it may take of what the model leaves; the rest is for photos, llama.cpp's buffers and other programs.
_KV_SHARE = 2
_DECODING_THREADS = 2


class LlamaCaptioner(BaseCaptioner):
    """A vision-language model at work inside this process.

    A fault in llama.cpp's native code ends the process. ``IsolatedCaptioner``, which the commands use, has it in a process
    of its own and outlives it. Settings, errors and use are those of ``BaseCaptioner``.
    """

    _natives: tuple[NativeModel, ...] = ()
    _engines: tuple[Engine, ...] = ()
    _form: ChatForm | None = None
    _tower: OnnxTower | None = None  # else each engine has llama.cpp's own
    _graph_path: Path = Path()  # of that tower
    _workers: int = _DECODING_THREADS
    _stream: ExitStack | None = None  # ends the threads that are at work

    def caption(self, requests: Iterable[CaptionRequest | None]) -> Iterator[Captioned | Failure]:
        """Yield a caption or a ``Failure`` for each request; see ``BaseCaptioner.caption``.

        Photos are decoded in some threads and captioned in others; ``requests`` is pulled in this one. A None among them
        says that none is ready now, which it may only do while others are at work.
        """
        from vlm4rec_edge.grounding.llama.engine import Refusal
        from vlm4rec_edge.grounding.llama.lanes import answer_side_by_side

        if self._stream is not None:
            raise UsageError(ONE_STREAM)
        requests = iter(requests)
        first = next(requests, None)
        if first is None:
            return
        self.load()

        def with_first() -> Iterator[CaptionRequest | None]:
            yield first
            yield from requests

        answers = answer_side_by_side(
            self._engines, with_first(), self._prepare, slots=self.batch, workers=self._workers
        )
        stream = self._stream = ExitStack()
        stream.callback(answers.close)  # type: ignore[attr-defined]  # it is a generator
        try:
            for answer in answers:
                if isinstance(answer, Refusal):
                    yield Failure(answer.key, "photo", answer.reason)
                else:
                    yield self._captioned(answer)
            if self._stream is not stream:
                raise ModelError(CLOSED)
        finally:
            stream.close()
            if self._stream is stream:
                self._stream = None

    def _captioned(self, answer: Answer) -> Captioned | Failure:
        fields = None
        if answer.only_vector:
            return Captioned(answer.key, "", None, answer.vector)
        if self.schema is None:
            text = clean_caption(answer.text, cut_off=answer.cut_off, general=self.is_general)
        else:
            try:
                said = fields_of(answer.text, self.schema, cut_off=answer.cut_off)
            except PhotoError as error:
                return Failure(answer.key, "grounding", str(error))
            text, fields = flatten(said), as_json(said)
        if not text:
            return Failure(answer.key, "grounding", f"{self.files.name} returned an empty caption for this photo.")
        return Captioned(answer.key, text, fields, answer.vector)

    @property
    def batch(self) -> int:
        """See ``BaseCaptioner``."""
        return sum(native.shape.slots for native in self._natives) or self._batch or 1

    @property
    def kv_bytes(self) -> int:
        """See ``BaseCaptioner``."""
        return sum(native.shape.kv_bytes for native in self._natives)

    @property
    def engines(self) -> int:
        """See ``BaseCaptioner``."""
        return len(self._engines)

    @property
    def tower(self) -> str:
        """See ``BaseCaptioner``."""
        if not self._engines:
            return ""
        return f"onnx-{self._vision_precision}" if self._tower else "mtmd"

    def load(self) -> None:
        """Load the model now rather than with the first caption.

        Raises:
            ModelError, DeviceError, MissingDependencyError: as ``caption``.
        """
        if self._engines:
            return
        graph = self._graph()
        try:
            self._load_with(graph)
        except VisionEncoderError as error:
            if graph is None or not may_fall_back(self._vision, self._vision_precision):
                raise
            fall_back(self.files.name, graph.path, error.reason, out_of_memory=tells_of_memory(error.reason))
            self._load_with(None)

    def _load_with(self, graph: GraphFile | None) -> None:
        from vlm4rec_edge.grounding.llama import native
        from vlm4rec_edge.grounding.llama.engine import Engine
        from vlm4rec_edge.grounding.llama.lanes import shares
        from vlm4rec_edge.grounding.llama.vision import EncodedAhead, MtmdTower

        slots = self._batch or self._affordable_batch(loaded_bytes(graph))
        threads = self._threads or usable_cores()
        lanes = self._lanes(slots, threads, shares_projector=graph is not None)
        try:
            for own_slots, own_threads in zip(shares(slots, lanes), shares(threads, lanes), strict=True):
                model = native.NativeModel(
                    self.files,
                    device=self._device,
                    threads=own_threads,
                    slots=own_slots,
                    context=self.files.settings.context_length,
                    beside=self._natives[0] if self._natives else None,
                    own_projector=graph is None,
                )
                self._natives = (*self._natives, model)
            if graph is not None:
                on_gpu = native.use_gpu(self._device)
                # Each worker has the threads of an engine beside it; a GPU waits for as many as can prepare photos for it.
                self._workers = threads if on_gpu else lanes
                self._graph_path = graph.path
                with self._encoding():
                    self._tower = OnnxTower.open(
                        graph.path,
                        max(threads // lanes, 1),
                        precision=graph.precision,
                        device=self._device if on_gpu else "cpu",
                        callers=self._workers,
                    )
            self._form = self._chat_form(self._natives[0])
            self._engines = tuple(
                Engine(
                    model,
                    tower=EncodedAhead() if self._tower else MtmdTower(model),
                    max_tokens=self._max_tokens,
                    temperature=self._temperature,
                    grammar=Grammar(model, self._rules) if self.schema else None,
                    photo_vectors=self._photo_vectors,
                )
                for model in self._natives
            )
        except BaseException:
            self.close()
            raise

    def _graph(self) -> GraphFile | None:
        from vlm4rec_edge.grounding.llama.native import use_gpu

        return choose_graph(
            self.files,
            vision=self._vision,
            precision=self._vision_precision,
            find_out=self._find_out,
            on_gpu=use_gpu(self._device),
        )

    def _lanes(self, slots: int, threads: int, *, shares_projector: bool) -> int:
        from vlm4rec_edge.grounding.llama.lanes import lanes_for
        from vlm4rec_edge.grounding.llama.native import use_gpu

        if use_gpu(self._device):
            return 1
        projector_bytes = 0 if shares_projector else self.files.projector.stat().st_size
        return lanes_for(slots=slots, threads=threads, projector_bytes=projector_bytes, free_bytes=available_bytes())

    def _affordable_batch(self, graph_bytes: int) -> int:
        """Return how many photos to decode together on this machine: as many as are worth it, and as have room."""
        from vlm4rec_edge.grounding.llama import native

        on_gpu = native.use_gpu(self._device)
        free = None if on_gpu else available_bytes()
        weights = sum(path.stat().st_size for path in (self.files.text, self.files.projector)) + graph_bytes
        budget = _KV_BUDGET_BYTES if free is None else max(free - weights, 0) // _KV_SHARE
        return native.affordable_slots(self.files, wanted=_BATCH_GPU if on_gpu else BATCH_CPU, kv_budget=budget)

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
        """Decode, preprocess and tokenise one photo, and encode it where the engines do not; runs in a thread."""
        from vlm4rec_edge.grounding.llama.engine import Refusal
        from vlm4rec_edge.grounding.llama.prepare import prepare

        if not self._natives or self._form is None:
            raise ModelError(CLOSED)
        try:
            pixels = decode_photo(request.photo, "The photo", max_side=self._max_side)
            native = self._natives[0]
            text = self._form.render(request.question, native.mtmd.mtmd_default_marker().decode())
            seed = int(hashlib.sha256(f"{self._seed}:{request.photo.sha256}".encode()).hexdigest()[:16], 16)
            photo = prepare(native, request.key, pixels, text, seed=seed)
            photo.only_vector = request.only_vector
        except PhotoError as error:
            return Refusal(request.key, str(error))
        try:
            self._encode_ahead(photo)
        except PhotoError as error:
            photo.free()
            return Refusal(request.key, str(error))
        except BaseException:
            photo.free()
            raise
        return photo

    def _encode_ahead(self, photo: PreparedPhoto) -> None:
        """Encode the images of a photo where ONNX Runtime does it; its pixels are let go of either way."""
        pixels, photo.pixels = photo.pixels, None
        if self._tower is None or pixels is None:
            return
        embeddings = []
        with self._encoding():
            for embedding in self._tower.encode_each(pixels):
                embeddings.append(embedding)
                if self._engines[0].stopped:  # its result is not needed any more
                    raise PhotoError(CLOSED)
        photo.take_embeddings(embeddings)

    def _encoding(self) -> AbstractContextManager[None]:
        """Stand around what the native code of the graph's runtime does, in any thread; does nothing here."""
        return nullcontext()

    def close(self) -> None:
        """Free the model; first the stream at work is ended, if there is one."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()
        for model in reversed(self._natives):  # the first owns the weights of all
            model.close()
        if self._tower is not None:
            self._tower.close()
        self._natives, self._engines, self._form, self._tower = (), (), None, None
        self._workers = _DECODING_THREADS
