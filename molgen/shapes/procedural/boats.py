"""Procedural boats. Their bow points to -y."""

from itertools import pairwise

import numpy as np
from manifold3d import Manifold

from molgen.shapes.procedural.design import Design, chance, counted, pick, word
from molgen.shapes.procedural.solids import across, between, box, disc, mirrored, slab, union


def _hull(length: float, beam: float, depth: float, sharp: float, transom: float) -> Manifold:
    """A boat's hull from y = 0 (bow) to ``length``: hulls of neighbouring cross-sections."""
    t = np.linspace(0, 1, 13)
    half = beam / 2 * np.minimum(1, (t / 0.5)) ** sharp * np.where(t > 0.5, 1 - (1 - transom) * ((t - 0.5) / 0.5) ** 2, 1)
    half = np.maximum(half, 0.012 * beam)
    keel = depth * 0.85 * np.clip(1 - t / 0.4, 0, None) ** 2
    sheer = depth * (1 + 0.22 * (1 - t) ** 2)
    sections = [
        np.array(
            [
                (-w, y, s),
                (w, y, s),
                (0.72 * w, y, k + 0.25 * (s - k)),
                (-0.72 * w, y, k + 0.25 * (s - k)),
                (0.1 * w, y, k),
                (-0.1 * w, y, k),
            ]
        )
        for w, y, k, s in zip(half, t * length, keel, sheer, strict=True)
    ]
    return union([Manifold.hull_points(np.vstack(pair)) for pair in pairwise(sections)])


def boat(rng: np.random.Generator) -> Design:
    """A boat: rowing boat, sailing boat, motor boat or ship."""
    style = pick(rng, rowing=1.5, sailing=3, motor=2.5, ship=2.5)
    usual = {"rowing": 0.36, "sailing": 0.28, "motor": 0.32, "ship": 0.17}[style]
    beam = usual * rng.uniform(0.85, 1.2)
    depth = {"rowing": 0.12, "sailing": 0.12, "motor": 0.13, "ship": 0.1}[style] * rng.uniform(0.85, 1.2)
    hull = _hull(1.0, beam, depth, rng.uniform(0.5, 0.85), rng.uniform(0.45, 0.95))
    parts, features, counts = [hull], [], {}
    if style == "rowing":
        inner = _hull(1.0, beam, depth, 0.7, 0.6).scale((0.86, 0.88, 1)).translate((0, 0.06, 0.22 * depth))
        parts = [hull - inner - box(0.7 * beam, 0.5, depth, (0, 0.6, 0.4 * depth))]
        seats = int(rng.integers(2, 4))
        parts += [
            box(0.95 * beam, 0.07, 0.02, (0, y, 0.72 * depth)) ^ _hull(1.0, beam, depth, 0.7, 0.6) for y in np.linspace(0.35, 0.8, seats)
        ]
        features.append(counted(seats, "seat"))
        if chance(rng, 0.6):
            oar = between((0.3 * beam, 0.5, depth), (0.3 * beam + 0.4, 0.62, 0.3 * depth), 0.01) + box(
                0.1, 0.06, 0.015, (0.3 * beam + 0.42, 0.625, 0.25 * depth)
            )
            parts.append(mirrored(oar) + box(0.7 * beam, 0.03, 0.02, (0, 0.5, 0.9 * depth)))
            features.append("two oars")
    elif style == "sailing":
        masts = 2 if chance(rng, 0.25) else 1
        tall = rng.uniform(0.75, 1.25)
        for k in range(masts):
            y, top = (0.38 if masts == 1 else 0.3 + 0.36 * k), tall * (1 - 0.15 * k)
            reach = rng.uniform(0.36, 0.5) if masts == 1 else 0.3
            boom = depth + 0.09
            parts.append(between((0, y, 0.5 * depth), (0, y, depth + top), 0.011, 0.007))
            parts.append(between((0, y, boom), (0, y + reach, boom), 0.008))
            sail = across(
                [(y - 0.004, boom), (y + reach * 0.97, boom), (y + 0.015, depth + 0.97 * top), (y - 0.004, depth + 0.97 * top)], 0.008
            )
            parts.append(sail)
        if chance(rng, 0.75):
            y, top = 0.38 if masts == 1 else 0.3, tall * 0.85
            parts.append(
                across([(0.03, 1.15 * depth), (y - 0.03, depth + 0.06), (y + 0.002, depth + top), (y - 0.012, depth + top)], 0.008)
            )
            features.append("a jib")
        if chance(rng, 0.5):
            parts.append(slab(0.55 * beam, 0.24, 0.07, 0.02, (0, 0.55, depth - 0.01)))
            features.append("a cabin")
        if chance(rng, 0.5):
            parts.append(across([(0.42, 0.05), (0.44, -0.14), (0.6, -0.14), (0.64, 0.05)], 0.025))
            features.append("a keel")
        features.insert(0, counted(masts, "mast"))
        counts = {"masts": masts}
    elif style == "motor":
        start, cabin, high = rng.uniform(0.28, 0.4), rng.uniform(0.25, 0.42), rng.uniform(0.1, 0.18)
        parts.append(
            across(
                [
                    (start, depth),
                    (start + cabin, depth),
                    (start + 0.95 * cabin, depth + high),
                    (start + rng.uniform(0.2, 0.5) * cabin, depth + high),
                ],
                0.7 * beam,
            )
        )
        if chance(rng, 0.4):
            parts.append(
                across(
                    [
                        (start + 0.5 * cabin, depth + high - 0.01),
                        (start + 0.95 * cabin, depth + high - 0.01),
                        (start + 0.9 * cabin, depth + 1.7 * high),
                        (start + 0.6 * cabin, depth + 1.7 * high),
                    ],
                    0.5 * beam,
                )
            )
            features.append("two decks")
        if chance(rng, 0.5):
            parts.append(box(0.07, 0.07, 0.22, (0, 1.0, 0.35 * depth)))
            features.append("an outboard motor")
        if chance(rng, 0.4):
            parts.append(between((0, start + 0.7 * cabin, depth), (0, start + 0.75 * cabin, depth + high + 0.22), 0.006))
            features.append("an aerial")
    else:
        aft = chance(rng, 0.5)
        start, size, levels = (0.72, 0.16, int(rng.integers(2, 5))) if aft else (0.32, 0.42, int(rng.integers(2, 4)))
        for k in range(levels):
            shrink = 1 - 0.14 * k
            parts.append(slab(0.8 * beam * shrink, size * shrink, 0.055, 0.01, (0, start + size / 2, depth - 0.004 + 0.05 * k)))
        top = depth + 0.05 * levels
        funnels = 1 if aft else int(rng.integers(1, 4))
        for y in start + size * np.arange(1, funnels + 1) / (funnels + 1):
            parts.append(disc(0.028, 0.11, (0, y, top - 0.01), high=0.024))
        features += [counted(funnels, "funnel")]
        if aft and chance(rng, 0.7):
            rows = int(rng.integers(3, 6))
            for y in np.linspace(0.16, 0.66, rows):
                parts.append(box(0.8 * beam, 0.42 / rows, rng.uniform(0.03, 0.1), (0, y, depth - 0.004)))
            features.append("containers")
        if chance(rng, 0.5):
            parts.append(between((0, 0.14, 0.5 * depth), (0, 0.14, depth + 0.24), 0.008))
            features.append("a mast")
    adjectives = word(beam / usual, 0.95, 1.1, ("narrow", "wide"))
    noun = "ship" if style == "ship" else f"{style} boat"
    return Design(solid=union(parts), adjectives=adjectives, features=features, counts=counts, noun=noun)
