"""Which source a name stands for."""

from pathlib import Path

from molgen.errors import InputError
from molgen.molecules.formats import ENDINGS, LISTS, ending, refuse_foreign
from molgen.molecules.prepare.qm9 import Qm9
from molgen.molecules.prepare.records import Source
from molgen.molecules.prepare.sdf import Sdf
from molgen.molecules.prepare.smiles import Smiles
from molgen.molecules.prepare.xyz import Xyz
from molgen.molecules.text import joined

EXPECTED = (
    f"molecules ({', '.join(ENDINGS)}, also .gz, or a folder of .xyz files), shapes (.npz, .npy, or a folder of meshes or clouds), "
    "or a word: qm9, procedural, modelnet, shapenet"
)


def open_source(name: str, root: Path | None = None, seed: int = 0) -> Source:
    """Find the source by its suffix (.gz is ignored), a folder of XYZ files, or the word qm9.

    Args:
        name: Path, or `qm9`.
        root: Folder with the raw files of QM9.
        seed: Seed of conformers that are made from SMILES.

    Raises:
        InputError: There is no such source.
    """
    path = Path(name)
    if name == "qm9":
        return Qm9.open(root or Path("qm9"))
    if path.is_dir():
        frames = Xyz(path)
        if not frames.files:
            if command := joined(path):
                raise InputError(f"{path}: expected one file, or a folder of .xyz files; join these by `{command}`")
            raise InputError(f"{path}: holds neither .xyz files nor meshes or clouds; give a file, or a folder that holds some")
        others = sorted(file.name for file in path.iterdir() if ENDINGS.get(ending(file)) == "sdf")
        if others:
            raise InputError(f"{path}: holds {others[0]} beside .xyz files; a folder is read for .xyz alone, prepare the others one by one")
        return frames
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: is no regular file; a file is needed, save what it gives as one")
    if not path.is_file():
        raise InputError(f"{path}: no such file or folder; expected {EXPECTED}")
    format = ENDINGS.get(ending(path))
    if format is None:
        refuse_foreign(path)
        raise InputError(f"{path}: unknown suffix {ending(path)!r}; expected {EXPECTED}")
    if format in LISTS:
        return Smiles(path, seed)
    return Xyz(path) if format == "xyz" else Sdf(path)
