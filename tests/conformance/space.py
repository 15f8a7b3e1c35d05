"""A space in which closed forms are simple: points that may move as a whole."""

from dataclasses import dataclass

from molgen.diffusion.space import Centered, Features

COORDINATES = Features(3)


@dataclass(frozen=True)
class Euclidean(Centered):
    """Points in space, each coordinate by itself, in the place of centred ones."""

    noise, project, insert, dimensions = COORDINATES.noise, COORDINATES.project, COORDINATES.insert, COORDINATES.dimensions
