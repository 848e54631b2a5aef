"""What can be saved on, and how little of it: the rows of ``savings.py``."""

from __future__ import annotations

from dataclasses import dataclass, replace

from running.bfloat16 import lack_of_bfloat16

FULL_TYPE = "F16"
# Q8_0-F16: all in Q8_0 but the table of words, which scores the next one.
TEXT_TYPES = (FULL_TYPE, "Q8_0-F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q4_0")
PROJECTOR_TYPES = (FULL_TYPE, "Q8_0", "Q4_0")
# What is shipped, and what an export of this package would be asked for: both files quantized.
_BOTH = (("Q8_0-F16", "Q8_0"), ("Q8_0", "Q8_0"), ("Q5_K_M", "Q8_0"), ("Q4_K_M", "Q8_0"), ("Q4_0", "Q4_0"))
ENCODER_PRECISIONS = ("fp32", "fp16", "int8-weights", "int8", "int8-7bit")
# The last two: bits alone, and bits that find what int8 then puts in order.
VECTOR_FORMS = ("float32", "float16", "int8", "binary", "binary-int8")
SEARCHES = ("exact", "hnsw")

WHOLE, LVLM, ENCODER, VECTORS, SEARCH = "whole", "language model", "encoder", "vectors", "search"


@dataclass(frozen=True)
class Setup:
    """One way to keep everything; the default is full precision, of which nothing is saved."""

    text: str = FULL_TYPE
    projector: str = FULL_TYPE
    encoder: str = "fp32"
    vectors: str = "float32"
    search: str = "exact"
    vision: str = "fp32"

    def __str__(self) -> str:
        """All of it: ``Q4_0 / Q4_0, int8-weights, float32, exact``, and in what photos are encoded if not in fp32."""
        vision = "" if self.vision == "fp32" else f" in {self.vision}"
        return f"{self.text} / {self.projector}{vision}, {self.encoder}, {self.vectors}, {self.search}"

    @property
    def captioning(self) -> tuple[str, str, str]:
        """What decides a caption: both files, and the precision of the vision encoder."""
        return self.text, self.projector, self.vision


@dataclass(frozen=True)
class Saving:
    """A row: its name, on what is saved, and the whole set-up."""

    name: str
    stage: str
    setup: Setup


FULL = Saving("full precision", WHOLE, Setup())


def vision_precisions() -> list[str]:
    """Return the precisions of the vision encoder that this machine has, besides fp32."""
    return ["int8"] if lack_of_bfloat16() else ["int8", "bf16"]


def savings(shipped: Setup) -> list[Saving]:
    """Return the rows: full precision, each thing made smaller alone, and all of it as ``shipped``.

    Not the full cross of text model and projector: each type of one beside the other in full precision, and the pairs
    that somebody would use.
    """
    full, vision = FULL.setup, vision_precisions()
    pairs = dict.fromkeys([*_BOTH, (shipped.text, shipped.projector)])
    return [
        FULL,
        *(Saving(f"text {own}", LVLM, replace(full, text=own)) for own in TEXT_TYPES[1:]),
        *(Saving(f"projector {own}", LVLM, replace(full, projector=own)) for own in PROJECTOR_TYPES[1:]),
        *(
            Saving(f"text {text}, projector {projector}", LVLM, replace(full, text=text, projector=projector))
            for text, projector in pairs
            if FULL_TYPE not in (text, projector)
        ),
        *(Saving(f"vision encoder {own}", LVLM, replace(full, vision=own)) for own in vision),
        *(Saving(f"encoder {own}", ENCODER, replace(full, encoder=own)) for own in ENCODER_PRECISIONS[1:]),
        *(Saving(f"vectors {own}", VECTORS, replace(full, vectors=own)) for own in VECTOR_FORMS[1:]),
        *(Saving(own, SEARCH, replace(full, search=own)) for own in SEARCHES[1:]),
        Saving("as shipped", WHOLE, shipped),
        *(Saving(f"as shipped, vision encoder {own}", WHOLE, replace(shipped, vision=own)) for own in vision),
        Saving("as shipped, vectors float16", WHOLE, replace(shipped, vectors="float16")),
        Saving("as shipped, hnsw", WHOLE, replace(shipped, search="hnsw")),
    ]
