"""Captions made in a process of their own, which may die without taking anything with it.

llama.cpp is native code that reads other people's files: a damaged model, an odd photo or a lack of memory can end the
process it runs in. Here that is a child (``vlm4rec_edge.grounding.child.worker``), started with the first photo. When it dies,
another one is started:

- The photos under way are captioned again, one at a time. One that kills again is left out and named.
- A death for lack of memory is no photo's fault: from then on half as many photos are captioned together.
- A vision encoder in ONNX Runtime that ends the child is not tried again: llama.cpp's own takes its place, unless the other
  one was asked for.
- A child that dies while it loads the model, or of a plain grey picture, has a model that cannot run: that is an error.
"""

from __future__ import annotations

import io
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from vlm4rec_edge.catalog.photo import PhotoFile
from vlm4rec_edge.errors import ModelError, UsageError, VisionEncoderError, Vlm4RecWarning
from vlm4rec_edge.grounding.child import wire
from vlm4rec_edge.grounding.child.process import DiedError, Worker
from vlm4rec_edge.grounding.death import tells_of_memory
from vlm4rec_edge.grounding.llama.base import CLOSED, ONE_STREAM, BaseCaptioner
from vlm4rec_edge.grounding.llama.captioner import BATCH_CPU
from vlm4rec_edge.grounding.llama.choice import fall_back, may_fall_back
from vlm4rec_edge.grounding.llama.native import compile_here
from vlm4rec_edge.grounding.protocol import Captioned, CaptionRequest
from vlm4rec_edge.grounding.vision.tower import runtime_of
from vlm4rec_edge.items import Failure

# Photos on their way for each that is captioned together: the child decodes and prepares so many ahead.
_WINDOW = 4
# The bytes of those photos together, unless it is a single one.
_WINDOW_BYTES = 64 << 20
# A photo is left out, and a model given up, only after so many deaths: anything may have killed the first time. So many
# kills from outside a photo survives.
_TRIES = 2
_KILLS = 3


class IsolatedCaptioner(BaseCaptioner):
    """A vision-language model at work in a process of its own; settings, errors and use are those of ``BaseCaptioner``.

    Whatever llama.cpp does, this process goes on: a photo that cannot be captioned is a ``Failure``, a model that cannot run
    a ``ModelError``; what else a user should know is a ``Vlm4RecWarning``.

    The child runs the Python of this process, or the command in the variable ``VLM4REC_EDGE_PYTHON``.

    Attributes:
        processor: The vector instructions that the child finds, by NumPy's names; empty before it is started.
        llama_cpp: What llama.cpp says of its build and the instructions it uses; empty before.
        gpu: Whether it can compute on a GPU; False before.
    """

    run: _Run | None = None  # the stream at work
    _worker: Worker | None = None
    _halved: int = 0  # the batch after memory was short
    _tried: int = 0  # the batch of the last child
    _gave_up: bool = False  # ONNX Runtime's vision encoder
    processor: tuple[str, ...] = ()
    llama_cpp: str = ""
    gpu: bool = False

    def caption(self, requests: Iterable[CaptionRequest]) -> Iterator[Captioned | Failure]:
        """Yield a caption or a ``Failure`` for each request; see ``BaseCaptioner.caption``."""
        if self.run is not None:
            raise UsageError(ONE_STREAM)
        run = self.run = _Run(self, iter(requests))
        try:
            yield from run.results()
        finally:
            if self.run is run:
                self.run = None
                if run.under_way:  # their captions would be taken for those of the next call
                    self.stop()

    def load(self) -> None:
        """Start the child and load the model now rather than with the first caption.

        Raises:
            ModelError, DeviceError, MissingDependencyError: as ``caption``.
        """
        deaths = 0
        while self._worker is None:
            worker = Worker()
            try:
                facts = worker.load(self._described())
            except BaseException as error:
                worker.kill()
                if not isinstance(error, DiedError):
                    raise
                if error.death.out_of_memory and (self.blames_encoder(error) or self.halve()):
                    continue
                deaths += 1
                if deaths == _TRIES:
                    if not self.blames_encoder(error):
                        raise self.cannot_run(error, "while it loaded the model") from None
                    deaths = 0
            else:
                self.processor, self.llama_cpp = tuple(facts["processor"]), facts["llama_cpp"]
                self.gpu = facts["gpu"]
                self._worker, self._tried = worker, worker.batch

    @property
    def batch(self) -> int:
        """See ``BaseCaptioner``."""
        return self._worker.batch if self._worker else self._halved or self._batch or 1

    @property
    def kv_bytes(self) -> int:
        """See ``BaseCaptioner``."""
        return self._worker.kv_bytes if self._worker else 0

    @property
    def engines(self) -> int:
        """See ``BaseCaptioner``."""
        return self._worker.engines if self._worker else 0

    @property
    def tower(self) -> str:
        """See ``BaseCaptioner``."""
        return self._worker.tower if self._worker else ""

    @property
    def pid(self) -> int:
        """Process id of the child (0 where there is none just now)."""
        return self._worker.pid if self._worker else 0

    def start(self) -> Worker:
        """Return the child, with the model loaded."""
        self.load()
        assert self._worker is not None
        return self._worker

    def close(self) -> None:
        """End the child and with it all that the model holds, and the stream at work; the next caption starts another one."""
        self.run = None
        self.stop()

    def stop(self) -> None:
        """End the child; the next photo starts another one."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.kill()

    def halve(self, why: str = "There was not enough memory") -> bool:
        """Caption half as many photos together from now on and say so; return False where it was one already."""
        batch = self._tried or self._batch or BATCH_CPU
        self.stop()
        if batch == 1:
            return False
        self._halved = self._tried = batch // 2
        warnings.warn(
            f"{why} to caption {batch} photos together; now {self._halved} at most (--batch sets it).",
            Vlm4RecWarning,
            stacklevel=2,
        )
        return True

    def give_up_encoder(self, graph: str, reason: str, *, out_of_memory: bool) -> bool:
        """Have llama.cpp's own vision encoder take the place of ONNX Runtime's, which failed, and say so.

        Returns False where it may not: the other one, or another precision, was asked for.

        Args:
            graph: Of the encoder that failed.
            reason: What happened, as the end of a sentence.
            out_of_memory: Whether that was for lack of memory.
        """
        self.stop()
        if not may_fall_back(self._vision, self._vision_precision):
            return False
        self._gave_up, self._halved, self._tried = True, 0, 0
        fall_back(self.files.name, Path(graph), reason, out_of_memory=out_of_memory)
        return True

    def blames_encoder(self, died: DiedError) -> bool:
        """Whether the child died in ONNX Runtime's vision encoder, and llama.cpp's own has taken its place."""
        death = died.death
        if not died.graph or death.from_outside:
            return False
        reason = f"it ended the captioning process ({death})"
        return self.give_up_encoder(died.graph, reason, out_of_memory=death.out_of_memory)

    def cannot_run(self, died: DiedError, when: str) -> ModelError:
        """Return the error of a model that ends the child, whatever the photo."""
        death, culprit = died.death, self.culprit(died)
        if died.graph and not death.from_outside:
            remedy = VisionEncoderError.remedy
        elif death.out_of_memory:
            remedy = (
                "It needs more memory than there is: take a smaller model or quantization, or close other programs."
            )
        elif death.cause == "SIGILL":
            remedy = f"llama.cpp was compiled for another processor. {compile_here()}"
        elif death.from_outside:
            remedy = "The system ends it: check its resource limits, then run the same command again."
            if died.graph:  # perhaps it takes more memory than a service is given
                remedy += f" {VisionEncoderError.remedy}"
        else:
            remedy = (
                "Its files may be damaged, or of a kind that this llama.cpp does not know: pull or export the model again, or "
                "take another one."
            )
        return ModelError(f"The model {self.files.name} cannot run here: {culprit} ended {when} ({death}). {remedy}")

    def culprit(self, died: DiedError) -> str:
        """Return the name of what was at work."""
        return runtime_of(self._vision_precision) if died.graph else "llama.cpp"

    def _described(self) -> dict[str, Any]:
        """Return what the child needs to make the same captions, as JSON; see ``worker``."""
        files = self.files
        places = {role: str(getattr(files, role)) for role in ("text", "projector", "folder")}
        return {
            "files": {"name": files.name, "settings": asdict(files.settings), **places},
            "settings": {
                "prompt": self.prompt.text,
                "structured": self.schema.document if self.schema else None,
                "max_tokens": self._max_tokens,
                "temperature": self._temperature,
                "seed": self._seed,
                "device": self._device,
                "threads": self._threads,
                "batch": self._halved or self._batch,
                "max_side": self._max_side,
                "photo_vectors": self._photo_vectors,
                "vision": "mtmd" if self._gave_up else self._vision,
                "vision_precision": self._vision_precision,
                "find_out": self._find_out,
            },
        }


class _Run:
    """One stream of photos through the child, and through its successors where it dies."""

    def __init__(self, captioner: IsolatedCaptioner, source: Iterator[CaptionRequest]) -> None:
        self._captioner = captioner
        self._source = source
        self._worker: Worker | None = None
        self.under_way: dict[int, CaptionRequest] = {}
        self._number = 0
        # Photos whose child died; of the suspects one at a time is captioned, and nothing beside it.
        self._again: deque[CaptionRequest] = deque()
        self._suspects: deque[CaptionRequest] = deque()
        self._is_alone = False
        self._deaths_alone = 0  # of the photo that is captioned alone
        self._was_killed = False  # from outside, and no caption came since

    def results(self) -> Iterator[Captioned | Failure]:
        while True:
            while (request := self._next_to_send()) is not None:
                self._check_open()
                self._send(request)
            if not self.under_way:
                return
            self._check_open()
            try:
                result: Captioned | Failure | None = self._receive()
            except DiedError as died:
                result = self._after(died)
            except VisionEncoderError as error:
                self._after_error(error)
                continue
            if result is not None:
                yield result

    def _check_open(self) -> None:
        if self._captioner.run is not self:
            raise ModelError(CLOSED)

    def _next_to_send(self) -> CaptionRequest | None:
        if self.under_way and (self._is_alone or self._suspects or self._is_full()):
            return None
        self._is_alone = bool(self._suspects)
        if self._suspects:
            return self._suspects.popleft()
        return self._again.popleft() if self._again else next(self._source, None)

    def _is_full(self) -> bool:
        photos = [len(request.photo.content) for request in self.under_way.values()]
        return len(photos) >= _WINDOW * self._captioner.batch or sum(photos) >= _WINDOW_BYTES

    def _send(self, request: CaptionRequest) -> None:
        self._worker = self._captioner.start()
        self._number += 1
        self.under_way[self._number] = request
        self._worker.ask(self._number, request)

    def _receive(self) -> Captioned | Failure:
        assert self._worker is not None  # what is under way was sent to it
        message, content = self._worker.receive()
        request = self.under_way.pop(message["id"])
        self._was_killed, self._deaths_alone = False, 0
        if message["event"] == "caption":
            vector = np.frombuffer(content, wire.VECTOR) if content else None
            return Captioned(request.key, message["text"], message["fields"], vector)
        return Failure(request.key, message["stage"], message["reason"])

    def _after_error(self, error: VisionEncoderError) -> None:
        assert self._worker is not None
        is_memory = tells_of_memory(error.reason)
        if not self._captioner.give_up_encoder(self._worker.graph, error.reason, out_of_memory=is_memory):
            raise error
        self._again.extendleft(reversed(self._lost()))

    def _lost(self) -> list[CaptionRequest]:
        """Return the photos that were under way, which they are no more."""
        lost = list(self.under_way.values())
        self.under_way.clear()
        return lost

    def _after(self, died: DiedError) -> Failure | None:
        """Decide what becomes of the photos that were under way; return the failure of one that is given up.

        Raises:
            ModelError: it is the model, not a photo.
        """
        lost, death = self._lost(), died.death
        self._captioner.stop()
        if len(lost) == 1:
            return self._after_alone(lost[0], died)
        if death.from_outside and not self._was_killed:  # once may be an accident
            self._was_killed = True
            self._warn(f"The captioning process was ended ({death}); another one continues.")
            self._again.extendleft(reversed(lost))
        elif death.out_of_memory and self._captioner.halve():
            self._again.extendleft(reversed(lost))
        else:
            if death.from_outside:  # perhaps by a program that looks after the memory
                self._captioner.halve("There may not be enough memory")
            self._warn(
                f"The captioning process ended with {len(lost)} photos under way ({death}); they are captioned again, one at "
                "a time."
            )
            self._suspects.extend(lost)
        return None

    def _after_alone(self, request: CaptionRequest, died: DiedError) -> Failure | None:
        death = died.death
        self._deaths_alone += 1
        if self._deaths_alone < (_KILLS if death.from_outside else _TRIES):
            self._suspects.appendleft(request)
            return None
        self._deaths_alone = 0
        if self._captioner.blames_encoder(died):
            self._suspects.appendleft(request)
            return None
        self._check_model(request.question)
        what = (
            "There is not enough memory to caption this photo"
            if death.out_of_memory
            else f"{self._captioner.culprit(died)} ended on this photo"
        )
        return Failure(request.key, "grounding", f"{what} ({death}); it is left out.")

    def _check_model(self, question: str) -> None:
        """See whether the model can caption a plain grey picture; where it can, the photo is at fault."""
        from PIL import Image

        stream = io.BytesIO()
        Image.new("RGB", (64, 64), (128, 128, 128)).save(stream, "PNG")
        worker = self._captioner.start()
        try:
            worker.ask(0, CaptionRequest("", PhotoFile(stream.getvalue(), "0" * 64), question))
            worker.receive()
        except DiedError as died:
            self._captioner.stop()
            raise self._captioner.cannot_run(died, "on a plain grey picture") from None
        except BaseException:  # its answer would be taken for one of the next call
            self._captioner.stop()
            raise

    def _warn(self, sentence: str) -> None:
        warnings.warn(sentence, Vlm4RecWarning, stacklevel=2)
