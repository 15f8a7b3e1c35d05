"""What the makers of procedural shapes hand over: a solid, its countable parts and the words that describe it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from manifold3d import Manifold

from molgen.shapes.words import NUMBERS

SYNONYMS = {
    "low": ("short", "flat"),
    "tall": ("high",),
    "round": ("circular",),
    "rectangular": ("oblong",),
    "wide": ("broad",),
    "slender": ("slim", "thin"),
    "stout": ("squat", "thick"),
    "chair": ("seat",),
    "sofa": ("couch", "settee"),
    "shelf": ("bookcase", "rack"),
    "mug": ("cup",),
    "bowl": ("dish",),
    "bottle": ("flask",),
    "jug": ("pitcher",),
    "goblet": ("chalice", "wine glass"),
    "car": ("automobile",),
    "truck": ("lorry",),
    "plane": ("airplane", "aircraft"),
    "rocket": ("spaceship",),
    "boat": ("vessel",),
}
"""Other words for those of the makers."""


@dataclass(frozen=True, kw_only=True)
class Design:
    """A shape before it is turned, measured and described.

    Args:
        solid: closed, z up, front towards -y, metres.
        adjectives: before the noun, such as "round".
        features: after "with", such as "four legs".
        lacks: after "without", such as "arms"; not where a feature that is named has some.
        counts: numbers of parts, such as ``{"legs": 4}``.
        noun: instead of the name of the class, such as "sailing boat".
    """

    solid: Manifold
    adjectives: Sequence[str] = ()
    features: Sequence[str] = ()
    lacks: Sequence[str] = ()
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
    """A short English description; which of its features it names, in which words and in which order, is drawn."""
    adjectives = [_worded(rng, adjective) for adjective in design.adjectives if chance(rng, 0.85)]
    features = [feature for feature in design.features if chance(rng, 0.8)]
    lacks = [lack for lack in design.lacks if chance(rng, 0.4) and lack not in " ".join(features)]  # a star foot has arms too
    noun = _worded(rng, design.noun or kind)
    having = str(rng.choice(["with", "that has", "having"], p=[0.8, 0.1, 0.1]))
    parts = [f"{having} {_listed(features)}"] if features else []
    parts += [f"without {_listed(lacks)}"] if lacks else []
    if adjectives and chance(rng, 0.15):
        return ", ".join([f"{_article(noun)} {noun} that is {' and '.join(adjectives)}", *parts])
    head = " ".join([*adjectives, noun])
    return " ".join([_article(head), head, " and ".join(parts)]).strip()


def _worded(rng: np.random.Generator, words: str) -> str:
    """The words, or other ones that mean the same."""
    others = SYNONYMS.get(words, ())
    return str(rng.choice(others)) if others and chance(rng, 0.25) else words


def _article(words: str) -> str:
    return "an" if words[0] in "aeiou" else "a"


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
