"""How much work a model needs, counted from its shapes: operations of matrix products, and bytes of weights and keys.

A multiplication and an addition are two operations, so a weight costs two for each token that passes it (Kaplan et al.,
"Scaling Laws for Neural Language Models", 2020, section 2.1); attention costs 4 x context x width a token and layer.
Norms, activations and what the caches hold are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

from vlm4rec_edge.models.gguf import GgufHeader, read_header
from vlm4rec_edge.models.resolve import LvlmFiles

# Bits of a weight with its share of the block's scale, by the type's name.
_BITS = {"F32": 32.0, "F16": 16.0, "Q8_0": 8.5, "Q6_K": 6.5625, "Q5_K_M": 5.7, "Q4_K_M": 4.85, "Q4_0": 4.5}
_KEY_BYTES = 2


@dataclass(frozen=True)
class Work:
    """Operations, and bytes that come from memory."""

    operations: float
    bytes: float


@dataclass(frozen=True)
class Tower:
    """A transformer: ``layers`` of ``weights`` each, and what attention costs a token and layer for each token it sees."""

    layers: int
    weights: int
    attention: int
    keys: int


def _number(header: GgufHeader, key: str, default: int = 0) -> int:
    value = header.metadata.get(f"{header.architecture}.{key}", default)
    return int(value)


@dataclass(frozen=True)
class CaptioningWork:
    """The shapes of a SmolVLM's two files (names as in the GGUF specification and in llama.cpp's clip.cpp).

    Attributes:
        vision, text: The two halves.
        patches: Of one image.
        around: Weights times patches of what lies before and behind the vision tower.
        head: Weights from the last layer to the words.
        vision_bits, text_bits, head_bits: Bits of a weight.
    """

    vision: Tower
    patches: int
    around: int
    text: Tower
    head: int
    vision_bits: float
    text_bits: float
    head_bits: float

    @classmethod
    def of(cls, files: LvlmFiles) -> CaptioningWork:
        """Read the shapes from both headers."""
        text, vision = read_header(files.text), read_header(files.projector)
        width, wide = _number(text, "embedding_length"), _number(text, "feed_forward_length")
        heads = _number(text, "attention.head_count")
        key_heads = _number(text, "attention.head_count_kv", heads)
        length = _number(text, "attention.key_length", width // heads)
        seen, seen_wide = _number(vision, "vision.embedding_length"), _number(vision, "vision.feed_forward_length")
        patch = _number(vision, "vision.patch_size")
        patches = (_number(vision, "vision.image_size") // patch) ** 2
        quantization = files.manifest.quantization if files.manifest else {}
        # Q8_0-F16: the table of words, which is the head, in another type than the layers.
        layers, _, table = quantization.get("text", "").partition("-")
        return cls(
            Tower(_number(vision, "vision.block_count"), 4 * seen**2 + 2 * seen * seen_wide, 4 * seen, 0),
            patches,
            # The patch embedding, and the connector: scale x scale patches become one token.
            patches * 3 * patch**2 * seen + patches * seen * width,
            Tower(
                _number(text, "block_count"),
                2 * width * length * (heads + key_heads) + 3 * width * wide,
                4 * heads * length,
                2 * key_heads * length * _KEY_BYTES,
            ),
            width * _number(text, "vocab_size"),
            _BITS.get(quantization.get("projector", ""), 16.0),
            _BITS.get(layers, 16.0),
            _BITS.get(table or layers, 16.0),
        )

    def look(self, images: int, calls: int) -> Work:
        """Return the work of encoding images in so many calls."""
        tower = self.vision
        each = tower.layers * self.patches * (2 * tower.weights + tower.attention * self.patches)
        return Work(
            images * (each + 2 * self.around),
            calls * tower.layers * tower.weights * self.vision_bits / 8,
        )

    def read(self, tokens: int, calls: int, length: float, answers: int) -> Work:
        """Return the work of reading prompts of ``length`` tokens, ``tokens`` in all; the head speaks once an answer."""
        tower = self.text
        operations = (
            tokens * tower.layers * (2 * tower.weights + tower.attention * length / 2) + 2 * answers * self.head
        )
        return Work(operations, calls * self._text_bytes)

    def say(self, tokens: int, calls: int, length: float) -> Work:
        """Return the work of saying ``tokens``, each behind ``length`` others, in so many calls."""
        tower = self.text
        operations = tokens * (tower.layers * (2 * tower.weights + tower.attention * length) + 2 * self.head)
        return Work(operations, calls * self._text_bytes + tokens * length * tower.layers * tower.keys)

    @property
    def _text_bytes(self) -> float:
        return (self.text.layers * self.text.weights * self.text_bits + self.head * self.head_bits) / 8


def encoding_work(lengths: list[int], batch: int, weight_bytes: float) -> Work:
    """Return the work of encoding texts of so many tokens with MiniLM-L6: 6 layers, 384 values, 1,536 between them."""
    layers, width, wide = 6, 384, 1536
    tower = Tower(layers, 4 * width**2 + 2 * width * wide, 4 * width, 0)
    operations = sum(length * layers * (2 * tower.weights + tower.attention * length) for length in lengths)
    calls = -(-len(lengths) // batch)
    return Work(operations, calls * layers * tower.weights * weight_bytes)
