"""The weights `leads`: lead-like molecules, properties on request, and given parts and graphs with elements that QM9 lacks."""

from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem

import molgen
from molgen.molecules.constraints import Conformers, Keep
from molgen.molecules.measure import measure
from molgen.molecules.metrics.validity import validity
from molgen.molecules.molecule import Molecule

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not (ROOT / "molgen/weights/leads/model.safetensors").is_file(), reason="no weights in this tree")


@pytest.fixture(scope="module")
def model():
    return molgen.load("leads", "cpu")


def test_draws_are_lead_like(model):
    draws = model.sample(8, keep_invalid=True, steps=24, seed=5, sizes=[28])
    rows = [validity(molecule) for molecule in draws]
    valid = [molecule for molecule, row in zip(draws, rows, strict=True) if row["valid"]]
    assert len(valid) >= 5
    assert np.mean([measure(molecule, ["qed"])["qed"] for molecule in valid]) > 0.6
    assert {16, 9, 17, 35} & {z for molecule in valid for z in molecule.atomic_numbers.tolist()}


def test_requested_logp(model):
    request = {"sizes": [24], "steps": 12, "candidates": 2, "seed": 2}
    low, high = (
        np.mean([measure(m, ["logp"])["logp"] for m in model.sample(3, properties={"logp": value}, **request)]) for value in (0.5, 4.0)
    )
    assert high - low > 2


def test_the_estimator_tells_properties_of_molecules_as_they_are(model):
    """Errors on molecules of the kind it has learned, beside the spread of their properties (logP 0.9, TPSA 18 Å^2)."""
    molecules, names = [], ["logp", "qed", "tpsa", "sa"]
    for smiles in ("CC(C)NC(=O)c1ccc(F)cc1Cl", "COc1ccccc1S(=O)(=O)N1CCCC1", "Cc1nnc(NC(=O)C2CCOCC2)s1", "N#Cc1cc(Br)cnc1NCCO"):
        mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
        AllChem.EmbedMolecule(mol, randomSeed=1)
        AllChem.MMFFOptimizeMolecule(mol)
        molecules.append(Molecule.from_rdkit(mol))
    found, true = model.predict(molecules), [measure(molecule, names) for molecule in molecules]
    assert [set(told) for told in found] == [set(names)] * 4
    error = {name: np.mean([abs(told[name].value - right[name]) for told, right in zip(found, true, strict=True)]) for name in names}
    assert error["logp"] < 0.3
    assert error["tpsa"] < 4


def test_a_sulfonamide_grows_and_keeps_its_place(model):
    mol = Chem.AddHs(Chem.MolFromSmiles("Nc1ccc(S(N)(=O)=O)cc1Cl"))
    AllChem.EmbedMolecule(mol, randomSeed=1)
    lead = Molecule.from_rdkit(mol)
    keep = Keep(molecule=lead, replace_hydrogens=[len(lead)])
    (grown,) = model.sample(1, constraint=keep, steps=20, seed=1)
    kept = len(lead) - 1
    np.testing.assert_array_equal(grown.positions[:kept], lead.positions[:kept])
    assert grown.to_rdkit(sanitize=True).HasSubstructMatch(Chem.MolFromSmarts("c1cccc(S(N)(=O)=O)c1"))
    assert len(grown) > len(lead)


def test_conformers_of_a_graph_with_sulfur_and_halogens(model):
    graph = Conformers.from_smiles("CN(C)S(=O)(=O)c1cc(Cl)c(F)s1")
    (conformer,) = model.sample(1, constraint=graph, steps=20, seed=1)
    sulfur, oxygens = 3, (4, 5)
    lengths = [np.linalg.norm(conformer.positions[sulfur] - conformer.positions[o]) for o in oxygens]
    assert lengths == pytest.approx([1.45, 1.45], abs=0.06)  # of sulfonamides, Å
