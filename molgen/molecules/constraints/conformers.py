"""Conformers: the graph of a molecule is given, coordinates are sampled.

Elements, charges and bonds are fixed, positions are free. The model is symmetric under reflection, so a sample and its mirror image are
equally probable: where only the mirror image has the given stereocentres and axes, that is the sample. What has them in neither form is
refused, and so is a geometry that is another graph's: bonds stretched by more than 30 %, atoms closer than 70 % of the sum of covalent
radii, or an allene whose ends lie within 45° of one plane.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rdkit import Chem, rdBase

from molgen.batch import Batch
from molgen.diffusion.denoiser import Denoiser
from molgen.diffusion.inpaint import Inpaint
from molgen.diffusion.process import Joint
from molgen.diffusion.sampler import Walks
from molgen.domain import Constraint
from molgen.errors import InputError
from molgen.molecules.constraints.select import check_pull
from molgen.molecules.constraints.sound import broken
from molgen.molecules.convert import drop_isotopes, has_isotopes
from molgen.molecules.encode import check_molecule, encode, own_size
from molgen.molecules.fields import Statistics
from molgen.molecules.fragments import largest_fragment
from molgen.molecules.given import Changes, check_single, graph, parse_smiles
from molgen.molecules.listed import told
from molgen.molecules.molecule import LABELS, Molecule
from molgen.molecules.prepare.smiles import Smiles
from molgen.molecules.stereo import Handedness, Led
from molgen.preparation import Rejected
from molgen.tags import Value


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

    def __post_init__(self) -> None:
        check_molecule(self.molecule)
        check_pull(self.pull)

    @classmethod
    def of(cls, molecule: Molecule, source: str = "molecule") -> Conformers:
        """Conformers with the stereo of the molecule's own geometry."""
        check_molecule(molecule)
        return cls(molecule=molecule, handedness=Handedness.of_geometry(molecule), source=source)

    @classmethod
    def from_smiles(cls, smiles: Any, largest: bool = False) -> Conformers:
        """Conformers of a SMILES with the stereo that it states; centres without a mark may come out either way.

        Isotope labels are not kept, of which a warning tells.

        Args:
            smiles: the graph.
            largest: take the largest fragment, without salts and solvents.

        Raises:
            InputError: if RDKit cannot read it, or it holds no atom, more than one molecule or bonds that are not single, double or triple.
        """
        mol = parse_smiles(smiles, "no SMILES")
        found = cls.of_parsed(mol, smiles, largest)
        if has_isotopes(mol):
            warnings.warn(f"{smiles}: {LABELS}", stacklevel=2)
        return found

    @classmethod
    def of_parsed(cls, mol: Chem.Mol, smiles: str, largest: bool = False) -> Conformers:
        """As :meth:`from_smiles`, of the molecule that was read from the SMILES.

        Raises:
            InputError: as :meth:`from_smiles`.
        """
        if not largest:
            check_single(mol, smiles, smiles)
        return cls.of_graph(largest_fragment(mol), smiles)

    @classmethod
    def of_graph(cls, mol: Chem.Mol, source: str, title: str = "") -> Conformers:
        """Conformers of a sanitised RDKit molecule with the stereo of its marks; its coordinates do not count.

        Args:
            mol: the graph; hydrogens that are not atoms are added.
            source: its name in messages.
            title: its own name.

        Raises:
            InputError: it has bonds that are not single, double or triple, or an atom that stands for no element.
        """
        for atom in mol.GetAtoms():
            if atom.GetAtomicNum() == 0:
                fix = "put one in its place, such as H for the place to grow from of a fragment"
                raise InputError(f"{source}: atom {atom.GetIdx() + 1} ({atom.GetSymbol()}) stands for no element; {fix}")
        with rdBase.BlockLogs():
            mol = Chem.Mol(mol)
            Chem.SanitizeMol(mol)
            mol = Chem.AddHs(mol)
        drop_isotopes(mol)  # molecules here have none, and so no stereo that hangs on them
        Chem.AssignStereochemistry(mol, cleanIt=True, force=True)
        try:
            molecule = graph(mol)
        except ValueError as error:
            raise InputError(f"{source}: {error}") from None
        molecule = replace(molecule, properties={"title": title} if title else {})
        return cls(molecule=molecule, handedness=Handedness.of(mol), source=source)

    @classmethod
    def listed(cls, path: Path, changes: Changes, largest: bool = False) -> tuple[list[Conformers], list[InputError]]:
        """Those of a list of SMILES (.smi, .csv, .tsv), or of the largest fragment of each, and what is wrong with its other records.

        ``changes`` counts molecules with isotope labels.

        Raises:
            InputError: the file cannot be read or holds no record.
        """
        found, refused, source = list[Conformers](), list[InputError](), Smiles(path)
        for entry, _ in source.entries():
            where = f"{path.name} record {entry.index + 1}"
            try:
                with rdBase.BlockLogs():
                    mol = source.graph(entry, largest)
                changes.isotopes += has_isotopes(mol)
                found.append(cls.of_graph(mol, f"{where} {entry.text}", entry.name))
            except InputError as error:
                refused.append(error)
            except Rejected as reason:
                refused.append(InputError(told(where, entry.name, entry.text, str(reason))))
        return found, refused

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
        return self.guide_each([self] * len(known), denoiser, process, statistics, known)

    def guide_each(self, each: Sequence[Conformers], denoiser: Denoiser, process: Joint, statistics: Statistics, known: Batch) -> Denoiser:
        fixed = {"atom": known.mask, "charge": known.mask, "bond": known.pair_mask}
        return Inpaint(denoiser, process, known, fixed, score=Led([one.handedness for one in each]) or None, pull=self.pull)

    def restore(self, molecule: Molecule) -> Molecule:
        mirrored = replace(molecule, positions=molecule.positions * [-1.0, 1.0, 1.0])
        return mirrored if self.handedness.missed(molecule) and not self.handedness.missed(mirrored) else molecule

    def failure(self, molecule: Molecule) -> str:
        if self.handedness.missed(molecule):
            return "other stereo than given"
        return broken(molecule)

    def tags(self) -> dict[str, Value]:
        title = self.molecule.properties.get("title")
        return {"conformer_of": self.source, "given": self.molecule.digest(self.handedness)} | ({"title": title} if title else {})

    def __str__(self) -> str:
        return self.source
