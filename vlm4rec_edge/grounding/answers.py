"""What a captioner says, looked at: one answer to every photo, and nothing that an index cannot hold."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack
from numbers import Integral
from typing import get_args

import numpy as np

from vlm4rec_edge.errors import ModelError, Vlm4RecError
from vlm4rec_edge.grounding.protocol import Captioned, Captioner, CaptionRequest
from vlm4rec_edge.items import Failure, Item, Stage
from vlm4rec_edge.provenance import photo_vectors_by

NO_ANSWER = "The captioner gave no answer for this photo."
NO_REASON = "The captioner gave no reason why it failed"
# Float32 rounding of a unit vector stays far below this.
_LENGTH_TOLERANCE = 1e-3


def question_of(captioner: Captioner, item: Item) -> str:
    """Return what a captioner asks about the photo of an item.

    Raises:
        ModelError: it is no text, or the captioner fails to say it.
    """
    try:
        question = captioner.question(item) if hasattr(captioner, "question") else ""
    except Vlm4RecError:
        raise
    except Exception as error:
        raise ModelError(
            f"The captioner's method question fails for the item {item.id!r}: {type(error).__name__}: {error}."
        ) from error
    if not _is_text(question):
        raise ModelError(f"The captioner's prompt for the item {item.id!r} is {question!a:.80}, not a text.")
    return str(question)


def answers(captioner: Captioner, requests: Iterable[CaptionRequest]) -> Generator[Captioned | Failure]:
    """Yield one answer to each request, as they finish; a photo without a usable caption is a ``Failure``.

    Raises:
        ModelError: what answers is no captioner, or it answers for a photo that it was not given, or twice.
    """
    # Whether only its vector is wanted, by the key of each photo.
    waiting: dict[str, bool] = {}
    has_vectors = photo_vectors_by(captioner) is not None
    own_thread = threading.get_ident()
    asked_elsewhere = threading.Event()

    def noted() -> Iterator[CaptionRequest]:
        photos = iter(requests)
        while threading.get_ident() == own_thread:  # a store cannot be read from another one
            if (request := next(photos, None)) is None:
                return
            waiting[request.key] = request.only_vector
            yield request
        # The photos end here, without an error: one raised in that thread could be lost, and the captioner wait for ever.
        asked_elsewhere.set()

    def check_thread() -> None:
        if asked_elsewhere.is_set():
            raise ModelError("The captioner takes photos in another thread than the one that asks for captions.")

    with ExitStack() as stack:
        said = captioner.caption(noted()) if hasattr(captioner, "caption") else None
        if not isinstance(said, Iterable):
            raise ModelError(f"{type(captioner).__name__} is not a captioner: its method caption returns no answers.")
        if isinstance(said, Generator):
            stack.callback(said.close)  # at once, also where an error keeps it alive
        for answer in said:
            check_thread()
            key = _key_of(answer)
            if not isinstance(key, str) or key not in waiting:
                raise ModelError(
                    f"The captioner answers for {key!r:.80}, a photo that it was not given, or for a second time."
                )
            yield _checked(answer, only_vector=waiting.pop(key), has_vector=has_vectors)
        check_thread()
    for key in waiting:
        yield Failure(key, "grounding", NO_ANSWER)


def working_memory(captioner: Captioner | None) -> tuple[int, int]:
    """Return how many photos a captioner describes together, and the bytes of KV memory that takes; 0, 0 if unknown.

    Raises:
        ModelError: what it reports are not whole numbers.
    """
    told = {name: getattr(captioner, name, None) or 0 for name in ("batch", "kv_bytes")}
    for name, value in told.items():
        if not isinstance(value, Integral) or value < 0:
            raise ModelError(f"The captioner's {name} is {value!r:.80}, not a whole number.")
    return (int(told["batch"]), int(told["kv_bytes"])) if told["kv_bytes"] else (0, 0)


def tower_of(captioner: Captioner | None) -> str:
    """Return what encodes the photos of a captioner, as ``BaseCaptioner.tower``; empty if it does not report it."""
    tower = getattr(captioner, "tower", "")
    return tower if _is_text(tower) else ""


def _key_of(answer: object) -> object:
    if not isinstance(answer, Captioned | Failure):
        raise ModelError(f"The captioner answers with a {type(answer).__name__}, not with Captioned or Failure.")
    return answer.where if isinstance(answer, Failure) else answer.key


def _checked(answer: Captioned | Failure, *, only_vector: bool, has_vector: bool) -> Captioned | Failure:
    if isinstance(answer, Failure):
        # Of its stage, and of a reason, a store can hold no other values.
        stage: Stage = answer.stage if answer.stage in get_args(Stage) else "grounding"
        has_reason = _is_text(answer.reason) and answer.reason.strip()
        return Failure(answer.where, stage, answer.reason if has_reason else f"{NO_REASON}, but {answer.reason!a:.80}.")
    if has_vector and not _is_unit_vector(answer.vector):
        return Failure(answer.key, "grounding", "The captioner gave no float32 vector of length 1 for this photo.")
    if only_vector:
        return answer
    if not (_is_text(answer.text) and answer.text.strip()):
        return Failure(answer.key, "grounding", f"The captioner returned {answer.text!a:.80}, which is not a caption.")
    if not (answer.fields is None or _are_fields(answer.fields)):
        return Failure(
            answer.key,
            "grounding",
            f"The captioner returned {answer.fields!a:.80}, which are not fields.",
        )
    return answer


def _is_unit_vector(value: object) -> bool:
    if not (isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype == np.float32):
        return False
    return bool(abs(np.linalg.norm(value.astype(np.float64)) - 1) <= _LENGTH_TOLERANCE)  # no NaN is


def _is_text(value: object) -> bool:
    """Whether a database can hold it as a text: half a surrogate pair, as a server may send, is none."""
    return isinstance(value, str) and value == value.encode("utf-8", "replace").decode("utf-8")


def _are_fields(text: object) -> bool:
    try:
        fields = json.loads(text) if isinstance(text, str) and _is_text(text) else None
    except (ValueError, RecursionError):
        return False
    return isinstance(fields, dict) and all(
        all(_is_text(part) for part in (value if isinstance(value, list) else [value])) for value in fields.values()
    )
