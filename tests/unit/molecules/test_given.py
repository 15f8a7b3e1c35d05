"""Molecules as other programs write them: hydrogens are added where they are missing, drawings are graphs, salts are left out."""

import re
from dataclasses import replace

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem

from molgen.errors import InputError
from molgen.molecules.constraints import Conformers
from molgen.molecules.embed import NoConformer, conformer
from molgen.molecules.encode import missing_hydrogens
from molgen.molecules.fragments import largest_fragment, largest_part, without_salt
from molgen.molecules.given import Changes, Record, complete, drawing, graph, lacks_hydrogens
from molgen.molecules.molecule import Molecule
from molgen.molecules.records import write_sdf_record

PARACETAMOL = "CC(=O)Nc1ccc(O)cc1"


def heavy(molecule):
    """Without hydrogens."""
    return molecule.take(np.flatnonzero(molecule.atomic_numbers > 1))


def polar(molecule):
    """Without the hydrogens on carbon, as docking programs write it."""
    on_carbon = {j for i, j, _ in molecule.bonds.tolist() if molecule.atomic_numbers[i] == 6 and molecule.atomic_numbers[j] == 1}
    return molecule.take(np.array([i for i in range(len(molecule)) if i not in on_carbon]))


def drawn(smiles):
    """The flat record of a SMILES."""
    mol = Chem.MolFromSmiles(smiles)
    AllChem.Compute2DCoords(mol)
    return Chem.MolToMolBlock(mol)


@pytest.mark.parametrize("part", [heavy, polar])
@pytest.mark.parametrize("smiles", [PARACETAMOL, "c1cc[nH]c1", "C", "C[N+](=O)[O-]", "CC(=O)[O-]", "C[NH3+]", "CS(=O)(=O)N"])
def test_missing_hydrogens_are_added_behind_the_given_atoms(smiles, part):
    whole = Molecule.from_smiles(smiles)
    given = replace(part(whole), properties={"title": "a", "pIC50": 7.5})
    found = complete(given)
    assert found.to_smiles() == whole.to_smiles() == Chem.CanonSmiles(smiles)
    assert np.array_equal(found.positions[: len(given)], given.positions)
    assert np.array_equal(found.charges[: len(given)], given.charges)
    assert found.properties == given.properties
    bonds = np.linalg.norm(found.positions[found.bonds[:, 0]] - found.positions[found.bonds[:, 1]], axis=1)
    assert 0.8 < bonds.min() < bonds.max() < 1.9
    lacking = len(whole) - len(given)
    assert missing_hydrogens(given).startswith(f"lacks {lacking} hydrogens as atoms") if lacking else not missing_hydrogens(given)


@pytest.mark.parametrize("smiles", [PARACETAMOL, "[CH3-]", "C[CH2+]", "C[N+](C)(C)C", "CC(=O)[O-]", "O=C=O"])
def test_molecules_that_lack_nothing_are_left_alone(smiles):
    whole = Conformers.from_smiles(smiles).molecule
    assert complete(whole) is whole
    assert missing_hydrogens(whole) == ""


def test_hydrogens_that_a_data_set_implies_become_atoms():
    whole = Molecule.from_smiles("CCO")
    found = complete(replace(heavy(whole), implicit_hydrogens=True))
    assert (len(found), found.implicit_hydrogens) == (9, False)
    assert not complete(replace(Molecule.from_smiles("O=C=O"), implicit_hydrogens=True)).implicit_hydrogens


def test_what_rdkit_refuses_is_not_completed():
    choline = Molecule.from_smiles("C[N+](C)(C)CCO")
    for given, what in ((heavy(choline), "no"), (polar(choline), "not all")):
        refused = replace(given, charges=np.zeros_like(given.charges))
        with pytest.raises(ValueError, match="Explicit valence for atom # 1 N, 4"):
            complete(refused)
        assert lacks_hydrogens(refused)
        assert missing_hydrogens(refused) == f"has {what} hydrogens as atoms; add them, with coordinates"
    whole = replace(choline, charges=np.zeros_like(choline.charges))
    assert (lacks_hydrogens(whole), missing_hydrogens(whole)) == (False, "")


def test_what_is_added_is_told_in_a_line():
    changes, whole = Changes("a.sdf"), Molecule.from_smiles(PARACETAMOL)
    assert changes.lines() == []
    assert changes.complete(whole) is whole
    assert changes.lines() == []
    changes.complete(heavy(whole))
    assert changes.lines() == [f"a.sdf: 9 hydrogens were added: {PARACETAMOL}"]
    changes.complete(polar(Molecule.from_smiles("Oc1ccccc1")))
    assert changes.lines() == ["a.sdf: 14 hydrogens were added to 2 molecules"]
    changes.embed(whole)
    assert changes.lines()[1] == f"a.sdf: is a flat drawing, of which a conformer was made: {PARACETAMOL}"
    changes.embed(whole)
    assert changes.lines()[1] == "a.sdf: 2 flat drawings, conformers were made of them"


@pytest.mark.parametrize(
    "smiles", ["C[C@H](O)N", "C/C=C/O", "C/C=C\\O", "C[C@H]1CC[C@@H](C)CC1", "C[S@](=O)c1ccccc1", "c1cc[nH]c1", "CC(C)(C)O"]
)
def test_a_drawing_is_a_graph_with_the_stereo_of_its_wedges(smiles):
    for text in (drawn(smiles), drawn(smiles).replace("          2D", "          3D")):  # some programs call a drawing 3D
        record = Record.of(text, "sdf")
        if isinstance(record.found, Molecule):  # nothing tells this one from a flat molecule
            assert smiles in ("C/C=C/O", "C/C=C\\O", "C[S@](=O)c1ccccc1", "c1cc[nH]c1")
            continue
        graph = Conformers.of_graph(record.found, "a.mol", "name")
        assert conformer(record.found, "a.mol").to_smiles() == Chem.CanonSmiles(smiles)
        stated = Conformers.from_smiles(smiles)
        assert len(graph.handedness.centres) == len(stated.handedness.centres)
        assert len(graph.handedness.bonds) == len(stated.handedness.bonds)
        assert graph.handedness.missed(conformer(record.found, "a.mol")) is False
        assert graph.molecule.properties == {"title": "name"}


def test_drawings_that_are_none_have_a_reason():
    assert drawing(drawn("CC").replace(" C   0", " R   0")) == "unknown element"
    assert str(drawing(drawn("C[N+](C)(C)C").replace("M  CHG", "M  XXX"))).startswith("RDKit: Explicit valence for atom N, 4")
    assert Record.of(drawn("CC").partition("M  END")[0], "sdf").found == "record without M  END (cut off?)"
    tagged = Record.of("x1" + drawn("CC") + ">  <pIC50>\n7\n\n$$$$\n", "sdf")
    assert (tagged.title, tagged.properties["pIC50"], tagged.written) == ("x1", 7, "")
    whole = Record.of(write_sdf_record(Molecule.from_smiles("CCO")), "sdf")
    assert whole.written == "CCO"


def test_no_conformer_is_told_with_the_graph():
    with pytest.raises(NoConformer, match=r"OB\(O\)C: no MMFF94 parameters; give an SDF file with coordinates") as caught:
        Molecule.from_smiles("OB(O)C")
    assert 5 in caught.value.graph.atomic_numbers
    with pytest.raises(InputError, match="more than one molecule; leave out the salt: 'CCN'"):
        conformer(Chem.MolFromSmiles("CCN.Cl"), "a.mol")


@pytest.mark.parametrize(
    ("smiles", "largest"),
    [("CCN.Cl", "CCN"), ("[Na+].O=C([O-])C", "O=C([O-])C"), ("C1.C1CN.O", "CCCN"), ("CC.CC", "CC"), ("O.OCC.Cl", "OCC")],
)
def test_the_largest_part_is_the_molecule_without_its_salt(smiles, largest):
    assert without_salt(smiles) == (largest if smiles[:2] != "C1" else Chem.CanonSmiles(largest))  # as it is written, where it is
    assert Conformers.from_smiles(smiles, largest=True).molecule.to_smiles() == Chem.CanonSmiles(largest)
    with pytest.raises(InputError, match=f"more than one molecule; leave out the salt: '{re.escape(without_salt(smiles))}'"):
        Conformers.from_smiles(smiles)


def test_the_largest_part_of_a_molecule():
    ethanol, water = Molecule.from_smiles("CCO"), Molecule.from_smiles("O")
    both = Molecule(
        atomic_numbers=np.concatenate([water.atomic_numbers, ethanol.atomic_numbers]),
        positions=np.concatenate([water.positions + 9, ethanol.positions]),
        charges=np.zeros(12, np.int64),
        bonds=np.concatenate([water.bonds, ethanol.bonds + np.array([3, 3, 0])]),
    )
    assert largest_part(both).to_smiles() == "CCO"
    assert largest_part(ethanol) is ethanol


def test_the_largest_part_has_the_most_heavy_atoms_whatever_its_hydrogens():
    smiles = "CCC.ClC(Cl)(Cl)Cl"  # eleven atoms, three of them heavy, and five
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert largest_part(graph(mol)).to_smiles() == Chem.MolToSmiles(largest_fragment(mol)) == "ClC(Cl)(Cl)Cl"
    assert without_salt(smiles) == "ClC(Cl)(Cl)Cl"
