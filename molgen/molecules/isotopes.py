"""Isotope labels, which molecules here do not have: found, to be told of."""

from contextlib import suppress
from functools import partial
from pathlib import Path

from rdkit import Chem, rdBase

from molgen.molecules.export import LISTS, file_format, read_records
from molgen.molecules.prepare.smiles import smiles_and_names


def has_isotopes(mol: Chem.Mol) -> bool:
    """Whether an atom has an isotope label, deuterium included; molecules here keep none."""
    return any(atom.GetIsotope() for atom in mol.GetAtoms())


def isotopic(source: str) -> int:
    """How many molecules of an SDF file, a list of SMILES, or a SMILES, have isotope labels."""
    path, count = Path(source), 0
    listed = not path.exists() or file_format(path) in LISTS
    texts = [source] if not path.exists() else [one for one, _ in smiles_and_names(path)] if listed else read_records(path)
    read = partial(Chem.MolFromMolBlock, sanitize=False, removeHs=False, strictParsing=False)
    with rdBase.BlockLogs():
        for text in texts:
            with suppress(ValueError, RuntimeError):  # records that are left out
                mol = Chem.MolFromSmiles(text) if listed else read(text)
                count += mol is not None and has_isotopes(mol)
    return count
