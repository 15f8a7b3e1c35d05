"""SDF, XYZ and SMILES files: what is written is read back, broken records are counted, interrupted files can be resumed."""

import csv
import gzip
import math
import os
import pickle
import stat
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import plain
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem

from molgen.errors import InputError
from molgen.molecules.bonds import bonded, total_charge
from molgen.molecules.decode import check
from molgen.molecules.drawing import draw
from molgen.molecules.export import (
    BrokenRecord,
    left_of,
    open_writer,
    partial_path,
    read_molecules,
    read_records,
    write_molecules,
    write_sdf,
)
from molgen.molecules.filters import Filters
from molgen.molecules.formats import file_format
from molgen.molecules.metrics.stability import strict
from molgen.molecules.metrics.validity import canonical, plain_smiles, validity
from molgen.molecules.molecule import Molecule
from molgen.molecules.reading import read_sdf
from molgen.molecules.xyz import read_xyz_record, write_xyz_record


@pytest.fixture(scope="module")
def molecules(samples_of_qm9) -> list[Molecule]:
    charged = samples_of_qm9.parents[1] / "ligands_sample" / "charged.sdf.gz"
    return [*islice(read_molecules(samples_of_qm9), 12), *islice(read_molecules(charged), 5)]


def same(first: Molecule, second: Molecule, tolerance: float = 1e-4) -> bool:
    return (
        np.array_equal(first.atomic_numbers, second.atomic_numbers)
        and np.allclose(first.positions, second.positions, atol=tolerance)
        and np.array_equal(first.charges, second.charges)
        and np.array_equal(first.bonds, second.bonds)
        and first.properties == second.properties
    )


@pytest.mark.parametrize("suffix", [".sdf", ".sdf.gz"])
def test_sdf_carries_everything(molecules, tmp_path, suffix):
    path = tmp_path / f"out{suffix}"
    tagged = [replace(m, properties=m.properties | {"note": "a b", "count": 3, "energy": -1.5e-7, "ok": "yes"}) for m in molecules]
    assert write_molecules(path, tagged) == len(tagged)
    assert all(same(a, b) for a, b in zip(tagged, read_molecules(path), strict=True))
    assert (path.read_bytes()[:2] == b"\x1f\x8b") == suffix.endswith("gz")


def test_rdkit_reads_what_is_written(molecules, tmp_path):
    write_sdf(tmp_path / "out.sdf", molecules[:12])
    supplier = Chem.SDMolSupplier(str(tmp_path / "out.sdf"), removeHs=False)
    for mol, molecule in zip(supplier, molecules[:12], strict=True):
        assert plain_smiles(mol) == plain_smiles(molecule.to_rdkit(sanitize=True))
        assert float(mol.GetProp("gap_xtb")) == molecule.properties["gap_xtb"]
        assert mol.GetProp("_Name") == molecule.properties["title"]


def test_radicals_and_charges_survive(tmp_path):
    """A trivalent carbon must come back as it was, not with a hydrogen that a reader makes up."""
    radical = Molecule(
        np.array([6, 1, 1, 1]), np.eye(4, 3) * 1.09 + 0.1, np.zeros(4, np.int64), np.array([[0, 1, 1], [0, 2, 1], [0, 3, 1]])
    )
    write_sdf(tmp_path / "out.sdf", [radical])
    (back,) = read_molecules(tmp_path / "out.sdf")
    assert same(radical, back)
    assert strict(back)["p2s_reason"] == "C charge +0 with bond-order sum 3"


def test_more_than_999_atoms(tmp_path):
    number = 1200
    chain = Molecule(
        np.full(number, 6),
        np.arange(number * 3.0).reshape(-1, 3),
        np.zeros(number, np.int64),
        np.array([[i, i + 1, 1] for i in range(number - 1)]),
        {"title": "long"},
    )
    write_sdf(tmp_path / "out.sdf", [chain])
    assert "V3000" in (tmp_path / "out.sdf").read_text()
    (back,) = read_molecules(tmp_path / "out.sdf")
    assert same(chain, back)


def test_xyz_and_smiles(molecules, tmp_path):
    write_molecules(tmp_path / "out.xyz", molecules)
    for molecule, back in zip(molecules, read_molecules(tmp_path / "out.xyz"), strict=True):
        assert np.array_equal(molecule.atomic_numbers, back.atomic_numbers)
        np.testing.assert_allclose(molecule.positions, back.positions, atol=1e-7)
        assert len(back.bonds) == 0
        assert back.properties == molecule.properties
    write_molecules(tmp_path / "out.smi", molecules[:12])
    lines = (tmp_path / "out.smi").read_text().splitlines()
    assert [line.split()[1] for line in lines] == [molecule.properties["title"] for molecule in molecules[:12]]
    for line, molecule in zip(lines, molecules[:12], strict=True):
        assert canonical(line.split()[0]) == canonical(molecule.properties["gdb_smiles"])


RECORD = """name
     RDKit          3D

  2  1  0  0  0  0  0  0  0  0999 V2000
    0.0000    0.0000    0.0000 C   0  0
    1.1280    0.0000    0.1000 O   0  0
  1  2  3  0
M  END
"""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (RECORD.replace("M  END\n", ""), "record without M  END (cut off?)"),
        (RECORD.replace("  2  1  0", "  x  y  0"), "counts line that is not two numbers"),
        (RECORD.replace("  2  1  0", "  5  1  0"), "atom or bond lines that RDKit cannot parse"),
        (RECORD.replace(" O ", " Xx"), "unknown element"),
        (RECORD.replace("3D", "2D").replace("0.1000", "0.0000"), "no 3D coordinates"),
        (RECORD.replace("1.1280", "   nan"), "coordinates not finite"),
        (RECORD.replace("1.1280", "0.0000").replace("0.1000", "0.0000"), "all atoms in one place"),
        (RECORD.replace(" O ", " R#"), "unknown element"),
        (RECORD.replace("  1  2  3  0", "  1  2  8  0"), "bond of type unspecified"),
        (RECORD.replace("  1  2  3  0", "  1  2  4  0"), "aromatic bonds without a Kekulé form"),
        ("name\n\n\n  0  0  0  0  0  0  0  0  0  0999 V2000\nM  END\n", "no atoms"),
        ("\x00\x01 binary", "record without M  END (cut off?)"),
        ("\n", "record without M  END (cut off?)"),
    ],
)
def test_a_broken_record_is_a_reason_between_two_that_are_read(tmp_path, text, reason):
    path = tmp_path / "some.sdf"
    path.write_text(f"{RECORD}$$$$\n{text.rstrip()}\n$$$$\n{RECORD}$$$$\n")
    first, broken, last = read_molecules(path)
    assert isinstance(broken, BrokenRecord)
    assert broken.number == 2
    assert broken.reason == reason
    assert same(first, last)
    assert first.bonds.tolist() == [[0, 1, 3]]
    assert first.properties == {"title": "name"}


def test_aromatic_bonds_get_their_kekule_form_or_a_reason(tmp_path):
    def ring(atoms: int) -> str:
        angles = np.arange(atoms) * 2 * np.pi / atoms
        radius = 0.7 / np.sin(np.pi / atoms)
        rows = [(radius * np.cos(a), radius * np.sin(a), "C") for a in angles]
        rows += [((radius + 1.08) * np.cos(a), (radius + 1.08) * np.sin(a), "H") for a in angles]
        lines = [f"{x:10.4f}{y:10.4f}{0.001 * k:10.4f} {symbol}   0  0" for k, (x, y, symbol) in enumerate(rows)]
        bonds = [f"{i + 1:3d}{(i + 1) % atoms + 1:3d}  4  0" for i in range(atoms)] + [
            f"{i + 1:3d}{atoms + i + 1:3d}  1  0" for i in range(atoms)
        ]
        return "\n".join(["", "", "", f"{2 * atoms:3d}{2 * atoms:3d}  0  0  0  0  0  0  0  0999 V2000", *lines, *bonds, "M  END\n$$$$\n"])

    (tmp_path / "rings.sdf").write_text(ring(6) + ring(5))
    benzene, cyclopentadienyl = read_molecules(tmp_path / "rings.sdf")
    assert strict(benzene)["p2s_stable"]
    assert sorted(benzene.bonds[:6, 2]) == [1, 1, 1, 2, 2, 2]
    assert cyclopentadienyl == BrokenRecord(2, "aromatic bonds without a Kekulé form")


def test_hydrogens_that_valences_imply_are_one_reason(molecules, tmp_path):
    """The carbon that bore the hydrogen says so by its valence, as other programs write it; aromatic bonds beside it have a Kekulé form."""
    texts, atoms = [], set[int]()
    for molecule in molecules:
        hydrogen = int(np.flatnonzero(molecule.atomic_numbers == 1)[-1])
        (bond,) = np.flatnonzero((molecule.bonds[:, :2] == hydrogen).any(axis=1))
        (heavy,) = set(molecule.bonds[bond, :2].tolist()) - {hydrogen}
        valence = int(molecule.bonds[(molecule.bonds[:, :2] == heavy).any(axis=1), 2].sum())
        mol = molecule.take(np.arange(len(molecule)) != hydrogen).to_rdkit()
        mol.GetAtomWithIdx(heavy).SetNumExplicitHs(1)
        Chem.SanitizeMol(mol)
        rows = Chem.MolToMolBlock(mol, kekulize=False).split("\n")
        rows[4 + heavy] = f"{rows[4 + heavy][:48]}{valence:3d}{rows[4 + heavy][51:]}"
        texts.append("\n".join(rows) + "$$$$\n")
        atoms.add(heavy)
    assert len(atoms) > 2
    assert any("  4  0\n" in text for text in texts)  # aromatic bonds
    (tmp_path / "some.sdf").write_text("".join(texts))
    assert list(read_molecules(tmp_path / "some.sdf")) == [BrokenRecord(n, "implicit hydrogens") for n in range(1, len(texts) + 1)]
    with pytest.raises(InputError, match=r"record 1: implicit hydrogens, which Chem.AddHs\(mol, addCoords=True\) of RDKit places; mend"):
        read_sdf(tmp_path / "some.sdf")


def test_broken_xyz_records(tmp_path):
    good = "2\nco\nC 0 0 0\nO 0 0 1.1\n"
    (tmp_path / "some.xyz").write_text(f"{good}\nnonsense\n{good}2\n\nC 0 0 0\nQq 0 0 1\n{good}²\n{good}3\n\nC 0 0 0\n")
    found = list(read_molecules(tmp_path / "some.xyz"))
    reasons = [entry.reason if isinstance(entry, BrokenRecord) else "" for entry in found]
    assert reasons == [
        "",
        "record that does not start with the number of atoms",
        "",
        "line that is not an element with three coordinates",
        "",
        "record that does not start with the number of atoms",
        "",
        "fewer lines than atoms (cut off?)",
    ]


@pytest.mark.parametrize("suffix", [".sdf.gz", ".xyz.gz", ".csv.gz"])
def test_compressed_files_are_the_same_bytes_at_any_time(molecules, tmp_path, monkeypatch, suffix):
    """The time that gzip would store is of whole seconds, the name that of a temporary file."""
    found = []
    for number, now in enumerate((1.0e9, 1.5e9)):
        monkeypatch.setattr("time.time", lambda now=now: now)
        path = tmp_path / f"{number}{suffix}"
        write_molecules(path, molecules)
        found.append(path.read_bytes())
        assert path.name.encode() not in found[-1]
    assert found[0] == found[1]
    assert found[0][3:8] == bytes(5), "no name, no time"


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs a list of open files")
def test_a_compressed_file_is_closed_with_its_text(molecules, tmp_path):
    writer = open_writer(tmp_path / "out.sdf.gz")
    before = len(os.listdir("/proc/self/fd"))
    writer._stream.close()
    assert len(os.listdir("/proc/self/fd")) == before - 1
    writer.close()


def test_a_gzip_file_cut_in_half_is_refused_but_for_what_a_run_left(molecules, tmp_path):
    write_molecules(tmp_path / "out.sdf.gz", molecules * 20)
    data = (tmp_path / "out.sdf.gz").read_bytes()
    for name in ("half.sdf.gz", "half.sdf.gz.partial"):
        (tmp_path / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=r"half\.sdf\.gz: the gzip stream is damaged or cut short; fetch or write the file again"):
        list(read_molecules(tmp_path / "half.sdf.gz"))
    found = list(read_molecules(tmp_path / "half.sdf.gz.partial"))
    assert len(molecules) < len(found) < 20 * len(molecules)
    assert all(isinstance(entry, Molecule) for entry in found[:-1])
    assert isinstance(found[-1], BrokenRecord)
    (tmp_path / "bad.sdf.gz").write_bytes(data[:40] + bytes(40) + data[80:])
    with pytest.raises(InputError, match=r"bad\.sdf\.gz: the gzip stream is damaged"):
        list(read_molecules(tmp_path / "bad.sdf.gz"))


@pytest.mark.parametrize("append", [False, True])
def test_a_file_that_somebody_writes_is_refused_until_he_is_done(molecules, tmp_path, append):
    path = tmp_path / "out.sdf"
    with open_writer(path, keep_partial=True) as first:
        first.write(molecules[0])
        with pytest.raises(InputError, match=r"out\.sdf: another command writes it; wait for it, or give another name"):
            open_writer(path, append=append)
        first.write(molecules[1])
    assert len(list(read_molecules(path))) == 2
    assert [file.name for file in tmp_path.iterdir()] == ["out.sdf"]
    with open_writer(path, append=append) as second:
        second.write(molecules[2])
    assert len(list(read_molecules(path))) == (3 if append else 1)
    assert [file.name for file in tmp_path.iterdir()] == ["out.sdf"]


def test_files_that_cannot_be_used(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        list(read_molecules(tmp_path / "absent.sdf"))
    with pytest.raises(InputError, match=r"ending in \.sdf, \.xyz, \.smi, \.csv or \.tsv"):
        open_writer(tmp_path / "out.pdb")
    (tmp_path / "some.smi").write_text("C\n")
    with pytest.raises(InputError, match="SMILES"):
        list(read_molecules(tmp_path / "some.smi"))
    with pytest.raises(InputError, match="does not exist; create it first"):
        open_writer(tmp_path / "absent" / "out.sdf")
    with pytest.raises(InputError, match="is a folder"):
        (tmp_path / "folder.sdf").mkdir()
        open_writer(tmp_path / "folder.sdf")


@pytest.mark.parametrize("suffix", [".sdf", ".sdf.gz", ".xyz"])
def test_a_file_appears_when_it_is_complete_and_every_record_is_on_its_way_before(molecules, tmp_path, suffix):
    path = tmp_path / f"out{suffix}"
    with open_writer(path) as writer:
        for number, molecule in enumerate(molecules, 1):
            writer.write(molecule)
            assert not path.exists()
            assert sum(isinstance(entry, Molecule) for entry in read_molecules(partial_path(path))) == number
    assert not partial_path(path).exists()
    assert len(list(read_molecules(path))) == len(molecules)


def test_an_exception_leaves_the_old_file_alone(molecules, tmp_path):
    path = tmp_path / "out.sdf"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), open_writer(path) as writer:
        writer.write(molecules[0])
        raise KeyboardInterrupt
    assert [file.name for file in tmp_path.iterdir()] == ["out.sdf"]
    assert path.read_text() == "old"


@pytest.mark.parametrize("suffix", [".sdf", ".sdf.gz", ".xyz", ".smi"])
def test_an_interrupted_file_is_resumed_without_its_last_half_record(molecules, tmp_path, suffix):
    path, whole = tmp_path / f"out{suffix}", tmp_path / f"whole{suffix}"
    write_molecules(whole, molecules)
    with pytest.raises(KeyboardInterrupt), open_writer(path, keep_partial=True) as writer:
        for molecule in molecules[:6]:
            writer.write(molecule)
        raise KeyboardInterrupt
    assert not path.exists()
    partial = partial_path(path)
    partial.write_bytes(partial.read_bytes()[: -60 if suffix.endswith("gz") else -12])  # as a crash of the machine may leave it
    with open_writer(path, append=True) as writer:
        assert writer.count == 5
        for molecule in molecules[writer.count :]:
            writer.write(molecule)
    text = [gzip.decompress(file.read_bytes()) if suffix.endswith("gz") else file.read_bytes() for file in (path, whole)]
    assert text[0] == text[1]
    with open_writer(path, append=True) as writer:  # a complete file is continued
        assert writer.count == len(molecules)
        writer.write(molecules[0])
    assert len(list(read_records(path))) == len(molecules) + 1 if suffix != ".smi" else True


def among_helium(small, others):
    """A molecule with so many atoms of helium behind it."""
    helium = np.arange(3 * others, dtype=float).reshape(-1, 3) + 50
    return Molecule(
        np.append(small.atomic_numbers, np.full(len(helium), 2)),
        np.concatenate([small.positions, helium]),
        np.append(small.charges, np.zeros(len(helium), np.int64)),
        small.bonds,
    )


@pytest.mark.parametrize("others", [0, 1000])
def test_double_bonds_keep_the_stereo_of_the_coordinates(tmp_path, others):
    """Also in V3000 records, of more than 999 atoms."""
    for smiles in (r"C/C=C\CO", "C/C=C/CO"):
        mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
        AllChem.EmbedMolecule(mol, randomSeed=1)
        write_molecules(tmp_path / "a.sdf", [among_helium(Molecule.from_rdkit(mol), others)])
        (read,) = Chem.SDMolSupplier(str(tmp_path / "a.sdf"), removeHs=False)
        part = Chem.GetMolFrags(read, asMols=True)[0]
        assert Chem.MolToSmiles(Chem.RemoveHs(part)) == Chem.CanonSmiles(smiles)


def test_arrays_of_a_molecule_fit_each_other():
    atoms, place, charges, bonds = np.array([8, 1]), np.eye(3)[:2], np.zeros(2, int), np.array([[0, 1, 1]])
    assert len(Molecule(atoms, place, charges, bonds)) == 2
    for arrays, words in (
        ((atoms, np.eye(3), charges, bonds), r"positions: expected an array \(2, 3\) for 2 atoms, got \(3, 3\)"),
        ((atoms, place, charges[:1], bonds), r"charges: expected an array \(2,\)"),
        ((atoms, place, charges, bonds[:, :2]), r"bonds: expected an array \(1, 3\)"),
        ((np.array(8), place, charges, bonds), r"atomic_numbers: expected an array \(0,\) for 0 atoms, got \(\)"),
        ((np.array(["O", "H"]), place, charges, bonds), r"atomic_numbers: expected an array of whole numbers, got array\(\['O', 'H'\]"),
        ((atoms, place, np.array([0.5, -0.5]), bonds), r"charges: expected an array of whole numbers, got array\(\[ 0.5, -0.5\]\)"),
        ((np.array([8, 200]), place, charges, bonds), r"atomic_numbers\[1\]: expected 1 to 118, got 200"),
        ((np.array([0, 1]), place, charges, bonds), r"atomic_numbers\[0\]: expected 1 to 118, got 0"),
        ((atoms, place, charges, np.array([[0, 5, 1]])), r"bonds\[0\]: expected atoms 0 to 1, got 0 and 5"),
        ((atoms, place, charges, np.array([[-1, 1, 1]])), r"bonds\[0\]: expected atoms 0 to 1, got -1 and 1"),
        ((atoms, place, charges, np.array([[1, 1, 1]])), r"bonds\[0\]: joins atom 1 to itself"),
        ((atoms, place, charges, np.array([[0, 1, 4]])), r"bonds\[0\]: expected an order of 1, 2 or 3, got 4; give aromatic bonds"),
        ((atoms, place, charges, np.array([[0, 1, 1.5]])), "bonds: expected an array of whole numbers"),
        ((atoms, place, charges, np.array([[0, 1, 1], [1, 0, 2]])), r"bonds\[1\]: atoms 1 and 0 are bonded twice"),
    ):
        with pytest.raises(InputError, match=words) as caught:
            Molecule(*arrays)
        assert "\n" not in str(caught.value)


LISTS = """
import sys
import molgen

water = molgen.Molecule([8, 1, 1], [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]], [0, 0, 0], [[0, 1, 1], [0, 2, 1]])
molgen.write_sdf(sys.argv[1], [water, molgen.Molecule([2], [[0, 0, 0]], [0], [])])
for given in (([8], [[0, 0, 0], [1]], [0], []), ("O", [[0, 0, 0]], [0], []), ([8], [[0, 0, 0]], None, [])):
    try:
        molgen.Molecule(*given)
    except molgen.InputError as error:
        print(error)
"""


def test_lists_become_the_arrays_of_a_molecule(tmp_path):
    done = plain.python(LISTS, tmp_path / "a.sdf")
    assert done.stdout.splitlines() == [
        "positions: expected an array of numbers, got [[0, 0, 0], [1]]",
        "atomic_numbers: expected an array of whole numbers, got 'O'",
        "charges: expected an array of whole numbers, got None",
    ], done.stderr
    water, helium = read_molecules(tmp_path / "a.sdf")
    assert (water.atomic_numbers.tolist(), water.bonds.tolist()) == ([8, 1, 1], [[0, 1, 1], [0, 2, 1]])
    assert (len(helium), helium.bonds.shape) == (1, (0, 3))


def test_what_is_no_list_of_molecules_is_refused(molecules, tmp_path):
    mol = molecules[0].to_rdkit()
    for given, words in (
        (molecules[0], r"a\.sdf: expected a list of molecules, got one Molecule; give a list of molgen\.Molecule"),
        (mol, "expected a list of molecules, got one Mol; give a list"),
        ([molecules[0], mol], r"a\.sdf: molecule 2: is a Mol; give a list of molgen\.Molecule \(Molecule\.from_rdkit converts"),
    ):
        with pytest.raises(InputError, match=words):
            write_sdf(tmp_path / "a.sdf", given)
    assert list(tmp_path.iterdir()) == []


SWAPPED = """
import molgen

molecule = molgen.Molecule.from_smiles("C")
for name in ("w.csv", "w.TSV", "w.smi.gz", "w.xyz"):
    try:
        molgen.write_sdf(name, [molecule])
    except molgen.InputError as error:
        print(error)
try:
    molgen.write_sdf([molecule], "x.sdf")
except molgen.InputError as error:
    print(error)
for name in ("w.sdf", "w.SD.gz", "w.mol", "w"):
    molgen.write_sdf(name, [molecule])
"""


def test_names_of_other_formats_and_swapped_arguments_are_refused(tmp_path):
    done = plain.python(SWAPPED, cwd=tmp_path)
    assert done.stdout.splitlines() == [
        f"{name}: write_sdf writes SDF, which .{suffix} is not; name it .sdf, or write what its name says by "
        f"molgen.write_molecules('{name}', molecules)"
        for name, suffix in (("w.csv", "csv"), ("w.TSV", "tsv"), ("w.smi.gz", "smi"), ("w.xyz", "xyz"))
    ] + ["path: expected the name of a file, got a list; give the path first, then the molecules"], done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["w", "w.SD.gz", "w.mol", "w.sdf"]


def test_rdkit_and_back_is_the_file(molecules, tmp_path):
    """Names and texts that look like numbers are what the reader of SDF makes of them, in both directions."""
    tags = {"plate": "0070", "well": "5E6", "count": 7, "energy": 5.0, "passed": True}
    own = replace(molecules[0], properties={"title": "0012", **tags})
    mol = own.to_rdkit()
    assert Molecule.from_rdkit(mol).properties == own.properties
    with Chem.SDWriter(str(tmp_path / "a.sdf")) as writer:
        writer.write(mol)
    (text,) = read_records(tmp_path / "a.sdf")
    assert text.startswith("0012\n")
    assert "<title>" not in text
    (read,) = read_molecules(tmp_path / "a.sdf")
    (again,) = Chem.SDMolSupplier(str(tmp_path / "a.sdf"), removeHs=False)
    assert read.properties == Molecule.from_rdkit(again).properties
    assert {name: read.properties[name] for name in ("title", "plate", "well", "count")} == {
        "title": "0012", "plate": "0070", "well": "5E6", "count": 7
    }  # fmt: skip
    assert replace(own, properties={"title": "two\nlines"}).to_rdkit().GetProp("_Name") == "two lines"


IDENTIFIERS = tuple("3e63 1e10 5E6 1.10 +5 1.50E-07 .5 >10 0070 -0 12345678901234567890 True 7 -1.5 1e-05 1e5 12e3".split())


def test_texts_of_tags_are_written_as_they_were_read(molecules, tmp_path):
    own = replace(molecules[0], properties={f"tag{k}": text for k, text in enumerate(IDENTIFIERS)})
    write_sdf(tmp_path / "a.sdf", [own])
    (supplied,) = Chem.SDMolSupplier(str(tmp_path / "a.sdf"), removeHs=False)
    assert [supplied.GetProp(name) for name in own.properties] == [*IDENTIFIERS]
    write_molecules(tmp_path / "a.xyz", [own])
    for name in ("a.sdf", "a.xyz"):
        (read,) = read_molecules(tmp_path / name)
        assert [str(value) for value in read.properties.values()] == [*IDENTIFIERS]
        write_molecules(tmp_path / f"b{name}", pickle.loads(pickle.dumps([read])))
        assert (tmp_path / f"b{name}").read_bytes() == (tmp_path / name).read_bytes()
    numbers = {text: value for text, value in zip(IDENTIFIERS, read.properties.values(), strict=True) if isinstance(value, int | float)}
    assert numbers == {
        "1.10": 1.1,
        "+5": 5,
        "1.50E-07": 1.5e-7,
        ".5": 0.5,
        "-0": 0,
        "True": True,
        "7": 7,
        "-1.5": -1.5,
        "1e-05": 1e-5,
        "1e5": 1e5,
        "12e3": 12e3,
    }
    mol = read.to_rdkit()
    assert [mol.GetProp(name) for name in ("tag0", "tag3", "tag5", "tag7")] == ["3e63", "1.10", "1.50E-07", ">10"]
    assert mol.GetDoubleProp("tag13") == -1.5
    write_molecules(tmp_path / "a.csv", [read])
    (row,) = csv.DictReader((tmp_path / "a.csv").read_text().splitlines())
    assert [row[name] for name in own.properties] == [*IDENTIFIERS]


def test_square_planar_molecules_in_the_plane_are_no_drawings(tmp_path):
    square = np.array([[0, 0, 0], [1.95, 0, 0], [-1.95, 0, 0], [0, 1.95, 0], [0, -1.95, 0]])
    xenon = Molecule(np.array([54, 9, 9, 9, 9]), square, np.zeros(5, int), np.array([[0, k, 1] for k in range(1, 5)]))
    write_sdf(tmp_path / "a.sdf", [xenon])
    (read,) = read_molecules(tmp_path / "a.sdf")
    assert (read.positions == square).all()


@pytest.mark.parametrize("others", [0, 1000])
def test_the_chiral_flag_is_that_of_stereocentres(tmp_path, others):
    """Registration systems read a record without it as a racemate; records of more than 999 atoms have it elsewhere."""
    for smiles, flag in (("C[C@H](N)C(=O)O", 1), ("C[C@@H](N)C(=O)O", 1), ("CCO", 0), ("C/C=C/CO", 0)):
        molecule = among_helium(Molecule.from_smiles(smiles), others)
        write_sdf(tmp_path / "a.sdf", [molecule])
        (supplied,) = Chem.SDMolSupplier(str(tmp_path / "a.sdf"), removeHs=False)
        assert supplied.HasProp("_MolFileChiralFlag") or not flag
        assert (supplied.GetIntProp("_MolFileChiralFlag") if supplied.HasProp("_MolFileChiralFlag") else 0) == flag
        part = Chem.GetMolFrags(supplied, asMols=True)[0]
        assert Chem.MolToSmiles(Chem.RemoveHs(part)) == Chem.CanonSmiles(smiles)
        (read,) = read_molecules(tmp_path / "a.sdf")
        assert same(molecule, read)
        write_sdf(tmp_path / "b.sdf", [read])
        assert (tmp_path / "b.sdf").read_bytes() == (tmp_path / "a.sdf").read_bytes()


@pytest.mark.parametrize("append", [False, True])
def test_a_link_stays_and_what_it_leads_to_is_written(molecules, tmp_path, append):
    """Also the file of an interrupted run lies there; the format is that of the name that was given."""
    (tmp_path / "store").mkdir()
    link, blob = tmp_path / "out.sdf.gz", tmp_path / "store" / "blob"
    link.symlink_to("store/blob")
    with pytest.raises(KeyboardInterrupt), open_writer(link, keep_partial=True) as writer:
        writer.write(molecules[0])
        with pytest.raises(InputError, match="blob: another command writes it"):
            open_writer(blob, "sdf")
        raise KeyboardInterrupt
    assert partial_path(link) == tmp_path / "store" / "blob.partial"
    assert left_of(link) == partial_path(link)
    with open_writer(link, append=append) as writer:
        assert writer.count == append
        writer.write(molecules[1])
    assert link.readlink() == Path("store/blob")
    assert blob.read_bytes()[:2] == b"\x1f\x8b"
    titles = [m.properties["title"] for m in read_molecules(link)]
    assert titles == [m.properties["title"] for m in molecules[0 if append else 1 : 2]]
    assert sorted(file.name for file in tmp_path.rglob("*")) == ["blob", "out.sdf.gz", "store"]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444])
def test_permissions_stay(molecules, tmp_path, mode):
    path = tmp_path / "out.sdf"
    path.touch()
    path.chmod(mode)
    with open_writer(path) as writer:
        assert stat.S_IMODE(partial_path(path).stat().st_mode) == mode
        writer.write(molecules[0])
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert len(list(read_molecules(path))) == 1


def test_pipes_are_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "a.sdf")
    (tmp_path / "b.sdf").symlink_to("a.sdf")
    for name in ("a.sdf", "b.sdf"):
        for attempt in (file_format, open_writer, partial_path, lambda path: list(read_molecules(path))):
            with pytest.raises(InputError, match=rf"{name}: is no regular file; give the name of a file"):
                attempt(tmp_path / name)
    assert (tmp_path / "a.sdf").is_fifo()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.sdf", "b.sdf"]


def test_identifiers_and_lines_of_tags_stay_as_they_are(tmp_path):
    positions, bonds = np.array([[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]]), np.array([[0, 1, 1], [0, 2, 1]])
    water = Molecule(np.array([8, 1, 1]), positions, np.zeros(3, int), bonds)
    tags = {"ID": "00123", "bits": "01" * 2500, "note": "line one\nline  two", "count": 12345678901234567, "energy": -19.7}
    tags |= {"Molecular Weight": 18.0, "plate": "5E6", "tiny": 1e-07, "passed": False}
    write_sdf(tmp_path / "a.sdf", [replace(water, properties=tags)])
    (found,) = read_molecules(tmp_path / "a.sdf")
    assert found.properties == tags
    write_sdf(tmp_path / "b.sdf", [replace(water, properties={"odd": "one\n$$$$\n>  <two>"}), water])
    assert [m.properties for m in read_molecules(tmp_path / "b.sdf")] == [{"odd": "one\n $$$$\n >  <two>"}, {}]
    write_sdf(tmp_path / "c.sdf", [replace(water, properties={"odd": "$$$$", "next": "> <x>"}), water])
    assert [m.properties for m in read_molecules(tmp_path / "c.sdf")] == [{"odd": " $$$$", "next": " > <x>"}, {}]
    assert len([mol for mol in Chem.SDMolSupplier(str(tmp_path / "c.sdf")) if mol is not None]) == 2
    tags = {"smiles": "F/C=C\\F", "path": "C:\\data", "Molecular Weight": 18.0, "quoted": 'it\'s "so"'}
    write_molecules(tmp_path / "a.xyz", [replace(water, properties=tags)])
    (found,) = read_molecules(tmp_path / "a.xyz")
    assert found.properties == tags


@pytest.mark.parametrize(
    ("comment", "rows", "found"),
    [
        ("Properties=species:S:1:charge:R:1:pos:R:3 energy=1.5", ["H 0.5 0 0 0", "H -0.5 0 0 0.74"], [[0, 0, 0], [0, 0, 0.74]]),
        ('Lattice="1 0 0 0 1 0 0 0 1" Properties=pos:R:3:species:S:1', ["0 0 0 H", "0 0 0.74 H"], [[0, 0, 0], [0, 0, 0.74]]),
        ("Properties=species:S:1:forces:R:3", ["H 0 0 0", "H 0 0 1"], "Properties in the comment without species:S:1 and pos:R:3"),
    ],
)
def test_columns_of_extended_xyz_are_those_that_it_names(tmp_path, comment, rows, found):
    (tmp_path / "a.xyz").write_text("\n".join(["2", comment, *rows]) + "\n")
    (record,) = read_molecules(tmp_path / "a.xyz")
    assert (record.reason if isinstance(record, BrokenRecord) else record.positions.tolist()) == found


def test_a_mark_of_the_byte_order_is_no_text(molecules, tmp_path):
    write_molecules(tmp_path / "a.xyz", molecules[:2])
    text = (tmp_path / "a.xyz").read_text()
    (tmp_path / "b.xyz").write_text(text, encoding="utf-8-sig")
    assert all(same(a, b) for a, b in zip(read_molecules(tmp_path / "a.xyz"), read_molecules(tmp_path / "b.xyz"), strict=True))
    (tmp_path / "c.xyz").write_text(text, encoding="utf-16")
    with pytest.raises(InputError, match=r"c\.xyz: is UTF-16 text; save it as UTF-8"):
        list(read_molecules(tmp_path / "c.xyz"))


def test_hydrogens_that_are_no_atoms_are_refused(molecules):
    heavy = Chem.RemoveHs(molecules[5].to_rdkit(sanitize=True))
    with pytest.raises(ValueError, match="has implicit hydrogens; add them"):
        Molecule.from_rdkit(heavy)


def test_upper_case_suffixes_mean_the_same(molecules, tmp_path):
    write_molecules(tmp_path / "A.SDF.GZ", molecules[:2])
    assert (tmp_path / "A.SDF.GZ").read_bytes()[:2] == b"\x1f\x8b"
    assert len(list(read_molecules(tmp_path / "A.SDF.GZ"))) == 2


def test_names_with_brackets_are_read_back_and_what_is_unknown_is_left_out(molecules, tmp_path):
    given = {"IC50 > 10": 5.5, "m<n>o": 3, "two\nlines": "x", "lost": math.nan, "kept": 0.0}
    write_sdf(tmp_path / "a.sdf", [replace(molecules[0], properties=given)])
    (found,) = read_molecules(tmp_path / "a.sdf")
    assert found.properties == {"IC50 > 10": 5.5, "m<n>o": 3, "two lines": "x", "kept": 0.0}
    write_molecules(tmp_path / "a.xyz", [replace(molecules[0], properties={"lost": math.nan, "kept": 1.5})])
    (found,) = read_molecules(tmp_path / "a.xyz")
    assert found.properties == {"kept": 1.5}


def test_coordinates_that_are_not_finite_are_refused_and_nothing_is_written(molecules, tmp_path):
    positions = molecules[1].positions.copy()
    positions[0, 2] = math.nan
    with pytest.raises(InputError, match=r"a.sdf: molecule 2: has coordinates that are not finite"):
        write_sdf(tmp_path / "a.sdf", [molecules[0], replace(molecules[1], positions=positions)])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("title", ["", "a name"])
@pytest.mark.parametrize("v3000", [False, True])
def test_mol_files_that_were_joined_are_as_many_records(molecules, tmp_path, title, v3000):
    blocks = []
    for molecule in molecules:
        mol = molecule.to_rdkit()
        mol.SetProp("_Name", title)
        blocks.append(Chem.MolToMolBlock(mol, forceV3000=v3000, kekulize=False))
    (tmp_path / "joined.sdf").write_text("".join(blocks))
    for found, molecule in zip(read_molecules(tmp_path / "joined.sdf"), molecules, strict=True):
        assert found.properties == ({"title": title} if title else {})
        assert np.array_equal(found.bonds, molecule.bonds)
        assert np.array_equal(found.charges, molecule.charges)


def test_blocks_with_tags_that_were_joined_keep_their_own(molecules, tmp_path):
    blocks = [Chem.MolToMolBlock(molecule.to_rdkit(), kekulize=False) for molecule in molecules[:3]]
    (tmp_path / "joined.sdf").write_text("".join(f"{block}>  <x>\n{k}\n\n" for k, block in enumerate(blocks)))
    found = [molecule.properties for molecule in read_molecules(tmp_path / "joined.sdf")]
    assert found == [{"title": molecules[k].properties["title"], "x": k} for k in range(3)]


def test_a_mol_block_in_a_tag_is_no_record(molecules, tmp_path):
    block = Chem.MolToMolBlock(molecules[0].to_rdkit(), kekulize=False)
    (tmp_path / "tagged.sdf").write_text(f"{block}>  <parent>\n{block}\n$$$$\n{block}$$$$\n")
    assert len(list(read_molecules(tmp_path / "tagged.sdf"))) == 2


def test_stray_lines_between_xyz_records_are_one_broken_record(tmp_path):
    water = "3\nwater\nO 0 0 0\nH 0.96 0 0\nH -0.24 0.93 0\n"
    strays = "1341.3 1341.3 1341.3\nO O\nan oxide\n"
    (tmp_path / "raw.xyz").write_text(f"{water}{strays}\n{water}3 atoms\nwater\nO 0 0 0\n{water}")
    found = [read_xyz_record(text) for text in read_records(tmp_path / "raw.xyz")]
    assert [isinstance(record, str) for record in found] == [False, True, False, True, False]


@pytest.mark.parametrize(
    ("comment", "properties"),
    [
        ("charge=1", {"charge": 1}),
        ("ion charge=-2 relaxed", {"title": "ion charge=-2 relaxed", "charge": -2}),
        ("CC=O ethanal", {"title": "CC=O ethanal"}),
        ("no charge= here", {"title": "no charge= here"}),
    ],
)
def test_the_charge_in_a_comment_of_words_is_read(tmp_path, comment, properties):
    (tmp_path / "one.xyz").write_text(f"1\n{comment}\nO 0 0 0\n")
    (found,) = read_molecules(tmp_path / "one.xyz")
    assert found.properties == properties


def test_charges_of_atoms_are_the_total_charge(molecules):
    ion = next(molecule for molecule in molecules if molecule.charges.sum())
    bare = replace(ion, bonds=ion.bonds[:0], properties={})
    assert total_charge(bare) == ion.charges.sum()
    assert total_charge(replace(bare, charges=0 * bare.charges, properties={"charge": -3})) == -3
    assert total_charge(replace(bare, charges=0 * bare.charges, properties={"charge": math.nan})) == 0
    assert validity(bonded(bare))["smiles"] == validity(ion)["smiles"]


@pytest.mark.parametrize("title", ["$$$$", "$$$$ M  END", ">  <x>", "a\r$$$$\rb", "a\u2028b\x0cc"])
def test_a_title_ends_no_record_and_is_no_tag(molecules, tmp_path, title):
    write_sdf(tmp_path / "titled.sdf", [replace(molecules[0], properties={"title": title, "y": 1}), molecules[1]])
    first, second = read_molecules(tmp_path / "titled.sdf")
    assert first.properties == {"title": " ".join(title.split()), "y": 1}
    assert same(second, molecules[1])


def test_names_of_properties_break_no_xyz_record(molecules, tmp_path):
    write_molecules(tmp_path / "named.xyz", [replace(molecules[0], properties={"a\n3\nb": 1, "c=d": 2, "e\rf": "g"}), molecules[1]])
    first, second = read_molecules(tmp_path / "named.xyz")
    assert first.properties == {"a 3 b": 1, "c_d": 2, "e f": "g"}
    assert np.array_equal(second.atomic_numbers, molecules[1].atomic_numbers)


def test_numbers_of_thousands_of_digits_break_one_record(molecules, tmp_path):
    good = write_xyz_record(molecules[0])
    (tmp_path / "long.xyz").write_text(f"{'9' * 5000}\n{good}1\nProperties=species:S:1:pos:R:{'9' * 5000}\nO 0 0 0\n{good}")
    found = [isinstance(record, BrokenRecord) for record in read_molecules(tmp_path / "long.xyz")]
    assert found == [True, False, True, False]


def test_draws_with_more_bonds_than_rdkit_counts_are_told_and_crash_nothing(tmp_path):
    """Sizes far from those of training give such draws, on which RDKit's writer ends the process."""
    atoms = 60
    i, j = np.triu_indices(atoms, 1)
    bonds = np.column_stack([i, j, np.full(len(i), 3)])
    tangle = Molecule(
        np.full(atoms, 6), np.random.default_rng(0).normal(size=(atoms, 3)), np.zeros(atoms, np.int64), bonds, {"passed": False}
    )
    line = r"an atom has bonds of more orders together than RDKit counts \(127\)"
    with pytest.raises(ValueError, match=line):
        tangle.to_rdkit()
    for name in ("a.sdf", "a.smi", "a.csv"):
        with pytest.raises(InputError, match=rf"{name}: molecule 2: {line}; leave it out, or write \.xyz"):
            write_molecules(tmp_path / name, [Molecule.from_smiles("C"), tangle])
    assert list(tmp_path.iterdir()) == []
    assert write_molecules(tmp_path / "a.xyz", [tangle]) == 1
    assert check(tangle).reason == "C charge +0 with bond-order sum 177"
    assert Filters(where=["mw<500"], unique=True).start()(tangle) == "not mw<500"
    assert validity(tangle)["valid_reason"] == "RDKit: an atom has bonds of more orders together than RDKit counts (127)"
    assert draw(tangle).count("</svg>") == 1
