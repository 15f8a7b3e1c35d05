"""Divergence: tells when training has run away although all numbers are still finite.

A single large gradient is harmless, because it is clipped. A run that has left for good shows gradients a thousandfold as large as usual,
step after step, long before they overflow; all that it saves by then is ruined.
"""

from dataclasses import dataclass

FACTOR = 100.0  # of the usual norm
PATIENCE = 10  # steps in a row
SETTLED = 50  # steps before which nothing is usual
MEMORY = 200  # steps over which the usual norm is averaged


@dataclass
class DivergenceMonitor:
    """Follows the norm of the gradients.

    Args:
        usual: running mean of the norm over steps that are not large.
        steps: seen so far.
        large: large ones in a row, up to now.
    """

    usual: float = 0.0
    steps: int = 0
    large: int = 0

    def diverged(self, norm: float) -> bool:
        """Takes the norm of a step; true after ``PATIENCE`` large ones in a row."""
        self.steps += 1
        if self.steps > SETTLED and norm > FACTOR * self.usual:
            self.large += 1
        else:
            self.large = 0
            self.usual += (norm - self.usual) / min(self.steps, MEMORY)
        return self.large >= PATIENCE
