"""Does a quantized vision-language model still say what its F16 form says? Captions of a few photos, token by token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vlm4rec_edge.errors import ModelError, UsageError
from vlm4rec_edge.models.manifest import LvlmSettings

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


@dataclass(frozen=True)
class TokenAgreement:
    """How far two lists of captions agree: share of equal tokens at equal positions, and of equal captions."""

    photos: int
    tokens_equal: float
    captions_equal: float

    def figures(self) -> dict[str, float]:
        """Return the figures for the manifest."""
        return {
            "photos": self.photos,
            "tokens_equal_to_f16": round(self.tokens_equal, 4),
            "captions_equal_to_f16": round(self.captions_equal, 4),
        }


def photos_in(folder: Path) -> list[Path]:
    """Return the photos of a folder, sorted by name.

    Raises:
        UsageError: there are none.
    """
    photos = sorted(path for path in folder.glob("*") if path.suffix.lower() in PHOTO_SUFFIXES)
    if not photos:
        raise UsageError(f"--photos {folder} holds no photos ({', '.join(PHOTO_SUFFIXES)}).")
    return photos


def caption_photos(text: Path, projector: Path, settings: LvlmSettings, photos: Sequence[Path]) -> list[str]:
    """Load a pair of GGUF files in llama.cpp and return its greedy caption of each photo.

    Raises:
        ModelError: llama.cpp cannot load the pair, or it says nothing about a photo.
    """
    from vlm4rec_edge.grounding.llama.captioner import LlamaCaptioner
    from vlm4rec_edge.models.resolve import resolve_lvlm

    files = replace(resolve_lvlm(text.resolve(), projector=projector.resolve()), settings=settings)
    with LlamaCaptioner(files, device="cpu", vision="mtmd") as captioner:
        return [captioner.caption_file(photo) for photo in photos]


def compare_captions(text: Path, expected: Sequence[str], found: Sequence[str]) -> TokenAgreement:
    """Compare captions by the tokens of the model's own vocabulary, position by position.

    Greedy decoding that turns once seldom comes back, so one early difference costs a whole caption.
    """
    import llama_cpp

    vocabulary = llama_cpp.Llama(str(text), vocab_only=True, verbose=False)
    try:
        pairs = [(_tokens(vocabulary, one), _tokens(vocabulary, two)) for one, two in zip(expected, found, strict=True)]
    finally:
        vocabulary.close()
    equal = sum(a == b for one, two in pairs for a, b in zip(one, two, strict=False))
    longest = sum(max(len(one), len(two)) for one, two in pairs)
    return TokenAgreement(
        photos=len(pairs),
        tokens_equal=equal / max(longest, 1),
        captions_equal=sum(one == two for one, two in pairs) / max(len(pairs), 1),
    )


def check_agreement(agreement: TokenAgreement, least: float) -> None:
    """Fail below a bound.

    Raises:
        ModelError: fewer tokens agree with F16 than the bound asks for.
    """
    if not agreement.tokens_equal >= least:
        raise ModelError(
            f"The quantized model differs too much from F16: {agreement.tokens_equal:.1%} of the tokens agree, the "
            f"bound is {least:.1%}. Choose a larger type, or lower --min-agreement if you mean it."
        )


def _tokens(vocabulary: Any, caption: str) -> list[int]:
    return list(vocabulary.tokenize(caption.encode(), add_bos=False, special=False))
