"""Procedural furniture that nobody sits on: table, bed, shelf and lamp."""

from itertools import pairwise

import numpy as np

from molgen.shapes.procedural.bases import JOINT, pedestal, stand_on_legs
from molgen.shapes.procedural.design import Design, chance, counted, pick, word
from molgen.shapes.procedural.solids import between, box, cushion, disc, ellipsoid, lathe, mirrored, slab, tube, turned, union


def table(rng: np.random.Generator) -> Design:
    """A table: round, oval, square or long; on legs, a pedestal or two panels."""
    height, width, thick = rng.uniform(0.35, 0.9), rng.uniform(0.6, 1.6), rng.uniform(0.02, 0.07)
    shape = pick(rng, rectangular=4, round=2, oval=1, square=1)
    depth = width * (rng.uniform(0.4, 0.8) if shape in ("rectangular", "oval") else 1.0)
    if shape in ("round", "oval"):
        top = disc(width / 2, thick, (0, 0, height)).scale((1, depth / width, 1))
    else:
        top = slab(width, depth, thick, rng.uniform(0.002, 0.06), (0, 0, height))
    parts, features = [top], []
    base = pick(rng, legs=5, pedestal=1.6, panels=1.2 if shape in ("rectangular", "square") else 0)
    factor = 0.72 if shape in ("round", "oval") else 1.0
    if base == "pedestal":
        below, words = pedestal(rng, 0.36 * depth, height)
        features, legs = [words], 1
    elif base == "panels":
        x, legs = width / 2 - rng.uniform(0.05, 0.2), 0
        below = [mirrored(box(rng.uniform(0.025, 0.06), 0.85 * depth, height + JOINT, (x, 0, 0)))]
        below.append(box(2 * x, 0.03, 0.12, (0, 0, height * rng.uniform(0.2, 0.75))))
        features = ["two side panels"]
    else:
        legs = 3 if shape == "round" and chance(rng, 0.35) else 6 if shape == "rectangular" and chance(rng, 0.12) else 4
        below, features = stand_on_legs(rng, factor * width, factor * depth, height, legs)
        if chance(rng, 0.35) and legs > 3:
            frame = box(0.9 * factor * width, 0.9 * factor * depth, 0.08, (0, 0, height - 0.08 + JOINT))
            below.append(frame - box(0.9 * factor * width - 0.04, 0.9 * factor * depth - 0.04, 0.2, (0, 0, height - 0.2)))
        elif chance(rng, 0.25) and legs == 4:
            size = 0.98 * factor
            below.append(box(size * width - 0.03, size * depth - 0.03, 0.02, (0, 0, height * rng.uniform(0.2, 0.5))))
            features.append("a lower shelf")
    adjectives = [*word(height / np.sqrt(width * depth), 0.52, 0.85, ("low", "tall")), shape]
    return Design(solid=union([*parts, *below]), adjectives=adjectives, features=features, counts={"legs": legs} if legs else {})


def bed(rng: np.random.Generator) -> Design:
    """A single or double bed with head- and footboard, or with four posts."""
    double = chance(rng, 0.55)
    width, length, height = rng.uniform(1.35, 1.9) if double else rng.uniform(0.8, 1.1), rng.uniform(1.9, 2.15), rng.uniform(0.18, 0.4)
    rail, mattress = rng.uniform(0.1, 0.25), rng.uniform(0.12, 0.28)
    parts = [
        box(width, length, rail, (0, 0, height)),
        slab(0.96 * width, 0.97 * length, mattress + 0.01, 0.08, (0, 0, height + rail - 0.01)),
    ]
    top = height + rail + mattress
    head, y, x = top + rng.uniform(0.15, 0.6), length / 2, width / 2
    style = pick(rng, panel=3, slatted=2, round=1)
    post = rng.uniform(0.03, 0.05)
    posts = 0.0
    if style == "panel":
        parts.append(box(width, 0.05, head - height, (0, y, height)))
    elif style == "round":
        radius = width / 2
        parts.append(box(width, 0.05, top - height, (0, y, height)))
        arch = between((0, y - 0.025, top), (0, y + 0.025, top), radius).trim_by_plane((0, 0, 1), top - 0.05)
        parts.append(arch.translate((0, 0, -top)).scale((1, 1, (head - top) / radius)).translate((0, 0, top)))
    else:
        number = int(rng.integers(4, 10))
        parts += [between((t, y, height), (t, y, head), 0.016) for t in np.linspace(-x, x, number + 2)[1:-1]]
        parts.append(box(width, 0.05, 0.08, (0, y, head - 0.08)))
        posts = head
    if posts:
        parts.append(mirrored(between((x - post, y, 0), (x - post, y, posts + 0.03), post, square=True)))
    features = [{"panel": "a panel headboard", "slatted": "a slatted headboard", "round": "a round headboard"}[style]]
    canopy = chance(rng, 0.13)
    if canopy:
        z = rng.uniform(1.7, 2.1)
        corners = [(i * (x - 0.03), j * (y - 0.03)) for i, j in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
        parts += [between((*c, 0), (*c, z), 0.03, square=True) for c in corners]
        parts += [between((*a, z), (*b, z), 0.03, square=True) for a, b in zip(corners, corners[1:] + corners[:1], strict=True)]
        features.append("four posts")
    elif chance(rng, 0.45):
        parts.append(box(width, 0.05, top * rng.uniform(0.9, 1.25) - height, (0, -y, height)))
        features.append("a footboard")
    legs = [
        between((i * (x - 0.05), j * (y - 0.06), 0), (i * (x - 0.05), j * (y - 0.06), height + JOINT), 0.03, 0.04, True)
        for i in (-1, 1)
        for j in (-1, 1)
    ]
    pillows = 2 if double else 1
    for k in range(pillows):
        place = (k - (pillows - 1) / 2) * width / 2
        parts.append(cushion(0.8 * width / pillows, 0.42, 0.14, (place, y - 0.35, top - 0.04)))
    features.append(counted(pillows, "pillow"))
    return Design(solid=union([*parts, *legs]), adjectives=["double" if double else "single"], features=features, counts={"legs": 4})


def shelf(rng: np.random.Generator) -> Design:
    """A bookcase, an open rack or a low sideboard with shelves."""
    width, depth, height = rng.uniform(0.5, 1.4), rng.uniform(0.22, 0.42), rng.uniform(0.6, 2.1)
    boards, t = int(np.clip(round(height / rng.uniform(0.28, 0.5)), 2, 7)) + 1, rng.uniform(0.018, 0.04)
    foot = rng.uniform(0, 0.12)
    heights = np.linspace(foot, height - t, boards)
    parts = [box(width, depth, t, (0, 0, z)) for z in heights]
    features = [counted(boards - 1, "compartment row")]
    if chance(rng, 0.3):
        r, x, y = rng.uniform(0.012, 0.022), width / 2 - 0.02, depth / 2 - 0.02
        parts += [between((i * x, j * y, 0), (i * x, j * y, height + 0.02), r, square=chance(rng, 0.5)) for i in (-1, 1) for j in (-1, 1)]
        features.append("four posts")
    else:
        parts.append(mirrored(box(t, depth, height, (width / 2 - t / 2, 0, 0))))
        features.append("solid sides")
        if chance(rng, 0.6):
            parts.append(box(width, 0.012, height - foot, (0, depth / 2 - 0.006, foot)))
            features.append("a back panel")
    if width > 0.75 and chance(rng, 0.6):
        columns = int(rng.integers(2, 4))
        for x in (np.arange(1, columns) / columns - 0.5) * width:
            parts.append(box(t, depth, height - foot, (x, 0, foot)))
        features.append(f"{counted(columns, 'column')}")
    adjectives = word(height / width, 0.9, 2.0, ("low", "tall"))
    if chance(rng, 0.15):
        books = []
        for z, above in pairwise(heights):
            x = -width / 2 + t
            while x < width / 2 - 0.1 and chance(rng, 0.93):
                thick = rng.uniform(0.02, 0.05)
                books.append(box(thick, 0.75 * depth, (above - z) * rng.uniform(0.5, 0.85), (x + thick / 2, 0.05 * depth, z + t - JOINT)))
                x += thick + 0.002
        parts += books
        features += ["books"] if books else []
    return Design(solid=union(parts), adjectives=adjectives, features=features)


def lamp(rng: np.random.Generator) -> Design:
    """A floor lamp, a table lamp, an arc lamp or a jointed desk lamp."""
    style = pick(rng, floor=3, table=3, arc=1.5, desk=2)
    r = rng.uniform(0.008, 0.016)
    if style in ("floor", "table"):
        height, reach = (
            (rng.uniform(1.3, 1.8), rng.uniform(0.12, 0.2)) if style == "floor" else (rng.uniform(0.4, 0.65), rng.uniform(0.08, 0.14))
        )
        tripod = style == "floor" and chance(rng, 0.3)
        parts = [between((0, 0, 0.7 * height if tripod else 0.01), (0, 0, height), r)]
        if tripod:
            angles = np.pi / 6 + 2 * np.pi * np.arange(3) / 3
            parts += [between((0.3 * np.cos(a), 0.3 * np.sin(a), 0), (0, 0, 0.85 * height), 0.012, 0.016) for a in angles]
        elif style == "table" and chance(rng, 0.5):
            belly = reach * rng.uniform(0.8, 1.2)
            parts.append(ellipsoid((belly, belly, 0.24 * height), (0, 0, 0.21 * height)).trim_by_plane((0, 0, 1), 0))
        else:
            parts.append(turned(np.array([(reach, 0.0), (reach, 0.015), (2 * r, 0.035), (r, 0.05)])))
        shade, tall = (
            rng.uniform(0.13, 0.26) * (1.0 if style == "floor" else 0.75),
            rng.uniform(0.14, 0.3) * (1 if style == "floor" else 0.7),
        )
        if chance(rng, 0.22):
            parts.append(ellipsoid((0.8 * shade,) * 3, (0, 0, height)))
            words = "a globe shade"
        else:
            ratio = rng.uniform(0.4, 1.0)
            low, high = height - 0.6 * tall, height + 0.4 * tall
            parts.append(lathe([(shade - 0.006, low), (shade, low), (ratio * shade, high), (ratio * shade - 0.006, high)]))
            parts.append(box(2 * ratio * shade, 0.008, 0.008, (0, 0, high - 0.008)))
            parts.append(between((0, 0, height - 0.02), (0, 0, high - 0.004), 0.7 * r))
            words = "a drum shade" if ratio > 0.8 else "a conical shade"
        features = [words, *(["a tripod"] if tripod else [])]
        return Design(solid=union(parts), features=features, noun=f"{style} lamp", counts={"legs": 3 if tripod else 1})
    if style == "arc":
        height, over = rng.uniform(1.4, 1.9), rng.uniform(0.6, 1.1)
        t = np.linspace(0, 1, 14)
        path = np.stack([over * (1 - np.cos(np.pi * 0.62 * t)), 0 * t, height * np.sin(np.pi * 0.62 * t)], 1)
        end = path[-1]
        dome = ellipsoid((0.16, 0.16, 0.13), end) - ellipsoid((0.152, 0.152, 0.122), end)
        dome = dome.trim_by_plane((0, 0, 1), float(end[2]))
        solid = union([tube(path, r), disc(0.18, 0.04), dome, between(end - np.array([0, 0, 0.02]), end + np.array([0, 0, 0.128]), r)])
        return Design(solid=solid, features=["a dome shade", "a heavy round foot"], noun="arc lamp", counts={"legs": 1})
    lower, upper = rng.uniform(0.28, 0.42), rng.uniform(0.25, 0.4)
    a, b = rng.uniform(0.1, 0.5), rng.uniform(0.9, 1.5)
    elbow = np.array([0, lower * np.sin(a), 0.03 + lower * np.cos(a)])
    end = elbow + np.array([0, -upper * np.sin(b), upper * np.cos(b)])
    tilt = rng.uniform(-0.5, 0.3)
    shade = lathe([(0.012, 0), (0.03, 0), (0.085, -0.12), (0.08, -0.12), (0.027, -0.006), (0.012, -0.006)]) + disc(
        0.03, 0.03, (0, 0, -0.01)
    )
    shade = shade.rotate((np.degrees(tilt), 0, 0)).translate(tuple(end))
    solid = union(
        [
            disc(rng.uniform(0.08, 0.12), 0.02),
            between((0, 0, 0.01), elbow, r),
            between(elbow, end, r),
            shade,
            ellipsoid((2 * r,) * 3, elbow),
            ellipsoid((0.02,) * 3, end),
        ]
    )
    return Design(solid=solid, features=["a jointed arm", "a conical shade"], noun="desk lamp", counts={"legs": 1})
