"""Six thousand hostile photos: each gives a picture or a sentence, in little time and memory, and no process dies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hostile_corpus import disguises, valid_photos
from pictures import photo_of
from PIL import ImageFile

from vlm4rec_edge.catalog.formats import FORMATS
from vlm4rec_edge.catalog.photo import decode_photo
from vlm4rec_edge.errors import PhotoError

PHOTOS = 6_000
SECONDS_A_PHOTO = 10.0
# Python, numpy and Pillow take about 70 MB; a mutant whose header claims 100 megapixels may take 400 MB more.
PEAK_BYTES = 700 * 1024**2
ADDRESS_SPACE = 4 * 1024**3


@pytest.mark.skipif(sys.platform != "linux", reason="needs the resource limits, alarms and memory figures of Linux")
def test_no_hostile_photo_ends_stops_or_bloats_the_process_that_decodes_it(tmp_path: Path) -> None:
    script = Path(__file__).with_name("decode_corpus.py")
    places = [str(Path(__file__).parent), *sys.path]
    done = subprocess.run(
        [sys.executable, *map(str, (script, tmp_path, 0, PHOTOS, SECONDS_A_PHOTO, ADDRESS_SPACE))],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(places), "OPENBLAS_NUM_THREADS": "1"},
        timeout=300,
        check=False,
    )
    last = (tmp_path / "at").read_text().strip()
    # A negative code is a signal: -14 the alarm of a photo that took too long, -11 a crash in a decoder.
    assert done.returncode == 0, f"ended with {done.returncode} at photo {last}: {done.stderr[-2000:]}"
    assert done.stderr == "", "native decoders wrote to the terminal"
    result = json.loads(done.stdout)
    assert result["wrong"] == []
    assert result["pictures"] + result["refused"] == PHOTOS
    # A corpus that is all refused, or hardly ever, would show nothing.
    assert min(result["pictures"], result["refused"]) > PHOTOS // 8
    assert result["slowest"][0] < SECONDS_A_PHOTO
    assert result["peak"] < PEAK_BYTES, result


def test_the_photos_that_the_corpus_is_made_from_are_whole_and_of_every_format() -> None:
    for name, content in valid_photos().items():
        pixels = decode_photo(photo_of(content), name)
        assert pixels.size >= 40 * 28 * 3, name
        assert len(np.unique(pixels)) >= 2, name
    begun_with = {name.partition("-")[0].upper() for name in valid_photos()}
    assert begun_with == set(FORMATS) - {"HEIF"}  # Pillow alone writes none


@pytest.mark.parametrize("name", disguises())
def test_what_hides_behind_the_name_of_a_photo_is_refused_or_only_looked_at(name: str) -> None:
    content = disguises()[name]
    try:
        pixels = decode_photo(photo_of(content), name)
    except PhotoError as error:
        assert str(error).startswith(f"{name} ")
    else:  # it is a whole photo with something behind it, which nothing runs
        assert content[:3] in {valid[:3] for valid in valid_photos().values()}
        assert min(pixels.shape[:2]) > 0 and pixels.dtype == np.uint8


def test_damaged_photos_are_not_completed_with_grey() -> None:
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False
    for name, content in valid_photos().items():
        # Half of a progressive JPEG is the whole picture, only coarser; of several pictures the first is whole.
        if not any(kind in name for kind in ("stereo-camera", "progressive", "animated", "pages")):
            with pytest.raises(PhotoError):
                decode_photo(photo_of(content[: len(content) // 2]), name)
