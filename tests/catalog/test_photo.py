"""A photo of any format and mode becomes the same upright RGB picture; what is no photo becomes a sentence."""

from __future__ import annotations

import io
import os
import socket
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from pictures import encoded, photo_of, swatch
from PIL import Image, ImageCms

from vlm4rec_edge.catalog import formats, photo
from vlm4rec_edge.catalog.formats import readable_formats
from vlm4rec_edge.catalog.photo import MAX_FILE_BYTES, decode_photo, read_photo_file
from vlm4rec_edge.errors import PhotoError

ORANGE = (230, 120, 40)


def _decoded(content: bytes, **settings: int) -> np.ndarray:
    pixels = decode_photo(photo_of(content), "the photo", **settings)
    assert (pixels.dtype, pixels.ndim, pixels.shape[2]) == (np.uint8, 3, 3)
    return pixels


def _colour(pixels: np.ndarray) -> tuple[int, ...]:
    return tuple(int(value) for value in np.median(pixels.reshape(-1, 3), axis=0))


def _near(found: tuple[int, ...], wanted: tuple[int, ...], tolerance: int) -> bool:
    return all(abs(one - other) <= tolerance for one, other in zip(found, wanted, strict=True))


def _png(width: int, height: int, depth: int, kind: int, rows: bytes, *extra: tuple[bytes, bytes]) -> bytes:
    """A PNG written by hand (https://www.w3.org/TR/png-3/), for what Pillow does not write."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)), *extra]
    chunks += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


@pytest.mark.parametrize(
    ("form", "settings"),
    [
        ("PNG", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("WEBP", {"lossless": True}),
        ("GIF", {}),
        ("JPEG", {"quality": 95}),
        ("JPEG", {"quality": 95, "progressive": True}),
    ],
)
def test_every_format_gives_the_colour_that_was_put_in(form: str, settings: dict[str, object]) -> None:
    pixels = _decoded(encoded(swatch(*ORANGE, size=(30, 20)), form, **settings))
    assert pixels.shape == (20, 30, 3)
    assert _near(_colour(pixels), ORANGE, 4)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "RGBX", "CMYK", "P", "L", "1", "LA", "YCbCr", "I;16", "I", "F", "PA"])
def test_every_mode_of_a_grey_picture_gives_that_grey(mode: str) -> None:
    grey = Image.new("L", (16, 12), 128)
    if mode in {"I;16", "I", "F"}:
        values = np.full((12, 16), 128 * 257, dtype={"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode])
        if mode == "F":  # a float picture has no fixed white; its brightest value is taken for white
            values[0, 0] = 65535.0
        picture = Image.fromarray(values)
    elif mode == "1":
        picture = Image.new("1", (16, 12), 1)
    else:
        picture = grey.convert("RGB").convert(mode) if mode in {"RGBX", "CMYK", "YCbCr"} else grey.convert(mode)
    form = "JPEG" if mode in {"CMYK", "YCbCr"} else "TIFF"
    wanted = (255,) * 3 if mode == "1" else (128,) * 3
    if mode in {"PA"}:
        form, picture = "PNG", picture.convert("LA")
    assert _near(_colour(_decoded(encoded(picture, form))), wanted, 2)


def test_a_cmyk_jpeg_keeps_its_colour_and_is_not_inverted() -> None:
    assert _near(_colour(_decoded(encoded(swatch(*ORANGE).convert("CMYK"), "JPEG", quality=95))), ORANGE, 6)
    assert _near(_colour(_decoded(encoded(swatch(*ORANGE).convert("CMYK"), "TIFF"))), ORANGE, 2)


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bit_grey_stays_grey_and_keeps_its_steps(form: str) -> None:
    ramp = np.linspace(0, 65535, 64, dtype=np.uint16)[None, :].repeat(8, axis=0)
    pixels = _decoded(encoded(Image.fromarray(ramp), form))
    assert np.abs(pixels[0, :, 0].astype(int) - np.linspace(0, 255, 64)).max() <= 1
    assert (pixels[..., 0] == pixels[..., 1]).all()


def test_sixteen_bit_colour_and_transparency_keep_their_colour() -> None:
    colour = b"".join(struct.pack(">H", value * 257) for value in ORANGE)
    assert _near(_colour(_decoded(_png(4, 3, 16, 2, (b"\0" + colour * 4) * 3))), ORANGE, 1)
    clear = colour + struct.pack(">H", 0)
    assert _colour(_decoded(_png(4, 3, 16, 6, (b"\0" + clear * 4) * 3))) == (255, 255, 255)


def test_what_is_transparent_lies_on_white() -> None:
    picture = Image.new("RGBA", (20, 10), (0, 0, 0, 0))
    picture.paste((*ORANGE, 255), (0, 0, 10, 10))
    for form, settings in (("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})):
        pixels = _decoded(encoded(picture, form, **settings))
        assert _near(_colour(pixels[:, :9]), ORANGE, 2)
        assert _colour(pixels[:, 11:]) == (255, 255, 255)


def test_half_transparent_colour_is_mixed_with_white() -> None:
    pixels = _decoded(encoded(Image.new("RGBA", (8, 8), (200, 0, 0, 128))))
    assert _near(_colour(pixels), (227, 127, 127), 2)


@pytest.mark.parametrize("form", ["PNG", "GIF"])
def test_a_transparent_entry_of_a_palette_lies_on_white(form: str) -> None:
    picture = Image.new("P", (20, 10), 0)
    picture.putpalette([0, 0, 0, *ORANGE] + [0] * 762)
    picture.paste(1, (0, 0, 10, 10))
    pixels = _decoded(encoded(picture, form, transparency=0))
    assert _near(_colour(pixels[:, :9]), ORANGE, 2)
    assert _colour(pixels[:, 11:]) == (255, 255, 255)


def test_one_colour_that_is_declared_transparent_lies_on_white() -> None:
    picture = swatch(0, 0, 0, size=(20, 10))
    picture.paste(ORANGE, (0, 0, 10, 10))
    pixels = _decoded(encoded(picture, "PNG", transparency=(0, 0, 0)))
    assert _near(_colour(pixels[:, :9]), ORANGE, 1)
    assert _colour(pixels[:, 11:]) == (255, 255, 255)


@pytest.mark.parametrize(
    ("form", "settings"),
    [("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("TIFF", {})],
)
def test_an_animation_or_a_document_gives_its_first_frame(form: str, settings: dict[str, object]) -> None:
    frames = [swatch(*ORANGE), swatch(0, 0, 255), swatch(0, 255, 0)]
    content = encoded(frames[0], form, save_all=True, append_images=frames[1:], **settings)
    assert Image.open(io.BytesIO(content)).n_frames == 3
    assert _near(_colour(_decoded(content)), ORANGE, 3)


def test_a_multi_picture_jpeg_of_a_camera_gives_its_first_picture() -> None:
    content = encoded(swatch(*ORANGE), "MPO", save_all=True, append_images=[swatch(0, 0, 255)], quality=95)
    assert _near(_colour(_decoded(content)), ORANGE, 4)


def test_a_heif_photo_is_read_with_the_plug_in_of_pillow() -> None:
    pytest.importorskip("pillow_heif")
    assert "HEIF" in readable_formats()  # registers it
    assert _near(_colour(_decoded(encoded(swatch(*ORANGE, size=(64, 48)), "HEIF", quality=95))), ORANGE, 4)


def test_without_that_plug_in_a_heif_photo_is_told_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "readable_formats", lambda: ("JPEG",))
    monkeypatch.setattr(photo, "readable_formats", lambda: ("JPEG",))
    with pytest.raises(PhotoError, match=r'the photo is a HEIF photo .*pip install "vlm4rec-edge\[heif\]"'):
        _decoded(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_photo_stands_upright_whichever_way_the_camera_was_held(orientation: int, form: str) -> None:
    upright = Image.new("RGB", (40, 60), "white")
    upright.paste((255, 0, 0), (0, 0, 20, 30))  # red in the top left, blue in the bottom right
    upright.paste((0, 0, 255), (20, 30, 40, 60))
    undo = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    held = upright if undo is None else upright.transpose(undo)
    exif = Image.Exif()
    exif[0x0112] = orientation
    settings = {"JPEG": {"quality": 95}, "WEBP": {"lossless": True}}.get(form, {})
    pixels = _decoded(encoded(held, form, exif=exif, **settings))
    assert pixels.shape == (60, 40, 3)
    assert _near(_colour(pixels[5:25, 5:15]), (255, 0, 0), 6)
    assert _near(_colour(pixels[35:55, 25:35]), (0, 0, 255), 6)


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_a_large_photo_is_reduced_and_a_small_one_left_alone(form: str) -> None:
    assert max(_decoded(encoded(swatch(*ORANGE, size=(900, 300)), form), max_side=256).shape) == 256
    assert _decoded(encoded(swatch(*ORANGE, size=(90, 30)), form), max_side=256).shape == (30, 90, 3)
    assert _decoded(encoded(swatch(*ORANGE, size=(3000, 1)), form), max_side=256).shape == (1, 256, 3)


def test_one_pixel_is_a_picture() -> None:
    assert _decoded(encoded(swatch(*ORANGE, size=(1, 1)))).tolist() == [[list(ORANGE)]]


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"])
@pytest.mark.parametrize("kept", [0.5, 0.9])
def test_a_truncated_photo_is_refused(form: str, kept: float) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    content = encoded(Image.fromarray(noise), form)
    with pytest.raises(PhotoError, match=r"the photo is (damaged or truncated|in no format)"):
        _decoded(content[: int(len(content) * kept)])


@pytest.mark.parametrize(
    ("form", "settings"), [("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("PNG", {"mode": "RGBA"})]
)
@pytest.mark.parametrize("lost", [10, 16, 60])
def test_a_photo_that_lacks_only_its_last_bytes_is_used(form: str, settings: dict[str, object], lost: int) -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 255, (128, 96, 3), dtype=np.uint8))
    whole = encoded(noise.convert(str(settings.get("mode", "RGB"))), form, progressive="progressive" in settings)
    cut = photo_of(whole[: len(whole) - lost])
    assert cut.lacks_end
    pixels, complete = decode_photo(cut, "cut"), _decoded(whole)
    assert pixels.shape == complete.shape
    assert (pixels == complete).all(axis=2).mean() > 0.9


def test_a_photo_with_bytes_behind_its_end_is_whole() -> None:
    for form in ("JPEG", "PNG"):
        assert not photo_of(encoded(swatch(*ORANGE), form) + bytes(100)).lacks_end


def _profile(space: bytes, *tags: tuple[bytes, bytes]) -> bytes:
    """An ICC profile, version 2 (https://www.color.org/icc32.pdf), of these tags and a name."""
    name = b"made\0"
    every = [(b"desc", b"desc" + struct.pack(">II", 0, len(name)) + name + bytes(78)), *tags]
    at, table, data = 132 + 12 * len(every), b"", b""
    for tag, body in every:
        content = body + bytes(-len(body) % 4)
        table += tag + struct.pack(">II", at + len(data), len(content))
        data += content
    pcs = b"Lab " if space == b"CMYK" else b"XYZ "
    kind = b"prtr" if space == b"CMYK" else b"mntr"
    white = struct.pack(">3i", *(round(value * 65536) for value in (0.9642, 1.0, 0.8249)))
    head = struct.pack(">I4sI4s4s4s", at + len(data), b"none", 0x02400000, kind, space, pcs)
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + white
    return head.ljust(128, b"\0") + struct.pack(">I", len(every)) + table + data


def _xyz(*values: float) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(value * 65536) for value in values))


def _gamma(value: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(value * 256))


WHITE = (b"wtpt", _xyz(0.9642, 1.0, 0.8249))
# Adobe RGB (1998), its primaries adapted to D50.
WIDE = _profile(
    b"RGB ",
    WHITE,
    *((name + b"XYZ", _xyz(*values)) for name, values in {
        b"r": (0.60974, 0.31111, 0.01947), b"g": (0.20528, 0.62567, 0.06087), b"b": (0.14919, 0.06322, 0.74457),
    }.items()),
    *((name + b"TRC", _gamma(2.19921875)) for name in (b"r", b"g", b"b")),
)  # fmt: skip
DARK_GREY = _profile(b"GRAY", WHITE, (b"kTRC", _gamma(1.0)))


def _inks() -> bytes:
    """A profile of four inks that print nothing but how light they are together: L falls by a quarter for each."""
    same = bytes(range(256))
    grid = b"".join(bytes((255 - 63 * node.bit_count(), 128, 128)) for node in range(16))
    matrix = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    return _profile(
        b"CMYK", WHITE, (b"A2B0", b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + matrix + same * 4 + grid + same * 3)
    )


@pytest.mark.parametrize(("form", "settings"), [("JPEG", {"quality": 95}), ("PNG", {}), ("TIFF", {})])
def test_colours_of_a_profile_are_shown_as_they_are_meant(form: str, settings: dict[str, object]) -> None:
    # From https://www.adobe.com/digitalimag/pdfs/AdobeRGB1998.pdf by way of XYZ: this colour is sRGB's (230, 120, 40).
    told = _decoded(encoded(swatch(205, 119, 51), form, icc_profile=WIDE, **settings))
    plain = _decoded(encoded(swatch(205, 119, 51), form, **settings))
    assert _near(_colour(told), (231, 120, 41), 5)
    assert _near(_colour(plain), (205, 119, 51), 3)


def test_a_profile_is_heeded_in_every_mode_it_is_made_for() -> None:
    wide = swatch(205, 119, 51)
    for picture in (wide.convert("RGBA"), wide.quantize(4)):
        assert _near(_colour(_decoded(encoded(picture, icc_profile=WIDE))), (231, 120, 41), 5)
    assert _colour(_decoded(encoded(Image.new("L", (8, 8), 55), icc_profile=DARK_GREY)))[0] == pytest.approx(128, abs=3)
    two_inks = Image.new("CMYK", (8, 8), (255, 255, 0, 0))
    assert _near(_colour(_decoded(encoded(two_inks, "TIFF", icc_profile=_inks()))), (119, 119, 119), 6)
    assert _near(_colour(_decoded(encoded(two_inks, "TIFF"))), (0, 0, 255), 2)


@pytest.mark.parametrize(
    "profile",
    [b"no profile", WIDE[:200], DARK_GREY, ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()],
    ids=["nonsense", "cut off", "of another mode", "sRGB itself"],
)
def test_a_photo_whose_profile_says_nothing_keeps_its_values_exactly(profile: bytes) -> None:
    noise = Image.fromarray(np.random.default_rng(2).integers(0, 255, (32, 24, 3), dtype=np.uint8))
    assert (_decoded(encoded(noise, icc_profile=profile)) == np.asarray(noise)).all()


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"])
def test_damage_anywhere_gives_a_picture_or_a_sentence(form: str) -> None:
    whole = encoded(Image.linear_gradient("L").convert("RGB").resize((32, 32)), form)
    chance = np.random.default_rng(7)
    for _ in range(60):
        content = bytearray(whole)
        for place in chance.integers(0, len(content), 3):
            content[place] = int(chance.integers(0, 256))
        try:
            _decoded(bytes(content))
        except PhotoError as error:
            assert str(error)


@pytest.mark.parametrize(
    "content",
    [
        b"\0",
        b"not a picture",
        b"%PDF-1.7\n%",
        b"GIF89a",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff",
        b"RIFF\x10\0\0\0WEBPVP8 ",
    ],
)
def test_what_is_no_picture_is_refused(content: bytes) -> None:
    with pytest.raises(PhotoError, match="the photo is"):
        _decoded(content)


def test_a_drawing_that_would_run_another_program_is_no_photo() -> None:
    with pytest.raises(PhotoError, match="in no format known here"):
        _decoded(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n")


@pytest.mark.parametrize(("width", "height"), [(50_000, 50_000), (12_000, 12_000), (65_535, 2_000)])
def test_a_decompression_bomb_is_refused_by_its_header(width: int, height: int) -> None:
    rows = (b"\0" + bytes(width // 8 + 1)) * 20
    with pytest.raises(PhotoError, match=r"would unpack to"):
        _decoded(_png(width, height, 1, 0, rows))


def test_a_bomb_in_the_text_of_a_png_does_not_unpack() -> None:
    text = b"Comment\0\0" + zlib.compress(bytes(80_000_000), 9)
    rows = (b"\0" + bytes(ORANGE) * 4) * 3
    content = _png(4, 3, 8, 2, rows, (b"zTXt", text))
    try:
        assert _colour(_decoded(content)) == ORANGE
    except PhotoError as error:
        assert "damaged" in str(error)


def test_a_photo_file_is_its_bytes_and_their_hash(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"abc")
    read = read_photo_file(path)
    assert read.content == b"abc"
    assert read.sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_what_cannot_be_read_is_a_sentence_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as server:
        place = Path(os.path.relpath(tmp_path / "s.jpg"))  # a socket's path may have no more than 107 bytes
        server.bind(str(min(place, tmp_path / "s.jpg", key=lambda path: len(str(path)))))
    for name, reason in (
        ("empty.jpg", "is empty"),
        ("folder.jpg", "is not a regular file"),
        ("pipe.jpg", "is not a regular file"),
        ("s.jpg", "is not a regular file"),
        ("none.jpg", "does not exist"),
        ("empty.jpg/x.jpg", "cannot be read"),
        ("x" * 300 + ".jpg", "cannot be read"),
        ("nul\0byte.jpg", "cannot be read"),
    ):
        with pytest.raises(PhotoError, match=reason) as caught:
            read_photo_file(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_photo_without_permission_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(swatch(*ORANGE)))
    path.chmod(0)
    with pytest.raises(PhotoError, match="Permission denied"):
        read_photo_file(path)


def test_a_file_too_large_for_a_photo_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.jpg"
    with path.open("wb") as stream:
        stream.truncate(MAX_FILE_BYTES + 1)  # a hole: it takes no room on the disk
    with pytest.raises(PhotoError, match="more than the 210 MB"):
        read_photo_file(path)
