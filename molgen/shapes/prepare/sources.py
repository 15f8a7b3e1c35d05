"""Which source of shapes a name stands for."""

from collections.abc import Sequence
from pathlib import Path

from molgen.errors import InputError
from molgen.shapes.fields import Axis
from molgen.shapes.prepare.clouds import Clouds, ShapeNet
from molgen.shapes.prepare.family import Family, named_classes
from molgen.shapes.prepare.meshes import Meshes, modelnet
from molgen.shapes.prepare.records import Source
from molgen.shapes.recognise import ARRAYS, WORDS


def open_source(
    name: str, *, root: Path | None = None, num: int = 20_000, kinds: Sequence[str] = (), seed: int = 0, up: Axis = ""
) -> Source:
    """Finds a source.

    Args:
        name: a mesh file or a folder of meshes and clouds, an .npz or .npy file, or "procedural", "modelnet" or "shapenet".
        root: folder of torch-geometric's data set (default: ``./<name>``).
        num: procedural shapes.
        kinds: classes of the procedural family; all by default.
        seed: of the procedural family.
        up: axis that points up in files that do not say so.

    Raises:
        InputError: There is no such source.
    """
    path = Path(name)
    if path.is_dir():
        return Meshes(path, up)
    if name == "procedural":
        return Family(num, seed, named_classes(kinds))
    if name == "modelnet":
        return modelnet(root or path)
    if name == "shapenet":
        return ShapeNet(root or path)
    if not path.is_file():
        raise InputError(
            f"{path}: no such file or folder; expected a folder of meshes, a mesh, an .npz or .npy file, or one of {', '.join(WORDS)}"
        )
    return Clouds(path, up) if path.suffix.lower() in ARRAYS else Meshes(path, up)
