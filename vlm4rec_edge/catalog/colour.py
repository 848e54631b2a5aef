"""Colours as they are meant: what an embedded profile (ICC.1:2022) says of a picture's values, in sRGB, which models know."""

from __future__ import annotations

import io
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image

# Colour spaces of profiles, by the modes of Pillow that hold them.
_SPACES: Mapping[str, str] = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}
# A shop's photos have a few profiles between them.
_KEPT = 8


def in_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """Return a picture in sRGB, in the mode RGB; as it is where it has no profile that is made for its mode.

    A picture whose profile is sRGB, or cannot be read, keeps its values: a broken profile is no reason to lose a photo.
    """
    transform = _to_srgb(profile, picture.mode) if profile and picture.mode in _SPACES else None
    if transform is None:
        return picture
    from PIL import ImageCms

    return ImageCms.applyTransform(picture, transform) or picture


@lru_cache(maxsize=_KEPT)
def _to_srgb(profile: bytes, mode: str) -> Any:
    from PIL import ImageCms

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        name = source.profile.profile_description or ""
        if "srgb" in name.casefold() or source.profile.xcolor_space.strip() != _SPACES[mode]:
            return None
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except Exception:  # ImageCms raises its own error, OSError and others on what is no profile
        return None
