"""What ``molgen sample`` writes of shapes: a folder of clouds or meshes, or one file of all clouds."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from molgen.cli.domains import refuse_idle
from molgen.counting import counted
from molgen.errors import InputError

if TYPE_CHECKING:
    from molgen.shapes.fields import Axis
    from molgen.shapes.shape import Shape

POINTS_ALONE = ("npz", "npy", "xyz")
TALLEST = 50.0  # metres, which are the unit of a .glb, above which a height is taken to be meant in others


@dataclass
class ShapeFiles:
    """The files that a command was asked for.

    Args:
        out: a folder, or an .npz or .npy.
        kind: format of the files of a folder.
        up: axis that points up, "" for the usual one.
        height: extent along it; None leaves scale and place.
        mesh: whether a .ply holds a mesh.
        vertices: largest number of vertices of a mesh.

    Raises:
        InputError: options that do not go together, or a place that cannot be written.
    """

    out: Path
    kind: str
    up: "Axis"
    height: float | None
    mesh: bool
    vertices: int | None
    larger: list[int] = field(default_factory=list)
    """Vertices of meshes that needed more."""

    def __post_init__(self) -> None:
        from molgen.files import require_place
        from molgen.shapes.export import FORMATS, SETS

        suffix = self.out.suffix.lower()
        self.single = suffix in SETS and not self.out.is_dir()
        if suffix.removeprefix(".") in FORMATS and not self.single and not self.out.is_dir():
            folder, kind = self.out.with_suffix(""), suffix.removeprefix(".")
            raise InputError(f"--out {self.out}: shapes are written into a folder; give --out {folder} --format {kind}")
        self.meshes = not self.single and (self.mesh or self.kind not in (*POINTS_ALONE, "ply"))
        alone = f".{self.kind} files hold points alone; give another --format" if self.kind in POINTS_ALONE else ""
        refuse_idle(
            {
                "kind": f"--out {self.out} is one file of all clouds; give a folder" if self.single else "",
                "mesh": f"--out {self.out} holds points alone; give a folder" if self.single else alone,
                "vertices": "" if self.meshes else "does nothing without a mesh; give --mesh or another --format",
            }
        )
        if self.single:
            require_place(self.out)

    def check(self, own: "Axis", points: int) -> None:
        """Refuses what cannot be written of shapes of so many points whose axis ``own`` points up, "" where unknown.

        Raises:
            InputError: in one line.
        """
        from molgen.shapes.export import refuse_placing
        from molgen.shapes.surface import FEWEST

        refuse_placing(self.out.suffix.lower() if self.single else f".{self.kind}", own, self.up, self.height)
        if self.meshes and points < FEWEST:
            raise InputError(f"--points {points}: a mesh needs at least {FEWEST}; ask for more, or for points alone, --format npz")

    def doubts(self) -> list[str]:
        """What is strange about the files, a line each."""
        if self.kind != "glb" or self.single or self.height is None or self.height <= TALLEST:
            return []
        return [f"--height {self.height:g}: a unit of a .glb is a metre; --height {self.height / 1000:g} if millimetres were meant"]

    def write(self, shapes: "Iterable[Shape]", stem: str) -> None:
        """Writes them all; files of a folder are called after ``stem``.

        Raises:
            InputError: the place cannot be written, or no surface fits the points of a shape.
        """
        from molgen.files import atomic_folder
        from molgen.shapes.export import write_clouds

        if self.single:
            write_clouds(self.out, list(shapes), up=self.up, height=self.height)
            return
        stem = re.sub(r"[/\\]", "_", stem)
        with atomic_folder(self.out) as folder:
            for number, shape in enumerate(shapes):
                self._write(folder / f"{stem}_{number:04d}.{self.kind}", shape)
        if self.larger:
            line = f"too few for {counted(len(self.larger), 'shape')} to stay closed and in shape, written with up to {max(self.larger)}"
            click.echo(f"molgen: warning: --vertices {self.vertices}: {line}", err=True)

    def _write(self, path: Path, shape: "Shape") -> None:
        from molgen.shapes.export import write_shape

        made = write_shape(path, shape, up=self.up, height=self.height, mesh=self.mesh, vertices=self.vertices, strict=False)
        if self.vertices is not None and made > self.vertices:
            self.larger.append(made)
