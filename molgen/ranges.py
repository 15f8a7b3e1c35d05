"""Closed intervals of real numbers as people write them: ``4..5``, ``..5`` (at most 5), ``4..`` (at least 4); and what is too much."""

import math
from typing import NamedTuple

from molgen.errors import InputError

MOST_STEPS, MOST_CANDIDATES = 10_000, 1000
"""Network calls of a walk, and walks of a draw, that may be asked for."""
MOST_ATOMS, MOST_POINTS = 1000, 100_000
"""Likewise nodes of a molecule, whose cost grows with the square of their number, and of a shape."""


class Range(NamedTuple):
    """All numbers from ``low`` to ``high``, both included."""

    low: float
    high: float

    @classmethod
    def parse(cls, text: str) -> "Range":
        """Reads ``low..high``, either end of which may be missing.

        Raises:
            InputError: anything else, or an empty interval.
        """
        low, dots, high = text.strip().partition("..")
        try:
            found = cls(float(low) if low.strip() else -math.inf, float(high) if high.strip() else math.inf)
        except ValueError:
            dots = ""
        if not dots or not low.strip() + high.strip() or not (found.low < math.inf and found.high > -math.inf):
            raise InputError(f"expected a range such as 4..5, 4.. or ..5, got {text!r}")
        if found.low > found.high:
            raise InputError(f"expected a range from low to high, got {text!r}; did you mean {found.high:g}..{found.low:g}?")
        return found

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high

    def __str__(self) -> str:
        low, high = ("" if math.isinf(end) else f"{end:g}" for end in self)
        return f"{low}..{high}"

    def overlaps(self, other: "Range") -> bool:
        """Whether some number lies in both."""
        return max(self.low, other.low) <= min(self.high, other.high)

    def within(self, other: "Range") -> "Range":
        """This interval with its open ends closed by those of another.

        Raises:
            InputError: it lies beyond the other.
        """
        closed = Range(self.low if math.isfinite(self.low) else other.low, self.high if math.isfinite(self.high) else other.high)
        if closed.low > closed.high:
            raise InputError(f"{self} lies outside {other}; give both ends, or others")
        return closed
