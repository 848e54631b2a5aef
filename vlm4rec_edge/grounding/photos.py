"""Describe photo files in words, without an index."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vlm4rec_edge.catalog.cut import tell_cut
from vlm4rec_edge.catalog.photo import read_photo_file
from vlm4rec_edge.errors import ModelError, PhotoError
from vlm4rec_edge.given import each_path, path_of
from vlm4rec_edge.grounding.answers import answers, question_of, tower_of, working_memory
from vlm4rec_edge.grounding.protocol import Captioned, Captioner, CaptionRequest
from vlm4rec_edge.items import Failure, Item


@dataclass(frozen=True)
class CaptionReport:
    """Paths and captions of some photos, in the order given, and what could not be used.

    ``batch``, ``kv_bytes`` and ``tower`` are those of ``IndexReport``.
    """

    captions: tuple[tuple[str, Captioned], ...]
    failures: tuple[Failure, ...]
    batch: int
    kv_bytes: int
    tower: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the document that ``caption --json`` prints."""
        captions = [
            {"image": image, "caption": said.text, "fields": None if said.fields is None else json.loads(said.fields)}
            for image, said in self.captions
        ]
        failures = [asdict(failure) for failure in self.failures]
        memory = {"batch": self.batch, "kv_bytes": self.kv_bytes}
        return {"captions": captions, "failures": failures, **memory, "tower": self.tower}


def caption_photos(
    photos: Iterable[Path | str], captioner: Captioner, *, on_progress: Callable[[int], None] | None = None
) -> CaptionReport:
    """Caption photo files; a photo given twice is captioned once.

    Args:
        photos: Their paths, any iterable, which is read once.
        captioner: Stays open.
        on_progress: Called with how many are done.

    Raises:
        ModelError, DeviceError, MissingDependencyError: what stops every photo.
        UsageError: ``photos`` is one path, or one of them is none.
    """
    paths = each_path(photos, "Photos")
    captions: dict[str, Captioned] = {}
    failures: list[Failure] = []
    lack_end: set[str] = set()

    def requests() -> Iterator[CaptionRequest]:
        question = question_of(captioner, Item("", Path()))
        for photo in dict.fromkeys(paths):
            try:
                file = read_photo_file(photo)
            except PhotoError as error:
                failures.append(Failure(str(photo), "photo", str(error)))
                continue
            if file.lacks_end:
                lack_end.add(str(photo))
            yield CaptionRequest(str(photo), file, question)

    for result in answers(captioner, requests()):
        if isinstance(result, Failure):
            failures.append(result)
        else:
            captions[result.key] = result
            if result.key in lack_end:
                tell_cut(result.key)
        if on_progress is not None:
            on_progress(len(captions) + len(failures))
    in_order = tuple((str(photo), captions[str(photo)]) for photo in paths if str(photo) in captions)
    return CaptionReport(in_order, tuple(failures), *working_memory(captioner), tower_of(captioner))


def caption_photo(photo: Path | str, captioner: Captioner) -> str:
    """Return the caption of one photo file.

    Raises:
        PhotoError: the photo cannot be used.
        ModelError, DeviceError, MissingDependencyError: as ``caption_photos``.
        UsageError: ``photo`` is not a path.
    """
    report = caption_photos([path_of(photo, "A photo")], captioner)
    for failure in report.failures:
        raise PhotoError(failure.reason)
    for _, said in report.captions:
        return said.text
    raise ModelError(f"The captioner gave no answer for {photo}.")
