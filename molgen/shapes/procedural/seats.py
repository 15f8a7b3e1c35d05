"""Procedural seats: chair, stool, bench and sofa."""

import numpy as np

from molgen.shapes.procedural.bases import JOINT, pedestal, plate, stand_on_legs
from molgen.shapes.procedural.design import Design, chance, counted, pick, word
from molgen.shapes.procedural.solids import between, box, cushion, mirrored, ring, slab, union


def chair(rng: np.random.Generator) -> Design:
    """A chair with one of four backs, with or without arms, on legs or on a pedestal."""
    width, depth, seat = rng.uniform(0.38, 0.58), rng.uniform(0.38, 0.54), rng.uniform(0.36, 0.52)
    thick, rise, lean = rng.uniform(0.025, 0.08), rng.uniform(0.28, 0.7), rng.uniform(0, 0.2)
    shape = pick(rng, square=3, rounded=2, round=1)
    parts = [plate(rng, shape, width, depth, thick, seat)]
    if chance(rng, 0.18):
        below, words = pedestal(rng, 0.5 * width, seat)
        features, legs = [words], 1
    else:
        below, features = stand_on_legs(rng, width * (0.8 if shape == "round" else 1), depth * (0.8 if shape == "round" else 1), seat)
        legs = 4
    style = pick(rng, solid=3, slatted=2, ladder=2, open=1)
    inside, post = 0.9 * width * (0.75 if shape == "round" else 1), rng.uniform(0.013, 0.022)
    if style == "solid":
        back = [slab(inside, rise, rng.uniform(0.02, 0.06), rng.uniform(0.005, 0.12)).rotate((90, 0, 0)).translate((0, 0.015, rise / 2))]
    else:
        x = inside / 2 - post
        square = chance(rng, 0.5)
        back = [between((s * x, 0, -thick / 2), (s * x, 0, rise), post, square=square) for s in (-1, 1)]
        back.append(box(2 * x + post, 1.6 * post, rng.uniform(0.04, 0.12), (0, 0, rise - 0.04)))
        if style == "slatted":
            number = int(rng.integers(3, 8))
            back += [between((t, 0, -thick / 2), (t, 0, rise), 0.5 * post) for t in np.linspace(-x, x, number + 2)[1:-1]]
        if style == "ladder":
            number = int(rng.integers(2, 5))
            back += [box(2 * x + post, 1.2 * post, 0.05, (0, 0, t)) for t in np.linspace(0.15, 0.85, number) * rise]
        if style == "open":
            back.append(box(2 * x + post, 1.2 * post, 0.04, (0, 0, 0.45 * rise)))
    at = depth / 2 * (0.8 if shape == "round" else 1) - 0.025
    parts += [solid.rotate((-np.degrees(lean), 0, 0)).translate((0, at, seat + thick - JOINT)) for solid in back]
    features.append({"solid": "a solid back", "slatted": "a slatted back", "ladder": "a ladder back", "open": "an open back"}[style])
    if chance(rng, 0.3):
        z, x = seat + thick + rng.uniform(0.15, 0.26), width / 2 - 0.01
        bend = at + np.tan(lean) * (z - seat - thick)
        front = -depth / 2 + rng.uniform(0.04, 0.14)
        rail = between((x, front - 0.03, z), (x, bend, z), 0.022, square=chance(rng, 0.5))
        support = between((x - 0.012, front, seat + thick / 2), (x, front, z), 0.016)
        parts.append(mirrored(rail + support + between((x, bend, z), (inside / 2 - post, bend, z), 0.02)))
        features.append("arms")
    adjectives = [*word(rise / seat, 0.85, 1.3, ("low-backed", "high-backed")), *(["round"] if shape == "round" else [])]
    lacks = [] if "arms" in features else ["arms"]
    return Design(solid=union([*parts, *below]), adjectives=adjectives, features=features, lacks=lacks, counts={"legs": legs})


def stool(rng: np.random.Generator) -> Design:
    """A stool without back, from a footstool to a bar stool."""
    width, height, thick = rng.uniform(0.28, 0.48), rng.uniform(0.25, 0.85), rng.uniform(0.025, 0.09)
    shape = pick(rng, round=3, square=2, rounded=1)
    top = plate(rng, shape, width, width, thick, height)
    if chance(rng, 0.22):
        below, words = pedestal(rng, 0.55 * width, height)
        features, legs = [words], 1
    else:
        legs = 3 if chance(rng, 0.4) else 4
        factor = 0.75 if shape == "round" and legs == 4 else 1.0
        below, features = stand_on_legs(rng, factor * width, factor * width, height, legs)
    if shape == "round" and chance(rng, 0.3):
        z = height * rng.uniform(0.25, 0.5)
        below.append(ring(0.36 * width, 0.01, z))
        if legs > 1:
            features.append("a foot ring")
        else:
            below.append(box(0.72 * width, 0.015, 0.015, (0, 0, z - 0.007)))
    adjectives = [*word(height / width, 1.1, 1.8, ("low", "tall")), "round" if shape == "round" else "square"]
    return Design(solid=union([top, *below]), adjectives=adjectives, features=features, counts={"legs": legs})


def bench(rng: np.random.Generator) -> Design:
    """A bench for two to four, with or without a back."""
    width, depth, height, thick = rng.uniform(1.0, 2.0), rng.uniform(0.3, 0.45), rng.uniform(0.38, 0.5), rng.uniform(0.03, 0.07)
    parts, features = [], []
    if chance(rng, 0.4):
        number = int(rng.integers(3, 6))
        strip = depth / number
        parts += [box(width, 0.8 * strip, thick, (0, (k + 0.5) * strip - depth / 2, height)) for k in range(number)]
        parts.append(mirrored(box(0.04, depth, 0.03, (0.4 * width, 0, height - 0.03 + JOINT))))
        features.append("a slatted seat")
    else:
        parts.append(slab(width, depth, thick, 0.01, (0, 0, height)))
    legs = 0
    if chance(rng, 0.35):
        parts.append(mirrored(box(0.06, 0.9 * depth, height + JOINT, (0.4 * width, 0, 0))))
        features.append("two solid sides")
    else:
        legs = 6 if width > 1.6 and chance(rng, 0.5) else 4
        x = 0.4 * width if features else 0.47 * width
        below, words = stand_on_legs(rng, 2 * x + 0.04, depth, height, legs)
        if legs == 6 and features:
            below.append(box(0.04, depth, 0.03, (0, 0, height - 0.03 + JOINT)))
        parts, features = parts + below, features + words
    back = chance(rng, 0.45)
    if back:
        rise, y = rng.uniform(0.3, 0.45), depth / 2 - 0.02
        parts.append(mirrored(box(0.04, 0.04, rise + thick, (0.42 * width, y, height))))
        number = int(rng.integers(2, 4))
        parts += [box(width, 0.025, 0.08, (0, y, height + thick + z)) for z in np.linspace(0.3, 1, number) * rise - 0.08]
        features.append("a back")
    return Design(
        solid=union(parts),
        adjectives=word(width / depth, 3.6, 4.8, ("short", "long")),
        features=features,
        lacks=[] if back else ["a back"],
        counts={"legs": legs} if legs else {},
    )


def sofa(rng: np.random.Generator) -> Design:
    """A sofa or an armchair with one to four seats."""
    seats = int(rng.integers(1, 5))
    each, depth, seat = rng.uniform(0.55, 0.7), rng.uniform(0.75, 1.0), rng.uniform(0.25, 0.36)
    arm, back, rise = rng.uniform(0.1, 0.24), rng.uniform(0.14, 0.26), rng.uniform(0.3, 0.55)
    inner, foot = seats * each, rng.uniform(0.04, 0.15)
    width = inner + 2 * arm
    parts = [box(width, depth, seat - foot, (0, 0, foot))]
    parts.append(slab(width, back, rise + seat - foot, 0.02, (0, depth / 2 - back / 2, foot)))
    high = seat + rng.uniform(0.14, 0.3)
    if chance(rng, 0.4):
        roll = between((inner / 2 + arm / 2, -depth / 2, high), (inner / 2 + arm / 2, depth / 2 - 0.02, high), arm / 2 + 0.02)
        parts.append(mirrored(roll + box(0.8 * arm, depth, high - foot, (inner / 2 + arm / 2, 0, foot))))
        features = ["rolled arms"]
    else:
        parts.append(mirrored(slab(arm, depth, high - foot, rng.uniform(0.01, 0.05), (inner / 2 + arm / 2, 0, foot))))
        features = ["square arms"]
    soft = rng.uniform(0.1, 0.18)
    for k in range(seats):
        x = (k - (seats - 1) / 2) * each
        parts.append(cushion(0.97 * each, depth - back, soft, (x, -back / 2 - 0.01, seat - 0.02)))
        if rise > 0.38:
            parts.append(cushion(0.95 * each, 0.18, 0.8 * rise, (x, depth / 2 - back - 0.05, seat + soft - 0.05)))
    x, y = width / 2 - 0.06, depth / 2 - 0.06
    parts += [between((i * x, j * y, 0), (i * x, j * y, foot + JOINT), 0.02, 0.03) for i in (-1, 1) for j in (-1, 1)]
    noun = "armchair" if seats == 1 else "sofa"
    features.append(counted(seats, "cushion"))
    adjectives = word(rise, 0.36, 0.48, ("low-backed", "high-backed"))
    return Design(solid=union(parts), adjectives=adjectives, features=features, counts={"legs": 4}, noun=noun)
