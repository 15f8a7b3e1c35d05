"""Packed data sets against the molecules they were made from, read back with plain numpy."""

import gzip
import json
import re
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import yaml
from rdkit import Chem
from rdkit.Chem import QED, Crippen

from molgen.errors import InputError
from molgen.files import sha256
from molgen.molecules.molecule import Molecule
from molgen.molecules.prepare import Labels, open_source, prepare
from molgen.molecules.prepare.fit import Fit
from molgen.molecules.prepare.records import check_atoms
from molgen.molecules.prepare.statistics import disagreement
from molgen.molecules.vocabulary import Vocabulary
from molgen.packing import by_fraction
from molgen.preparation import Rejected

DATA = Path(__file__).parents[3] / "data"
QM9 = DATA / "qm9_sample" / "qm9_sample.sdf.gz"
LIGANDS = DATA / "ligands_sample"
NAMED = ("homo_b3lyp", "gap_xtb")
ORDERS = {1: Chem.BondType.SINGLE, 2: Chem.BondType.DOUBLE, 3: Chem.BondType.TRIPLE}


class Reader:
    """The format read without any code of the package."""

    def __init__(self, folder: Path) -> None:
        self.statistics = json.loads((folder / "statistics.json").read_text())
        self.card = yaml.safe_load((folder / "card.yaml").read_text())
        self.smiles = (folder / "smiles.txt").read_text().splitlines()
        for path in folder.glob("*.npy"):
            setattr(self, path.stem, np.load(path))

    def __len__(self) -> int:
        return len(self.atom_offsets) - 1

    def __getitem__(self, i: int) -> Molecule:
        atoms = slice(*self.atom_offsets[i : i + 2])
        bonds = slice(*self.bond_offsets[i : i + 2])
        numbers = np.array(self.statistics["elements"])[self.atoms[atoms]]
        return Molecule(
            numbers, self.positions[atoms].astype(float), self.charges[atoms].astype(np.int64), self.bonds[bonds].astype(np.int64)
        )


def originals(path: Path) -> list[Chem.Mol]:
    with gzip.open(path) as stream:
        return list(Chem.ForwardSDMolSupplier(stream, removeHs=False))


def canonical(mol: Chem.Mol, stereo: bool = True) -> str:
    options = Chem.RemoveHsParameters()
    options.removeDefiningBondStereo = True
    plain = Chem.RemoveHs(mol, options)
    if not stereo:
        Chem.RemoveStereochemistry(plain)
    return Chem.CanonSmiles(Chem.MolToSmiles(plain))


def pack(path: Path, out: Path, labels: Labels | None = None, **options: object) -> Reader:
    prepare(open_source(str(path)), out, labels, **options)
    return Reader(out)


@pytest.fixture(scope="module")
def qm9(tmp_path_factory) -> Reader:
    return pack(QM9, tmp_path_factory.mktemp("qm9") / "out", Labels(NAMED, ("logp", "qed")), licence="CC0-1.0")


@pytest.mark.parametrize("path", [QM9, LIGANDS / "neutral.sdf.gz", LIGANDS / "charged.sdf.gz"], ids=lambda path: path.name)
def test_molecules_survive_with_bonds_charges_stereo_and_geometry(path, tmp_path):
    packed, source = pack(path, tmp_path / "out"), originals(path)
    assert len(packed) == len(packed.smiles) == len(source)
    for i, original in enumerate(source):
        molecule = packed[i]
        mol = molecule.to_rdkit(sanitize=True)
        Chem.RemoveStereochemistry(original)
        Chem.AssignStereochemistryFrom3D(original)
        assert canonical(mol) == canonical(original)
        assert packed.smiles[i] == canonical(original, stereo=False)
        assert (molecule.bonds[:, 0] < molecule.bonds[:, 1]).all()
        positions = original.GetConformer().GetPositions()
        np.testing.assert_allclose(molecule.positions, positions - positions.mean(axis=0), atol=1e-5)


def test_without_hydrogens_the_heavy_graph_is_the_same(tmp_path):
    packed = pack(QM9, tmp_path / "out", hydrogens=False)
    assert 1 not in packed.statistics["elements"]
    assert packed.statistics["hydrogens"] is False
    for i, original in enumerate(originals(QM9)):
        Chem.Kekulize(original, clearAromaticFlags=True)
        heavy = [atom.GetIdx() for atom in original.GetAtoms() if atom.GetAtomicNum() > 1]
        number = {index: new for new, index in enumerate(heavy)}
        bonds = {
            (*sorted((number[bond.GetBeginAtomIdx()], number[bond.GetEndAtomIdx()])), int(bond.GetBondTypeAsDouble()))
            for bond in original.GetBonds()
            if bond.GetBeginAtomIdx() in number and bond.GetEndAtomIdx() in number
        }
        assert {tuple(row) for row in packed[i].bonds.tolist()} == bonds
        assert abs(packed[i].positions.mean(axis=0)).max() < 1e-5


def test_labels_are_those_of_the_record_and_of_rdkit(qm9):
    for i, original in enumerate(originals(QM9)):
        plain = Chem.RemoveHs(original)
        expected = [*(float(original.GetProp(name)) for name in NAMED), Crippen.MolLogP(plain), QED.qed(plain)]
        np.testing.assert_allclose(qm9.labels[i], expected, rtol=1e-6, atol=1e-6)


def test_statistics_equal_direct_counts(qm9):
    molecules = [qm9[i] for i in range(len(qm9))]
    found = qm9.statistics
    numbers = np.concatenate([molecule.atomic_numbers for molecule in molecules])
    sizes = np.array([len(molecule.atomic_numbers) for molecule in molecules])
    pairs = np.zeros(4)
    for molecule in molecules:
        n = len(molecule.atomic_numbers)
        matrix = np.zeros((n, n), dtype=int)
        matrix[molecule.bonds[:, 0], molecule.bonds[:, 1]] = molecule.bonds[:, 2]
        pairs += np.bincount(matrix[np.triu_indices(n, 1)], minlength=4)
    positions = np.concatenate([molecule.positions for molecule in molecules])
    assert found["num_molecules"] == len(molecules)
    assert found["num_atoms"] == len(numbers)
    assert found["elements"] == sorted(set(numbers.tolist()))
    assert found["sizes"] == {str(size): int((sizes == size).sum()) for size in sorted(set(sizes.tolist()))}
    np.testing.assert_allclose(found["atom_marginal"], [(numbers == element).mean() for element in found["elements"]])
    np.testing.assert_allclose(found["bond_marginal"], pairs / pairs.sum())
    assert found["coordinate_std"] == pytest.approx(np.sqrt((positions**2).sum() / (3 * (sizes - 1).sum())), rel=1e-6)
    assert [(label["name"], label["unit"]) for label in found["labels"]] == [
        ("homo_b3lyp", "eV"),
        ("gap_xtb", "eV"),
        ("logp", ""),
        ("qed", ""),
    ]
    for label, column in zip(found["labels"], qm9.labels.astype(float).T, strict=True):
        direct = [column.mean(), column.std(), column.min(), column.max()]
        np.testing.assert_allclose([label[name] for name in ("mean", "std", "min", "max")], direct)
        for size, (count, mean, std) in label["by_size"].items():
            group = column[sizes == int(size)]
            np.testing.assert_allclose([count, mean, std], [len(group), group.mean(), group.std()], atol=1e-12)


def test_card_tells_where_the_arrays_come_from(qm9, tmp_path):
    card = qm9.card
    assert (card["source"], card["sha256"], card["licence"]) == (QM9.name, sha256(QM9), "CC0-1.0")
    assert (card["records"], card["kept"], card["rejected"]) == (200, 200, {})
    assert set(card["arrays_sha256"]) >= {"positions.npy", "atoms.npy", "bonds.npy", "labels.npy"}


def test_shipped_samples_are_what_their_cards_say():
    cards = [yaml.safe_load((DATA / name / "card.yaml").read_text()) for name in ("qm9_sample", "ligands_sample")]
    assert sha256(QM9) == cards[0]["sha256"]
    for name, entry in cards[1]["files"].items():
        assert sha256(LIGANDS / name) == entry["sha256"]
        assert len(originals(LIGANDS / name)) == entry["molecules"]


def test_content_does_not_depend_on_workers(tmp_path, monkeypatch):
    monkeypatch.setattr("molgen.molecules.prepare.sdf.Sdf.chunk", 30)
    one = pack(QM9, tmp_path / "one", Labels(NAMED, ("qed",)), workers=1)
    two = pack(QM9, tmp_path / "two", Labels(NAMED, ("qed",)), workers=2)
    assert one.card == two.card  # with the checksums of all arrays
    assert one.smiles == two.smiles
    assert one.statistics == two.statistics


def test_split_is_deterministic_disjoint_and_complete(tmp_path, qm9):
    parts = ("train", "valid", "test")
    records = {}
    for run in ("a", "b"):
        prepare(open_source(str(QM9)), tmp_path / run, split=by_fraction("0.8,0.1,0.1", 3))
        records[run] = {part: Reader(tmp_path / run / part).records.tolist() for part in parts}
    assert records["a"] == records["b"]
    assert [len(records["a"][part]) for part in parts] == [160, 20, 20]
    assert sorted(record for part in parts for record in records["a"][part]) == list(range(200))
    part = Reader(tmp_path / "a" / "valid")
    for i, record in enumerate(part.records):
        assert part.smiles[i] == qm9.smiles[record]
        np.testing.assert_array_equal(part[i].positions, qm9[record].positions)
    other = {}
    prepare(open_source(str(QM9)), tmp_path / "c", split=by_fraction("0.8,0.1,0.1", 4))
    other = Reader(tmp_path / "c" / "valid").records.tolist()
    assert other != records["a"]["valid"]


def test_parts_share_their_types(tmp_path):
    prepare(open_source(str(LIGANDS / "neutral.sdf.gz")), tmp_path / "out", split=by_fraction("0.9,0.1", 0))
    train, valid = (Reader(tmp_path / "out" / part) for part in ("train", "valid"))
    assert train.statistics["elements"] == valid.statistics["elements"]
    assert train.statistics["charges"] == valid.statistics["charges"]


@pytest.mark.parametrize("count", [1, 2])
def test_a_set_of_one_molecule_and_of_one_size(count, tmp_path):
    source = tmp_path / "water.sdf"
    block = "water\n     test           3D\n\n  3  2  0  0  0  0  0  0  0  0999 V2000\n"
    block += "".join(f"{x:10.4f}{y:10.4f}{0:10.4f} {symbol}   0  0\n" for x, y, symbol in ((0, 0, "O"), (0.96, 0, "H"), (-0.24, 0.93, "H")))
    block += "  1  2  1  0\n  1  3  1  0\nM  END\n>  <y>\n2.5\n\n$$$$\n"
    source.write_text(block * count)
    packed = pack(source, tmp_path / "out", Labels(("y",)))
    assert packed.statistics["sizes"] == {"3": count}
    assert packed.statistics["labels"][0]["std"] == 0.0
    assert packed.statistics["labels"][0]["by_size"] == {"3": [count, 2.5, 0.0]}


def test_interrupted_work_is_taken_up_again(tmp_path, monkeypatch):
    monkeypatch.setattr("molgen.molecules.prepare.sdf.Sdf.chunk", 40)
    labels = Labels(NAMED)

    def stop(position: int, size: int, kept: int) -> None:
        if kept >= 120:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match=r"out\.partial keeps 120 finished records; the same command goes on from there"):
        prepare(open_source(str(QM9)), tmp_path / "out", labels, progress=stop)
    assert not (tmp_path / "out").exists()
    summary = prepare(open_source(str(QM9)), tmp_path / "out", labels)
    assert (summary.read, summary.kept, summary.resumed) == (200, 200, 120)
    assert not (tmp_path / "out.partial").exists()
    whole = pack(QM9, tmp_path / "whole", labels)
    assert Reader(tmp_path / "out").card == whole.card
    with pytest.raises(KeyboardInterrupt):
        prepare(open_source(str(QM9)), tmp_path / "other", labels, progress=stop)
    assert prepare(open_source(str(QM9)), tmp_path / "other", Labels(("dipole_xtb",))).resumed == 0


def test_a_split_without_molecules_loses_no_work(tmp_path):
    for fraction, words in (
        (0.0, r"part 'valid' gets no molecule; .*; .*out\.partial keeps 200 finished records, which are not"),
        (0.5, ""),
    ):

        def split(index, alike, share=fraction):
            return {"train": index >= share * 200, "valid": index < share * 200}

        with pytest.raises(InputError, match=words) if words else nullcontext():
            summary = prepare(open_source(str(QM9)), tmp_path / "out", Labels(NAMED), split=split, split_name=str(fraction))
    assert (summary.kept, summary.resumed) == (200, 200)
    assert not (tmp_path / "out.partial").exists()


def test_a_full_disk_keeps_what_is_finished(small_disk, monkeypatch):
    monkeypatch.setattr("molgen.molecules.prepare.sdf.Sdf.chunk", 20)
    with pytest.raises(
        InputError, match=r"no space left on the disk; .*out\.partial keeps [1-9]\d*0 finished records, which are not"
    ) as caught:
        prepare(open_source(str(QM9)), small_disk / "out", Labels(NAMED))
    assert "nothing was" not in str(caught.value)
    assert sorted(path.name for path in small_disk.iterdir()) == ["out.partial"]


@pytest.mark.parametrize("workers", ["1", "2"])  # one works in the process that is asked to stop, in the middle of RDKit's searches
def test_ctrl_c_in_a_terminal_leaves_only_work_to_resume(tmp_path, workers):
    many = tmp_path / "many.sdf"
    many.write_bytes(gzip.decompress(QM9.read_bytes()) * 60)
    arguments = ["prepare", str(many), "--out", str(tmp_path / "out"), "--compute", "qed", "--workers", workers]
    process = subprocess.Popen([sys.executable, "-c", "from molgen.cli import main; main()", *arguments], stderr=subprocess.PIPE, text=True)
    for _ in range(600):
        if list((tmp_path / "out.partial").glob("0*.npz")):
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert re.fullmatch(r"molgen: interrupted: .*out\.partial keeps \d+ finished records; the same command goes on from there\n", error)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["many.sdf", "out.partial"]


def test_require_labels_and_missing_labels(tmp_path):
    text = gzip.decompress(QM9.read_bytes()).decode().split("$$$$\n")[:4]
    text[2] = text[2].replace("<gap_xtb>", "<gap>")
    source = tmp_path / "some.sdf"
    source.write_text("".join(record + "$$$$\n" for record in text))
    summary = prepare(open_source(str(source)), tmp_path / "dropped", Labels(NAMED))
    assert (summary.kept, dict(summary.rejected)) == (3, {"label gap_xtb missing": 1})
    kept = pack(source, tmp_path / "kept", Labels(NAMED, allow_missing=True))
    assert np.isnan(kept.labels).tolist() == [[False, False], [False, False], [False, True], [False, False]]
    assert kept.statistics["labels"][1]["count"] == 3
    with pytest.raises(InputError, match=r"^some.sdf: record 3 \(gdb_\d+\): label gap_xtb missing; "):
        prepare(open_source(str(source)), tmp_path / "strict", Labels(NAMED), require_labels=True)
    assert not (tmp_path / "strict").exists()
    assert not (tmp_path / "strict.partial").exists()


def test_disagreement_is_the_largest_spread_of_one_molecule():
    molecules = np.array([3, 1, 3, 2, 1, 2, 4, 5, 5], np.uint64)
    values = np.array([7, -1, 4, 1, -1.5, 1 + 1e-7, 9, 2, np.nan], np.float32)
    assert disagreement(molecules, values) == (2, 3.0)
    assert disagreement(molecules, np.full(9, np.nan)) == disagreement(molecules[:0], values[:0]) == (0, 0.0)
    assert disagreement(np.array([1, 1]), np.array([-10_000, -9_999.5], np.float32)) == (1, 0.5)


def test_charges_are_counted(tmp_path):
    summary = prepare(open_source(str(LIGANDS / "charged.sdf.gz")), tmp_path / "out")
    packed = Reader(tmp_path / "out")
    assert summary.ions == sum(packed[i].charges.sum() != 0 for i in range(len(packed))) > 0
    found = packed.statistics
    assert len(found["charges"]) > 1
    np.testing.assert_allclose(found["charge_marginal"], [(packed.charges == charge).mean() for charge in found["charges"]])


@pytest.mark.parametrize(("largest", "hydrogens", "fits"), [(5, True, True), (4, True, False), (1, False, True)])
def test_a_model_takes_as_many_atoms_as_it_has_seen(largest, hydrogens, fits):
    fit = Fit("m", Vocabulary(frozenset({1, 6}), frozenset({0}), largest, hydrogens))
    with nullcontext() if fits else pytest.raises(Rejected, match="more than 4 atoms, the most of the model m"):
        fit.check(Chem.AddHs(Chem.MolFromSmiles("C")))


def test_a_vocabulary_tells_what_it_lacks():
    own = Vocabulary(frozenset({1, 6, 7}), frozenset({0, 1}), 9)
    assert own.lacking([6, 35, 9, 1], [-1]) == "F, Br"
    assert own.lacking([6], [-1, 2, 0, 1]) == "the charge -1, +2"
    assert own.lacking([6, 1], [1, 0]) == ""
    molecules = [Molecule.from_smiles(smiles) for smiles in ("CC", "CCC", "CO", "C[NH3+]")]
    assert [own.holds(molecule) for molecule in molecules] == [True, False, False, True]


def test_a_planar_molecule_is_no_drawing_and_an_atom_of_four_neighbours_is_not_planar():
    around = np.array([[np.cos(a), np.sin(a), 0] for a in np.arange(4) * np.pi / 2])
    bonds = np.array([[0, 1, 1], [0, 2, 1], [0, 3, 1], [0, 4, 1]])
    numbers, positions = np.array([6, 1, 1, 1, 1]), np.vstack([np.zeros(3), around])
    for atoms, drawn in ((4, False), (5, True)):  # carbon with three and with four
        planar = Molecule(numbers[:atoms], positions[:atoms], np.zeros(atoms, int), bonds[: atoms - 1])
        with pytest.raises(Rejected, match=r"^2D coordinates$") if drawn else nullcontext():
            check_atoms(planar.to_rdkit())
