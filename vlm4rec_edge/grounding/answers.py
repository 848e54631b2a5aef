"""What a captioner says, looked at: one answer to every photo, and nothing that an index cannot hold."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack
from numbers import Integral
from typing import get_args

from vlm4rec_edge.errors import ModelError, Vlm4RecError
from vlm4rec_edge.grounding.protocol import Captioned, Captioner, CaptionRequest
from vlm4rec_edge.items import Failure, Item, Stage

NO_ANSWER = "The captioner gave no answer for this photo."
NO_REASON = "The captioner gave no reason why it failed"


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
        raise ModelError(f"The captioner asks {question!a:.80} about the item {item.id!r}, which is no text.")
    return str(question)


def answers(captioner: Captioner, requests: Iterable[CaptionRequest]) -> Generator[Captioned | Failure]:
    """Yield one answer to each request, as they finish; a photo without a usable caption is a ``Failure``.

    Raises:
        ModelError: what answers is no captioner, or it answers for a photo that it was not given, or twice.
    """
    waiting: dict[str, None] = {}
    own_thread = threading.get_ident()
    asked_elsewhere = threading.Event()

    def noted() -> Iterator[CaptionRequest]:
        photos = iter(requests)
        while threading.get_ident() == own_thread:  # a store cannot be read from another one
            if (request := next(photos, None)) is None:
                return
            waiting[request.key] = None
            yield request
        # The photos end here, without an error: one raised in that thread could be lost, and the captioner wait for ever.
        asked_elsewhere.set()

    def check_thread() -> None:
        if asked_elsewhere.is_set():
            raise ModelError("The captioner takes photos in another thread than the one that asks for captions.")

    with ExitStack() as stack:
        said = captioner.caption(noted()) if hasattr(captioner, "caption") else None
        if not isinstance(said, Iterable):
            raise ModelError(f"{type(captioner).__name__} is no captioner: its method caption gives no answers.")
        if isinstance(said, Generator):
            stack.callback(said.close)  # at once, also where an error keeps it alive
        for answer in map(_checked, said):
            check_thread()
            key = answer.where if isinstance(answer, Failure) else answer.key
            if not isinstance(key, str) or key not in waiting:
                raise ModelError(
                    f"The captioner answers for {key!r:.80}, a photo that it was not given, or for a second time."
                )
            del waiting[key]
            yield answer
        check_thread()
    for key in waiting:
        yield Failure(key, "grounding", NO_ANSWER)


def working_memory(captioner: Captioner | None) -> tuple[int, int]:
    """Return how many photos a captioner describes together, and the bytes of KV memory that takes; 0, 0 if it does not tell.

    Raises:
        ModelError: what it tells are no whole numbers.
    """
    told = {name: getattr(captioner, name, None) or 0 for name in ("batch", "kv_bytes")}
    for name, value in told.items():
        if not isinstance(value, Integral) or value < 0:
            raise ModelError(f"The captioner's {name} is {value!r:.80}, not a whole number.")
    return (int(told["batch"]), int(told["kv_bytes"])) if told["kv_bytes"] else (0, 0)


def tower_of(captioner: Captioner | None) -> str:
    """Return what encodes the photos of a captioner, as ``BaseCaptioner.tower``; empty if it does not tell."""
    tower = getattr(captioner, "tower", "")
    return tower if _is_text(tower) else ""


def _checked(answer: object) -> Captioned | Failure:
    if isinstance(answer, Failure):
        # Of its stage, and of a reason, a store can hold no other values.
        stage: Stage = answer.stage if answer.stage in get_args(Stage) else "grounding"
        has_reason = _is_text(answer.reason) and answer.reason.strip()
        return Failure(answer.where, stage, answer.reason if has_reason else f"{NO_REASON}, but {answer.reason!a:.80}.")
    if not isinstance(answer, Captioned):
        raise ModelError(f"The captioner answers with a {type(answer).__name__}, not with Captioned or Failure.")
    if not (_is_text(answer.text) and answer.text.strip()):
        return Failure(answer.key, "grounding", f"The captioner said {answer.text!a:.80}, which is no caption.")
    if not (answer.fields is None or _are_fields(answer.fields)):
        return Failure(
            answer.key,
            "grounding",
            f"The captioner gave {answer.fields!a:.80}, which are no fields.",
        )
    return answer


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
