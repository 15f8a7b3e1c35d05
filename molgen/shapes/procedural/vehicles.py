"""Procedural road vehicles: car and truck. Their front points to -y."""

import numpy as np
from manifold3d import Manifold

from molgen.shapes.procedural.design import Design, chance, counted, pick, word
from molgen.shapes.procedural.solids import across, between, box, disc, ellipsoid, mirrored, slab, union, warped


def _wheel(x: float, y: float, radius: float, width: float) -> Manifold:
    tyre = between((x - width / 2, y, radius), (x + width / 2, y, radius), radius)
    hub = between((x - width, y, radius), (x + width, y, radius), 0.55 * radius)
    return tyre - (hub - between((x - 0.35 * width, y, radius), (x + 0.35 * width, y, radius), radius))


def car(rng: np.random.Generator) -> Design:
    """A car: saloon, hatchback, estate, van, pick-up, sports car or off-roader."""
    style = pick(rng, saloon=3, hatchback=2, estate=2, van=2, sports=2, offroad=2)
    scale = {
        "saloon": (4.6, 1.42),
        "hatchback": (3.9, 1.48),
        "estate": (4.7, 1.48),
        "van": (4.7, 1.9),
        "sports": (4.3, 1.18),
        "offroad": (4.4, 1.8),
    }
    length, height = scale[style][0] * rng.uniform(0.92, 1.08), scale[style][1] * rng.uniform(0.94, 1.06)
    width, wheel = rng.uniform(1.65, 1.95), rng.uniform(0.29, 0.36) * (1.15 if style == "offroad" else 1.0)
    low = 0.55 * wheel if style != "offroad" else 0.9 * wheel
    belt = low + (height - low) * rng.uniform(0.5, 0.6)
    bonnet = belt - rng.uniform(0.02, 0.12)
    nose, tail = -length / 2, length / 2
    # where the windscreen and the rear window meet the belt line and the roof, as shares of the length from the front
    glass = {
        "saloon": (0.28, 0.42, 0.68, 0.84),
        "hatchback": (0.26, 0.42, 0.84, 0.97),
        "estate": (0.27, 0.4, 0.9, 0.99),
        "van": (0.1, 0.28, 0.95, 0.995),
        "sports": (0.36, 0.52, 0.66, 0.92),
        "offroad": (0.27, 0.36, 0.94, 0.99),
    }[style]
    a, b, c, d = (nose + length * (share + rng.uniform(-0.015, 0.015) * (share < 0.95)) for share in glass)
    deck = belt - rng.uniform(0.0, 0.06) if d < tail - 0.2 else belt
    outline = [
        (nose + 0.04, low),
        (tail - 0.04, low),
        (tail, low + 0.15),
        (tail - 0.02, deck - 0.05),
        (tail - 0.12, deck),
        (a, belt),
        (nose + 0.15, bonnet - 0.06),
        (nose, bonnet - 0.2),
        (nose, low + 0.15),
    ]
    body = across(outline, width)
    roof = across([(a, belt - 0.05), (d, belt - 0.05), (c, height), (b, height)], 1.0)
    inner = rng.uniform(0.76, 0.86)

    def lean(points: np.ndarray) -> np.ndarray:
        share = np.clip((points[:, 2] - belt + 0.05) / (height - belt + 0.05), 0, 1)
        return points * np.stack([width * (0.96 + (inner - 0.96) * share), np.ones_like(share), np.ones_like(share)], 1)

    cabin = warped(roof, lean)
    front, back = nose + length * rng.uniform(0.17, 0.21), tail - length * rng.uniform(0.17, 0.22)
    arches = [between((-width, y, wheel), (width, y, wheel), 1.18 * wheel) for y in (front, back)]
    core = box(0.72 * width, length * 0.9, 0.4, (0, 0, low))
    shell = (body - union(arches)) + core + cabin
    wheels = [
        mirrored(_wheel(width / 2 - 0.12, y, wheel, 0.22)) + between((-width / 2 + 0.1, y, wheel), (width / 2 - 0.1, y, wheel), 0.06)
        for y in (front, back)
    ]
    parts, features = [shell, *wheels], []
    parts.append(mirrored(ellipsoid((0.1, 0.05, 0.07), (width / 2 + 0.02, a + 0.2 * length * 0.3, belt + 0.05))))
    if (style == "sports" and chance(rng, 0.6)) or chance(rng, 0.07):
        parts += [
            box(0.9 * width, 0.22, 0.035, (0, tail - 0.12, deck + 0.2)),
            mirrored(box(0.05, 0.12, 0.24, (0.3 * width, tail - 0.14, deck - 0.02))),
        ]
        features.append("a rear wing")
    if style in ("estate", "offroad", "van") and chance(rng, 0.4):
        x = 0.4 * inner * width
        parts.append(
            mirrored(
                between((x, b + 0.1, height + 0.04), (x, c - 0.1, height + 0.04), 0.025)
                + mirrored(box(0.05, 0.05, 0.06, (x, b + 0.2, height - 0.01)) + box(0.05, 0.05, 0.06, (x, c - 0.2, height - 0.01)))
            )
        )
        features.append("a roof rack")
    if style == "offroad" and chance(rng, 0.6):
        parts.append(between((0, tail - 0.02, belt - 0.15), (0, tail + 0.2, belt - 0.15), 0.9 * wheel))
        features.append("a spare wheel")
    nouns = {
        "saloon": "saloon car",
        "hatchback": "hatchback car",
        "estate": "estate car",
        "van": "van",
        "sports": "sports car",
        "offroad": "off-road car",
    }
    return Design(
        solid=union(parts),
        features=features,
        counts={"wheels": 4},
        noun=nouns[style],
        adjectives=word(length / height, 2.5, 3.3, ("short", "long")),
    )


def truck(rng: np.random.Generator) -> Design:
    """A truck: cab, chassis, and a box, a tank, an open bed or a flat bed."""
    wheel, width = rng.uniform(0.45, 0.55), rng.uniform(2.2, 2.6)
    deck = 2 * wheel + rng.uniform(0.02, 0.2)
    cab, gap, load = rng.uniform(1.6, 2.3), rng.uniform(0.1, 0.35), rng.uniform(3.5, 8.0)
    tall = deck + rng.uniform(1.5, 2.2)
    hood = chance(rng, 0.35)
    start = 0.0
    parts = []
    if hood:
        start = rng.uniform(1.0, 1.5)
        parts.append(slab(0.8 * width, start + 0.1, rng.uniform(0.7, 0.95), 0.1, (0, start / 2 + 0.05, deck - 0.4)))
    screen = rng.uniform(0.05, 0.35)
    parts.append(
        across([(start, deck - 0.45), (start + cab, deck - 0.45), (start + cab, tall), (start + screen, tall), (start, deck + 0.75)], width)
    )
    rear = start + cab + gap + load
    parts.append(box(0.45 * width, rear - 0.3, 0.3, (0, (rear + 0.3) / 2, deck - 0.29)))
    middle, top = start + cab + gap + load / 2, rng.uniform(1.6, 2.5)
    style = pick(rng, box=3, tank=2, open=2, flat=1)
    if style == "box":
        parts.append(slab(width, load, top, 0.03, (0, middle, deck)))
    elif style == "tank":
        r = 0.46 * width
        parts.append(between((0, middle - load / 2 + 0.15, deck + r - 0.05), (0, middle + load / 2 - 0.15, deck + r - 0.05), r))
        parts += [ellipsoid((r, 0.4, r), (0, y, deck + r - 0.05)) for y in (middle - load / 2 + 0.2, middle + load / 2 - 0.2)]
        parts += [disc(0.28, 0.2, (0, middle + shift * load, deck + 2 * r - 0.1)) for shift in (-0.2, 0.2)]
    elif style == "open":
        side = rng.uniform(0.6, 1.2)
        parts.append(box(width, load, side, (0, middle, deck)) - box(width - 0.16, load - 0.16, side, (0, middle, deck + 0.1)))
    else:
        parts.append(box(width, load, 0.15, (0, middle, deck)))
        parts.append(box(width, 0.1, 1.0, (0, middle - load / 2 + 0.05, deck)))
    axles = 3 if load > 5 else 2
    places = [start + cab / 2 if not hood else 0.6 * start + 0.3] + [rear - 0.9 - k * 2.35 * wheel for k in range(axles - 1)]
    for y in places:
        parts.append(mirrored(_wheel(width / 2 - 0.2, y, wheel, 0.38)))
        parts.append(between((-width / 2 + 0.2, y, wheel), (width / 2 - 0.2, y, wheel), 0.1))
        parts.append(box(0.3, 0.3, deck - wheel, (0, y, wheel)))
    features = [{"box": "a box body", "tank": "a tank", "open": "an open bed", "flat": "a flat bed"}[style]]
    if hood:
        features.append("a bonnet")
    if chance(rng, 0.3):
        x = 0.5 * width - 0.1
        parts.append(mirrored(between((x, start + cab + 0.04, deck - 0.35), (x, start + cab + 0.04, tall + 0.35), 0.07)))
        features.append("two exhaust pipes")
    features.append(counted(2 * axles, "wheel"))
    return Design(solid=union(parts), features=features, counts={"wheels": 2 * axles}, adjectives=word(rear, 6.6, 9.2, ("short", "long")))
