"""Coordinates for molecules that are given as a graph alone: ETKDG, then MMFF94.

The conformer depends on the SMILES and the seed alone. A relaxation that has not converged after `STEPS` steps is kept as it is.
Stereocentres and double bonds without a mark come out either way.

MMFF94 has no term that turns the ends of cumulated double bonds, so that allenes would come out nearly planar: they are held at 90°, as are
ketenimines and carbodiimides, and butatrienes at 0 or 180°. ETKDG's torsions of an amide can contradict the mark of a hindered single
bond; molecules with such a mark are embedded without them.

References: Riniker and Landrum 2015, 10.1021/acs.jcim.5b00654 (ETKDG); Wang et al. 2020, 10.1021/acs.jcim.0c00025
(ETKDGv3); Halgren 1996, 10.1002/(SICI)1096-987X(199604)17:5/6<490::AID-JCC1>3.0.CO;2-P (MMFF94).
"""

from typing import Any

from rdkit import Chem, rdBase
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers, rdMolTransforms

from molgen.errors import InputError
from molgen.molecules.axes import AXES, cumulenes
from molgen.molecules.convert import drop_isotopes, from_rdkit
from molgen.molecules.given import check_single, graph, parse_smiles
from molgen.molecules.molecule import Molecule

STEPS = 2000
ATTEMPTS = 100
HOLD = 0.03
"""Force constant of the torsion of cumulated double bonds, kcal/mol per square degree; that of allene is about as large."""


class Unembeddable(ValueError):
    """Why a molecule gets no conformer, in a few words that are the same for all molecules of its kind."""


class NoConformer(InputError):
    """A molecule gets no conformer.

    Args:
        source: what messages call it.
        reason: why.
        graph: the molecule without coordinates, of which a model may say more.
    """

    def __init__(self, source: str, reason: str, graph: Molecule):
        super().__init__(f"{source}: {reason}; give an SDF file with coordinates")
        self.source, self.graph = source, graph


def embed(mol: Chem.Mol, seed: int) -> Chem.Mol:
    """Embeds and relaxes a molecule with explicit hydrogens, in place.

    Raises:
        Unembeddable: no conformer is found, or MMFF94 lacks parameters for it.
    """
    if not rdForceFieldHelpers.MMFFHasAllMoleculeParams(mol):
        raise Unembeddable("no MMFF94 parameters")
    parameters: Any = rdDistGeom.ETKDGv3()
    parameters.randomSeed = seed % (2**31 - 2) + 1  # to RDKit 0 and 1 are the same seed, and -1 is none
    parameters.maxIterations = ATTEMPTS
    parameters.useExpTorsionAnglePrefs = not any(bond.GetStereo() in AXES for bond in mol.GetBonds())
    if rdDistGeom.EmbedMolecule(mol, parameters) != 0:
        parameters.useRandomCoords = True
        if rdDistGeom.EmbedMolecule(mol, parameters) != 0:
            raise Unembeddable("no conformer found")
    if mol.GetNumAtoms() > 1:
        _relax(mol)
    return mol


def _relax(mol: Chem.Mol) -> None:
    """Relaxes with MMFF94, cumulated double bonds held as they are meant to be."""
    held = list(cumulenes(mol))
    if not held:
        rdForceFieldHelpers.MMFFOptimizeMolecule(mol, maxIters=STEPS)
        return
    field = rdForceFieldHelpers.MMFFGetMoleculeForceField(mol, rdForceFieldHelpers.MMFFGetMoleculeProperties(mol))
    for a, i, j, b, count in held:
        found = rdMolTransforms.GetDihedralDeg(mol.GetConformer(), a, i, j, b)
        wanted = (90 if found > 0 else -90) if count % 2 == 0 else (0 if abs(found) < 90 else 180)
        field.MMFFAddTorsionConstraint(a, i, j, b, False, wanted, wanted, HOLD)
    field.Initialize()
    field.Minimize(maxIts=STEPS)


def conformer(mol: Chem.Mol, source: str, seed: int = 0) -> Molecule:
    """The molecule of a graph with hydrogens and a conformer: its atoms, then the hydrogens that are not atoms in it.

    Raises:
        InputError: RDKit refuses it, or it holds more than one molecule, or other bonds than single, double and triple ones.
        NoConformer: none is found.
    """
    check_single(mol, source)
    with rdBase.BlockLogs():
        try:
            full = Chem.Mol(mol)
            Chem.SanitizeMol(full)
            full = Chem.AddHs(full)
            plain = graph(full)
            return from_rdkit(embed(full, seed))
        except Unembeddable as error:
            raise NoConformer(source, str(error), plain) from None
        except ValueError as error:
            raise InputError(f"{source}: {str(error).splitlines()[0]}") from None


def marked(smiles: Any, seed: int = 0, otherwise: str = "no SMILES") -> tuple[Molecule, tuple[int, ...], bool]:
    """The molecule of a SMILES with hydrogens and a conformer, the hydrogens that stand where it has a `*`, and whether it has isotopes.

    Atoms are those of the SMILES in its order, then the other hydrogens; the hydrogens are numbers from 1. Isotope labels are not kept.

    Args:
        smiles: the text.
        seed: of the conformer.
        otherwise: what an error says that a text is which is no SMILES.

    Raises:
        InputError: RDKit cannot read it, it holds no atom or more than one molecule, a `*` has another bond than a single one, or no
            conformer is found (:class:`NoConformer`).
    """
    mol = parse_smiles(smiles, otherwise)
    if len(Chem.GetMolFrags(mol)) > 1 and sum("*" in part for part in smiles.split(".")) > 1:
        raise InputError(f"{smiles}: more than one molecule; give fragments in one frame as an SDF file")
    check_single(mol, smiles, smiles)
    stars = [atom for atom in mol.GetAtoms() if atom.GetAtomicNum() == 0]
    labelled = drop_isotopes(mol)
    for atom in stars:
        if [bond.GetBondType() for bond in atom.GetBonds()] != [Chem.BondType.SINGLE]:
            raise InputError(f"{smiles}: a * with another bond than a single one; it stands for one new neighbour, as in 'c1ccccc1*'")
        atom.SetAtomicNum(1)
    for atom in mol.GetAtoms():
        atom.SetAtomMapNum(0)
    return conformer(mol, smiles, seed), tuple(atom.GetIdx() + 1 for atom in stars), labelled


def unmarked(smiles: Any, seed: int = 0, otherwise: str = "no SMILES") -> tuple[Molecule, bool]:
    """As :func:`marked` of a SMILES without `*`.

    Raises:
        InputError: as :func:`marked`, or it holds a `*`.
    """
    molecule, places, labelled = marked(smiles, seed, otherwise)
    if places:
        raise InputError(f"{smiles}: holds a *, which stands for no element; molgen.Keep.from_smiles takes one as a place to grow from")
    return molecule, labelled
