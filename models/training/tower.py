"""The vision tower and what teaches it to see: attribute heads, a convolutional teacher, and the words of the shop."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from precision import ATTENTION
from torch import nn
from torch.nn import functional
from transformers.models.smolvlm.configuration_smolvlm import SmolVLMVisionConfig
from transformers.models.smolvlm.modeling_smolvlm import SmolVLMVisionTransformer

PATCH = 16
SIDE = 8  # patches a side
WIDTH = 192
_TEXT_WIDTH, _TEACHER_MAP, _TEACHER_POOL = 384, 112, 1280

# How much each head's mistake counts. Kind, colour, pattern and audience are what captions say first; the others teach the
# tower distinctions that descriptions speak of.
HEAD_WEIGHTS: Mapping[str, float] = {
    "type": 1.0,
    "colour": 0.5,
    "appearance": 0.5,
    "audience": 0.4,
    "garment_group": 0.2,
    "section": 0.2,
    "department": 0.2,
}
_MAP_WEIGHT, _POOL_WEIGHT, _TEXT_WEIGHT = 1.0, 1.0, 0.4
_LABEL_SMOOTHING = 0.1
_OPINION_SHARE = 0.5  # of what a head learns: so much from the second opinion, the rest from the shop's own word
_TEMPERATURE = 0.07
UNKNOWN = -100  # a label that an item does not have; no head learns from it


def vision_config() -> SmolVLMVisionConfig:
    """Return the shape of the tower: a SigLIP-style ViT of 8 layers, 192 wide, 64 patches."""
    return SmolVLMVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=4 * WIDTH,
        num_hidden_layers=8,
        num_attention_heads=3,
        image_size=PATCH * SIDE,
        patch_size=PATCH,
    )


class Tower(nn.Module):
    """A SmolVLM vision tower without its bookkeeping for padded photos: [n, 3, 128, 128] to [n, patches, 192]."""

    def __init__(self) -> None:
        super().__init__()
        config = vision_config()
        config._attn_implementation = ATTENTION
        self.vision = SmolVLMVisionTransformer(config)
        _start_like_a_trained_one(self.vision)

    def forward(self, pixels: torch.Tensor, kept: torch.Tensor | None = None) -> torch.Tensor:
        """Return the last hidden states; with ``kept`` [n, k], patch numbers, only of those patches."""
        embeddings = self.vision.embeddings
        states = embeddings.patch_embedding(pixels).flatten(2).transpose(1, 2) + embeddings.position_embedding.weight
        if kept is not None:
            states = states.gather(1, kept[:, :, None].expand(-1, -1, states.shape[2]))
        for layer in self.vision.encoder.layers:
            output = layer(states, attention_mask=None)
            states = output[0] if isinstance(output, tuple) else output
        return self.vision.post_layernorm(states)


class Lessons(nn.Module):
    """The tower with the heads that teach it; only the tower goes on to speak."""

    def __init__(self, classes: Mapping[str, int]) -> None:
        super().__init__()
        self.tower = Tower()
        self.pool = nn.Linear(WIDTH, 4)  # where to look, in four ways
        pooled = 5 * WIDTH  # and the mean
        # "type" alone is an attribute that every module has.
        self.heads = nn.ModuleDict({f"{name}_head": nn.Linear(pooled, count) for name, count in classes.items()})
        self.to_map = nn.Linear(WIDTH, _TEACHER_MAP)
        self.to_pool = nn.Linear(pooled, _TEACHER_POOL)
        self.to_text = nn.Linear(pooled, _TEXT_WIDTH)

    def pooled(self, states: torch.Tensor) -> torch.Tensor:
        """Return [n, 5 * 192] of hidden states [n, patches, 192]."""
        weights = self.pool(states).softmax(1)
        looks = torch.einsum("npk,npd->nkd", weights, states).flatten(1)
        return torch.cat([states.mean(1), looks], 1)

    def forward(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the logits of every head for photos [n, 3, 128, 128]."""
        pooled = self.pooled(self.tower(pixels))
        return {name.removesuffix("_head"): head(pooled) for name, head in self.heads.items()}

    def loss(
        self,
        pixels: torch.Tensor,
        kept: torch.Tensor | None,
        labels: Mapping[str, torch.Tensor],
        opinions: Mapping[str, torch.Tensor],
        teacher_map: torch.Tensor,
        teacher_pool: torch.Tensor,
        text: torch.Tensor,
    ) -> tuple[torch.Tensor, dict[str, float]]:
        """Return the loss of a batch and its parts.

        Args:
            pixels: [n, 3, 128, 128].
            kept: [n, k], the patches to look at, or None for all.
            labels: Per head, [n], ``UNKNOWN`` where there is none.
            opinions: For some heads, [n, classes], what a second judge believes.
            teacher_map: [n, 64, 112], the convolutional teacher's features where the patches are.
            teacher_pool: [n, 1280], its pooled features.
            text: [n, 384], unit vectors of the shop's words.
        """
        states = self.tower(pixels, kept)
        pooled = self.pooled(states)
        parts = {}
        for key, head in self.heads.items():
            name = key.removesuffix("_head")
            known = labels[name] != UNKNOWN
            if bool(known.any()):
                logits, told = head(pooled)[known], labels[name][known]
                mistake = functional.cross_entropy(logits, told, label_smoothing=_LABEL_SMOOTHING)
                if name in opinions:
                    unlike = functional.cross_entropy(logits, opinions[name][known])
                    mistake = torch.lerp(mistake, unlike, _OPINION_SHARE)
                parts[name] = HEAD_WEIGHTS[name] * mistake
        if kept is not None:
            teacher_map = teacher_map.gather(1, kept[:, :, None].expand(-1, -1, teacher_map.shape[2]))
        parts["map"] = _MAP_WEIGHT * functional.smooth_l1_loss(self.to_map(states), teacher_map)
        parts["pool"] = _POOL_WEIGHT * functional.smooth_l1_loss(self.to_pool(pooled), teacher_pool)
        similar = functional.normalize(self.to_text(pooled), dim=1) @ text.T / _TEMPERATURE
        same = torch.arange(len(text), device=text.device)
        both = functional.cross_entropy(similar, same) + functional.cross_entropy(similar.T, same)
        parts["text"] = _TEXT_WEIGHT * both / 2
        return torch.stack(list(parts.values())).sum(), {name: float(part.detach()) for name, part in parts.items()}


def _start_like_a_trained_one(vision: SmolVLMVisionTransformer) -> None:
    """Give the tower the structure that trained transformers have, which a small data set is slow to find.

    Positions start as two-dimensional sine waves, so that near patches are alike; attention starts nearly as the identity
    on them ("mimetic initialization", Trockman and Kolter, arXiv 2305.09828).
    """
    with torch.no_grad():
        vision.embeddings.position_embedding.weight.copy_(_sine_positions())
        nn.init.trunc_normal_(vision.embeddings.patch_embedding.weight, std=0.02)
        nn.init.zeros_(vision.embeddings.patch_embedding.bias)
        for layer in vision.encoder.layers:
            attention = layer.self_attn
            heads, each = attention.num_heads, attention.head_dim
            for head in range(heads):
                near = 0.7 * torch.randn(WIDTH, WIDTH) / math.sqrt(WIDTH) + 0.7 * torch.eye(WIDTH)
                left, values, right = torch.linalg.svd(near)
                root = values[:each].sqrt()
                part = slice(head * each, (head + 1) * each)
                attention.q_proj.weight[part] = (left[:, :each] * root).T
                attention.k_proj.weight[part] = right[:each] * root[:, None]
            passed = 0.4 * torch.randn(WIDTH, WIDTH) / math.sqrt(WIDTH) - 0.4 * torch.eye(WIDTH)
            left, values, right = torch.linalg.svd(passed)
            attention.v_proj.weight.copy_(right * values.sqrt()[:, None])
            attention.out_proj.weight.copy_(left * values.sqrt())
            for linear in (attention.q_proj, attention.k_proj, attention.v_proj, attention.out_proj):
                nn.init.zeros_(linear.bias)


def _sine_positions() -> torch.Tensor:
    """Return [64, 192]: half of the values from the row, half from the column, small beside a patch."""
    quarter = WIDTH // 4
    waves = 1.0 / 100 ** (torch.arange(quarter) / quarter)
    rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    angles = [axis.flatten()[:, None] * waves[None] for axis in (rows, columns)]
    return torch.cat([f(angle) for angle in angles for f in (torch.sin, torch.cos)], 1) * 0.5
