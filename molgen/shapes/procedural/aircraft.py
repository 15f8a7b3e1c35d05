"""Procedural aircraft: plane and rocket. The nose of a plane points to -y, that of a rocket up."""

import numpy as np
from manifold3d import Manifold

from molgen.shapes.procedural.design import Design, chance, counted, pick, word
from molgen.shapes.procedural.solids import across, between, box, curve, disc, ellipsoid, lathe, mirrored, turned, union


def _wing(root: float, tip: float, span: float, sweep: float, rise: float, thick: float, at: tuple[float, float, float]) -> Manifold:
    """The right half of a wing: two sections with these chords, and the hull of them."""

    def section(chord: float, x: float, y: float, z: float, t: float) -> np.ndarray:
        outline = np.array([(0, 0), (0.12, 0.5), (0.4, 0.62), (1, 0.05), (1, -0.05), (0.4, -0.4), (0.12, -0.35)])
        return np.stack([np.full(7, x), y + chord * outline[:, 0], z + t * outline[:, 1]], 1)

    x, y, z = at
    points = np.vstack([section(root, x, y, z, thick), section(tip, x + span, y + sweep, z + rise, thick * max(tip / root, 0.3))])
    return Manifold.hull_points(points)


def plane(rng: np.random.Generator) -> Design:
    """An aeroplane: airliner, propeller plane, biplane, jet fighter or glider."""
    style = pick(rng, airliner=3, propeller=3, biplane=1.5, fighter=2.5, glider=1.5)
    r = {"airliner": 0.055, "propeller": 0.07, "biplane": 0.065, "fighter": 0.055, "glider": 0.035}[style] * rng.uniform(0.85, 1.2)
    tail = rng.uniform(0.15, 0.3)
    points = [(0.06 * r, 0), (0.7 * r, 0.05), (r, rng.uniform(0.14, 0.25)), (r, 0.6), (tail * r, 1.0)]
    if style == "fighter":
        points = [(0.05 * r, 0), (0.55 * r, 0.18), (r, 0.45), (r, 0.8), (0.75 * r, 1.0)]
    if style == "glider":
        points = [(0.1 * r, 0), (0.8 * r, 0.06), (r, 0.2), (0.5 * r, 0.5), (0.35 * r, 1.0)]
    body = turned(curve(points, 30)).rotate((-90, 0, 0))  # z of the profile becomes +y: the nose is at y = 0
    parts, features, counts = [body], [], {}
    place = rng.uniform(0.3, 0.42)
    chord = {"airliner": 0.2, "propeller": 0.17, "biplane": 0.15, "fighter": 0.42, "glider": 0.09}[style] * rng.uniform(0.85, 1.2)
    span = {"airliner": 0.48, "propeller": 0.55, "biplane": 0.48, "fighter": 0.32, "glider": 0.85}[style] * rng.uniform(0.85, 1.15)
    taper = {"airliner": 0.3, "propeller": 0.75, "biplane": 0.95, "fighter": 0.2, "glider": 0.45}[style] * rng.uniform(0.8, 1.05)
    sweep = {"airliner": 0.25, "propeller": 0.02, "biplane": 0.0, "fighter": 0.36, "glider": 0.02}[style] * rng.uniform(0.7, 1.2)
    height = pick(rng, low=3, high=2, mid=1) if style not in ("fighter", "biplane") else "mid"
    z = {"low": -0.55, "mid": 0.0, "high": 0.75}[height] * r
    rise = rng.uniform(0.0, 0.07) * span if style != "fighter" else 0.0
    wing = _wing(chord, taper * chord, span, sweep, rise, 0.14 * chord if style != "fighter" else 0.03, (0.0, place, z))
    parts.append(mirrored(wing))
    if style == "biplane":
        gap = rng.uniform(0.1, 0.14)
        parts.append(mirrored(_wing(chord, taper * chord, span * 1.03, sweep, rise, 0.14 * chord, (0.0, place - 0.02, z + gap))))
        for x in (0.25 * span, 0.8 * span):
            lift = rise * x / span
            parts += [
                mirrored(between((x, place + f * chord, z + lift - 0.004), (x, place - 0.02 + f * chord, z + lift + gap), 0.005))
                for f in (0.25, 0.7)
            ]
        parts.append(between((0, place + 0.3 * chord, 0), (0, place + 0.3 * chord, z + gap), 0.008))
    else:
        features += [f"{height} wings"] if style != "fighter" else []
    # tail: fin and tailplane
    fin, plate = rng.uniform(0.1, 0.17), rng.uniform(0.11, 0.2)
    small = rng.uniform(0.08, 0.13) * (1.2 if style == "fighter" else 1)
    high = style in ("glider", "airliner") and chance(rng, 0.35)
    root = 1.0 - small - 0.005
    upright = _wing(small * 1.1, small * 0.7, fin, 0.08 if style != "biplane" else 0.02, 0.0, 0.012, (0.0, root, 0.0)).rotate((0, -90, 0))
    if style == "fighter" and chance(rng, 0.4):
        twin = upright.rotate((0, 14, 0)).translate((0.6 * r, -0.06, 0.2 * r))
        parts.append(mirrored(twin))
        features.append("two fins")
    else:
        parts.append(upright)
    level = fin - 0.01 if high else 0.1 * r
    back = root + (0.075 if high else 0.0)
    parts.append(
        mirrored(_wing(small, 0.6 * small, plate, 0.06 if style in ("airliner", "fighter") else 0.015, 0.0, 0.012, (0.0, back, level)))
    )
    features += ["a T-tail"] if high else []
    if style == "airliner":
        number = 4 if chance(rng, 0.35) else 2
        engine = rng.uniform(0.026, 0.036)
        aft = height == "high" or chance(rng, 0.25)
        spots = (0.3, 0.58) if number == 4 else (0.32,)
        if aft and number == 2:
            parts.append(
                mirrored(
                    turned(np.array([(engine, 0), (engine, 0.1), (0.6 * engine, 0.13)]))
                    .rotate((-90, 0, 0))
                    .translate((r + 0.75 * engine, 0.68, 0.2 * r))
                    + box(r + engine, 0.05, 0.012, ((r + engine) / 2, 0.74, 0.2 * r - 0.006))
                )
            )
            features.append("two engines at the tail")
        else:
            for share in spots:
                x, y, below = share * span, place + share * sweep, z + rise * share - 1.05 * engine
                pod = (
                    turned(curve([(0.8 * engine, 0), (engine, 0.03), (0.55 * engine, 0.13)], 10))
                    .rotate((-90, 0, 0))
                    .translate((x, y - 0.05, below))
                )
                parts.append(mirrored(pod + box(0.008, 0.06, 1.2 * engine, (x, y + 0.03, below))))
            features.append(f"{counted(number, 'engine')} under the wings")
        counts = {"engines": number}
    elif style in ("propeller", "biplane"):
        blades = int(rng.integers(2, 5))
        reach = rng.uniform(0.09, 0.13)
        hub = ellipsoid((0.35 * r, 0.03, 0.35 * r), (0, 0.0, 0))
        turn = rng.uniform(0, np.pi)
        blade = [
            box(0.022, 0.008, reach, (0, 0, 0)).rotate((0, float(np.degrees(turn + 2 * np.pi * k / blades)), 0)) for k in range(blades)
        ]
        parts += [hub, *[b.translate((0, -0.005, 0)) for b in blade]]
        features.append(f"a propeller with {counted(blades, 'blade')}")
        if chance(rng, 0.75):
            y, drop = place + 0.02, -r - 0.09
            parts.append(
                mirrored(
                    between((0.3 * r, y, -0.5 * r), (0.1, y - 0.01, drop), 0.006)
                    + between((0.085, y - 0.01, drop), (0.12, y - 0.01, drop), 0.032)
                )
            )
            features.append("a fixed undercarriage")
        counts = {"engines": 1}
    if style in ("fighter", "glider", "propeller"):
        at = {"fighter": 0.34, "glider": 0.15, "propeller": place + 0.06}[style]
        parts.append(ellipsoid((0.62 * r, 0.1 if style != "propeller" else 0.13, 0.75 * r), (0, at, 0.62 * r)))
    if style == "fighter" and chance(rng, 0.5):
        x = rng.uniform(0.4, 0.75) * span
        y = place + sweep * x / span + 0.4 * chord * (1 - x / span)
        parts.append(mirrored(between((x, y - 0.1, -0.022), (x, y + 0.09, -0.022), 0.011) + box(0.008, 0.07, 0.03, (x, y, -0.025))))
        features.append("missiles under the wings")
    nouns = {"airliner": "airliner", "propeller": "propeller plane", "biplane": "biplane", "fighter": "jet fighter", "glider": "glider"}
    return Design(
        solid=union(parts),
        features=features,
        noun=nouns[style],
        counts=counts,
        adjectives=["swept-wing"] if style == "airliner" and sweep > 0.24 else [],
    )


def rocket(rng: np.random.Generator) -> Design:
    """A rocket with fins, nozzles and sometimes boosters."""
    r, nose = rng.uniform(0.04, 0.085), rng.uniform(0.12, 0.3)
    bulge = rng.uniform(1.0, 1.5) if chance(rng, 0.3) else 1.0
    top = 1.0 - nose
    points = [(r, 0.05), (bulge * r, 0.4), (r, top), (0.62 * r, top + 0.55 * nose), (0.02 * r, 1.0)]
    parts, features = [turned(curve(points, 40))], []
    fins = int(rng.integers(3, 5))
    reach, tall, sweep = rng.uniform(0.06, 0.15), rng.uniform(0.12, 0.3), rng.uniform(0.0, 0.1)
    fin = across([(0.3 * r, 0.06), (r + reach, 0.06 - sweep), (r + reach, 0.06 + 0.35 * tall - sweep), (0.5 * r, 0.06 + tall)], 0.014)
    parts += [fin.rotate((0, 0, 360.0 * k / fins)) for k in range(fins)]
    features.append(counted(fins, "fin"))
    parts.append(lathe([(0.25 * r, 0.06), (0.75 * r, -0.03), (0.66 * r, -0.03), (0.1 * r, 0.05), (0.1 * r, 0.06)]))
    boosters = int(rng.choice([2, 4])) if chance(rng, 0.35) else 0
    if boosters:
        small, high = rng.uniform(0.35, 0.6) * r, rng.uniform(0.35, 0.6)
        out = r + 0.9 * small
        pod = turned(curve([(small, 0), (small, 0.75 * high), (0.05 * small, high)], 20)).translate((out, 0, 0.02))
        parts += [pod.rotate((0, 0, 360.0 * k / boosters + 45)) for k in range(boosters)]
        features.append(counted(boosters, "booster"))
    if chance(rng, 0.3):
        parts.append(disc(1.12 * bulge * r, 0.02, (0, 0, 0.5)))
        features.append("a ring")
    return Design(solid=union(parts), features=features, adjectives=word(r * bulge, 0.055, 0.085, ("slender", "stout")))
