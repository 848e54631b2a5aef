"""What a photo costs is bounded: by its pixels, by its parts, and by what other threads decode at the same time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from costly_photos import costly_photos, large_photos
from hostile_corpus import valid_photos
from pictures import photo_of

from vlm4rec_edge.catalog.photo import decode_photo
from vlm4rec_edge.errors import PhotoError

# Each takes at most 2 s on a slow core; without a bound the least of them takes 9.
SECONDS = 6.0
# A progressive CMYK JPEG of 100 megapixels takes 800 MB in libjpeg, a WebP of 40 megapixels 650 MB in libwebp.
# The allocator keeps some of what the photo before took.
PEAK_BYTES = 1400 * 1024**2

_DECODE_IN_TWO_THREADS = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from vlm4rec_edge.catalog.photo import decode_photo, read_photo_file
with ThreadPoolExecutor(2) as pool:
    for pixels in pool.map(lambda name: decode_photo(read_photo_file(Path(name)), name), sys.argv[1:]):
        assert max(pixels.shape) == 2048
from decode_corpus import peak_bytes
print(peak_bytes())
"""


@pytest.mark.parametrize("name", costly_photos())
def test_a_photo_that_is_dear_to_open_is_refused_in_little_time(name: str) -> None:
    content = costly_photos()[name]()
    started = time.process_time()
    with pytest.raises(PhotoError, match=name):
        decode_photo(photo_of(content), name)
    assert time.process_time() - started < SECONDS


@pytest.mark.skipif(sys.platform != "linux", reason="needs the memory figures of Linux")
def test_the_largest_photos_fit_in_memory_even_when_two_threads_decode(tmp_path: Path) -> None:
    for name, content in large_photos().items():
        (tmp_path / name).write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-c", _DECODE_IN_TWO_THREADS, *map(str, sorted(tmp_path.iterdir()))],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])},
        text=True,
        timeout=200,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) < PEAK_BYTES, f"{int(done.stdout) / 1e6:.0f} MB"


def test_a_photo_with_much_honest_metadata_is_still_a_photo() -> None:
    plain = valid_photos()["jpeg-RGB"]
    depth_map = b"\xff\xe1\xff\xff" + b"http://ns.adobe.com/xmp/extension/\0" + bytes(65535 - 37)
    film = np.random.default_rng(1).bytes(3_000_000)  # a motion photo carries a film behind the picture
    rich = plain[:2] + depth_map * 60 + plain[2:] + film
    assert (decode_photo(photo_of(rich), "rich") == decode_photo(photo_of(plain), "plain")).all()


def test_metadata_that_cannot_be_read_does_not_cost_the_picture() -> None:
    plain = valid_photos()["jpeg-exif"]
    at = plain.index(b"Exif\0\0") + 6
    broken = plain[:at] + b"II*\0\x08\0\0\0\xff\xff" + b"\x12\x01\x04\0\xff\xff\xff\x7f\x08\0\0\0" + plain[at + 22 :]
    assert decode_photo(photo_of(broken), "broken").shape == (28, 40, 3)  # not turned, since nothing says which way


def test_values_that_are_no_numbers_are_black_or_white_and_no_warning(recwarn: pytest.WarningsRecorder) -> None:
    import io

    from PIL import Image

    values = np.array([[0.0, 0.5, 1.0, np.nan, np.inf, -np.inf]], dtype=np.float32) * 1000
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "TIFF")
    assert decode_photo(photo_of(stream.getvalue()), "scan")[0, :, 0].tolist() == [0, 127, 255, 0, 255, 0]
    assert [str(warning.message) for warning in recwarn.list] == []
