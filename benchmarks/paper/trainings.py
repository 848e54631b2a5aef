"""The trained rows by the name they are asked for; torch is imported when one is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from paper.histories import Histories
from paper.system import Learned, Training

Say = Callable[[str], None]


def attention(vision: np.ndarray, text: np.ndarray, histories: Histories, seed: int, say: Say) -> Learned:
    """Train attention fusion."""
    from paper.attention import AttentionFusion
    from paper.leave_one_out import train_fusion

    return Learned(train_fusion(AttentionFusion, vision, text, histories, seed, say))


def gating(vision: np.ndarray, text: np.ndarray, histories: Histories, seed: int, say: Say) -> Learned:
    """Train the gated fusion."""
    from paper.gating import GatedFusion
    from paper.leave_one_out import train_fusion

    return Learned(train_fusion(GatedFusion, vision, text, histories, seed, say))


def cross_attention(vision: np.ndarray, text: np.ndarray, histories: Histories, seed: int, say: Say) -> Learned:
    """Train cross-modal attention."""
    from paper.cross_attention import CrossModalAttention
    from paper.leave_one_out import train_fusion

    return Learned(train_fusion(CrossModalAttention, vision, text, histories, seed, say))


def smore(vision: np.ndarray, text: np.ndarray, histories: Histories, seed: int, say: Say) -> Learned:
    """Train SMORE."""
    from paper.smore_training import train_smore

    users, items = train_smore(vision, text, histories, seed, say)
    return Learned(items, users)


TRAININGS: Mapping[str, Training] = {
    "attention": attention,
    "gating": gating,
    "cross-attention": cross_attention,
    "smore": smore,
}
