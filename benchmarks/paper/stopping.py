"""When training stops: as soon as what was kept apart of the histories is predicted no better for a while."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

from torch import nn


@dataclass
class EarlyStopping:
    """Keeps the best state of a network, the untrained one among them; the last one where nothing can be compared.

    Attributes:
        patience: How many looks in a row may be no better.
        values: What each look found, the untrained network's first.
        best: Which of them is the best one.
    """

    patience: int
    values: list[float] = field(default_factory=list)
    best: int = 0
    _state: dict[str, Any] = field(default_factory=dict)

    def look(self, value: float, network: nn.Module) -> bool:
        """Remember a look and return whether it is time to stop."""
        self.values.append(value)
        if len(self.values) == 1 or not value <= self.values[self.best]:
            self.best = len(self.values) - 1
            self._state = copy.deepcopy(network.state_dict())
        return len(self.values) - 1 - self.best >= self.patience

    def restore(self, network: nn.Module) -> None:
        """Set the network back to its best state."""
        network.load_state_dict(self._state)
