"""What is asked of a model: sizes, properties, steps, seed; and what a sampling run counts.

Draw k of a run is a function of (seed, k): :func:`draw_seed` seeds the generator from which its size and every random number on its way
come. Sizes follow the training histogram p(n); where properties y are asked for, Bayes' rule gives ``p(n | y) ~ p(n) prod_y p(y | n)`` with
the density of y among training samples of n nodes.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from molgen.domain import Statistics, Value
from molgen.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to sample.

    Args:
        properties: requested values by name of the label, in physical units or as the name of a class.
        guidance: scale of classifier-free guidance; 1 is the plain conditional model.
        sizes: numbers of nodes to choose from with the frequencies of the training data; all by default.
        steps: network calls per item (twice as many with guidance).
        seed: of everything random.
        keep_invalid: hand out items that fail the check as well.
    """

    properties: Mapping[str, float | str] = field(default_factory=dict)
    guidance: float = 2.0
    sizes: Sequence[int] = ()
    steps: int = 50
    seed: int = 0
    keep_invalid: bool = False

    def tags(self, model: str) -> dict[str, Value]:
        """What every record says about the run that drew it, and what a resumed run must have in common with it."""
        tags: dict[str, Value] = {"seed": self.seed, "model": model, "steps": self.steps}
        return tags | {f"requested_{name}": value for name, value in self.properties.items()}


@dataclass
class Tally:
    """Counts of a sampling run."""

    drawn: int = 0
    kept: int = 0
    failures: Counter[str] = field(default_factory=Counter)

    @property
    def valid(self) -> int:
        """Draws that passed the check."""
        return self.drawn - sum(self.failures.values())


def size_probabilities(statistics: Statistics, request: Request) -> tuple[np.ndarray, np.ndarray]:
    """Sizes and their probabilities.

    The training histogram times, for each requested property, its density among samples of that size.

    Raises:
        InputError: if a requested size is not positive.
    """
    wanted = sorted(set(request.sizes)) or sorted(statistics.sizes)
    if wanted[0] < 1:
        raise InputError(f"expected a positive size, got {wanted[0]}")
    weight = np.array([statistics.sizes.get(n, 0) for n in wanted], dtype=np.float64)
    if weight.sum() == 0:
        weight[:] = 1
    for name, value in request.properties.items():
        weight = weight * np.array([statistics.density(name, n, value) for n in wanted])
    if weight.sum() == 0 or not np.isfinite(weight).all():
        weight = np.array([statistics.sizes.get(n, 0) or 1e-9 for n in wanted], dtype=np.float64)
    return np.array(wanted), weight / weight.sum()


def draw_seed(seed: int, draw: int) -> int:
    """Seed of the generator of one draw, from the seed of the run and the number of the draw."""
    return int.from_bytes(hashlib.blake2b(f"{seed}/{draw}".encode(), digest_size=7).digest(), "big")
