"""A second opinion on a photo comes from a classifier that never saw what the shop says of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from training_code import MISSING

if MISSING:
    pytest.skip(f"training needs {MISSING[0]}: pip install -e '.[cpu,export,train]'", allow_module_level=True)

import torch
from opinions import HEADS, features_of, second_opinions
from tower import UNKNOWN

_ROWS, _CLASSES = 500, 3
_TRAIN = np.arange(400)


def _right(opinions: dict[str, torch.Tensor], labels: torch.Tensor, rows: np.ndarray) -> float:
    return float((opinions["type"].argmax(1) == labels)[torch.from_numpy(rows)].float().mean())


def test_what_features_tell_is_known_of_every_row(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(_CLASSES, (_ROWS,), generator=generator)
    features = 0.3 * torch.randn(_ROWS, 40, generator=generator)
    features[torch.arange(_ROWS), labels] += 3
    told = labels.clone()
    told[400:] = (labels[400:] + 1) % _CLASSES  # what is held out is never learned from
    opinions = second_opinions(features, dict.fromkeys(HEADS, told), _TRAIN, tmp_path / "opinions.pt")
    assert opinions["type"].shape == (_ROWS, _CLASSES)
    assert torch.allclose(opinions["type"].float().sum(1), torch.ones(_ROWS), atol=0.01)
    assert _right(opinions, labels, _TRAIN) > 0.95
    assert _right(opinions, labels, np.arange(400, _ROWS)) > 0.95


def test_no_opinion_repeats_what_the_shop_says(tmp_path: Path) -> None:
    # Nothing in these features tells the label: who had seen it would know it by heart, who had not has to guess.
    generator = torch.Generator().manual_seed(2)
    features = torch.randn(_ROWS, 2000, generator=generator)
    labels = torch.randint(_CLASSES, (_ROWS,), generator=generator)
    opinions = second_opinions(features, dict.fromkeys(HEADS, labels), _TRAIN, tmp_path / "opinions.pt")
    assert _right(opinions, labels, _TRAIN) < 0.45


def test_opinions_are_formed_once_and_rows_without_a_label_teach_nothing(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(3)
    labels = torch.randint(2, (_ROWS,), generator=generator)
    features = 0.3 * torch.randn(_ROWS, 20, generator=generator)
    features[:, 0] += 6 * labels - 3
    gaps = labels.clone()
    gaps[::2] = UNKNOWN
    first = second_opinions(features, dict.fromkeys(HEADS, gaps), _TRAIN, tmp_path / "opinions.pt")
    again = second_opinions(features, dict.fromkeys(HEADS, 1 - labels), _TRAIN, tmp_path / "opinions.pt")
    assert _right(first, labels, _TRAIN) > 0.95
    assert all(torch.equal(first[head], again[head]) for head in HEADS)


def test_features_keep_where_on_the_photo_something_is() -> None:
    maps = np.zeros((2, 112, 8, 8), np.float16)
    maps[0, 5, 0, 0] = maps[1, 5, 7, 7] = 1
    features = features_of([maps[:1], maps[1:]], torch.zeros(2, 1280))
    assert features.shape == (2, 1280 + 7 * 112)
    assert not torch.equal(features[0], features[1])
