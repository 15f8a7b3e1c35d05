"""QM9 raw files, XYZ and SMILES as sources, all from real molecules."""

import gzip
import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from molgen.errors import InputError
from molgen.evaluate import Settings, evaluate
from molgen.molecules.export import read_molecules
from molgen.molecules.listed import records_in, told
from molgen.molecules.molecule import Molecule
from molgen.molecules.prepare import Entry, Labels, LabelTable, Source, open_source, prepare, read_table
from molgen.molecules.prepare.qm9 import UNITS, official_split, units
from molgen.molecules.prepare.smiles import Smiles
from molgen.molecules.prepare.table import Table
from molgen.molecules.text import lines
from molgen.molecules.units import EV_PER_HARTREE
from molgen.molecules.xyz import STRAY, write_xyz_record

SAMPLES = Path(__file__).parents[3] / "data"
QM9 = SAMPLES / "qm9_sample" / "qm9_sample.sdf.gz"
SALT_FREE = ["CC(=O)Oc1ccccc1C(=O)O", "C[C@H](N)C(=O)O", "c1ccncc1", "CS(=O)(=O)N", "[O-][N+](=O)c1ccccc1"]


@pytest.fixture(scope="module")
def molecules() -> list[Chem.Mol]:
    with gzip.open(QM9) as stream:
        return list(Chem.ForwardSDMolSupplier(stream, removeHs=False))


def kept_smiles(out: Path) -> list[str]:
    return (out / "smiles.txt").read_text().splitlines()


def plain(mol: Chem.Mol) -> str:
    return Chem.MolToSmiles(Chem.RemoveHs(mol), isomericSmiles=False)


def gdb9_record(number: int, mol: Chem.Mol, damage: bool) -> str:
    """A record in the layout of gdb9.sdf: no tags, three-column atom lines, and wrong bonds where `damage`."""
    positions = mol.GetConformer().GetPositions()
    Chem.Kekulize(mol, clearAromaticFlags=True)
    bonds = [(bond.GetBeginAtomIdx() + 1, bond.GetEndAtomIdx() + 1, int(bond.GetBondTypeAsDouble())) for bond in mol.GetBonds()]
    ending = ""
    if damage:
        bonds = [(i, j, 1) for i, j, _ in bonds]
        ending = "M  CHG  1   1   1\n"
    lines = [f"gdb_{number}", "  -OEChem-03231823243D", "", f"{len(positions):3d}{len(bonds):3d}  0     0  0  0  0  0  0999 V2000"]
    for atom, (x, y, z) in zip(mol.GetAtoms(), positions, strict=True):
        lines.append(f"{x:10.4f}{y:10.4f}{z:10.4f} {atom.GetSymbol():<3} 0  0  0  0  0  0  0  0  0  0  0  0")
    lines += [f"{i:3d}{j:3d}{order:3d}  0  0  0  0" for i, j, order in bonds]
    return "\n".join(lines) + f"\n{ending}M  END\n$$$$\n"


@pytest.fixture
def raw(tmp_path, molecules) -> Path:
    """A small folder in exactly the format of the three files, every third record damaged, two uncharacterised."""
    folder = tmp_path / "qm9" / "raw"
    folder.mkdir(parents=True)
    chosen = molecules[:40]
    (folder / "gdb9.sdf").write_text("".join(gdb9_record(i + 1, Chem.Mol(mol), i % 3 == 0) for i, mol in enumerate(chosen)))
    rows = ["mol_id,A,B,C,mu,alpha,homo,lumo,gap,r2,zpve,u0,u298,h298,g298,cv,u0_atom,u298_atom,h298_atom,g298_atom"]
    for i, mol in enumerate(chosen):
        values = np.arange(19) + 0.5 * i
        values[5] = float(mol.GetProp("homo_b3lyp")) / EV_PER_HARTREE
        rows.append(f"gdb_{i + 1}," + ",".join(repr(float(value)) for value in values))
    (folder / "gdb9.sdf.csv").write_text("\n".join(rows) + "\n")
    header = ["3054 molecules from GDB9 failed a consistency check.", "", "", "Index   SMILES", "-" * 20, "", "", "", ""]
    listed = ["     5   C1=CC=C1", "    17   CCO"]
    (folder / "uncharacterized.txt").write_text("\n".join([*header, *listed, "-" * 20, ""]))
    return folder.parent


def test_qm9_bonds_are_rebuilt_and_labels_converted(raw, tmp_path, molecules):
    names = ("homo_b3lyp", "mu", "u0_atom", "gap")
    summary = prepare(open_source("qm9", raw), tmp_path / "out", Labels(names, ("qed",), units={name: units()[name] for name in names}))
    assert (summary.read, summary.kept, dict(summary.rejected)) == (40, 38, {"uncharacterized": 2})
    kept = [i for i in range(40) if i not in (4, 16)]
    assert np.load(tmp_path / "out" / "records.npy").tolist() == kept
    assert kept_smiles(tmp_path / "out") == [plain(molecules[i]) for i in kept]
    labels = np.load(tmp_path / "out" / "labels.npy")
    np.testing.assert_allclose(labels[:, 0], [float(molecules[i].GetProp("homo_b3lyp")) for i in kept], rtol=1e-6)
    found = json.loads((tmp_path / "out" / "statistics.json").read_text())["labels"]
    assert [label["unit"] for label in found] == ["eV", "D", "eV", "eV", ""]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch.jit, at the import of torch-geometric
def test_qm9_units_are_those_of_torch_geometric():
    from torch_geometric.datasets.qm9 import conversion

    names = [*list(UNITS)[3:], *list(UNITS)[:3]]
    np.testing.assert_allclose([UNITS[name][0] for name in names], conversion.numpy(), rtol=1e-6)


def test_qm9_files_that_do_not_belong_together_are_refused(raw, tmp_path):
    table = raw / "raw" / "gdb9.sdf.csv"
    table.write_text(table.read_text().replace("gdb_7,", "gdb_700,"))
    with pytest.raises(InputError, match=r"gdb9.sdf.csv: record 7: expected gdb_7 as in gdb9.sdf, got gdb_700"):
        prepare(open_source("qm9", raw), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_label_that_qm9_does_not_have_is_told_at_once(raw, tmp_path):
    with pytest.raises(InputError, match="no label 'dipole_xtb'; did you mean 'dipole_b3lyp'"):
        prepare(open_source("qm9", raw), tmp_path / "out", Labels(("homo", "dipole_xtb")))


def test_official_split_has_the_published_sizes():
    excluded = frozenset(np.random.default_rng(1).choice(133_885, 3_054, replace=False).tolist())
    parts = official_split(133_885, excluded)
    assert {part: len(records) for part, records in parts.items()} == {"train": 100_000, "valid": 17_748, "test": 13_083}
    together = np.sort(np.concatenate(list(parts.values())))
    assert together.tolist() == sorted(set(range(133_885)) - excluded)
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(0)  # noqa: NPY002
    permutation = np.random.permutation(130_831)  # noqa: NPY002
    np.random.set_state(state)  # noqa: NPY002
    included = np.array(sorted(set(range(133_885)) - excluded))
    np.testing.assert_array_equal(parts["test"], included[permutation[117_748:]])
    with pytest.raises(InputError, match="--split official: needs all 133885 records"):
        official_split(40, frozenset({4}))


@pytest.mark.parametrize("layout", ["one file", "gzip", "folder"])
def test_xyz_gives_the_bonds_of_the_original(layout, tmp_path, molecules):
    chosen = molecules[::5]
    frames = []
    for i, mol in enumerate(chosen):
        molecule = Molecule.from_rdkit(mol)
        properties = {"title": f"m{i}", "gap_xtb": float(mol.GetProp("gap_xtb"))}
        frames.append(write_xyz_record(Molecule(molecule.atomic_numbers, molecule.positions, molecule.charges, molecule.bonds, properties)))
    if layout == "folder":
        source = tmp_path / "frames"
        source.mkdir()
        for i, frame in enumerate(frames):
            (source / f"{i:03d}.xyz").write_text(frame)
    else:
        source = tmp_path / ("frames.xyz" if layout == "one file" else "frames.xyz.gz")
        data = "".join(frames).encode()
        source.write_bytes(data if layout == "one file" else gzip.compress(data))
    prepare(open_source(str(source)), tmp_path / "out", Labels(("gap_xtb",)))
    assert kept_smiles(tmp_path / "out") == [plain(mol) for mol in chosen]
    expected = [[float(mol.GetProp("gap_xtb"))] for mol in chosen]
    np.testing.assert_allclose(np.load(tmp_path / "out" / "labels.npy"), expected, rtol=1e-6)


def dsgdb9nsd(number: int, mol: Chem.Mol) -> str:
    """A raw file of QM9: properties in the comment, charges beside the atoms, small numbers of Mathematica, three lines behind them."""
    rows = [f"gdb {number}\t157.7118\t157.70997\t0.\t13.21\t-0.3877\t6.469"]
    for atom, place in zip(mol.GetAtoms(), mol.GetConformer().GetPositions().tolist(), strict=True):
        cells = [f"{1e6 * x:.4f}*^-6" if abs(x) < 0.05 else f"{x:.10f}" for x in place]
        rows.append("\t".join([atom.GetSymbol(), *cells, "-4.*^-6"]))
    smiles, inchi = plain(mol), Chem.MolToInchi(mol)
    trailer = [f"1341.307\t{1341.3 + number}\t3151.6788", f"{smiles}\t{smiles}", f"{inchi}\t{inchi}"]
    return "\n".join([str(mol.GetNumAtoms()), *rows, *trailer]) + "\n"


def test_lines_behind_the_frames_of_the_raw_files_of_qm9_are_left_out(tmp_path, molecules):
    files = [dsgdb9nsd(k, mol) for k, mol in enumerate(molecules[:6], 1)]
    (tmp_path / "folder").mkdir()
    for k, text in enumerate(files, 1):
        (tmp_path / "folder" / f"dsgdb9nsd_{k:06d}.xyz").write_text(text)
    joined, one = tmp_path / "joined.xyz", tmp_path / "folder" / "dsgdb9nsd_000002.xyz"
    joined.write_text("".join(files))
    for path, expected in ((joined, molecules[:6]), (one, molecules[1:2])):
        found = list(read_molecules(path))
        for molecule, mol in zip(found, expected, strict=True):
            assert molecule.atomic_numbers.tolist() == [atom.GetAtomicNum() for atom in mol.GetAtoms()]
            np.testing.assert_allclose(molecule.positions, mol.GetConformer().GetPositions(), atol=1e-9)
    for source, expected in ((joined, molecules[:6]), (one, molecules[1:2]), (tmp_path / "folder", molecules[:6])):
        summary = prepare(open_source(str(source)), tmp_path / f"of_{source.stem}")
        assert (summary.read, summary.kept) == (len(expected), len(expected))
        assert kept_smiles(tmp_path / f"of_{source.stem}") == [plain(mol) for mol in expected]
    outcome = evaluate(one, joined, settings=Settings(workers=0))
    assert outcome.real is not None
    assert [(figures.records, figures.figures["valid"].value) for figures in (outcome.samples, outcome.real)] == [(1, 1), (6, 1)]


def test_other_lines_between_frames_stay_a_broken_record(tmp_path, molecules):
    first, second = (dsgdb9nsd(k, mol) for k, mol in enumerate(molecules[:2], 1))
    trailer = "".join(first.splitlines(keepends=True)[-3:])
    frame = first.removesuffix(trailer)
    no_inchi = trailer.replace("InChI=", "inchi ")
    short = trailer.partition("\n")[2]  # without frequencies
    for strays in (no_inchi, short, f"more\n{trailer}", trailer * 2, f"{trailer}more\n"):
        (tmp_path / "a.xyz").write_text(frame + strays + second)
        summary = prepare(open_source(str(tmp_path / "a.xyz")), tmp_path / "out")
        assert (summary.kept, dict(summary.rejected)) == (2, {STRAY: 1})
        shutil.rmtree(tmp_path / "out")
    (tmp_path / "a.xyz").write_text(trailer + second)  # behind no frame
    assert dict(prepare(open_source(str(tmp_path / "a.xyz")), tmp_path / "out").rejected) == {STRAY: 1}


@dataclass(frozen=True)
class Blocks(Source):
    """MOL blocks in memory."""

    blocks: tuple[str, ...]

    @property
    def size(self) -> int:
        return len(self.blocks)

    def entries(self) -> Iterator[tuple[Entry, int]]:
        for k, block in enumerate(self.blocks):
            yield Entry(k, block, f"m{k}"), k + 1

    def parse(self, entry: Entry) -> tuple[Chem.Mol, str, dict[str, str]]:
        return Chem.MolFromMolBlock(entry.text, sanitize=False, removeHs=False), entry.name, {"half": str(entry.index / 2)}

    def describe(self) -> dict[str, object]:
        return {"source": "memory"}


def test_a_source_of_ones_own_has_the_rest_from_its_base(tmp_path, molecules):
    source = Blocks(tuple(Chem.MolToMolBlock(mol) for mol in molecules))
    chunks = list(source.chunks())
    assert [(chunk.number, len(chunk.entries), chunk.position) for chunk in chunks] == [(0, 100, 100), (1, 100, 200)]
    positions = []
    summary = prepare(
        replace(source, blocks=source.blocks[:7]),
        tmp_path / "out",
        Labels(("half",)),
        progress=lambda position, size, kept: positions.append((position, size, kept)),
    )
    assert (summary.kept, positions) == (7, [(7, 7, 7)])
    assert kept_smiles(tmp_path / "out") == [plain(mol) for mol in molecules[:7]]
    assert np.load(tmp_path / "out" / "labels.npy").ravel().tolist() == [k / 2 for k in range(7)]
    assert (tmp_path / "out" / "card.yaml").read_text().startswith("source: memory\n")


def test_facts_of_files_stand_first_in_a_card_in_this_order(tmp_path):
    source, table = tmp_path / "a.smi", tmp_path / "a.csv"
    source.write_text("CCO a\n")
    table.write_text("id,y\na,1\n")
    prepare(open_source(str(source), seed=3), tmp_path / "out", Labels(("y",), (), read_table(table, None, ("y",))))
    own, given = (f"bytes: {{}}\n{{}}sha256: {hashlib.sha256(path.read_bytes()).hexdigest()}\n" for path in (source, table))
    conformers = "conformers:\n  method: ETKDGv3, MMFF94\n  seed: 3\n"
    card = f"source: a.smi\n{own.format(6, '')}{conformers}csv:\n  source: a.csv\n  {given.format(9, '  ')}  key: id\n"
    assert (tmp_path / "out" / "card.yaml").read_text().startswith(card)


def test_xyz_charge_is_read_from_the_comment(tmp_path):
    mol = Chem.AddHs(Chem.MolFromSmiles("C[NH3+]"))
    Chem.rdDistGeom.EmbedMolecule(mol, randomSeed=1)
    rows = Chem.MolToXYZBlock(mol).splitlines()
    source = tmp_path / "ion.xyz"
    source.write_text("\n".join([rows[0], "charge=1", *rows[2:]]) + "\n")
    prepare(open_source(str(source)), tmp_path / "out")
    assert kept_smiles(tmp_path / "out") == ["C[NH3+]"]


def test_xyz_cut_short_is_refused(tmp_path):
    source = tmp_path / "cut.xyz"
    source.write_text("2\n\nH 0 0 0\nH 0 0 0.74\n3\n\nO 0 0 0\n")
    with pytest.raises(InputError, match=r"cut.xyz: ends inside frame 2; last complete: cut.xyz frame 1"):
        prepare(open_source(str(source)), tmp_path / "out")


def test_smiles_get_hydrogens_and_a_relaxed_conformer(tmp_path):
    source = tmp_path / "some.smi"
    source.write_text("".join(f"{text} m{i}\n" for i, text in enumerate(SALT_FREE)) + "CC.O two\nnonsense\nC*\n[CH3]\n")
    summary = prepare(open_source(str(source)), tmp_path / "out", Labels((), ("mw",)))
    assert kept_smiles(tmp_path / "out") == [Chem.CanonSmiles(text, useChiral=0) for text in SALT_FREE]
    assert sorted(summary.rejected) == ["not a SMILES that RDKit can read", "radical", "several fragments", "unknown element"]
    positions, numbers = np.load(tmp_path / "out" / "positions.npy"), np.load(tmp_path / "out" / "atoms.npy")
    offsets, bonds = np.load(tmp_path / "out" / "atom_offsets.npy"), np.load(tmp_path / "out" / "bonds.npy")
    first = bonds[: np.load(tmp_path / "out" / "bond_offsets.npy")[1]].astype(int)
    xyz, types = positions[: offsets[1]], numbers[: offsets[1]]
    lengths = np.linalg.norm(xyz[first[:, 0]] - xyz[first[:, 1]], axis=1)
    hydrogen = (types[first[:, :2]] == 0).any(axis=1)
    assert ((lengths[hydrogen] > 0.9) & (lengths[hydrogen] < 1.15)).all()
    assert ((lengths[~hydrogen] > 1.15) & (lengths[~hydrogen] < 1.6)).all()


def test_the_largest_fragment_is_kept_without_salts_and_solvents(tmp_path):
    path = tmp_path / "salts.smi"
    path.write_text("O=C([O-])c1ccccc1.[Na+] benzoate\nO.CCO wet\nCCO dry\n")
    summary = prepare(open_source(str(path)), tmp_path / "out", largest=True)
    assert summary.kept == 3
    assert (tmp_path / "out" / "smiles.txt").read_text().split() == ["O=C([O-])c1ccccc1", "CCO", "CCO"]
    assert summary.different == {"": 2}
    alone = tmp_path / "dry.smi"
    alone.write_text("CCO\n")
    prepare(open_source(str(alone)), tmp_path / "dry")
    whole, dry = (np.load(tmp_path / name / "positions.npy") for name in ("out", "dry"))
    np.testing.assert_array_equal(whole[-9:], dry)
    wet = tmp_path / "wet.sdf"
    mol = Chem.AddHs(Chem.MolFromSmiles("O.CCO"))
    rdDistGeom.EmbedMolecule(mol, randomSeed=1)
    wet.write_text(Chem.MolToMolBlock(mol) + "$$$$\n")
    assert prepare(open_source(str(wet)), tmp_path / "wet", largest=True).kept == 1
    lengths = np.linalg.norm(np.diff(np.load(tmp_path / "wet" / "positions.npy")[:3], axis=0), axis=1)
    np.testing.assert_allclose(lengths, np.linalg.norm(np.diff(mol.GetConformer().GetPositions()[1:4], axis=0), axis=1), atol=1e-3)


def test_molecules_that_repeat_and_that_parts_share_are_counted(tmp_path):
    path = tmp_path / "list.smi"
    path.write_text("CCO\nCCN\nCCC\nCCO\nOCC\n")
    summary = prepare(open_source(str(path)), tmp_path / "out", split=lambda index, alike: {"train": index < 2, "valid": index >= 2})
    assert (summary.different, summary.shared) == ({"train": 2, "valid": 2}, {"train": 0, "valid": 2})


def test_conformers_depend_on_seed_alone(tmp_path):
    arrays = {}
    for name, texts, seed in (("a", SALT_FREE, 0), ("b", SALT_FREE[::-1], 0), ("c", SALT_FREE, 1)):
        source = tmp_path / f"{name}.smi"
        source.write_text("\n".join(texts) + "\n")
        prepare(open_source(str(source), seed=seed), tmp_path / name)
        positions, offsets = np.load(tmp_path / name / "positions.npy"), np.load(tmp_path / name / "atom_offsets.npy")
        arrays[name] = np.split(positions, offsets[1:-1])
    for first, second in zip(arrays["a"], arrays["b"][::-1], strict=True):
        np.testing.assert_array_equal(first, second)
    assert not np.array_equal(arrays["a"][0], arrays["c"][0])


def test_labels_from_csv_by_name_and_by_tag(tmp_path, molecules):
    with gzip.open(QM9, "rt") as stream:
        text = stream.read()
    source = tmp_path / "some.sdf"
    source.write_text("$$$$\n".join(text.split("$$$$\n")[:3]) + "$$$$\n")
    names = [mol.GetProp("_Name") for mol in molecules[:3]]
    by_name = tmp_path / "by_name.csv"
    by_name.write_text("id,y,other\n" + "".join(f"{name},{i + 0.5},x\n" for i, name in reversed(list(enumerate(names)))))
    table = read_table(by_name, None, ("y",))
    assert table.header == ("id", "y", "other")
    prepare(open_source(str(source)), tmp_path / "one", Labels(("y", "gap_xtb"), (), table))
    assert np.load(tmp_path / "one" / "labels.npy")[:, 0].tolist() == [0.5, 1.5, 2.5]
    by_tag = tmp_path / "by_tag.csv"
    by_tag.write_text("y,gdb_smiles\n" + "".join(f"{i},{mol.GetProp('gdb_smiles')}\n" for i, mol in enumerate(molecules[:3])))
    table = read_table(by_tag, "gdb_smiles", ("y",))
    prepare(open_source(str(source)), tmp_path / "two", Labels(("y",), (), table))
    assert np.load(tmp_path / "two" / "labels.npy")[:, 0].tolist() == [0.0, 1.0, 2.0]


def test_a_table_of_labels_in_another_encoding_is_refused_by_name(tmp_path):
    (tmp_path / "labels.csv").write_bytes("id,y\ncaf\xe9,1\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"labels\.csv: line 2 is not UTF-8; save the file as UTF-8"):
        read_table(tmp_path / "labels.csv", None, ("y",))


def test_a_table_of_labels_may_be_gzipped(tmp_path):
    path, text = tmp_path / "labels.csv.gz", "\ufeffid,y\r\na,1\r\nb,2\r\n".encode()
    path.write_bytes(gzip.compress(text))
    assert read_table(path, None, ("y",)) == LabelTable(path, "id", ("y",), {"a": ("1",), "b": ("2",)}, ("id", "y"))
    path.write_bytes(gzip.compress(text)[:-4])
    with pytest.raises(InputError, match=r"labels\.csv\.gz: the gzip stream is damaged or cut short; last complete: line \d; fetch"):
        read_table(path, None, ("y",))
    path.write_bytes(gzip.compress("id,y\ncaf\xe9,1\n".encode("latin-1")))
    with pytest.raises(InputError, match=r"labels\.csv\.gz: line 2 is not UTF-8"):
        read_table(path, None, ("y",))


@pytest.mark.parametrize("header", ["molecule_chembl_id,Canonical_SMILES", "isomeric_smiles,Smiles", "Smiles,smiles"])
def test_the_column_of_smiles_is_found_by_its_name(tmp_path, header):
    (tmp_path / "a.csv").write_text(f"{header}\nC,CC\n")
    prepare(open_source(str(tmp_path / "a.csv")), tmp_path / "out")
    assert kept_smiles(tmp_path / "out") == ["CC"]


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("canonical_smiles,isomeric_smiles", "several columns of SMILES, canonical_smiles, isomeric_smiles; name the one to read 'smiles'"),
        ("SMILES,Smiles", "several columns of SMILES, SMILES, Smiles; name the one to read 'smiles'"),
        ("structure,name", "no column 'smiles'; its columns are structure, name; rename one"),
    ],
)
def test_a_table_without_one_column_of_smiles_is_refused(tmp_path, header, words):
    (tmp_path / "a.csv").write_text(f"{header}\nC,CC\n")
    with pytest.raises(InputError, match=rf"a\.csv: has {words}$"):
        prepare(open_source(str(tmp_path / "a.csv")), tmp_path / "out")


def test_lines_of_a_list_of_smiles_may_be_comments(tmp_path):
    path = tmp_path / "a.smi"
    path.write_text("# CCO of mine\nSMILES name\nCC a\n  #CN\nC#N b\n")
    summary = prepare(open_source(str(path)), tmp_path / "out")
    assert (summary.read, kept_smiles(tmp_path / "out")) == (2, ["CC", "C#N"])


@pytest.mark.parametrize(("mark", "suffix"), [(",", "csv"), (";", "csv"), ("\t", "csv"), ("\t", "tsv")])
def test_smiles_table_with_labels(tmp_path, mark, suffix):
    source = tmp_path / f"some.{suffix}"
    source.write_text('name,SMILES,"y"\na,CCO,1.5\nb,"CC",\nc,CN,2.5\n'.replace(",", mark))
    summary = prepare(open_source(str(source)), tmp_path / "out", Labels(("y",)))
    assert dict(summary.rejected) == {"label y missing": 1}
    assert summary.first == "record 2 (b): label y missing"
    assert np.load(tmp_path / "out" / "labels.npy").ravel().tolist() == [1.5, 2.5]


def test_columns_are_cut_where_the_header_has_most_cells():
    rows = list(Table(['"a;b;c;d", y\n', "1;2;3;4,5\n", "6\n"], "a.csv"))
    assert rows == [(2, {"a;b;c;d": "1;2;3;4", "y": "5"}), (3, {"a;b;c;d": "6"})]
    assert list(Table(["x;y\n", "1,5;2,5\n"], "a.csv")) == [(2, {"x": "1,5", "y": "2,5"})]
    assert Table([], "a.csv").names == ()
    with pytest.raises(InputError, match=r"a\.csv: line 3: more cells than the header$"):
        list(Table(["x\ty\n", "1\t2\t\n", "1\t2\t3\n"], "a.csv"))


def test_hydrogens_that_records_lack_can_be_placed(shared, tmp_path):
    charged = str(shared / "ligands" / "charged.sdf.gz")
    assert dict(prepare(open_source(charged), tmp_path / "out").rejected) == {"implicit hydrogens": 128}
    summary = prepare(open_source(charged), tmp_path / "all", complete=True)
    assert summary.kept == 191
    assert summary.statistics[""]["charges"] == [-1, 0, 1]


@pytest.mark.parametrize("charge", ["inf", "0.6", "x"])
def test_a_total_charge_that_is_no_integer_is_a_reason(tmp_path, charge):
    water = "3\ncharge={}\nO 0 0 0\nH 0.96 0 0\nH -0.24 0.93 0\n"
    (tmp_path / "a.xyz").write_text(water.format(charge) + water.format(0))
    summary = prepare(open_source(str(tmp_path / "a.xyz")), tmp_path / "out")
    assert (summary.kept, dict(summary.rejected)) == (1, {"total charge is no integer": 1})


def test_what_keeps_xyz_records_from_having_bonds_is_told_apart(tmp_path):
    (tmp_path / "a.xyz").write_text("2\n\nHe 0 0 0\nHe 0 0 1\n" + "2\n\nC 0 0 0\nH 0 0 1\n" + "1\n\nC 0 0 nan\n" + "1\n\nNe 0 0 0\n")
    with pytest.raises(InputError, match=r"none of 4 records can be used; first: record 1 .*: unknown element; fix: replace R groups"):
        prepare(open_source(str(tmp_path / "a.xyz")), tmp_path / "out")


def test_smiles_that_are_too_long_or_too_large_are_told_and_the_rest_of_a_list_goes_on(tmp_path):
    path = tmp_path / "large.smi"
    path.write_text(f"{'C' * 1001} chain\n{'C' * 10_001} longer\nCCO ethanol\n")
    reasons = ["more than 1,000 heavy atoms", "SMILES of more than 10,000 characters"]
    assert dict(prepare(open_source(str(path)), tmp_path / "packed").rejected) == dict.fromkeys(reasons, 1)
    *refused, ethanol = records_in(path, "smi")
    assert [record.found for record in refused] == reasons
    assert len(ethanol.found) == 9
    longest = Entry(0, "C" * 1000)
    assert Smiles(path).parse(longest)[0].GetNumAtoms() == 1000
    assert told("large.smi record 2", "longer", refused[1].smiles, reasons[1]) == (
        f"large.smi record 2 (longer): {'C' * 57}...: SMILES of more than 10,000 characters; "
        "leave the record out, or give its geometry as SDF"
    )


def test_what_is_wrong_with_a_smiles_is_settled_before_a_conformer_is_made(tmp_path):
    (tmp_path / "a.smi").write_text("[B]CC a\nOB(O)C b\nCCO c\n")  # MMFF94 has no parameters of boron
    summary = prepare(open_source(str(tmp_path / "a.smi")), tmp_path / "out")
    assert dict(summary.rejected) == {"radical": 1, "no MMFF94 parameters": 1}


def test_upper_case_names_of_tables_and_archives(tmp_path):
    (tmp_path / "A.CSV").write_text("smiles,name\nCCO,a\nCC,b\n")
    (tmp_path / "b.csv.GZ").write_bytes(gzip.compress(b"smiles,name\nCCO,a\nCC,b\n"))
    for name in ("A.CSV", "b.csv.GZ"):
        assert prepare(open_source(str(tmp_path / name)), tmp_path / f"out_{name}").kept == 2


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("length", [0, *(size + more for size in (1 << 13, 1 << 16, 1 << 17) for more in (-2, -1, 0, 1)), 3 << 16])
def test_lines_end_alike_wherever_a_block_does(tmp_path, length, compressed):
    text = b"".join([b"x" * length + b"\r\n", b"\r\n", b"a\r", b"b\n", b"\n", b"y" * length + b"\r", b"\r", b"last"])
    expected = ["x" * length + "\n", "\n", "a\n", "b\n", "\n", "y" * length + "\n", "\n", "last"]
    (tmp_path / "a").write_bytes(gzip.compress(text) if compressed else text)
    with (tmp_path / "a").open("rb") as raw:
        assert list(lines(raw)) == expected
