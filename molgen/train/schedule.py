"""What changes over a run: the budget of time, the learning rate, the moving average of the weights."""

import math
import re

from molgen.errors import InputError
from molgen.experiment import Training


def parse_time(text: str) -> float:
    """Seconds of ``DD:HH:MM:SS``; infinity if empty.

    Raises:
        InputError: for any other text.
    """
    if not text:
        return math.inf
    if not re.fullmatch(r"\d+:\d+:\d+:\d+", text):
        raise InputError(f"train.max_time: expected DD:HH:MM:SS such as 00:02:00:00, got {text!r}")
    days, hours, minutes, seconds = map(int, text.split(":"))
    total = float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
    if not total:
        raise InputError("train.max_time: no time is left in 00:00:00:00; leave it empty for no limit")
    return total


def learning_rate(config: Training, step: int, progress: float) -> float:
    """Warm-up, plateau until ``decay_from`` of the budget, then a cosine to zero; ``progress``: share of the budget spent, in [0, 1]."""
    warm = min(1.0, (step + 1) / max(1, config.warmup_steps))
    fall = max(0.0, (progress - config.decay_from) / max(1e-9, 1 - config.decay_from))
    return config.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * min(1.0, fall)))


def average_decay(config: Training, step: int) -> float:
    """Decay of the moving average of the weights after a step, whose memory grows with the run: ``min(ema, (1 + step) / (10 + step))``."""
    return min(config.ema, (1 + step) / (10 + step))
