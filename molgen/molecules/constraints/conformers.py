"""Conformers: the graph of a molecule is given, coordinates are sampled.

Elements, charges and bonds are fixed, positions are free. The model is symmetric under reflection, so a sample and its mirror image are
equally probable: where only the mirror image has the given stereocentres, that is the sample. What has them in neither form is refused, and
so is a geometry that is another graph's: bonds stretched by more than 30 % or atoms closer than 70 % of the sum of covalent radii.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rdkit import Chem, rdBase

from molgen.batch import Batch
from molgen.diffusion.denoiser import Denoiser
from molgen.diffusion.inpaint import Inpaint
from molgen.diffusion.process import Joint
from molgen.diffusion.sampler import Walks
from molgen.domain import Constraint
from molgen.errors import InputError
from molgen.molecules.bonds import relative_distances
from molgen.molecules.convert import BOND_ORDERS
from molgen.molecules.encode import check_molecule, encode, own_size
from molgen.molecules.fields import Statistics
from molgen.molecules.molecule import Molecule
from molgen.molecules.prepare.smiles import smiles_and_names
from molgen.molecules.stereo import Handedness

LONGEST_BOND, CLOSEST_CONTACT = 1.3, 0.7


@dataclass(frozen=True, kw_only=True)
class Conformers(Constraint):
    """Sample coordinates of a molecule.

    Args:
        molecule: the graph; its coordinates are not used.
        handedness: stereo that samples are led to and must have.
        pull: scale of the guidance that makes coordinates fit the graph, see :class:`Inpaint`.
        source: name of the molecule in messages.
    """

    molecule: Molecule
    handedness: Handedness = Handedness()
    pull: float = 1.0
    source: str = "molecule"

    @classmethod
    def of(cls, molecule: Molecule, source: str = "molecule") -> Conformers:
        """Conformers with the stereo of the molecule's own geometry."""
        check_molecule(molecule)
        return cls(molecule=molecule, handedness=Handedness.of_geometry(molecule), source=source)

    @classmethod
    def from_smiles(cls, smiles: str) -> Conformers:
        """Conformers of a SMILES with the stereo that it states; centres without a mark may come out either way.

        Raises:
            InputError: if RDKit cannot read it, or it holds no atom, more than one molecule or bonds that are not single, double or triple.
        """
        with rdBase.BlockLogs():
            mol = Chem.MolFromSmiles(smiles) if isinstance(smiles, str) else None
        if mol is None or mol.GetNumAtoms() == 0:
            raise InputError(f"{smiles}: neither a file nor a SMILES that RDKit can read")
        if len(Chem.GetMolFrags(mol)) > 1:
            raise InputError(f"{smiles}: more than one molecule; give one without '.'")
        mol = Chem.AddHs(mol)
        for atom in mol.GetAtoms():
            atom.SetIsotope(0)  # molecules here have none, and so no stereo that hangs on them
        Chem.AssignStereochemistry(mol, cleanIt=True, force=True)
        handedness = Handedness.of(mol)
        Chem.Kekulize(mol, clearAromaticFlags=True)
        if strange := next((bond.GetBondType() for bond in mol.GetBonds() if bond.GetBondType() not in BOND_ORDERS), None):
            raise InputError(f"{smiles}: has a {strange.name.lower()} bond; only single, double and triple bonds are known")
        rows = sorted((*sorted((b.GetBeginAtomIdx(), b.GetEndAtomIdx())), BOND_ORDERS[b.GetBondType()]) for b in mol.GetBonds())
        molecule = Molecule(
            atomic_numbers=np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()], np.int64),
            positions=np.zeros((mol.GetNumAtoms(), 3)),
            charges=np.array([atom.GetFormalCharge() for atom in mol.GetAtoms()], np.int64),
            bonds=np.array(rows, np.int64).reshape(-1, 3),
        )
        return cls(molecule=molecule, handedness=handedness, source=smiles)

    @classmethod
    def listed(cls, path: Path) -> tuple[list[Conformers], list[InputError]]:
        """Those of a list of SMILES (.smi, .csv, .tsv), and what is wrong with its other records.

        Raises:
            InputError: the file cannot be read or holds no record.
        """
        found, broken = list[Conformers](), list[InputError]()
        for number, (smiles, name) in enumerate(smiles_and_names(path), 1):
            where = f"{path.name} record {number}"
            try:
                made = cls.from_smiles(smiles)
            except InputError as error:
                broken.append(InputError(f"{where}: {str(error).replace('neither a file nor', 'not')}"))
                continue
            title: dict[str, float | int | str | bool] = {"title": name} if name else {}
            found.append(replace(made, molecule=replace(made.molecule, properties=title), source=f"{where} {smiles}"))
        return found, broken

    def start(self, process: Joint) -> float:
        return 1.0

    def restarts(self, process: Joint) -> Sequence[float]:
        return ()

    def sampler(self, own: Walks) -> Walks:
        return own  # nothing has to come to terms with the graph: lifts at every noise would only make conformers more alike

    def sizes(self, statistics: Statistics, wanted: Sequence[int]) -> list[int]:
        return own_size(self.molecule, statistics, wanted, self.source, "conformers")

    def batch(self, statistics: Statistics, sizes: Sequence[int]) -> Batch:
        return encode(self.molecule, statistics, sizes)

    def guide(self, denoiser: Denoiser, process: Joint, statistics: Statistics, known: Batch) -> Denoiser:
        fixed = {"atom": known.mask, "charge": known.mask, "bond": known.pair_mask}
        return Inpaint(denoiser, process, known, fixed, score=self.handedness or None, pull=self.pull)

    def restore(self, molecule: Molecule) -> Molecule:
        mirrored = replace(molecule, positions=molecule.positions * [-1.0, 1.0, 1.0])
        return mirrored if self.handedness.missed(molecule) and not self.handedness.missed(mirrored) else molecule

    def failure(self, molecule: Molecule) -> str:
        if self.handedness.missed(molecule):
            return "other stereo than given"
        relative = relative_distances(molecule.atomic_numbers, molecule.positions)
        if (relative[molecule.bonds[:, 0], molecule.bonds[:, 1]] > LONGEST_BOND).any():
            return "stretched bond"
        return "atoms too close" if (relative < CLOSEST_CONTACT).any() else ""

    def tags(self) -> dict[str, float | int | str | bool]:
        title = self.molecule.properties.get("title")
        return {"conformer_of": self.source, "given": self.molecule.digest(self.handedness)} | ({"title": title} if title else {})

    def __str__(self) -> str:
        return self.source
