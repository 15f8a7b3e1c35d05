"""What the makers of procedural shapes hand over: a solid, its countable parts and the words that describe it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from manifold3d import Manifold

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


@dataclass(frozen=True, kw_only=True)
class Design:
    """A shape before it is turned, measured and described.

    Args:
        solid: closed, z up, front towards -y, metres.
        adjectives: before the noun, such as "round".
        features: after "with", such as "four legs".
        counts: numbers of parts, such as ``{"legs": 4}``.
        noun: instead of the name of the class, such as "sailing boat".
    """

    solid: Manifold
    adjectives: Sequence[str] = ()
    features: Sequence[str] = ()
    counts: dict[str, int] = field(default_factory=dict)
    noun: str = ""


def chance(rng: np.random.Generator, probability: float | int) -> bool:
    """True with this probability."""
    return bool(rng.random() < probability)


def pick(rng: np.random.Generator, **weights: float | int) -> str:
    """One of the names, with probabilities in proportion to their weights."""
    values = np.array(list(weights.values()))
    return str(rng.choice(list(weights), p=values / values.sum()))


def counted(number: int, noun: str) -> str:
    """The number in words with its noun, such as "four legs"."""
    return f"{NUMBERS[number]} {noun}{'' if number == 1 else 's'}"


def word(value: float, low: float | int, high: float | int, words: tuple[str, str]) -> list[str]:
    """The first word below ``low``, the second above ``high``, none between."""
    return [words[0]] if value < low else [words[1]] if value > high else []


def caption(rng: np.random.Generator, design: Design, kind: str) -> str:
    """A short English description; which of its features it names, and in which words, is drawn."""
    adjectives = [adjective for adjective in design.adjectives if chance(rng, 0.85)]
    features = [feature for feature in design.features if chance(rng, 0.8)]
    noun = design.noun or kind
    head = " ".join([*adjectives, noun])
    article = "an" if head[0] in "aeiou" else "a"
    if not features:
        return f"{article} {head}"
    joined = features[0] if len(features) == 1 else f"{', '.join(features[:-1])} and {features[-1]}"
    return f"{article} {head} {rng.choice(['with', 'that has', 'having'], p=[0.8, 0.1, 0.1])} {joined}"
