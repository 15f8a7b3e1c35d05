"""What molgen computes against direct calls of RDKit and SciPy, which read the same file themselves."""

import gzip
import importlib
from collections import defaultdict

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import QED, Crippen, Descriptors, FindMolChiralCenters, Lipinski, rdForceFieldHelpers, rdMolTransforms
from scipy.stats import binomtest, wasserstein_distance

from molgen.evaluate import Settings, evaluate
from molgen.evaluate.distributions import DISTRIBUTIONS
from molgen.evaluate.score import Checks, Scores, score
from molgen.intervals import clopper_pearson
from molgen.molecules.export import read_molecules
from molgen.molecules.measure import measure
from molgen.molecules.metrics.distances import RARE

DASH = {Chem.BondType.SINGLE: "-", Chem.BondType.DOUBLE: "=", Chem.BondType.TRIPLE: "#"}
CHAIN = Chem.MolFromSmarts("[!#1]~[!#1]~[!#1]~[!#1]")
RELAXED = 20
"""Records that are relaxed, which takes most of the time."""
OF_SMILES = {
    "mw": Descriptors.MolWt,
    "logp": Crippen.MolLogP,
    "tpsa": Descriptors.TPSA,
    "qed": QED.qed,
    "fsp3": Lipinski.FractionCSP3,
    "heavy": Lipinski.HeavyAtomCount,
    "rings": Lipinski.RingCount,
    "aromatic_rings": Lipinski.NumAromaticRings,
    "rotatable": Lipinski.NumRotatableBonds,
    "donors": Lipinski.NumHDonors,
    "acceptors": Lipinski.NumHAcceptors,
    "nhoh_count": Lipinski.NHOHCount,
    "no_count": Lipinski.NOCount,
    "largest_ring": lambda mol: max((len(ring) for ring in Chem.GetSSSR(mol)), default=0),
}
"""Descriptors that do not hang on stereo."""


@pytest.fixture(scope="module")
def read(samples_of_qm9) -> list[Chem.Mol]:
    """The records as RDKit reads them: Kekulé bonds, hydrogens as atoms, stereo from the geometry."""
    with gzip.open(samples_of_qm9) as stream:
        mols = list(Chem.ForwardSDMolSupplier(stream, removeHs=False))
    for mol in mols:
        Chem.AssignStereochemistryFrom3D(mol)
        Chem.Kekulize(mol)  # the bonds alone
    return mols


@pytest.fixture(scope="module")
def written(read) -> list[Chem.Mol]:
    """Their molecules from SMILES, which keep the stereo and no hydrogens."""
    rules = Chem.RemoveHsParameters()
    rules.removeDefiningBondStereo = True
    return [Chem.MolFromSmiles(Chem.MolToSmiles(Chem.RemoveHs(mol, rules))) for mol in read]


@pytest.fixture(scope="module")
def molecules(samples_of_qm9) -> list:
    return list(read_molecules(samples_of_qm9))


@pytest.fixture(scope="module")
def scores(molecules) -> list[Scores]:
    return [score(molecule, Checks(relax=number < RELAXED, perceive=False)) for number, molecule in enumerate(molecules)]


@pytest.fixture(scope="module")
def internal(read) -> list[dict[str, dict[str, list[float]]]]:
    """Bond lengths, angles and torsions of every record by RDKit, pooled as molgen does."""
    return [{"bond_lengths": _lengths(mol), "bond_angles": _angles(mol), "torsions": _torsions(mol)} for mol in read]


def _kind(bond: Chem.Bond) -> str:
    """Hydrogen stands last, else the lighter element first."""
    ends = sorted((bond.GetBeginAtom(), bond.GetEndAtom()), key=lambda atom: atom.GetAtomicNum() if atom.GetAtomicNum() > 1 else 1000)
    return DASH[bond.GetBondType()].join(atom.GetSymbol() for atom in ends)


def _lengths(mol):
    found = defaultdict(list)
    for bond in mol.GetBonds():
        found[_kind(bond)].append(rdMolTransforms.GetBondLength(mol.GetConformer(), bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()))
    return found


def _angles(mol):
    found = defaultdict(list)
    for i, j, k in mol.GetSubstructMatches(Chem.MolFromSmarts("*~*~*"), uniquify=False, maxMatches=10**6):
        if i < k:
            found[mol.GetAtomWithIdx(j).GetSymbol()].append(rdMolTransforms.GetAngleDeg(mol.GetConformer(), i, j, k))
    return found


def _torsions(mol):
    """Folded to [0, 180]; without those where an outer atom is within 0.05 times the middle bond of its line."""
    found, conformer = defaultdict(list), mol.GetConformer()
    for i, j, k, last in mol.GetSubstructMatches(CHAIN, uniquify=False, maxMatches=10**6):
        middle = rdMolTransforms.GetBondLength(conformer, j, k)
        off = [
            rdMolTransforms.GetBondLength(conformer, a, b) * np.sin(rdMolTransforms.GetAngleRad(conformer, a, b, c))
            for a, b, c in ((i, j, k), (last, k, j))
        ]
        if i < last and min(off) >= 0.05 * middle:
            found[_kind(mol.GetBondBetweenAtoms(j, k))].append(abs(rdMolTransforms.GetDihedralDeg(conformer, i, j, k, last)))
    return found


@pytest.mark.parametrize(("family", "tolerance"), [("bond_lengths", 1e-9), ("bond_angles", 1e-6), ("torsions", 1e-4)])
def test_internal_coordinates(scores, internal, family, tolerance):
    for one, expected in zip(scores, internal, strict=True):
        found = one.kinds[family]
        assert found.keys() == expected[family].keys()
        for kind, values in expected[family].items():
            np.testing.assert_allclose(np.sort(found[kind]), np.sort(values), rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", OF_SMILES)
def test_descriptors_of_the_graph(scores, written, name):
    expected = [float(OF_SMILES[name](mol)) for mol in written]
    np.testing.assert_allclose([one.values[name] for one in scores], expected, rtol=1e-9, atol=1e-9)
    assert len(set(expected)) > 2, "a figure that is the same for all says nothing"


def test_descriptors_of_the_smiles_that_the_data_set_gives(scores, molecules):
    """GDB's own SMILES, which nobody derived from the geometry."""
    alike = 0
    for one, molecule in zip(scores, molecules, strict=True):
        given = Chem.MolFromSmiles(molecule.properties["gdb_smiles"])
        if Chem.MolToSmiles(given, isomericSmiles=False) == one.labels["smiles"]:
            alike += 1
            for name, function in OF_SMILES.items():
                assert one.values[name] == pytest.approx(function(given), rel=1e-9, abs=1e-9), (molecule.properties["gdb_smiles"], name)
    assert alike > 190


def test_descriptors_that_hang_on_stereo(scores, written, molecules):
    scorer = importlib.import_module("rdkit.Contrib.SA_Score.sascorer")
    scored = [scorer.calculateScore(mol) for mol in written]
    centres = [len(FindMolChiralCenters(mol, includeUnassigned=True, useLegacyImplementation=False)) for mol in written]
    np.testing.assert_allclose([one.values["sa"] for one in scores], scored, rtol=1e-9)
    assert [one.values["stereocentres"] for one in scores] == centres
    names = ("sa", "stereocentres", "qed", "rotatable")  # as filters, targets and tags have them
    for molecule, one in zip(molecules[:50], scores, strict=False):
        assert measure(molecule, names) == pytest.approx({name: one.values[name] for name in names}, rel=1e-9)


def test_mmff_drop(scores, read):
    for mol, one in zip(read[:RELAXED], scores, strict=False):
        relaxed = Chem.Mol(mol)
        Chem.SanitizeMol(relaxed)
        before = _energy(relaxed)
        assert rdForceFieldHelpers.MMFFOptimizeMolecule(relaxed, mmffVariant="MMFF94", maxIters=2000) == 0
        assert one.values["mmff_drop"] == pytest.approx(before - _energy(relaxed), abs=2e-3)
        assert one.values["mmff_drop"] > 0.01


def _energy(mol):
    return rdForceFieldHelpers.MMFFGetMoleculeForceField(mol, rdForceFieldHelpers.MMFFGetMoleculeProperties(mol)).CalcEnergy()


def test_distances_of_two_sets(molecules, internal, written):
    molecules, half = molecules[:140], 70
    settings = Settings(workers=0, perceive=False)
    figures = evaluate(molecules[:half], reference=molecules[half:], settings=settings).samples.figures
    for family in ("bond_lengths", "bond_angles", "torsions"):
        first, second = (_pooled(part, family) for part in (internal[:half], internal[half : len(molecules)]))
        kinds = [kind for kind, values in second.items() if len(values) >= RARE and kind in first]
        apart = [wasserstein_distance(first[kind], second[kind]) for kind in kinds]
        expected = np.average(apart, weights=[len(second[kind]) for kind in kinds])
        width = DISTRIBUTIONS[family].grid.width
        assert len(kinds) > 2
        assert expected > width / 2, "else the tolerance would pass a distance of 0"
        assert figures[f"{family}_w1"].value == pytest.approx(expected, abs=width)
    for name in ("mw", "qed", "logp"):
        values = [OF_SMILES[name](mol) for mol in written[: len(molecules)]]
        width = DISTRIBUTIONS[name].grid.width
        assert figures[f"{name}_w1"].value == pytest.approx(wasserstein_distance(values[:half], values[half:]), abs=width)
    sizes = [len(molecule) for molecule in molecules]
    assert figures["atoms_w1"].value == pytest.approx(wasserstein_distance(sizes[:half], sizes[half:]), abs=1e-9)


def _pooled(records, family):
    found = defaultdict(list)
    for record in records:
        for kind, values in record[family].items():
            found[kind] += values
    return found


@pytest.mark.parametrize("trials", [1, 7, 50, 2000])
def test_exact_intervals(trials):
    for hits in sorted({0, 1, trials // 3, trials - 1, trials}):
        exact = binomtest(hits, trials).proportion_ci(method="exact")
        assert clopper_pearson(hits, trials) == pytest.approx((exact.low, exact.high), abs=1e-12)
