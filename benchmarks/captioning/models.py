"""Models to measure, their captions kept on disk, and their speed: always the package's own ``LlamaCaptioner``."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from vlm4rec_edge import LlamaCaptioner, resolve_lvlm
from vlm4rec_edge.catalog.photo import read_photo_file
from vlm4rec_edge.errors import ModelError, PhotoError, UsageError
from vlm4rec_edge.grounding.protocol import CaptionRequest, caption_key
from vlm4rec_edge.items import Failure, Item
from vlm4rec_edge.models.manifest import MANIFEST_NAME, read_manifest
from vlm4rec_edge.models.resolve import LvlmFiles

_SECONDS_BETWEEN_REPORTS = 10.0
# Photos of a speed run: so many fill the batch several times, so many are captioned one by one, and so many go before.
PHOTOS = 128
_ALONE, _WARM_UP, _RUNS = 40, 5, 5


@dataclass(frozen=True)
class Model:
    """A vision-language model under the name that tables give it, and the settings it is asked with."""

    name: str
    files: LvlmFiles
    settings: dict[str, Any]

    @property
    def megabytes(self) -> float:
        """The size of both files in MB (10**6 bytes)."""
        return (self.files.text.stat().st_size + self.files.projector.stat().st_size) / 1e6

    def captioner(self, **settings: Any) -> LlamaCaptioner:
        """Return a captioner of it."""
        return LlamaCaptioner(self.files, **self.settings, **settings)


@dataclass(frozen=True)
class Speed:
    """Milliseconds a photo: alone (median of one photo at a time) and in batches, medians of several runs."""

    model: str
    alone_ms: float
    together_ms: float
    batch: int

    def json(self) -> dict[str, Any]:
        """Return the line of the table."""
        return {
            "model": self.model,
            "alone, ms a photo": round(self.alone_ms, 1),
            "alone, photos/s": round(1000 / self.alone_ms, 1),
            "in batches, ms a photo": round(self.together_ms, 1),
            "in batches, photos/s": round(1000 / self.together_ms, 1),
            "photos in a batch": self.batch,
        }


def model_of(option: str, settings: dict[str, Any]) -> Model:
    """Return the model of ``NAME=MODEL`` or ``NAME=TEXT.gguf,MMPROJ.gguf``.

    A pair of files takes its settings (prompt, longest caption) from a ``manifest.json`` beside the text file, so that
    each quantization is asked alike.

    Raises:
        UsageError: the option has another form.
        ModelError: there is no such model, or a file is damaged.
    """
    name, equals, place = option.partition("=")
    if not (name and equals and place):
        raise UsageError(f"--model is NAME=MODEL or NAME=TEXT.gguf,MMPROJ.gguf, not {option!r}.")
    text, comma, projector = place.partition(",")
    if not comma:
        return Model(name, resolve_lvlm(place), settings)
    files = resolve_lvlm(text, projector=Path(projector))
    if (files.text.parent / MANIFEST_NAME).is_file():
        manifest = read_manifest(files.text.parent)
        if manifest.lvlm is None:
            raise ModelError(
                f"{files.text.parent / MANIFEST_NAME} has no settings under lvlm; remove it or export again."
            )
        files = replace(files, settings=manifest.lvlm)
    return Model(name, files, settings)


def captions_of(
    captioner: LlamaCaptioner, photos: Sequence[Path], folder: Path, say: Callable[[str], None]
) -> list[str]:
    """Return the caption of each photo, empty where none could be made; those in ``folder`` are not made again.

    Captions are appended to a file named by the captioner's fingerprint, by photo and question, as they come, so that a
    run can be stopped at any time and goes on where it was.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{captioner.fingerprint[:16]}.jsonl"
    known = _read_known(path)
    keys = [_key(captioner, photo) for photo in photos]
    to_do = {key: photo for key, photo in zip(keys, photos, strict=True) if key and key not in known}
    if to_do:
        say(f"{len(to_do):,} of {len(photos):,} captions to make")
        started = reported = time.monotonic()
        done = 0
        with path.open("a", encoding="utf-8") as stream:
            for result in captioner.caption(_requests(captioner, to_do)):
                done += 1
                if isinstance(result, Failure):
                    say(f"no caption: {result.reason}")
                else:
                    known[result[0]] = result[1]
                    stream.write(json.dumps({"key": result[0], "caption": result[1]}) + "\n")
                    stream.flush()
                if (now := time.monotonic()) - reported >= _SECONDS_BETWEEN_REPORTS:
                    pace, reported = done / (now - started), now
                    say(
                        f"{done:,} of {len(to_do):,}, {pace:.1f} photos/s, {(len(to_do) - done) / pace / 60:.0f} min left"
                    )
        say(
            f"{done:,} captions in {time.monotonic() - started:.0f} s, {done / (time.monotonic() - started):.1f} photos/s"
        )
    return [known.get(key, "") for key in keys]


def speed_of(model: Model, photos: Sequence[Path]) -> Speed:
    """Measure a model on some photos; needs a machine with nothing else to do."""

    def seconds(captioner: LlamaCaptioner, some: Sequence[Path]) -> float:
        requests = list(_requests(captioner, {str(at): photo for at, photo in enumerate(some)}))
        began = time.perf_counter()
        for _ in captioner.caption(requests):
            pass
        return time.perf_counter() - began

    with model.captioner(batch=1) as captioner:
        seconds(captioner, photos[:_WARM_UP])
        alone = [median(seconds(captioner, [photo]) for photo in photos[:_ALONE]) for _ in range(_RUNS)]
    with model.captioner() as captioner:
        seconds(captioner, photos[:_WARM_UP])
        together = [seconds(captioner, photos) / len(photos) for _ in range(_RUNS)]
        return Speed(model.name, 1000 * median(alone), 1000 * median(together), captioner.batch)


def _requests(captioner: LlamaCaptioner, photos: dict[str, Path]) -> Iterator[CaptionRequest]:
    for key, photo in photos.items():
        yield CaptionRequest(key, read_photo_file(photo), captioner.question(Item(photo.stem, photo)))


def _key(captioner: LlamaCaptioner, photo: Path) -> str:
    """Return the key of a photo's caption; empty for a photo that cannot be read."""
    try:
        return caption_key(read_photo_file(photo), captioner.fingerprint, captioner.question(Item(photo.stem, photo)))
    except PhotoError:
        return ""


def _read_known(path: Path) -> dict[str, str]:
    """Return the captions of a file by key; a last line that was cut off is cut away."""
    if not path.is_file():
        return {}
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        path.write_bytes(whole)
    lines = [json.loads(line) for line in whole.decode("utf-8").splitlines()]
    return {line["key"]: line["caption"] for line in lines}
