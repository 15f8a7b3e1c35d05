"""The table of properties and what is derived from it."""

import sys

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from molgen.errors import InputError
from molgen.molecules.export import read_molecules
from molgen.molecules.measure import MEASURED, measure
from molgen.molecules.metrics.descriptors import descriptors
from molgen.molecules.metrics.validity import heavy
from molgen.molecules.molecule import Molecule
from molgen.molecules.prepare.compute import COMPUTED, STEREO, compute, sa_score
from molgen.molecules.properties import PROPERTIES, Method, measured_by
from molgen.molecules.similarity import Similarity
from molgen.molecules.units import factor, unit


def test_the_table_names_what_each_method_measures(samples_of_qm9):
    from molgen.molecules.metrics.regressor import homo_b3lyp
    from molgen.molecules.metrics.relaxation import strain_mmff

    molecule = next(read_molecules(samples_of_qm9))
    assert tuple(COMPUTED) == measured_by(Method.RDKIT)
    assert {*homo_b3lyp(molecule)} - {"homo_b3lyp_reason"} == {*measured_by(Method.NETWORK)}
    assert {*strain_mmff(molecule)} - {"strain_mmff_reason"} == {*measured_by(Method.MMFF)}
    assert {name for method in Method for name in measured_by(method)} == {*MEASURED}
    pytest.importorskip("tblite")
    from molgen.molecules.metrics.quantum import xtb_properties

    assert {*xtb_properties(molecule)} - {"xtb_reason"} == {*measured_by(Method.XTB)}


def test_what_hangs_on_stereo_is_told():
    """Two bridgeheads of a bicycle are centres to the score only where their stereo is told, the middle of a triol unless it is told."""
    changed = set()
    for smiles in ("CC1C2C=CC3C1C23", "C[C@H](O)C(O)[C@H](C)O"):
        mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
        assert rdDistGeom.EmbedMolecule(mol, randomSeed=1) == 0
        Chem.AssignStereochemistryFrom3D(mol)
        bound = Chem.RemoveHs(mol)
        flat = Chem.Mol(bound)
        Chem.RemoveStereochemistry(flat)
        names = tuple(COMPUTED)
        changed |= {name for name, a, b in zip(names, compute(bound, names), compute(flat, names), strict=True) if a != b}
    assert changed == STEREO == {"sa", "stereocentres"}


@pytest.mark.parametrize("smiles", ["N=C1CCCO1", "CC(=N)OCC#N", "NC(=N)c1ccccc1", "C/C=C/O"])
def test_a_hydrogen_that_tells_the_stereo_of_a_double_bond_is_no_substituent(smiles):
    plain, molecule = Chem.MolFromSmiles(smiles), Molecule.from_smiles(smiles)
    flat = Chem.MolFromSmiles(smiles.replace("/", ""))
    names = tuple(COMPUTED)
    expected = dict(zip(names, compute(plain, names), strict=True))
    assert measure(molecule, names) == pytest.approx(expected)
    assert {name: descriptors(molecule.to_rdkit(sanitize=True))[name] for name in names} == pytest.approx(expected)
    assert measure(molecule, ["similarity"], similarity=Similarity([smiles])) == {"similarity": 1.0}
    alone = heavy(molecule.to_rdkit(sanitize=True))
    assert [atom.GetAtomicNum() for atom in alone.GetAtoms()].count(1) == 0
    assert alone.GetNumAtoms() == flat.GetNumAtoms()


def test_properties_have_units_that_others_are_converted_to():
    units = {"gap_xtb": "eV", "dipole_xtb": "D", "energy_xtb": "Hartree", "tpsa": "Å^2", "mw": "g/mol", "logp": "", "colour": ""}
    assert {name: unit(name) for name in units} == units
    assert all(factor(name, known.unit) == pytest.approx(1.0) for name, known in PROPERTIES.items() if known.unit)
    assert factor("tpsa", "Å²") == 1.0


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("gap_xtb", "Hartree", 27.2114),
        ("gap_xtb", "meV", 1e-3),
        ("gap_xtb", "kJ/mol", 1 / 96.4853),
        ("gap_xtb", "kcal/mol", 4.184 / 96.4853),
        ("energy_xtb", "eV", 1 / 27.2114),
        ("energy_xtb", "kcal/mol", 1 / 627.509),
        ("dipole_xtb", "a.u.", 2.54175),
        ("tpsa", "nm^2", 10.0**2),
        ("mw", "Da", 1.0),
    ],
)
def test_factors_of_units_are_those_of_physics(name, given, expected):
    assert factor(name, given) == pytest.approx(expected, rel=1e-5)


def test_descriptors_are_what_is_computed_under_the_same_names():
    for smiles in ("C[C@H](N)C(=O)O", "c1ccc2[nH]ccc2c1", "[O-][N+](=O)CCl"):
        mol = Chem.MolFromSmiles(smiles)
        names = tuple(COMPUTED)
        expected = dict(zip(names, compute(mol, names), strict=True))
        for given in (mol, Chem.AddHs(mol)):
            found = descriptors(given)
            assert {name: found[name] for name in names} == expected
            assert {*found} - {*names} == {"largest_ring", "alerts"}
    nothing = descriptors(Chem.MolFromSmiles("[H][H]"))
    assert "sa" not in nothing
    assert (nothing["heavy"], nothing["rings"], nothing["largest_ring"]) == (0, 0, 0)


def test_without_the_score_of_synthesis_the_others_remain(monkeypatch):
    monkeypatch.setitem(sys.modules, "rdkit.Contrib.SA_Score.sascorer", None)
    sa_score.cache_clear()
    try:
        mol = Chem.MolFromSmiles("CCO")
        found = descriptors(mol)
        assert "sa" not in found
        assert np.isfinite(found["qed"])
        with pytest.raises(InputError, match=r"^sa: RDKit is installed without its folder Contrib"):
            compute(mol, ("sa",))
    finally:
        sa_score.cache_clear()
