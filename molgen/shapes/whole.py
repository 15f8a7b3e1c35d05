"""Which samples of shapes are handed out: those in one piece."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import ClassVar

from molgen.domain import Filters
from molgen.known import Known
from molgen.shapes.metrics import in_one_piece
from molgen.shapes.shape import Shape


@dataclass(frozen=True)
class Whole(Filters):
    """Rules out shapes that fall apart (:func:`molgen.shapes.metrics.in_one_piece`), for classes whose shapes hang together.

    Example:
        >>> chairs = molgen.load("shapes").sample(8, properties={"category": "chair"}, filters=Whole())
    """

    items: ClassVar[str] = "shapes"

    def describe(self) -> str:
        return "in one piece"

    def start(self, seen: Iterable[int] = (), trained: Known | None = None, predicted: Collection[str] = ()) -> Callable[[Shape], str]:
        return lambda shape: "" if in_one_piece(shape.points) else "not in one piece"
