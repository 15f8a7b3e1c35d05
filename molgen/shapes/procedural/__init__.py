"""The procedural shape family: furniture, vessels and vehicles with classes, measurable parameters and captions.

A shape is made by one function of its class from one random generator: dimensions are drawn from ranges that such objects have (metres),
parts are chosen, and the union of all parts is one watertight mesh, z up and front towards -y. Shape ``i`` of a seed is a function of
(seed, i) alone. Labels: ``elongation`` (height by the larger horizontal extent) and ``flatness`` (smaller by larger horizontal extent), for
which any cloud of the shape can be checked, ``height`` in metres, and the numbers of ``legs``, ``wheels``, ``masts`` and ``engines``.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import trimesh

from molgen.errors import InputError
from molgen.shapes.procedural import aircraft, boats, furniture, seats, vehicles, vessels
from molgen.shapes.procedural.design import Design, caption

Maker = Callable[[np.random.Generator], Design]

FAMILIES: dict[str, tuple[Maker, ...]] = {
    "furniture": (
        seats.chair,
        seats.stool,
        seats.bench,
        seats.sofa,
        furniture.table,
        furniture.bed,
        furniture.shelf,
        furniture.lamp,
    ),
    "vessels": (vessels.mug, vessels.bowl, vessels.bottle, vessels.vase, vessels.jug, vessels.goblet),
    "vehicles": (vehicles.car, vehicles.truck, aircraft.plane, aircraft.rocket, boats.boat),
}
MAKERS: dict[str, Maker] = {maker.__name__: maker for makers in FAMILIES.values() for maker in makers}
COUNTED = ("legs", "wheels", "masts", "engines")
LABELS = ("elongation", "flatness", "height", *COUNTED)


@dataclass(frozen=True)
class ProceduralShape:
    """One shape.

    Args:
        kind: name of its class.
        mesh: watertight, metres, z up, front towards -y.
        labels: value of every name in ``LABELS``; NaN where it has no such part.
        caption: a short English description.
    """

    kind: str
    mesh: trimesh.Trimesh
    labels: dict[str, float]
    caption: str


def generate(kind: str, rng: np.random.Generator) -> ProceduralShape:
    """Makes one shape of a class.

    Raises:
        InputError: There is no such class.
    """
    if kind not in MAKERS:
        raise InputError(f"unknown procedural class {kind!r}; known: {', '.join(MAKERS)}")
    design = MAKERS[kind](rng)
    solid = design.solid.to_mesh64()
    mesh = trimesh.Trimesh(np.asarray(solid.vert_properties)[:, :3], np.asarray(solid.tri_verts), process=False)
    width, depth, height = mesh.extents.tolist()
    labels = dict.fromkeys(LABELS, float("nan"))
    labels |= {"elongation": height / max(width, depth), "flatness": min(width, depth) / max(width, depth), "height": height}
    labels |= {name: float(number) for name, number in design.counts.items()}
    return ProceduralShape(kind, mesh, labels, caption(rng, design, kind))
