"""What a captioner is: the one method that matters, what goes in and what comes out. Anything like it can take its place."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from vlm4rec_edge.items import Failure

if TYPE_CHECKING:
    import numpy as np

    from vlm4rec_edge.catalog.photo import PhotoFile


@dataclass(frozen=True)
class CaptionRequest:
    """One photo to caption.

    Attributes:
        key: What its caption comes back under.
        photo: ``photo.content`` are the bytes of the photo file, ``photo.sha256`` their hash (hex).
        question: What ``question`` of the captioner returned for the item; empty where it has no such method.
        only_vector: The caption is known, and only the photo's vector is wanted; ``text`` of the answer is not
            looked at, so it may be empty. Only a captioner with a ``vector_identity`` is asked so.
    """

    key: str
    photo: PhotoFile
    question: str = ""
    only_vector: bool = False


class Captioned(NamedTuple):
    """A finished caption under the key of its request.

    ``fields`` is the JSON object of a structured caption, None for a free one. ``vector`` may be a vector of the photo
    itself, [dimensions], float32, of length 1; it is kept where the captioner has a ``vector_identity``.
    """

    key: str
    text: str
    fields: str | None = None
    vector: np.ndarray | None = None


class Captioner(Protocol):
    """Captions photos.

    Besides these members it may have: ``question(item: Item) -> str``, the prompt for an item's photo, where that
    depends on the item; ``check_columns(columns)``, which raises ``UsageError`` before a run if the prompt needs a column
    that a catalog does not have; ``batch`` and ``kv_bytes``, integers, and ``tower``, a text, for the report; ``close()``; and
    ``vector_identity``, all that decides the ``vector`` of a caption besides the photo, as a JSON object with a ``name`` that
    does not count, or None where captions have no vector. Vectors of different identities are never mixed.
    """

    @property
    def identity(self) -> Mapping[str, Any]:
        """All that decides a caption besides photo and prompt, as a JSON object.

        Captions of different identities are never taken for one another. ``name`` alone does not count: it is for people, and
        the name by which ``open_captioner`` finds the captioner again.
        """
        ...

    def caption(self, photos: Iterable[CaptionRequest]) -> Iterator[Captioned | Failure]:
        """Yield a caption for each photo, or a ``Failure`` whose ``where`` is the key, in any order.

        ``photos`` may be endless: take them one after the other, in the thread that asks for captions, and only a little ahead
        of what is yielded. A failure of one photo is yielded; what stops every photo is raised as ``ModelError``.
        """
        ...


def caption_key(photo: PhotoFile, fingerprint: str, question: str) -> str:
    """Return the key of a caption in a store: sha256 (hex) of photo, of all that makes the caption, and of the prompt."""
    return hashlib.sha256(f"{photo.sha256}\n{fingerprint}\n{question}".encode()).hexdigest()
