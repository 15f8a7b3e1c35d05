"""Which samples of shapes are handed out: those in one piece."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import ClassVar

from molgen.domain import Filters
from molgen.errors import InputError
from molgen.known import Known
from molgen.shapes.metrics import in_one_piece
from molgen.shapes.shape import Shape


@dataclass(frozen=True)
class Whole(Filters):
    """Rules out shapes that fall apart (:func:`molgen.shapes.metrics.in_one_piece`), for classes whose shapes hang together.

    Args:
        mesh: whether the mesh around the cloud has to be in one piece as well, as ``molgen sample --whole`` asks where it writes meshes:
            thin parts may be in one piece in the cloud and in two in the mesh.
        vertices: of that mesh, see :meth:`molgen.Shape.to_mesh`; where so few do not do, it has the fewest that were found.

    Example:
        >>> chairs = molgen.load("shapes").sample(8, properties={"category": "chair"}, filters=Whole())
    """

    mesh: bool = False
    vertices: int | None = None
    items: ClassVar[str] = "shapes"

    def describe(self) -> str:
        return "in one piece, the mesh as well" if self.mesh else "in one piece"

    def start(self, seen: Iterable[int] = (), trained: Known | None = None, predicted: Collection[str] = ()) -> Callable[[Shape], str]:
        return self._reason

    def _reason(self, shape: Shape) -> str:
        if not in_one_piece(shape.points):
            return "not in one piece"
        if not self.mesh:
            return ""
        try:
            return "" if shape.to_mesh(vertices=self.vertices, strict=False).body_count == 1 else "mesh not in one piece"
        except InputError:
            return "no mesh fits the points"
