"""Isotope labels, which molecules here do not have: found, to be told of."""

from contextlib import suppress
from functools import partial
from pathlib import Path

from rdkit import Chem, rdBase

from molgen.molecules.export import file_format, read_records
from molgen.molecules.prepare.text import read_lines, smiles_and_name


def has_isotopes(mol: Chem.Mol) -> bool:
    """Whether an atom has an isotope label, deuterium included; molecules here keep none."""
    return any(atom.GetIsotope() for atom in mol.GetAtoms())


def isotopic(source: str) -> int:
    """How many molecules of an SDF or SMILES file, or of a SMILES, have isotope labels."""
    path, count = Path(source), 0
    listed = not path.exists() or file_format(path) == "smi"
    texts = [source] if not path.exists() else read_lines(path) if listed else read_records(path)
    read = partial(Chem.MolFromMolBlock, sanitize=False, removeHs=False, strictParsing=False)
    with rdBase.BlockLogs():
        for text in texts:
            with suppress(ValueError, RuntimeError):  # records that are left out
                mol = Chem.MolFromSmiles(smiles_and_name(text)[0]) if listed else read(text)
                count += mol is not None and has_isotopes(mol)
    return count
