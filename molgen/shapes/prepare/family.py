"""The procedural family as a source: see :mod:`molgen.shapes.procedural`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from molgen.errors import InputError
from molgen.preparation import Rejected
from molgen.shapes.fields import Axis
from molgen.shapes.points import Record, sample
from molgen.shapes.prepare.records import Entry, Source
from molgen.shapes.procedural import FAMILIES, LABELS, MAKERS, generate


@dataclass(frozen=True)
class Family(Source):
    """``num`` procedural shapes, the classes in turn.

    Args:
        num: how many.
        seed: of all of them.
        kinds: classes to make.
    """

    num: int
    seed: int = 0
    kinds: tuple[str, ...] = tuple(sorted(MAKERS))
    up: Axis = "z"
    label_names: tuple[str, ...] = LABELS

    def categories(self) -> tuple[str, ...]:
        return self.kinds

    def captioned(self) -> bool:
        return True

    def describe(self) -> dict[str, Any]:
        return {"source": "procedural", "seed": self.seed, "classes": list(self.kinds)}

    def entries(self) -> Sequence[Entry]:
        kinds = [self.kinds[k % len(self.kinds)] for k in range(self.num)]
        return [Entry(f"{kind}_{k:06d}", kind, k) for k, kind in enumerate(kinds)]

    def read(self, entry: Entry, points: int, rng: np.random.Generator) -> Record:
        shape = generate(entry.category, np.random.default_rng([self.seed, entry.where]))
        if not shape.mesh.is_watertight:
            raise Rejected("union of parts not closed")
        return replace(sample(shape.mesh, points, rng), labels=shape.labels, caption=shape.caption)


def named_classes(names: Sequence[str]) -> tuple[str, ...]:
    """Classes of these names; the name of a family stands for all its classes; all classes for no name.

    Raises:
        InputError: naming what there is.
    """
    chosen: list[str] = []
    for name in names:
        if name not in FAMILIES and name not in MAKERS:
            raise InputError(f"--kind {name}: unknown; known: {', '.join([*FAMILIES, *MAKERS])}")
        chosen += [maker.__name__ for maker in FAMILIES[name]] if name in FAMILIES else [name]
    return tuple(sorted(set(chosen or MAKERS)))
