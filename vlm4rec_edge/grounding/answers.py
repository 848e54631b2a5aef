"""What a captioner says, looked at: one answer to every photo, and nothing that an index cannot hold."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack

from vlm4rec_edge.errors import ModelError
from vlm4rec_edge.grounding.protocol import Captioned, Captioner, CaptionRequest
from vlm4rec_edge.items import Failure, Item


def question_of(captioner: Captioner, item: Item) -> str:
    """Return what a captioner asks about the photo of an item.

    Raises:
        ModelError: it is no text.
    """
    question = captioner.question(item) if hasattr(captioner, "question") else ""
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

    def noted() -> Iterator[CaptionRequest]:
        photos = iter(requests)
        while True:
            if threading.get_ident() != own_thread:  # a store can not be read from there
                raise ModelError("The captioner takes photos in another thread than the one that asks for captions.")
            if (request := next(photos, None)) is None:
                return
            waiting[request.key] = None
            yield request

    with ExitStack() as stack:
        said = captioner.caption(noted()) if hasattr(captioner, "caption") else None
        if not isinstance(said, Iterable):
            raise ModelError(f"{type(captioner).__name__} is no captioner: its method caption gives no answers.")
        if isinstance(said, Generator):
            stack.callback(said.close)  # at once, also where an error keeps it alive
        for answer in map(_checked, said):
            key = answer.where if isinstance(answer, Failure) else answer.key
            if key not in waiting:
                raise ModelError(
                    f"The captioner answers for {key!r}, a photo that it was not given, or for a second time."
                )
            del waiting[key]
            yield answer
    for key in waiting:
        yield Failure(key, "grounding", "The captioner gave no answer for this photo.")


def _checked(answer: object) -> Captioned | Failure:
    if isinstance(answer, Failure):
        return answer if _is_text(answer.reason) else Failure(answer.where, answer.stage, ascii(answer.reason))
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
    except ValueError:
        return False
    return isinstance(fields, dict) and all(
        all(_is_text(part) for part in (value if isinstance(value, list) else [value])) for value in fields.values()
    )
