"""Substructures that molecules must have or lack, and similarity to given ones."""

import pytest
from rdkit import Chem, DataStructs
from rdkit.Chem import AllChem

from molgen.errors import InputError
from molgen.molecules.filters import Filters
from molgen.molecules.measure import Target, keep_best
from molgen.molecules.molecule import Molecule


def built(smiles):
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.EmbedMolecule(mol, randomSeed=1)
    return Molecule.from_rdkit(mol)


def test_substructures_are_required_and_barred(tmp_path):
    screen = Filters(has=["c1ccccc1", "[OH]"], lacks="[N+](=O)[O-]").start()
    phenol, nitro = "Oc1ccccc1", "O=[N+]([O-])c1ccc(O)cc1"
    assert [screen(built(smiles)) for smiles in (phenol, nitro, "CCO", "c1ccccc1")] == [
        "",
        "with [N+](=O)[O-]",
        "without c1ccccc1",
        "without [OH]",
    ]
    assert Filters(has="[H]O").start()(built("CCO")) == ""  # hydrogens of a pattern are those of its atoms
    assert Filters(has="[H]O").start()(built("COC")) == "without [H]O"
    house = tmp_path / "house.smarts"
    house.write_text("# ours\n[CX3H1](=O)[#6]\taldehyde # reacts\n\nC#N nitrile or cyanide\n[SH]\n")
    screen = Filters(lacks=[house, "[F]"]).start()
    assert [screen(built(smiles)) for smiles in ("CC=O", "CC#N", "CS", "CF", "CCO")] == [
        "with aldehyde",
        "with nitrile or cyanide",
        "with [SH]",
        "with [F]",
        "",
    ]
    assert Filters(lacks=[house], has="C").describe() == f"with C; without {house}"
    house.write_text("C#N\nc1ccc broken\n")
    with pytest.raises(InputError, match=r"house\.smarts: line 2: c1ccc is no SMARTS pattern"):
        Filters(lacks=str(house))
    house.write_text("# none\n")
    with pytest.raises(InputError, match="holds no pattern"):
        Filters(lacks=house)


def test_similarity_to_given_molecules_is_a_property(tmp_path):
    aspirin, relative = "CC(=O)Oc1ccccc1C(=O)O", "CC(=O)Nc1ccccc1C(=O)O"
    generator = AllChem.GetMorganGenerator(radius=2, fpSize=2048)
    one, other = (generator.GetFingerprint(Chem.MolFromSmiles(smiles)) for smiles in (aspirin, relative))
    expected = DataStructs.TanimotoSimilarity(one, other)
    assert 0.4 < expected < 0.9
    (tmp_path / "a.smi").write_text(f"CCN\n{aspirin}\n")
    for given in (aspirin, [tmp_path / "a.smi"], ["CCN", built(aspirin)], built(aspirin)):
        molecule = built(relative)
        assert Filters(where="similarity>=0.4", similar_to=given).start()(molecule) == ""
        assert molecule.properties["measured_similarity"] == pytest.approx(expected, abs=1e-7)
        assert Filters(where="Similarity<0.4", similar_to=given).start()(molecule) == "not similarity<0.4"
    assert Filters(where="similarity>0.4", similar_to="CCO").describe() == "similar to CCO; similarity>0.4"
    best = keep_best(map(built, ("CCN", relative, "CCO")), Target.parse("similarity=max", [aspirin]), 2)
    assert best[0].properties["measured_similarity"] == pytest.approx(expected)
    with pytest.raises(InputError, match="similar to what"):
        Target.parse("similarity=max")
    with pytest.raises(InputError, match="neither a file nor a SMILES"):
        Target.parse("similarity=max", ["no_such"])
    (tmp_path / "a.smi").write_text("CCN\nnonsense\nCCO\n")
    with pytest.raises(InputError, match=r"1 of 3 records are no valid molecules, the first is record 2"):
        Filters(where="similarity>0.4", similar_to=tmp_path / "a.smi").start()
