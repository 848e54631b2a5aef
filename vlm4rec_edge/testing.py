"""The contract of plug-ins, to be called from their own tests: each function raises ``AssertionError`` where it is broken."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from itertools import count, cycle

import numpy as np

from vlm4rec_edge.catalog.photo import PhotoFile
from vlm4rec_edge.encoding.protocol import Encoder
from vlm4rec_edge.grounding.protocol import Captioned, Captioner, CaptionRequest
from vlm4rec_edge.items import Failure
from vlm4rec_edge.provenance import fingerprint

# How far a captioner may be ahead of what it yields.
_AHEAD = 10_000
_TEXTS = ("A blue denim jacket.", "", "café, 商品 \U0001f9e5 \x00", "word " * 5_000, "a", "A blue denim jacket.", "!")
# Rounding differs with the texts that are encoded together.
_TOLERANCE = 1e-4


def check_captioner(captioner: Captioner, photos: Sequence[bytes]) -> None:
    """Check what ``Captioner`` promises.

    Args:
        captioner: Ready to work.
        photos: Contents of at least two photo files that it can caption.
    """
    _check_identity(captioner.identity, captioner)
    assert list(captioner.caption([])) == [], "No photos, and yet an answer."
    requests = [_request(f"photo {number}", content) for number, content in enumerate(photos)]
    broken = _request("broken", b"this is no photo")
    answers = list(captioner.caption([requests[0], broken, *requests[1:]]))
    keys = [answer.where if isinstance(answer, Failure) else answer.key for answer in answers]
    assert sorted(keys) == sorted(request.key for request in [broken, *requests]), (
        f"Each photo has one answer, not {keys}."
    )
    for answer in answers:
        if isinstance(answer, Failure):
            assert answer.where == "broken", f"A good photo failed: {answer.reason}"
            assert answer.reason, "A failure says why."
        else:
            assert isinstance(answer, Captioned)
            assert answer.text.strip(), "A caption says something."
            assert answer.fields is None or isinstance(json.loads(answer.fields), dict), "Fields are a JSON object."
            assert answer.vector is None or (answer.vector.ndim == 1 and answer.vector.dtype == np.float32)
    _check_that_it_keeps_pace(captioner, requests)


def _check_that_it_keeps_pace(captioner: Captioner, requests: Sequence[CaptionRequest]) -> None:
    taken = 0

    def endless() -> Iterator[CaptionRequest]:
        nonlocal taken
        for taken, request in zip(count(1), cycle(requests), strict=False):
            assert taken < _AHEAD, "It takes photos without end before it gives an answer."
            yield CaptionRequest(f"endless {taken}", request.photo, request.question)

    answers = captioner.caption(endless())
    assert isinstance(next(iter(answers)), Captioned), "The first answer comes while there are more photos to take."
    del answers


def check_encoder(encoder: Encoder) -> None:
    """Check what ``Encoder`` promises.

    Args:
        encoder: Ready to work.
    """
    _check_identity(encoder.identity, encoder)
    width = encoder.dimensions
    assert encoder.encode([]).shape == (0, width), "No texts give no rows."
    together = encoder.encode(_TEXTS)
    assert together.shape == (len(_TEXTS), width), f"A row a text and {width} columns, not {together.shape}."
    assert together.dtype == np.float32, f"float32, not {together.dtype}."
    lengths = np.linalg.norm(together.astype(np.float64), axis=1)
    assert np.allclose(lengths, 1, atol=1e-3), f"Every vector has length 1, also of odd texts: {lengths}"
    alone = np.concatenate([encoder.encode([text]) for text in _TEXTS])
    assert np.allclose(alone, together, atol=_TOLERANCE), "A vector depends on its own text alone."
    assert not np.allclose(together[0], encoder.encode(["A pair of rubber boots."])[0], atol=1e-3), (
        "All texts are alike."
    )


def _check_identity(identity: object, of: Captioner | Encoder) -> None:
    assert isinstance(identity, dict), "The identity is a JSON object."
    assert json.loads(json.dumps(identity)) == identity, "The identity holds only what JSON can hold."
    assert isinstance(identity.get("name"), str), "The identity has a name, for people and to be found by."
    assert len(identity) > 1, "More than the name decides the output; put the model and its settings into the identity."
    assert fingerprint(of.identity) == fingerprint(identity), "The identity stays the same."


def _request(key: str, content: bytes) -> CaptionRequest:
    return CaptionRequest(key, PhotoFile(content, hashlib.sha256(content).hexdigest()))
