"""The contract of plug-ins, to be called from their own tests: each function raises ``AssertionError`` where it is broken.

What an index looks at is looked at by the same functions, so what passes here is not refused there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import count, cycle
from pathlib import Path

import numpy as np

from vlm4rec_edge.catalog.photo import PhotoFile
from vlm4rec_edge.encoding.checked import encoded
from vlm4rec_edge.encoding.protocol import Encoder
from vlm4rec_edge.errors import Vlm4RecError
from vlm4rec_edge.grounding.answers import NO_ANSWER, NO_REASON, answers, question_of, working_memory
from vlm4rec_edge.grounding.protocol import Captioned, Captioner, CaptionRequest
from vlm4rec_edge.index.contract import check_backend, require
from vlm4rec_edge.items import Failure, Item
from vlm4rec_edge.provenance import made_by, photo_vectors_by

__all__ = ["check_backend", "check_captioner", "check_encoder"]

# How far a captioner may be ahead of what it yields.
_AHEAD = 10_000
_TEXTS = ("A blue denim jacket.", "", "café, 商品 \U0001f9e5 \x00", "word " * 5_000, "a", "A blue denim jacket.", "!")
# Rounding differs with the texts that are encoded together.
_TOLERANCE = 1e-4
# An item with a title, and the one that stands for a photo of which nothing else is known.
_ITEMS = (Item("item 1", Path("item-1.jpg"), "A blue denim jacket"), Item("", Path()))


def check_captioner(captioner: Captioner, photos: Sequence[bytes]) -> None:
    """Check what ``Captioner`` promises.

    Args:
        captioner: Ready to work.
        photos: Contents of at least two photo files that it can caption.

    Raises:
        AssertionError: it breaks a promise, or fails; the message says which.
    """
    contents = list(photos)
    require(
        len(contents) >= 2 and all(isinstance(content, bytes) for content in contents),
        "Give at least two photos, each as the bytes of its file.",
    )
    with _breaches():
        _check_identity(captioner)
        question = [question_of(captioner, item) for item in _ITEMS][-1]
        working_memory(captioner)
        require(list(answers(captioner, [])) == [], "No photos, and yet an answer.")
        requests = [_request(f"photo {number}", content, question) for number, content in enumerate(contents)]
        broken = _request("broken", b"this is no photo", question)
        for answer in answers(captioner, [requests[0], broken, *requests[1:]]):
            if isinstance(answer, Failure):
                require(answer.reason != NO_ANSWER, f"Each photo has one answer; {answer.where!r} has none.")
                require(answer.where == "broken", f"A good photo failed: {answer.reason}")
                require(not answer.reason.startswith(NO_REASON), f"A failure says why. {answer.reason}")
            else:
                _check_vector(answer.vector)
        _check_photo_vectors(captioner, requests[0])
        _check_that_it_keeps_pace(captioner, requests)
        working_memory(captioner)


def _check_photo_vectors(captioner: Captioner, request: CaptionRequest) -> None:
    if photo_vectors_by(captioner) is not None:
        found = list(answers(captioner, [replace(request, only_vector=True)]))
        require(isinstance(found[0], Captioned), f"A photo of which only the vector is wanted failed: {found[0]}")


def _check_vector(vector: object) -> None:
    is_vector = isinstance(vector, np.ndarray) and vector.ndim == 1 and vector.dtype == np.float32
    require(vector is None or is_vector, "The vector of a photo is a float32 array of one dimension, or None.")


def _check_that_it_keeps_pace(captioner: Captioner, requests: Sequence[CaptionRequest]) -> None:
    too_far = "It takes photos without end before it gives an answer."
    taken = 0

    def endless() -> Iterator[CaptionRequest]:
        nonlocal taken
        for taken, request in zip(count(1), cycle(requests), strict=False):
            require(taken < _AHEAD, too_far)
            yield CaptionRequest(f"endless {taken}", request.photo, request.question)

    with closing(answers(captioner, endless())) as answered:
        first = next(answered)
    require(taken < _AHEAD, too_far)  # should the captioner have caught the error
    require(isinstance(first, Captioned), "The first answer comes while there are more photos to take.")


def check_encoder(encoder: Encoder) -> None:
    """Check what ``Encoder`` promises.

    Args:
        encoder: Ready to work.

    Raises:
        AssertionError: it breaks a promise, or fails; the message says which.
    """
    with _breaches():
        _check_identity(encoder)
        encoded(encoder, [])
        together = encoded(encoder, _TEXTS).copy()
        alone = np.concatenate([encoded(encoder, [text]) for text in _TEXTS])
        require(np.allclose(alone, together, atol=_TOLERANCE), "A vector depends on its own text alone.")
        other = encoded(encoder, ["A pair of rubber boots."])[0]
        require(not np.allclose(together[0], other, atol=1e-3), "Different texts have different vectors.")


def _check_identity(of: Captioner | Encoder) -> None:
    identity = made_by(of).identity
    require(
        len(identity) > 1, "More than the name decides the output; put the model and its settings into the identity."
    )


@contextmanager
def _breaches() -> Iterator[None]:
    """Turn what a plug-in raises, or what an index would raise over it, into a failure of the contract."""
    try:
        yield
    except AssertionError:
        raise
    except Vlm4RecError as error:
        raise AssertionError(str(error)) from error
    except (Exception, SystemExit) as error:
        raise AssertionError(f"The plug-in fails: {type(error).__name__}: {error}") from error


def _request(key: str, content: bytes, question: str) -> CaptionRequest:
    return CaptionRequest(key, PhotoFile(content, hashlib.sha256(content).hexdigest()), question)
