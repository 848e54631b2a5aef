"""What goes into a captioner and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from vlm4rec_edge.catalog.photo import PhotoFile


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
