"""Early stopping: the weights that did best on validation data, and how long ago."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from molgen.types import Tensor


@dataclass
class BestWeights:
    """Of the averaged weights at all validations those with the least loss.

    Args:
        loss: theirs.
        step: after which they were.
        waited: validations since then.
        weights: on the CPU, by name; none before the first validation.
    """

    loss: float = math.inf
    step: int = 0
    waited: int = 0
    weights: dict[str, Tensor] = field(default_factory=dict)

    def see(self, loss: float, step: int, weights: Mapping[str, Tensor]) -> None:
        """Takes in a validation; a loss that is no number is none of the best."""
        if loss < self.loss:
            self.loss, self.step, self.waited = loss, step, 0
            self.weights = {name: value.detach().cpu().clone() for name, value in weights.items()}
        else:
            self.waited += 1
