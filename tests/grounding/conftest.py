"""A few photos, and what the embedded model says of them in this process."""

from __future__ import annotations

import itertools

import pytest
from pictures import answers, drawn, requests_for

from vlm4rec_edge import LlamaCaptioner
from vlm4rec_edge.grounding.protocol import CaptionRequest


@pytest.fixture(scope="session")
def photos() -> list[CaptionRequest]:
    """Twelve garments."""
    kinds = itertools.product(("t-shirt", "dress", "coat"), ("black", "red", "white", "yellow"))
    return requests_for({f"{colour} {kind}": drawn(kind, colour) for kind, colour in kinds})


@pytest.fixture(scope="session")
def captions(captioner: LlamaCaptioner, photos: list[CaptionRequest]) -> dict[str, str]:
    """What the model says of them in this process."""
    return answers(captioner, photos)[0]
