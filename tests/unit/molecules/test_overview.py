"""What `molgen info` counts in a file, against records whose counts are known by their making."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from click.testing import CliRunner
from rdkit import Chem
from rdkit.Chem import AllChem

from molgen.cli import main
from molgen.molecules.convert import from_rdkit
from molgen.molecules.molecule import Molecule
from molgen.molecules.records import write_sdf_record
from molgen.molecules.xyz import write_xyz_record


def info(path):
    result = CliRunner().invoke(main, ["info", str(path)])
    assert result.exit_code == 0, result.output
    return {name: value.strip() for name, value in (line.split(":", 1) for line in result.output.splitlines())}


def record(smiles, hydrogens=True, **properties):
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.EmbedMolecule(mol, randomSeed=1)
    molecule = replace(from_rdkit(mol), properties=properties)
    return write_sdf_record(molecule if hydrogens else molecule.take(np.flatnonzero(molecule.atomic_numbers > 1)))


def drawn(smiles):
    mol = Chem.MolFromSmiles(smiles)
    AllChem.Compute2DCoords(mol)
    return Chem.MolToMolBlock(mol) + "$$$$\n"


def test_an_sdf_file_is_counted(tmp_path):
    ethanol, bromide = record("CCO", logp=1.5, batch="first"), record("CCBr", logp=-0.5)
    salt, charged, bare = record("CCO.Cl", logp=7), record("CC[NH3+]"), record("OCC", hydrogens=False, batch=3)
    (tmp_path / "a.sdf").write_text(ethanol + bromide + "no\nrecord\n$$$$\n" + salt + charged + bare + drawn("CCCC"))
    rows = info(tmp_path / "a.sdf")
    assert rows["file"].startswith(f"{tmp_path / 'a.sdf'} (sdf, ")
    assert rows["records"].startswith("7, 1 of them unreadable (first record 3; most often: ")
    assert rows["different"] == "5 molecules, stereo aside"  # ethanol and its bare twin are one
    assert rows["atoms"] == "8 to 14 a molecule, median 10"  # 9, 8, 11, 11, 9, 14
    assert rows["heavy atoms"] == "3 to 4 a molecule, median 3"
    assert rows["elements"] == "H 100 %, C 100 %, N 16.7 %, O 50 %, Cl 16.7 %, Br 16.7 %"
    assert rows["charged atoms"] == "in 1; total charges +0 5, +1 1"
    assert rows["salts"] == "1 of more than one piece (--largest-fragment)"
    assert rows["hydrogens"] == "1 without all of them"
    assert rows["coordinates"] == "1 as flat drawings"
    assert rows["tag logp"] == "3 numbers, -0.5 to 7, mean 2.667"
    assert rows["tag batch"] == "1 number, all 3; 1 text, the first 'first'"
    assert rows["fits"].startswith("leads 66.7 %, qm9 50 %")  # the salt and the ion in none, bromine not in qm9
    assert "refused" not in rows


def test_codes_are_no_numbers_and_tags_are_told_in_one_line(tmp_path):
    tags = {"code": "3e63", "lot": "1.10", "note": "one\ntwo", "graph": "C" * 70}
    (tmp_path / "a.sdf").write_text(record("CCO", **tags) + record("CC", code="1e10", lot="2"))
    rows = info(tmp_path / "a.sdf")
    assert rows["tag code"] == "2 texts, the first '3e63'"
    assert rows["tag lot"] == "2 numbers, 1.1 to 2, mean 1.55"
    assert rows["tag note"] == "1 text, the first 'one two'"
    assert rows["tag graph"] == f"1 text, the first '{'C' * 57}...'"
    assert "isotopes" not in rows
    (tmp_path / "b.smi").write_text("[2H]OC a\n[13CH4]\nCO\n")
    assert info(tmp_path / "b.smi")["isotopes"] == "2 with labels, which are not kept"


def test_lists_xyz_and_other_units(tmp_path):
    (tmp_path / "salts.smi").write_text("CC(=O)[O-].[Na+] a\nCCO b\n")
    rows = info(tmp_path / "salts.smi")
    assert (rows["records"], rows["salts"]) == ("2", "1 of more than one piece (--largest-fragment)")
    assert rows["elements"] == "H 100 %, C 100 %, O 100 %, Na 50 %"
    (tmp_path / "a.csv").write_text("name,smiles,y\na,CCO,3\nb,zz,4\nc,CCN,5\n")
    rows = info(tmp_path / "a.csv")
    assert rows["records"].startswith("3, 1 of them unreadable (first record 2;")
    assert rows["coordinates"] == "none (prepare, predict and conformers make them)"
    assert (rows["tag y"], rows["atoms"]) == ("3 numbers, 3 to 5, mean 4", "9 to 10 a molecule, median 9")
    ethanol = Molecule.from_smiles("CCO")
    (tmp_path / "a.xyz").write_text(write_xyz_record(ethanol))
    assert info(tmp_path / "a.xyz")["different"] == "1 molecule, stereo aside"
    (tmp_path / "nm.sdf").write_text(write_sdf_record(replace(ethanol, positions=ethanol.positions / 10)))
    assert info(tmp_path / "nm.sdf")["coordinates"] == "1 not in Å, by their bond lengths"
    (tmp_path / "empty.sdf").write_text("")
    assert info(tmp_path / "empty.sdf")["records"] == "0"


def test_meshes_and_clouds(tmp_path):
    box = trimesh.creation.box((2, 3, 4))
    box.export(tmp_path / "box.stl")
    np.savez(tmp_path / "two.npz", points=np.stack([np.eye(3), -np.eye(3)]))
    rows = info(tmp_path / "box.stl")
    assert rows["mesh"] == "8 vertices, 12 faces, 1 piece, closed, volume 24"
    assert rows["extent"] == "x -1 to 1, y -1.5 to 1.5, z -2 to 2"
    (tmp_path / "decimal.csv").write_text("x;y;z\n0,5;0,25;-0,3\n1,0;2,0;3,0\n")
    assert info(tmp_path / "decimal.csv")["extent"] == "x 0.5 to 1, y 0.25 to 2, z -0.3 to 3"
    for name, number in (("bowls", 1), ("mugs", 2)):
        (tmp_path / "all" / name).mkdir(parents=True)
        for k in range(number):
            np.save(tmp_path / "all" / name / f"{k}.npy", np.eye(3) + k)
    assert info(tmp_path / "all") == {"folder": str(tmp_path / "all"), "shapes": ".npy 3", "classes": "bowls 1, mugs 2"}
    assert info(tmp_path / "two.npz") == {
        "file": str(tmp_path / "two.npz"),
        "clouds": "2 of 3 points",
        "extent": "x -1 to 1, y -1 to 1, z -1 to 1",
    }


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("a.txt", "expected a file name ending in .sdf"),
        ("a.pdb", "is no SDF file; convert it"),
        ("card.yaml", "is a file of a folder; give the folder"),
        ("a.obj", "cannot be read|no faces|empty file"),
    ],
)
def test_other_files_are_refused(tmp_path, name, line):
    Path(tmp_path / name).write_text("")
    result = CliRunner().invoke(main, ["info", str(tmp_path / name)])
    assert result.exit_code == 2
    assert result.output.count("\n") == 1
    assert any(one in result.output for one in line.split("|")), result.output
