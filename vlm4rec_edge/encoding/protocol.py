"""What a text encoder is: anything like it can take the place of the embedded one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np


class Encoder(Protocol):
    """Turns texts into vectors. It may have ``close()``."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """All that decides a vector besides the text, as a JSON object.

        Vectors of different identities are never compared. ``name`` alone does not count: it is for people, and the name by
        which ``open_encoder`` finds the encoder again.
        """
        ...

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        ...

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Return the vectors of ``texts``, shape [len(texts), dimensions], float32, each of length 1, in order.

        A vector depends on its text alone, not on the texts beside it (to about 1e-5).
        """
        ...
