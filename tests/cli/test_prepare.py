"""`molgen prepare` as a user calls it: output on good input, one line and no output folder on bad input."""

import gzip
import json
import os
import subprocess
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from rdkit import Chem
from rdkit.Chem import rdDepictor, rdDistGeom

from molgen import read_sdf
from molgen.cli import main
from molgen.files import sha256
from molgen.molecules.data import PackedMolecules
from molgen.molecules.export import BrokenRecord, read_molecules, write_molecules
from molgen.molecules.measure import measure
from molgen.molecules.metrics.validity import validity
from molgen.molecules.molecule import Molecule
from molgen.molecules.prepare.compute import COMPUTED

SAMPLE = Path(__file__).parents[2] / "data" / "qm9_sample" / "qm9_sample.sdf.gz"
METHANE = """methane
     test           3D

  5  4  0  0  0  0  0  0  0  0999 V2000
    0.0000    0.0000    0.0000 C   0  0
    0.6300    0.6300    0.6300 H   0  0
   -0.6300   -0.6300    0.6300 H   0  0
   -0.6300    0.6300   -0.6300 H   0  0
    0.6300   -0.6300   -0.6300 H   0  0
  1  2  1  0
  1  3  1  0
  1  4  1  0
  1  5  1  0
M  END
>  <y>
1.5

$$$$
"""
ETHANE_2D = """ethane
     test           2D

  2  1  0  0  0  0  0  0  0  0999 V2000
    0.0000    0.0000    0.0000 C   0  0
    1.5000    0.0000    0.0000 C   0  0
  1  2  1  0
M  END
$$$$
"""
METHYL = (
    "\n".join(line for line in METHANE.splitlines() if not line.startswith(("    0.6300   -0.63", "  1  5"))).replace("  5  4", "  4  3")
    + "\n"
)


def invoke(*arguments: object) -> tuple[int, str, str]:
    """Exit status, standard output and standard error; nothing is raised."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    return result.exit_code, result.stdout, result.stderr


def refused(folder: Path, *arguments: object) -> str:
    """The one line of an error; checks status 2 and that nothing was written."""
    before = sorted(folder.rglob("*"))
    status, output, error = invoke("prepare", *arguments, "--out", folder / "out", "--workers", 1)
    assert status == 2, error
    assert output == ""
    assert error.count("\n") == 1
    assert error.startswith("molgen: error: ")
    assert sorted(folder.rglob("*")) == before
    return error


def test_good_input(tmp_path):
    status, output, error = invoke(
        "prepare", SAMPLE, "--out", tmp_path / "out", "--label", "homo_b3lyp,gap_xtb", "--compute", "logp", "--unit", "homo_b3lyp=eV"
    )
    assert (status, error) == (0, "")
    assert "read 200, kept 200, rejected 0" in output
    assert "elements H C N O" in output
    assert " eV (200 values)" in output
    assert (tmp_path / "out" / "statistics.json").is_file()


def test_help_names_every_option_in_time():
    status, output, _ = invoke("prepare", "--help")
    assert status == 0
    for option in (
        "--label",
        "--compute",
        "--csv-key",
        "--require-labels",
        "--no-hydrogens",
        "--split",
        "--root",
        "--licence",
        "--workers",
        "--seed",
        "--unit",
    ):
        assert option in output
    code = """
import sys
from molgen.cli import main
try:
    main(['prepare', '--help'])
except SystemExit:
    print({'rdkit', 'torch', 'numpy'} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("set()")


@pytest.mark.parametrize(
    ("text", "reason", "fix"),
    [
        (ETHANE_2D, "2D coordinates", "3D conformers"),
        (METHANE.replace("    0.6300    0.6300    0.6300", "       nan    0.6300    0.6300"), "coordinates not finite", "finite"),
        (METHANE.replace(" C   0", " Xx  0"), "unknown element", "real elements"),
        (METHANE.replace(" C   0", " R#  0"), "unknown element", "real elements"),
        ("empty\n     test           3D\n\n  0  0  0  0  0  0  0  0  0  0999 V2000\nM  END\n$$$$\n", "no atoms", "leave"),
        (METHYL.replace("M  END", "M  RAD  1   1   2\nM  END"), "radical", "complete the valences"),
        (METHYL, "implicit hydrogens", "--add-hydrogens"),
        (METHANE.replace("  1  5  1  0\n", "").replace("  5  4", "  5  3"), "several fragments", "one molecule"),
        (METHANE.replace("  1  2  1  0", "  1  2  3  0"), "impossible valence", "help"),
        ("nothing\nlike\na molecule\n$$$$\n", "counts line that is not two numbers", "suffix"),
    ],
    ids=lambda value: value if len(value) < 30 else "",
)
def test_bad_records(text, reason, fix, tmp_path):
    source = tmp_path / "bad.sdf"
    source.write_text(text)
    error = refused(tmp_path, source)
    assert f"bad.sdf: none of 1 record can be used; first: record 1 ({text.splitlines()[0]}): {reason}; fix: " in error
    assert fix in error


def test_records_without_bonds_get_those_of_their_geometry(tmp_path):
    molecules = [*islice(read_molecules(SAMPLE), 8)]
    ammonium = Molecule.from_smiles("[NH4+]")
    write_molecules(tmp_path / "bare.sdf", [replace(m, bonds=m.bonds[:0]) for m in (*molecules, ammonium)])
    status, output, _ = invoke("prepare", tmp_path / "bare.sdf", "--out", tmp_path / "out", "--workers", 1)
    assert status == 0
    assert "read 9, kept 9, rejected 0" in output
    data = PackedMolecules(tmp_path / "out")
    found = [validity(data.molecule(k))["smiles"] for k in range(9)]
    assert found == [validity(molecule)["smiles"] for molecule in (*molecules, ammonium)]
    far = replace(molecules[0], positions=5 * molecules[0].positions, bonds=molecules[0].bonds[:0])
    write_molecules(tmp_path / "far.sdf", [far])
    status, _, error = invoke("prepare", tmp_path / "far.sdf", "--out", tmp_path / "more", "--workers", 1)
    assert (status, error.count("\n")) == (2, 1)
    assert "no bonds fit the geometry; fix: see that all hydrogens are atoms" in error


def bare(*rows):
    """The record of atoms without bonds."""
    atoms = "".join(f"{x:10.4f}{y:10.4f}{z:10.4f} {symbol:3s} 0  0\n" for symbol, x, y, z in rows)
    return f"bare\n     test           3D\n\n{len(rows):3d}  0  0  0  0  0  0  0  0  0999 V2000\n{atoms}M  END\n$$$$\n"


BENZENE = [("C", 1.39 * np.cos(k * np.pi / 3), 1.39 * np.sin(k * np.pi / 3), 0.1 * k) for k in range(6)]


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([("Na", 0, 0, 0), ("Cl", 2.4, 0, 0.1)], "several fragments"),
        ([("Ar", 0, 0, 0), ("Ar", 3.8, 0, 0.1)], "several fragments"),
        ([("C", 0, 0, 0), ("C", 1.53, 0, 0.1)], "no bonds fit the geometry"),
        (BENZENE, "no bonds fit the geometry"),
    ],
)
@pytest.mark.parametrize("options", [(), ("--no-hydrogens",)])
def test_atoms_without_bonds_that_are_no_molecule_are_rejected(tmp_path, rows, reason, options):
    (tmp_path / "bare.sdf").write_text(bare(*rows))
    assert f"record 1 (bare): {reason}; fix: " in refused(tmp_path, tmp_path / "bare.sdf", *options)


def test_molecules_without_hydrogens_and_bonds_are_perceived(tmp_path):
    (tmp_path / "bare.sdf").write_text(
        bare(("C", 0, 0, 0), ("O", 1.13, 0, 0.1))
        + bare(("O", -1.16, 0, 0), ("C", 0, 0, 0), ("O", 1.16, 0, 0.1))
        + bare(("N", 0, 0, 0), ("C", 1.16, 0, 0), ("C", 2.54, 0, 0), ("N", 3.7, 0, 0.1))
    )
    assert invoke("prepare", tmp_path / "bare.sdf", "--out", tmp_path / "out", "--workers", 1)[0] == 0
    assert (tmp_path / "out" / "smiles.txt").read_text().split() == ["[C-]#[O+]", "O=C=O", "N#CC#N"]


def test_conformers_of_a_molecule_are_not_divided(tmp_path):
    molecules = [*islice(read_molecules(SAMPLE), 20)]
    write_molecules(tmp_path / "conformers.sdf", [m for m in molecules for _ in range(3)])
    out = tmp_path / "out"
    status, output, _ = invoke("prepare", tmp_path / "conformers.sdf", "--out", out, "--split", "0.8,0.1,0.1", "--workers", 1)
    assert status == 0
    assert [line.split()[:4] for line in output.splitlines() if "different" in line] == [
        ["train:", "48", "molecules", "(16"],
        ["valid:", "6", "molecules", "(2"],
        ["test:", "6", "molecules", "(2"],
    ]
    assert "also in" not in output


def called_3d(smiles, hydrogens=False):
    """The record of a flat drawing that says that it is 3D."""
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles)) if hydrogens else Chem.MolFromSmiles(smiles)
    rdDepictor.Compute2DCoords(mol)
    return Chem.MolToMolBlock(mol).replace("          2D", "          3D") + "$$$$\n"


@pytest.mark.parametrize("option", ["--add-hydrogens", "--no-hydrogens"])
def test_a_drawing_without_hydrogens_that_is_called_3d_is_flat_but_a_flat_molecule_is_none(tmp_path, option):
    (tmp_path / "a.sdf").write_text(called_3d("CC(C)O") + called_3d("c1ccccc1") + called_3d("c1ccccc1", hydrogens=True))
    status, output, _ = invoke("prepare", tmp_path / "a.sdf", "--out", tmp_path / "out", "--workers", 1, option)
    assert (status, "kept 2, rejected 1" in output) == (0, True)
    assert "\n  rejected 1: 2D coordinates; fix: generate 3D conformers first" in output
    assert (tmp_path / "out" / "smiles.txt").read_text() == "c1ccccc1\n" * 2
    assert [getattr(found, "reason", "") for found in read_molecules(tmp_path / "a.sdf")] == ["no 3D coordinates", "", ""]


def test_bad_records_among_good_ones_are_counted(tmp_path):
    source = tmp_path / "mixed.sdf"
    source.write_text(METHANE + ETHANE_2D + METHYL + METHANE + METHYL)
    status, output, _ = invoke("prepare", source, "--out", tmp_path / "out", "--workers", 1)
    assert status == 0
    assert "read 5, kept 2, rejected 3" in output
    assert "\n  rejected 2: implicit hydrogens; fix: place them with --add-hydrogens, or drop all hydrogens with --no-hydrogens\n" in output
    assert "\n  rejected 1: 2D coordinates; fix: generate 3D conformers first, or prepare the molecules from SMILES\n" in output
    other, above = METHANE.replace("<y>", "<z>"), METHANE.replace("1.5\n", ">5.2\n")
    source.write_text(METHANE + other + above + METHANE.replace("  1  2  1", "  1  2  3"))
    output = invoke("prepare", source, "--out", tmp_path / "labels", "--label", "y", "--workers", 1)[1]
    assert [line for line in output.splitlines() if line.startswith("  rejected")] == [
        "  rejected 1: label y missing; fix: fill it in, or give --allow-missing",
        "  rejected 1: label y is no number; fix: write it as a number such as 6.5, or leave it empty",
        "  rejected 1: impossible valence",
    ]


def test_decimal_commas_and_folders_of_two_kinds_are_refused(tmp_path):
    (tmp_path / "a.csv").write_text("smiles,pic50\nCCO,5.5,\nCCC,6,1\n")  # an empty cell more does no harm
    assert "a.csv: line 3: more cells than the header; write 1.5, not 1,5" in refused(tmp_path, tmp_path / "a.csv", "--label", "pic50")
    (tmp_path / "b.csv").write_text("id,pic50\nmethane,5,5\n")
    (tmp_path / "a.sdf").write_text(METHANE)
    options = ("--csv", tmp_path / "b.csv", "--label", "pic50")
    assert "b.csv: line 2: more cells than the header" in refused(tmp_path, tmp_path / "a.sdf", *options)
    (tmp_path / "a.xyz").write_text("1\n\nHe 0 0 0\n")
    assert "holds a.sdf beside .xyz files" in refused(tmp_path, tmp_path)


def test_missing_empty_unknown_and_cut_files(tmp_path):
    assert "none.sdf: no such file or folder" in refused(tmp_path, tmp_path / "none.sdf")
    (tmp_path / "empty.sdf").touch()
    assert "empty.sdf: holds no record" in refused(tmp_path, tmp_path / "empty.sdf")
    (tmp_path / "a.pdb").write_text("ATOM\n")
    assert "a.pdb: is no SDF file; convert it, with bonds and hydrogens: obabel " in refused(tmp_path, tmp_path / "a.pdb")
    (tmp_path / "a.txt").write_text("CCO\n")
    assert "a.txt: unknown suffix '.txt'" in refused(tmp_path, tmp_path / "a.txt")
    (tmp_path / "cut.sdf.gz").write_bytes(SAMPLE.read_bytes()[:30_000])
    error = refused(tmp_path, tmp_path / "cut.sdf.gz")
    assert "cut.sdf.gz: the gzip stream is damaged or cut short; last complete: record " in error
    (tmp_path / "bad.sdf.gz").write_bytes(b"\x1f\x8b" + b"no gzip at all")
    assert "bad.sdf.gz: the gzip stream is damaged" in refused(tmp_path, tmp_path / "bad.sdf.gz")
    (tmp_path / "cut.sdf").write_text(METHANE + METHANE[:300])
    assert "cut.sdf: ends inside record 2; last complete: record 1 (methane)" in refused(tmp_path, tmp_path / "cut.sdf")
    (tmp_path / "table.sdf").write_text("1,2,3\n" * 200_001)
    assert "table.sdf: record 1 has more than 200000 lines; check that this is an SDF file" in refused(tmp_path, tmp_path / "table.sdf")
    (tmp_path / "folder").mkdir()
    assert "folder: is an empty folder; give one with molecules, meshes or clouds" in refused(tmp_path, tmp_path / "folder")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_last_record_without_its_end_line_is_whole_or_cut(tmp_path, end):
    whole = METHANE.removesuffix("$$$$\n")
    bare = whole.partition(">")[0]
    for number, text in enumerate((bare.rstrip(), bare, bare + "\n", whole, whole + "\n", whole.removesuffix("\n") + " \n")):
        (tmp_path / "a.sdf").write_bytes((METHANE + text).replace("\n", end).encode())
        status, output, error = invoke("prepare", tmp_path / "a.sdf", "--out", tmp_path / str(number), "--workers", 1)
        assert (status, error, "kept 2, rejected 0" in output) == (0, "", True)
    value = whole.removesuffix("\n\n")
    fix = "a.sdf: ends inside record 2; last complete: record 1 (methane); fetch the file again\n"
    for text in (value + "\n", value, value.removesuffix(".5"), value.removesuffix("1.5") + "  ", bare + ">  <", METHANE[:-3]):
        (tmp_path / "a.sdf").write_bytes((METHANE + text).replace("\n", end).encode())
        assert fix in refused(tmp_path, tmp_path / "a.sdf", "--label", "y")
        (first, last) = read_molecules(tmp_path / "a.sdf")
        assert (first.properties["y"], last) == (1.5, BrokenRecord(2, "record that ends inside a tag (cut off?)"))


def test_a_cut_file_of_many_chunks_leaves_nothing(tmp_path):
    data = gzip.compress(gzip.decompress(SAMPLE.read_bytes()) * 6)
    (tmp_path / "cut.sdf.gz").write_bytes(data[: len(data) - 5_000])
    assert "last complete: record 1" in refused(tmp_path, tmp_path / "cut.sdf.gz")


def test_labels(tmp_path):
    source = tmp_path / "two.sdf"
    source.write_text(METHANE + METHANE.replace("<y>", "<z>"))
    assert "record 2 (methane): label y missing; add the label" in refused(tmp_path, source, "--label", "y", "--require-labels")
    assert "label nope missing; fix: choose from y\n" in refused(tmp_path, source, "--label", "nope")
    assert "label Y missing; fix: did you mean 'y'?" in refused(tmp_path, source, "--label", "Y")
    assert "label Y missing; did you mean 'y'? Else add the label" in refused(tmp_path, source, "--label", "Y", "--require-labels")
    assert "--compute nope: unknown label; choose from logp, qed" in refused(tmp_path, source, "--compute", "nope")
    assert "label y: named twice" in refused(tmp_path, source, "--label", "y,y")
    assert "no such file" in refused(tmp_path, source, "--label", "y", "--csv", tmp_path / "none.csv")
    (tmp_path / "labels.csv").write_text("id,y\nmethane,1\n")
    assert "labels.csv: has no column 'key'" in refused(
        tmp_path, source, "--label", "y", "--csv", tmp_path / "labels.csv", "--csv-key", "key"
    )
    (tmp_path / "other.csv").write_text("id,pIC50\nethane,1\n")
    line = refused(tmp_path, source, "--label", "pIC50", "--csv", tmp_path / "other.csv")
    assert "no row of the table with its key; fix: give the column that holds the names of the records" in line
    line = refused(tmp_path, source, "--label", "pic50", "--csv", tmp_path / "other.csv")
    assert "label pic50 missing; fix: did you mean 'pIC50'?" in line
    (tmp_path / "twice.csv").write_text("id,y\nmethane,1\nmethane,2\n")
    assert "twice.csv: line 3: key 'methane' occurs twice" in refused(tmp_path, source, "--label", "y", "--csv", tmp_path / "twice.csv")


def test_labels_that_a_table_does_not_have_are_refused_before_conformers_are_made(tmp_path):
    (tmp_path / "a.csv").write_text("smiles, pIC50\n" + "nonsense,6\n" * 3)
    assert "a.csv: no label 'pic50'; did you mean 'pIC50'?" in refused(tmp_path, tmp_path / "a.csv", "--label", "pic50", "--allow-missing")
    assert "a.csv: no label 'dose'; choose from smiles, pIC50\n" in refused(tmp_path, tmp_path / "a.csv", "--label", "dose")
    assert "record 1: not a SMILES that RDKit can read" in refused(tmp_path, tmp_path / "a.csv", "--label", "pIC50")
    (tmp_path / "wide.csv").write_text("smiles," + ",".join(f"a{k}" for k in range(30)) + "\nCC\n")
    assert "choose from smiles, a0, a1, a2, a3, a4, a5, a6, ...\n" in refused(tmp_path, tmp_path / "wide.csv", "--label", "dose")
    (tmp_path / "a.smi").write_text("CCO a\n")
    assert "a.smi: no label 'dose'; give it by --csv" in refused(tmp_path, tmp_path / "a.smi", "--label", "dose")
    (tmp_path / "doses.csv").write_text("id,dose\na,2\n")
    options = ("--label", "dose", "--csv", tmp_path / "doses.csv", "--out", tmp_path / "out", "--workers", 1)
    assert "dose: 2 ± 0 (1 value)" in invoke("prepare", tmp_path / "a.smi", *options)[1]


def test_columns_of_one_name_are_refused(tmp_path):
    (tmp_path / "one.sdf").write_text(METHANE)
    (tmp_path / "a.csv").write_text("id,y, y,,\nmethane,1,2,,\n")
    fix = "a.csv: two columns are named 'y'; rename one of them, or leave it out\n"
    assert fix in refused(tmp_path, tmp_path / "one.sdf", "--label", "y", "--csv", tmp_path / "a.csv")
    (tmp_path / "a.csv").write_text("smiles,y,y\nC,1,2\n")
    assert fix in refused(tmp_path, tmp_path / "a.csv", "--label", "y")
    (tmp_path / "a.csv").write_text("smiles,y,,\nC,1,,\n")  # a spreadsheet may leave empty columns
    assert invoke("prepare", tmp_path / "a.csv", "--label", "y", "--out", tmp_path / "out", "--workers", 1)[0] == 0


def test_names_with_commas_are_quoted(tmp_path):
    table = tmp_path / "a.csv"
    table.write_text('smiles,"my label, µM","5"" end, x",other\nC,1,2,3\nCC,4,5,6\n')
    options = ("--label", '"my label, µM" , other', "--label", '"5"" end, x"', "--workers", 1)
    assert invoke("prepare", table, "--out", tmp_path / "quoted", *options)[0] == 0
    np.testing.assert_array_equal(np.load(tmp_path / "quoted" / "labels.npy"), [[1, 3, 2], [4, 6, 5]])
    hint = """did you mean --label '"my label, µM"', in quotes for its comma?\n"""
    for typed, missing in (("my label, µM", "my label"), ("other,my label,µM", "my label"), ("my label µM", "my label µM")):
        assert f"a.csv: no label {missing!r}; {hint}" in refused(tmp_path, table, "--label", typed)
    assert """--label '"5"" end, x"', in quotes for its comma?\n""" in refused(tmp_path, table, "--label", '"5"" end",x')
    long = "y, as the instrument of the third floor has it"
    (tmp_path / "one.sdf").write_text(METHANE.replace("<y>", f"<{long}>"))
    line = refused(tmp_path, tmp_path / "one.sdf", "--label", long, "--require-labels")
    assert f"label y missing; did you mean --label '\"{long}\"', in quotes for its comma? Else add the label" in line


def test_different_values_of_one_molecule_are_told(tmp_path):
    rows = ("C,1,2,-9", "C,3.5,2,-9", "C,2,2,-9", "CC,5,,-9", "CC,6,1,-9", "CCC,0.3,,-9", "CCC,0.30000001,,-8", "CCCC,7,,-9")
    (tmp_path / "a.csv").write_text("smiles,y,same,homo_xtb\n" + "\n".join(rows) + "\n")
    options = ("--label", "y,same,homo_xtb", "--compute", "mw", "--allow-missing", "--workers", 1)
    for name, split in (("one", ()), ("parts", ("--split", "0.5,0.5"))):
        status, output, _ = invoke("prepare", tmp_path / "a.csv", "--out", tmp_path / name, *options, *split)
        assert status == 0
        assert [line for line in output.splitlines() if line.startswith("  label")] == [
            "  label y: 2 molecules more than once, stereo aside, with values up to 2.5 apart",
            "  label homo_xtb: 1 molecule more than once, stereo aside, with values up to 1 eV apart",
        ]


def test_what_a_model_cannot_represent_is_rejected_by_reason(tmp_path):
    long = "C" * 31
    rows = ["CCO,1", "CCI,2", "OB(O)c1ccccc1,3", "CC[NH3+],4", "C(,1", ",3", f"{long},3", "CCN,2"]
    (tmp_path / "a.csv").write_text("\n".join(["smiles,y", *rows]) + "\n")
    options = ("--label", "y", "--workers", 1)
    status, output, _ = invoke("prepare", tmp_path / "a.csv", "--out", tmp_path / "out", *options, "--for", "leads")
    assert status == 0
    assert output.splitlines()[0].startswith(f"{tmp_path / 'out'}: read 8, kept 2, rejected 6")
    assert {line for line in output.splitlines() if line.startswith("  rejected")} == {
        "  rejected 1: has I, which the model leads lacks",
        "  rejected 1: has B, which the model leads lacks",
        "  rejected 1: has the charge +1, which the model leads lacks",
        "  rejected 1: more than 62 atoms, the most of the model leads",
        "  rejected 1: not a SMILES that RDKit can read; fix: check its brackets, rings and valences, or leave the record out",
        "  rejected 1: no SMILES; fix: fill it in, or leave the record out",
    }
    card = yaml.safe_load((tmp_path / "out" / "card.yaml").read_text())
    assert (card["options"]["for"]["model"], card["options"]["for"]["atoms"]) == ("leads", 62)
    iodide = METHANE.replace("0.6300   -0.6300   -0.6300 H", "0.6300   -0.6300   -0.6300 I")
    (tmp_path / "a.sdf").write_text(METHANE + iodide)
    output = invoke("prepare", tmp_path / "a.sdf", "--out", tmp_path / "other", "--workers", 1, "--for", "leads")[1]
    assert "\n  rejected 1: has I, which the model leads lacks\n" in output
    assert "--for shapes: is no model of molecules" in refused(tmp_path, tmp_path / "a.sdf", "--for", "shapes")
    assert "neither a folder nor a model that ships" in refused(tmp_path, tmp_path / "a.sdf", "--for", "nowhere")
    error = refused(tmp_path, tmp_path / "a.sdf", "--for", "leads", "--no-hydrogens")
    assert "--for leads: hydrogens are atoms to this model; leave out --no-hydrogens" in error


def test_molecules_with_a_total_charge_are_told(tmp_path):
    (tmp_path / "a.smi").write_text("C[NH3+] a\nCC(=O)[O-] b\nC[N+](=O)[O-] c\n[NH3+]CC(=O)[O-] d\n[Zz] e\n")
    words = "training on them needs fields.valence=0, and samples that are ions come with --keep-invalid alone (docs/finetuning.md)"
    for name, options in (("all", ()), ("heavy", ("--no-hydrogens",))):
        output = invoke("prepare", tmp_path / "a.smi", "--out", tmp_path / name, "--workers", 1, *options)[1]
        assert f"\n  2 molecules with a total charge: {words}\n" in output
    assert "total charge" not in invoke("prepare", SAMPLE, "--out", tmp_path / "neutral")[1]


def test_a_label_that_no_molecule_has_is_warned_of(tmp_path):
    (tmp_path / "one.sdf").write_text(METHANE)
    options = ("--label", "homo_xtb", "--allow-missing", "--workers", 1)
    status, _, error = invoke("prepare", tmp_path / "one.sdf", "--out", tmp_path / "out", *options)
    assert (status, error) == (0, "molgen: warning: label homo_xtb: no molecule has it; check its name\n")


@pytest.mark.parametrize("end", ["\r", "\r\n", "\n"])
def test_line_ends_of_all_systems_mean_the_same(tmp_path, end):
    text = METHANE.replace("1.5\n", "0.1\n") + METHANE.replace("methane", "second")
    (tmp_path / "old.sdf").write_bytes(text.replace("\n", end).encode())
    (tmp_path / "old.sdf.gz").write_bytes(gzip.compress(text.replace("\n", end).encode()))
    (tmp_path / "y.csv").write_bytes("id,z\nmethane,3\nsecond,4\n".replace("\n", end).encode())
    for name in ("old.sdf", "old.sdf.gz"):
        options = ("--label", "y,z", "--csv", tmp_path / "y.csv", "--workers", 1, "--out", tmp_path / name.replace(".", "_"))
        status, output, error = invoke("prepare", tmp_path / name, *options)
        assert (status, error, "read 2, kept 2" in output) == (0, "", True)
        np.testing.assert_allclose(np.load(tmp_path / name.replace(".", "_") / "labels.npy"), [[0.1, 3], [1.5, 4]])
    (tmp_path / "list.smi").write_bytes(f"CCO a{end}CCN b{end}".encode())
    assert "read 2, kept 2" in invoke("prepare", tmp_path / "list.smi", "--workers", 1, "--out", tmp_path / "list")[1]
    (tmp_path / "cut.sdf").write_bytes((text + METHANE[:300]).replace("\n", end).encode())
    command = ("prepare", tmp_path / "cut.sdf", "--workers", 1, "--out", tmp_path / "cut")
    assert invoke(*command)[2].endswith("cut.sdf: ends inside record 3; last complete: record 2 (second); fetch the file again\n")


def test_names_in_errors_are_short_lines(tmp_path):
    (tmp_path / "a.sdf").write_text(METHYL.replace("methane", "a\x0b\x1b[31mb\u2028c" + "d" * 500))
    assert f"first: record 1 (a [31mb c{'d' * 48}...): implicit hydrogens" in refused(tmp_path, tmp_path / "a.sdf")


@pytest.mark.parametrize(
    ("name", "text"), [("a.sdf", METHANE), ("a.smi", "CC a\n"), ("a.csv", "smiles,y\nCC,1\n"), ("a.xyz", "1\n\nHe 0 0 0\n")]
)
def test_utf_16_is_refused_in_one_word(tmp_path, name, text):
    (tmp_path / name).write_text(text, encoding="utf-16")
    assert f"{name}: is UTF-16 text; save it as UTF-8\n" in refused(tmp_path, tmp_path / name)
    (tmp_path / "one.sdf").write_text(METHANE)
    (tmp_path / "table.csv").write_text("id,y\nmethane,1\n", encoding="utf-16")
    options = ("--label", "y", "--csv", tmp_path / "table.csv")
    assert "table.csv: is UTF-16 text; save it as UTF-8\n" in refused(tmp_path, tmp_path / "one.sdf", *options)


def test_isotopes_are_counted(tmp_path):
    heavy = METHANE.replace("M  END", "M  ISO  1   1  13\nM  END")
    rejected = heavy.replace("  1  5  1  0\n", "").replace("  5  4", "  5  3")
    (tmp_path / "a.sdf").write_text(METHANE + heavy + METHANE.replace(" H ", " D ", 1) + rejected)
    status, output, _ = invoke("prepare", tmp_path / "a.sdf", "--out", tmp_path / "out", "--workers", 1)
    assert (status, "kept 3, rejected 1" in output) == (0, True)
    assert "\n  isotope labels of 2 molecules are not kept\n" in output
    assert (tmp_path / "out" / "smiles.txt").read_text() == "C\n" * 3
    (tmp_path / "b.smi").write_text("CC a\n[13CH4] b\n")
    assert "  isotope labels of 1 molecule are" in invoke("prepare", tmp_path / "b.smi", "--out", tmp_path / "b", "--workers", 1)[1]
    assert "isotope labels" not in invoke("prepare", SAMPLE, "--out", tmp_path / "c")[1]


def test_values_of_a_table_that_take_the_place_of_tags_are_told(tmp_path):
    names = ("a", "b", "c", "d")
    values = ("1.5", "nan", "2.5", "3.5")  # b has none of its own, d no row
    source, table = tmp_path / "four.sdf", tmp_path / "assay.csv"
    records = (METHANE.replace("methane", name).replace("1.5\n", f"{value}\n") for name, value in zip(names, values, strict=True))
    source.write_text("".join(records))
    table.write_text("id,y,z\na,7,1\nb,8,2\nc,9,3\n")
    options = ("--label", "y,z", "--csv", table, "--allow-missing", "--workers", 1)
    status, output, _ = invoke("prepare", source, "--out", tmp_path / "out", *options)
    assert status == 0
    assert f"\n  label y: the values of {table} are taken for 2 records with a tag of that name\n" in output
    assert "label z: the values" not in output
    np.testing.assert_allclose(np.load(tmp_path / "out" / "labels.npy"), [[7, 1], [8, 2], [9, 3], [3.5, np.nan]])
    card = yaml.safe_load((tmp_path / "out" / "card.yaml").read_text())
    assert card["source"] == "four.sdf"
    assert card["csv"] == {"source": "assay.csv", "bytes": table.stat().st_size, "sha256": sha256(table), "key": "id"}
    assert invoke("prepare", source, "--out", tmp_path / "plain", "--label", "y", "--allow-missing", "--workers", 1)[0] == 0
    assert "csv" not in yaml.safe_load((tmp_path / "plain" / "card.yaml").read_text())


def test_a_label_that_cannot_be_learned_is_warned_of(tmp_path):
    (tmp_path / "two.sdf").write_text(METHANE + METHANE.replace("<y>", "<z>"))
    (tmp_path / "same.sdf").write_text(METHANE * 3)
    options = ("--allow-missing", "--workers", 1)
    status, _, error = invoke("prepare", tmp_path / "two.sdf", "--out", tmp_path / "two", "--label", "y", *options)
    words = "no model can learn it, check the values or leave it out"
    assert (status, error) == (0, f"molgen: warning: label y: one molecule alone has it; {words}\n")
    status, _, error = invoke("prepare", tmp_path / "same.sdf", "--out", tmp_path / "same", "--label", "y", "--compute", "mw", *options)
    assert status == 0
    assert error.splitlines() == [
        f"molgen: warning: label y: all molecules that have it have 1.5; {words}",
        f"molgen: warning: label mw: all molecules that have it have 16.04; {words}",
    ]


def test_a_link_to_an_empty_folder_is_filled_and_a_pipe_is_no_source(tmp_path):
    (tmp_path / "run").symlink_to("empty")
    (tmp_path / "one.sdf").write_text(METHANE)
    assert invoke("prepare", tmp_path / "one.sdf", "--out", tmp_path / "run", "--workers", 1)[0] == 0
    assert (tmp_path / "run").is_symlink()
    assert (tmp_path / "empty" / "statistics.json").is_file()
    os.mkfifo(tmp_path / "pipe.sdf")
    assert "pipe.sdf: is no regular file; a file is needed" in refused(tmp_path, tmp_path / "pipe.sdf")


def test_texts_that_stand_for_no_value_are_missing_labels(tmp_path):
    cells = ["5", "NA", "nan", "", "N/A", "n/a", "NULL", "None", " - "]
    (tmp_path / "na.csv").write_text("smiles,pIC50\n" + "".join(f"{'C' * (k + 1)},{cell}\n" for k, cell in enumerate(cells)))
    options = ("--label", "pIC50", "--workers", 1)
    status, output, _ = invoke("prepare", tmp_path / "na.csv", "--out", tmp_path / "all", *options, "--allow-missing")
    assert (status, "kept 9, rejected 0" in output) == (0, True)
    np.testing.assert_array_equal(np.load(tmp_path / "all" / "labels.npy").ravel(), [5.0] + [np.nan] * 8)
    output = invoke("prepare", tmp_path / "na.csv", "--out", tmp_path / "some", *options)[1]
    assert "kept 1, rejected 8" in output
    assert "rejected 8: label pIC50 missing" in output
    (tmp_path / "na.sdf").write_text(METHANE + METHANE.replace("1.5\n", "N/A\n"))
    status, output, _ = invoke("prepare", tmp_path / "na.sdf", "--out", tmp_path / "sdf", "--label", "y", "--allow-missing", "--workers", 1)
    assert "y: 1.5 ± 0 (1 value)" in output
    (tmp_path / "id.csv").write_text("id,pIC50\nmethane,na\n")
    options = ("--label", "pIC50", "--csv", tmp_path / "id.csv", "--allow-missing", "--workers", 1)
    (tmp_path / "one.sdf").write_text(METHANE)
    assert invoke("prepare", tmp_path / "one.sdf", "--out", tmp_path / "table", *options)[0] == 0
    for cell in (">5", '"6,5"', "--"):
        (tmp_path / "bad.csv").write_text(f"smiles,pIC50\nC,{cell}\n")
        line = refused(tmp_path, tmp_path / "bad.csv", "--label", "pIC50", "--allow-missing")
        assert "label pIC50 is no number; fix: write it as a number such as 6.5, or leave it empty" in line


def test_a_table_of_decimal_commas_is_refused_before_the_work(tmp_path):
    source, table = tmp_path / "many.sdf", tmp_path / "assay.csv"
    source.write_text("".join(METHANE.replace("methane", f"m{k}") for k in range(3)))
    options = ("--label", "z,pIC50", "--csv", table, "--allow-missing")
    fixes = {"1,5": "a decimal point and no commas", "high": "digits alone"}
    for first, fix in fixes.items():
        table.write_text(f"id;z;pIC50\nm0;1;\nm1;1;{first}\nm2;1;2,5\n")
        line = f"molgen: error: {table}: column 'pIC50' holds no number, first {first!r}; write numbers with {fix}, such as 6.5\n"
        assert refused(tmp_path, source, *options) == line
    table.write_text("id;z;pIC50\nm0;1;\nm1;1;1,5\nm2;1;2.5\n")  # some are numbers: the others are rejected, each for itself
    status, output, _ = invoke("prepare", source, "--out", tmp_path / "out", *options, "--workers", 1)
    assert (status, "kept 2, rejected 1" in output) == (0, True)
    table.write_text("id;z;pIC50\nm0;1;\nm1;1;-\nm2;1;nan\n")  # no value at all is no wrong value
    assert invoke("prepare", source, "--out", tmp_path / "empty", *options, "--workers", 1)[0] == 0


@pytest.mark.parametrize(("name", "line"), [("a.csv", 1), ("b.csv", 3), ("a.smi", 2)])
def test_text_that_is_not_utf_8_is_refused_with_its_line(tmp_path, name, line):
    texts = {"a.csv": "smiles,pIC50 [µM]\nCCO,5\n", "b.csv": "smiles,name,y\nCC,a,1\nCCO,éthanol,5\n", "a.smi": "CC a\nCCO éthanol\n"}
    (tmp_path / name).write_text(texts[name], encoding="latin-1")
    label = () if name == "a.smi" else ("--label", "y")
    fix = f"{name}: line {line} is not UTF-8; save the file as UTF-8 (in a spreadsheet: CSV UTF-8)\n"
    assert fix in refused(tmp_path, tmp_path / name, *label)
    (tmp_path / name).write_text(texts[name], encoding="utf-8-sig")
    label = {"a.csv": ("--label", "pIC50 [µM]"), "b.csv": ("--label", "y"), "a.smi": ()}[name]
    assert invoke("prepare", tmp_path / name, "--out", tmp_path / "out", *label, "--workers", 1)[0] == 0


def test_numbers_as_files_write_them_and_counts_are_labels(tmp_path):
    (tmp_path / "a.csv").write_text("smiles,y\nCC(O)c1ccccc1,1.50E-07\nCCO,.5\nCCC,+5\nCCN,7.20\n")
    options = ("--label", "y", "--compute", "aromatic_rings,stereocentres", "--workers", 1)
    assert invoke("prepare", tmp_path / "a.csv", "--out", tmp_path / "out", *options)[0] == 0
    found = np.load(tmp_path / "out" / "labels.npy")
    assert found == pytest.approx(np.array([[1.5e-7, 1, 1], [0.5, 0, 0], [5, 0, 0], [7.2, 0, 0]]))


def test_scores_that_hang_on_stereo_are_those_of_the_geometry(tmp_path):
    """The two bridgeheads of a bicycle are centres to the synthetic accessibility score only where their stereo is told."""
    mol = Chem.AddHs(Chem.MolFromSmiles("CC1C2C=CC3C1C23"))
    rdDistGeom.EmbedMolecule(mol, randomSeed=1)
    (tmp_path / "one.sdf").write_text(Chem.MolToMolBlock(mol) + "$$$$\n")
    assert invoke("prepare", tmp_path / "one.sdf", "--out", tmp_path / "out", "--compute", "sa", "--workers", 1)[0] == 0
    (found,) = np.load(tmp_path / "out" / "labels.npy").ravel().tolist()
    (molecule,) = read_sdf(tmp_path / "one.sdf")
    whole = Chem.RemoveHs(molecule.to_rdkit(sanitize=True))
    flat = Chem.Mol(whole)
    Chem.RemoveStereochemistry(flat)
    assert (
        found == pytest.approx(COMPUTED["sa"](whole), abs=1e-5) == measure(molecule, ["sa"])["sa"] == measure(molecule, ["sa"], flat)["sa"]
    )
    assert COMPUTED["sa"](whole) > COMPUTED["sa"](flat) + 0.1


def test_units_of_what_molgen_measures_are_converted(tmp_path):
    def means(name, *options):
        status, _, error = invoke("prepare", SAMPLE, "--out", tmp_path / name, "--workers", 1, *options)
        assert status == 0
        labels = json.loads((tmp_path / name / "statistics.json").read_text())["labels"]
        return {label["name"]: (label["mean"], label["unit"]) for label in labels}, error

    names = ("--label", "homo_b3lyp,gap_xtb,dipole_xtb")
    plain, quiet = means("plain", *names)
    found, loud = means("converted", *names, "--unit", "homo_b3lyp=Hartree", "--unit", "gap_xtb=kJ/mol", "--unit", "dipole_xtb=Debye")
    assert quiet == ""
    assert [line.removeprefix("molgen: warning: label ") for line in loud.splitlines()] == [
        "homo_b3lyp: a mean of -177.7 eV is unusual; check that the values are in Hartree, as --unit homo_b3lyp=Hartree says",
        "gap_xtb: a mean of 0.05022 eV is unusual; check that the values are in kJ/mol, as --unit gap_xtb=kJ/mol says",
    ]
    assert found["homo_b3lyp"] == (pytest.approx(27.211386 * plain["homo_b3lyp"][0], rel=1e-5), "eV")
    assert found["gap_xtb"] == (pytest.approx(plain["gap_xtb"][0] / 96.48533, rel=1e-5), "eV")
    assert found["dipole_xtb"] == plain["dipole_xtb"]
    rows = "".join(f"{name},{value / 27.211386}\n" for name, value in zip("ab", (-6.0, -6.2), strict=True))
    (tmp_path / "hartree.csv").write_text("id,homo_b3lyp\n" + rows)
    (tmp_path / "two.sdf").write_text(METHANE.replace("methane", "a") + METHANE.replace("methane", "b"))
    said = invoke("prepare", tmp_path / "two.sdf", "--out", tmp_path / "h", "--label", "homo_b3lyp", "--csv", tmp_path / "hartree.csv")
    assert "a mean of -0.2242 eV is unusual; if the values are in Hartree, prepare again with --unit homo_b3lyp=Hartree" in said[2]
    options = ("--label", "homo_b3lyp", "--csv", tmp_path / "hartree.csv", "--unit", "homo_b3lyp=Hartree")
    assert invoke("prepare", tmp_path / "two.sdf", "--out", tmp_path / "right", *options)[::2] == (0, "")
    (tmp_path / "two.sdf").write_text(METHANE.replace("<y>\n1.5", "<homo_xtb>\n-950"))
    said = invoke("prepare", tmp_path / "two.sdf", "--out", tmp_path / "kj", "--label", "homo_xtb")
    assert "a mean of -950 eV is unusual; look up the unit of the values, and prepare again with --unit homo_xtb=UNIT" in said[2]


def test_a_folder_of_something_else_is_not_emptied(tmp_path):
    source, own = tmp_path / "one.sdf", tmp_path / "out.partial"
    source.write_text(METHANE)
    own.mkdir()
    (own / "thesis.txt").write_text("years")
    assert "out.partial: holds something else" in refused(tmp_path, source)
    assert (own / "thesis.txt").read_text() == "years"


def test_options_that_make_no_sense(tmp_path):
    source = tmp_path / "one.sdf"
    source.write_text(METHANE)
    assert "three positive fractions" in refused(tmp_path, source, "--split", "0.8,0.3")
    assert "three positive fractions" in refused(tmp_path, source, "--split", "half")
    assert "only the source qm9" in refused(tmp_path, source, "--split", "official")
    assert "exclude each other" in refused(tmp_path, source, "--no-hydrogens", "--add-hydrogens")
    assert "--unit eV: expected NAME=UNIT" in refused(tmp_path, source, "--unit", "eV")
    assert "--unit foo=eV: no label 'foo' is read" in refused(tmp_path, source, "--unit", "foo=eV")
    line = refused(tmp_path, source, "--label", "gap_xtb", "--unit", "gap_xtb=nm")
    assert "expected one of ev, mev, hartree, ha, eh, au, a.u., kcal/mol, kj/mol; molgen has gap_xtb in eV" in line
    status, _, error = invoke("prepare", source, "--out", tmp_path / "out", "--split", "0.5,0.5")
    assert (status, "gets no molecule" in error, "out.partial keeps 1 finished records" in error) == (2, True, True)


def test_output_that_cannot_be_written(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious").touch()
    status, _, error = invoke("prepare", SAMPLE, "--out", tmp_path / "full")
    assert (status, "is not empty" in error) == (2, True)
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["precious"]
    status, _, error = invoke("prepare", SAMPLE, "--out", tmp_path / "none" / "out")
    assert (status, "does not exist" in error) == (2, True)


@pytest.mark.skipif(os.name != "posix", reason="needs a limit on file sizes")
def test_disk_full(tmp_path):
    code = """
import resource, signal
from molgen.cli import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code, "prepare", str(SAMPLE), "--out", str(tmp_path / "out")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("molgen: error: ")
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
