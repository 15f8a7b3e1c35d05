"""Procedural vessels: mug, bowl, bottle, vase, jug and goblet."""

import numpy as np
from manifold3d import Manifold

from molgen.shapes.procedural.design import Design, chance, pick, word
from molgen.shapes.procedural.solids import between, curve, disc, ellipsoid, hollow, lathe, slab, tube, turned, union, warped


def _handle(rng: np.random.Generator, profile: np.ndarray, low: float, high: float, thick: float) -> Manifold:
    """An ear at +x that meets the wall of a vessel at two heights; not yet cut free of the inside."""
    style = pick(rng, round=3, square=1, ear=1)
    inner = np.interp([low, high], profile[:, 1], profile[:, 0]) - 0.4 * thick
    reach = (high - low) * rng.uniform(0.4, 0.75) + inner.max()
    t = np.linspace(0, 1, 14)
    if style == "square":
        path = [(inner[0], 0, low), (reach, 0, low), (reach, 0, high), (inner[1], 0, high)]
        return tube(path, thick)
    across = np.sin(np.pi * t) ** (0.7 if style == "round" else 1.0)
    x = inner[0] + (inner[1] - inner[0]) * t + (reach - inner.max()) * across
    z = low + (high - low) * (t if style == "ear" else (1 - np.cos(np.pi * t)) / 2)
    return tube(np.stack([x, 0 * t, z], 1), thick)


def _inside(profile: np.ndarray, wall: float, floor: float) -> Manifold:
    """The room inside a vessel, with which handles are cut."""
    block = turned(np.vstack([profile, profile[-1] + (0, wall)]))
    return block - hollow(profile, wall, floor)


def mug(rng: np.random.Generator) -> Design:
    """A mug with one handle, sometimes two."""
    height = rng.uniform(0.075, 0.13)
    radius = rng.uniform(0.032, 0.052)
    style = pick(rng, straight=3, tapered=2, bulged=2, flared=1)
    low, mid, top = {"straight": (1, 1, 1), "tapered": (0.78, 0.9, 1), "bulged": (0.85, 1.15, 0.9), "flared": (0.75, 0.78, 1.1)}[style]
    profile = curve([(0.94 * low * radius, 0), (low * radius, 0.05 * height), (mid * radius, 0.5 * height), (top * radius, height)])
    wall, floor = rng.uniform(0.0028, 0.005), rng.uniform(0.004, 0.01)
    ear = _handle(rng, profile, rng.uniform(0.15, 0.3) * height, rng.uniform(0.7, 0.9) * height, rng.uniform(0.0035, 0.006))
    two = chance(rng, 0.08)
    ears = ear + ear.mirror((1, 0, 0)) if two else ear
    solid = hollow(profile, wall, floor) + (ears - _inside(profile, wall, floor))
    adjectives = [*word(height / radius / 2, 1.05, 1.4, ("wide", "tall")), style]
    return Design(solid=solid, adjectives=adjectives, features=["two handles" if two else "a handle"])


def bowl(rng: np.random.Generator) -> Design:
    """A bowl, from a plate-like dish to a deep basin."""
    radius, ratio = rng.uniform(0.06, 0.16), rng.uniform(0.22, 0.8)
    height = radius * ratio
    foot = rng.uniform(0.3, 0.6)
    power = rng.uniform(0.35, 0.8)
    t = np.linspace(0, 1, 24)
    profile = np.stack([radius * (foot + (1 - foot) * t**power), height * t], 1)
    features = []
    if chance(rng, 0.3):
        profile[-1, 0] *= 1.0 + rng.uniform(0.04, 0.15)
        features.append("a wide rim")
    wall = rng.uniform(0.03, 0.06) * radius
    solid = hollow(profile, wall, 1.2 * wall)
    if chance(rng, 0.5):
        ring = rng.uniform(0.06, 0.25) * height
        outer = foot * radius * rng.uniform(0.75, 0.98)
        solid += lathe([(outer - wall, -ring), (outer, -ring), (outer, 0.5 * wall), (outer - wall, 0.5 * wall)])
        features.append("a foot ring")
    if chance(rng, 0.15):
        waves, depth = int(rng.integers(6, 13)), rng.uniform(0.03, 0.07)
        solid = warped(solid, lambda p: _fluted(p, waves, depth, 0.0))
        features.append("a fluted wall")
    return Design(solid=solid, adjectives=word(ratio, 0.38, 0.62, ("shallow", "deep")), features=features)


def _fluted(points: np.ndarray, waves: int, depth: float, twist: float) -> np.ndarray:
    angle = np.arctan2(points[:, 1], points[:, 0])
    factor = 1 + depth * np.cos(waves * angle + twist * points[:, 2])
    return points * np.stack([factor, factor, np.ones_like(factor)], 1)


def bottle(rng: np.random.Generator) -> Design:
    """A closed bottle: round or square body, shoulder, neck, cap."""
    radius, height = rng.uniform(0.03, 0.05), rng.uniform(0.18, 0.34)
    neck, shoulder = radius * rng.uniform(0.28, 0.5), rng.uniform(0.5, 0.72) * height
    slope = rng.uniform(0.08, 0.26) * height
    features = []
    if chance(rng, 0.22):
        body = slab(2 * radius, 2 * radius * rng.uniform(0.6, 1), shoulder, rng.uniform(0.2, 0.5) * radius)
        top = curve([(0.95 * radius * 0.75, shoulder - 0.002), (neck, shoulder + 0.5 * slope), (neck, height)])
        solid, adjectives = body + turned(top), ["square"]
    else:
        waist = rng.uniform(0.78, 0.92) if chance(rng, 0.25) else 1.0
        points = [
            (0.9 * radius, 0),
            (radius, 0.03 * height),
            (waist * radius, 0.45 * shoulder),
            (radius, shoulder),
            (neck, shoulder + slope),
            (neck, height),
        ]
        solid, adjectives = turned(curve(points, 40)), []
        features += ["a waist"] if waist < 1 else []
    style = pick(rng, cap=2, cork=1, rim=1)
    if style == "cap":
        solid += disc(1.25 * neck, rng.uniform(0.015, 0.03), (0, 0, height - 0.012))
        features.append("a screw cap")
    elif style == "cork":
        solid += disc(0.75 * neck, 0.02, (0, 0, height - 0.004), high=0.85 * neck)
        features.append("a cork")
    else:
        solid += disc(1.2 * neck, 0.008, (0, 0, height - 0.008))
    features.append("a long neck" if height - shoulder - slope > 0.22 * height else "a short neck")
    return Design(solid=solid, adjectives=[*word(height / radius / 2, 2.4, 3.6, ("stout", "slender")), *adjectives], features=features)


def vase(rng: np.random.Generator) -> Design:
    """A vase with a free profile, sometimes fluted, twisted or with two handles."""
    height, radius = rng.uniform(0.18, 0.4), rng.uniform(0.05, 0.12)
    belly, neck, lip = rng.uniform(0.25, 0.65), rng.uniform(0.35, 0.85), rng.uniform(0.95, 1.5)
    foot = rng.uniform(0.4, 0.8)
    points = [
        (foot * radius, 0),
        (radius, belly * height),
        (neck * radius, rng.uniform(0.78, 0.88) * height),
        (lip * neck * radius, height),
    ]
    profile = curve(points, 36)
    wall = rng.uniform(0.05, 0.08) * radius
    solid = hollow(profile, wall, 2 * wall)
    features, adjectives = [], word(height / radius / 2, 1.5, 2.3, ("stout", "slender"))
    if chance(rng, 0.22):
        ear = tube(
            [
                ((neck - 0.02) * radius, 0, 0.83 * height),
                ((neck + 0.55) * radius, 0, 0.8 * height),
                (1.1 * radius, 0, 0.66 * height),
                (0.97 * float(np.interp(0.5 * height, *profile.T[::-1])), 0, 0.5 * height),
            ],
            0.07 * radius,
        )
        solid += (ear + ear.mirror((1, 0, 0))) - _inside(profile, wall, 2 * wall)
        features.append("two handles")
    elif chance(rng, 0.35):
        waves, depth, twist = int(rng.integers(5, 12)), rng.uniform(0.03, 0.08), rng.uniform(-6, 6) / height if chance(rng, 0.5) else 0.0
        solid = warped(solid, lambda p: _fluted(p, waves, depth, twist))
        features.append("a twisted wall" if twist else "a fluted wall")
    features.append(
        "a narrow neck" if neck < 0.52 else "a wide mouth" if neck * lip > 0.9 else "a flared lip" if lip > 1.25 else "a plain lip"
    )
    adjectives += ["low-bellied"] if belly < 0.36 else ["high-shouldered"] if belly > 0.56 else []
    return Design(solid=solid, adjectives=adjectives, features=features)


def jug(rng: np.random.Generator) -> Design:
    """A jug with spout and handle, or a teapot with lid."""
    if chance(rng, 0.35):
        radius, flat = rng.uniform(0.06, 0.09), rng.uniform(0.75, 1.0)
        body = ellipsoid((radius, radius, flat * radius), (0, 0, 0.85 * flat * radius)).trim_by_plane((0, 0, 1), 0)
        z = 0.85 * flat * radius
        spout = tube(
            [(-0.8 * radius, 0, 0.7 * z), (-1.35 * radius, 0, 1.0 * z), (-1.75 * radius, 0, 1.75 * z)], np.array([0.3, 0.2, 0.13]) * radius
        )
        t = np.linspace(0, np.pi, 12)
        handle = tube(np.stack([radius * (0.85 + 0.75 * np.sin(t)), 0 * t, z * (1 - 0.55 * np.cos(t))], 1), 0.09 * radius)
        lid = ellipsoid((0.45 * radius, 0.45 * radius, 0.16 * radius), (0, 0, z + 0.9 * flat * radius)) + ellipsoid(
            (0.1 * radius,) * 3, (0, 0, z + (0.9 * flat + 0.2) * radius)
        )
        return Design(
            solid=union([body, spout, handle, lid]),
            features=["a spout", "a lid", "a handle"],
            noun="teapot",
            adjectives=word(flat, 0.82, 0.93, ("flat", "round")),
        )
    height, radius = rng.uniform(0.16, 0.28), rng.uniform(0.05, 0.08)
    neck = rng.uniform(0.55, 0.8)
    points = [(0.75 * radius, 0), (radius, rng.uniform(0.28, 0.45) * height), (neck * radius, 0.82 * height), (1.1 * neck * radius, height)]
    profile = curve(points, 36)
    wall = 0.06 * radius
    ear = _handle(rng, profile, rng.uniform(0.22, 0.35) * height, 0.9 * height, rng.uniform(0.08, 0.12) * radius)
    solid = hollow(profile, wall, 2 * wall) + (ear - _inside(profile, wall, 2 * wall))
    pull = rng.uniform(0.25, 0.5)

    def lip(points: np.ndarray) -> np.ndarray:
        angle = np.arctan2(points[:, 1], -points[:, 0])
        lift = np.clip(points[:, 2] / height - 0.75, 0, None) / 0.25
        near = np.exp(-((angle / 0.35) ** 2)) * lift**2 * np.hypot(points[:, 0], points[:, 1])
        return points + np.stack([-pull * near, 0 * near, 0.15 * near], 1)

    return Design(
        solid=warped(solid, lip),
        adjectives=word(height / radius / 2, 1.45, 2.0, ("stout", "tall")),
        features=["a spout", "a handle", *(["a narrow neck"] if neck < 0.62 else [])],
    )


def goblet(rng: np.random.Generator) -> Design:
    """A stemmed glass: foot, stem, bowl."""
    stem, deep, radius = rng.uniform(0.04, 0.1), rng.uniform(0.04, 0.11), rng.uniform(0.028, 0.05)
    style = pick(rng, tulip=2, round=2, conical=1, flute=1)
    if style == "flute":
        radius, deep = 0.65 * radius, rng.uniform(0.11, 0.15)
    t = np.linspace(0, 1, 22)
    reach = {
        "tulip": np.sin(np.pi * (0.08 + 0.66 * t)),
        "round": np.sqrt(np.clip(1 - (1 - 1.35 * t) ** 2, 0.02, None)),
        "conical": 0.1 + 0.9 * t,
        "flute": 0.35 + 0.65 * t**0.4,
    }[style]
    profile = np.stack([radius * reach, stem + deep * t], 1)
    base = turned(np.array([(0.85 * radius + 0.01, 0.0), (0.85 * radius + 0.01, 0.003), (0.006, 0.012)]))
    solid = union([base, between((0, 0, 0.005), (0, 0, stem + 0.004), 0.0035, 0.0035), hollow(profile, 0.0025, 0.004)])
    features = [f"a {style} bowl" if style != "flute" else "a flute"]
    if chance(rng, 0.25):
        solid += ellipsoid((0.009, 0.009, 0.008), (0, 0, stem * 0.5))
        features.append("a knot in the stem")
    features += word(stem / deep, 0.75, 1.3, ("a short stem", "a long stem"))
    return Design(solid=solid, features=features)
