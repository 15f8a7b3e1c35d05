"""What furniture stands on, and plates that lie on it."""

import numpy as np
from manifold3d import Manifold

from molgen.shapes.procedural.design import chance, counted, pick
from molgen.shapes.procedural.solids import between, disc, slab, turned

JOINT = 0.004  # how deep parts reach into one another


def stand_on_legs(rng: np.random.Generator, width: float, depth: float, height: float, count: int = 4) -> tuple[list[Manifold], list[str]]:
    """Three, four or six legs below a plate of this size; and the words for them."""
    style = pick(rng, straight=3, round=2, tapered=2, splayed=2, thick=1)
    r = {"straight": 0.02, "round": 0.018, "tapered": 0.024, "splayed": 0.02, "thick": 0.042}[style] * rng.uniform(0.8, 1.3)
    splay = rng.uniform(0.04, 0.11) if style == "splayed" else 0.0
    inset = rng.uniform(1.1, 2.5) * r
    if count == 3:
        angles = np.pi / 2 + 2 * np.pi * np.arange(3) / 3
        tops = [(0.8 * (width / 2 - inset) * np.cos(a), 0.8 * (depth / 2 - inset) * np.sin(a)) for a in angles]
    else:
        columns = (-1, 1) if count == 4 else (-1, 0, 1)
        tops = [(i * (width / 2 - inset), j * (depth / 2 - inset)) for i in columns for j in (-1, 1)]
    foot = r * (0.55 if style in ("tapered", "splayed") else 1.0)
    square = style in ("straight", "thick")
    legs = []
    for x, y in tops:
        out = np.array([x, y]) / max(np.hypot(x, y), 1e-6) * splay
        legs.append(between((x + out[0], y + out[1], 0), (x, y, height + JOINT), foot, r, square))
    if count == 4 and splay == 0 and chance(rng, 0.3):
        z, thin = height * rng.uniform(0.2, 0.5), 0.5 * r
        (a, b, c, d) = tops
        pairs = [(a, b), (c, d), (a, c), (b, d)] if chance(rng, 0.5) else [(a, c), (b, d)]
        legs += [between((*p, z), (*q, z), thin, square=square) for p, q in pairs]
        return legs, [f"{style} legs joined by rails"]
    return legs, [f"{counted(count, f'{style} leg')}"]


def pedestal(rng: np.random.Generator, reach: float, height: float) -> tuple[list[Manifold], str]:
    """One central leg on a disc or a star."""
    r = rng.uniform(0.022, 0.05)
    column = between((0, 0, 0.01), (0, 0, height + JOINT), r * rng.uniform(1, 1.5), r)
    if chance(rng, 0.5):
        return [column, turned(np.array([(reach, 0.0), (reach, 0.02), (r, 0.05 + 0.3 * r)]))], "one central leg on a round foot"
    arms = int(rng.integers(3, 6))
    feet = [between((reach * np.cos(a), reach * np.sin(a), 0.02), (0, 0, 0.07), 0.016, 0.024) for a in 2 * np.pi * np.arange(arms) / arms]
    return [column, *feet], f"one central leg on a star foot with {counted(arms, 'arm')}"


def plate(rng: np.random.Generator, shape: str, width: float, depth: float, height: float, z: float) -> Manifold:
    """A round, square or rounded plate whose lower side is at ``z``."""
    if shape == "round":
        return disc(width / 2, height, (0, 0, z)).scale((1, depth / width, 1))
    return slab(width, depth, height, rng.uniform(0.005, 0.08) if shape == "rounded" else 0.002, (0, 0, z))
