"""Small made pictures, as files and as requests for captions."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from drawings import Drawing, draw
from PIL import Image

from vlm4rec_edge.catalog.photo import PhotoFile
from vlm4rec_edge.grounding.llama.captioner import LlamaCaptioner
from vlm4rec_edge.grounding.protocol import CaptionRequest
from vlm4rec_edge.items import Failure

QUESTION = "Describe this product."


def swatch(*colour: int, size: tuple[int, int] = (24, 36)) -> Image.Image:
    """A picture of one colour."""
    return Image.new("RGB", size, colour)


def swatches(folder: Path, count: int) -> list[Path]:
    """Write ``count`` pictures, each of another colour, and return their paths, in order."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:04}.png" for number in range(count)]
    for number, path in enumerate(paths):
        swatch(number * 37 % 256, number * 91 % 256, number // 256 * 60 + number % 50).save(path)
    return paths


def captioned_photos(folder: Path) -> tuple[Path, Path]:
    """Write two photos into a folder, and a table of captions beside it, so that no model is needed; return both paths."""
    photos, captions = swatches(folder / "photos", 2)[0].parent, folder / "captions.csv"
    captions.write_text("id,caption\n0000,A red coat.\n0001,A bag.\n", encoding="utf-8")
    return photos, captions


@cache
def drawn(kind: str, colour: str, seed: int = 1) -> Image.Image:
    """A drawing of a plain garment."""
    return draw(Drawing(kind, colour, "solid", seed), (160, 240))


def photo_of(content: bytes) -> PhotoFile:
    """The bytes of a file as the catalog hands them on."""
    return PhotoFile(content, hashlib.sha256(content).hexdigest())


def encoded(picture: Image.Image, form: str = "PNG", **settings: object) -> bytes:
    """A picture as the bytes of a file."""
    stream = io.BytesIO()
    picture.save(stream, form, **settings)
    return stream.getvalue()


def requests_for(pictures: Mapping[str, Image.Image | bytes], question: str = QUESTION) -> list[CaptionRequest]:
    """A request for each picture, or for the bytes of a file, under its name."""
    return [
        CaptionRequest(name, photo_of(picture if isinstance(picture, bytes) else encoded(picture)), question)
        for name, picture in pictures.items()
    ]


def answers(captioner: LlamaCaptioner, requests: Iterable[CaptionRequest]) -> tuple[dict[str, str], dict[str, Failure]]:
    """Captions and failures, by key; no request may be lost or answered twice."""
    captions: dict[str, str] = {}
    failures: dict[str, Failure] = {}
    for result in captioner.caption(requests):
        key = result.where if isinstance(result, Failure) else result[0]
        assert key not in captions
        assert key not in failures
        if isinstance(result, Failure):
            failures[key] = result
        else:
            captions[key] = result[1]
    return captions, failures
