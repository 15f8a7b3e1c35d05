"""P1, P2s, P2 and validity: real molecules score what they should, broken ones are caught by the check that should catch them."""

import numpy as np
import pytest

from molgen.evaluate.summary import first_occurrences
from molgen.molecules.export import read_records
from molgen.molecules.metrics.elements import NUMBERS
from molgen.molecules.metrics.geometry import geometry
from molgen.molecules.metrics.stability import STRICT, bond_length_table, distance_lookup, lenient, lookup_bonds, num_fragments, strict
from molgen.molecules.metrics.validity import FEW_HYDROGENS, canonical, lookup_validity, validity
from molgen.molecules.molecule import Molecule

from .conftest import BROKEN, embed


def test_real_molecules_under_p1(real):
    results = [distance_lookup(molecule) for molecule in real]
    atoms = sum(r["p1_stable_atoms"] for r in results) / sum(r["p1_atoms"] for r in results)
    assert 100 * atoms == pytest.approx(99.4, abs=0.2)
    assert 100 * np.mean([r["p1_stable"] for r in results]) == pytest.approx(95.8, abs=1.0)
    assert 100 * np.mean([lookup_validity(molecule)["p1_valid"] for molecule in real]) == pytest.approx(97.8, abs=0.7)
    assert all(bool(r["p1_reason"]) != r["p1_stable"] for r in results)


def test_real_molecules_are_strictly_stable_and_valid(real):
    for molecule in real:
        assert strict(molecule)["p2s_stable"]
        assert lenient(molecule)["p2_stable"]
    verdicts = [validity(molecule) for molecule in real[:300]]
    assert all(verdict["valid"] for verdict in verdicts)
    published = [canonical(str(molecule.properties["gdb_smiles"])) for molecule in real[:300]]
    assert np.mean([verdict["smiles"] == smiles for verdict, smiles in zip(verdicts, published, strict=True)]) > 0.98


@pytest.mark.parametrize("name", BROKEN)
def test_each_check_catches_what_it_should(name):
    make, is_strict, is_lenient, is_valid, is_plausible = BROKEN[name]
    molecule = make()
    results = [strict(molecule), lenient(molecule), validity(molecule)]
    assert results[0]["p2s_stable"] is is_strict, results[0]
    assert results[1]["p2_stable"] is is_lenient, results[1]
    assert results[2]["valid"] is is_valid, results[2]
    if is_plausible is not None:
        results.append(geometry(molecule))
        assert results[3]["geometry"] is is_plausible, results[3]
    for result, key in zip(results, ("p2s_stable", "p2_stable", "valid", "geometry"), strict=False):
        reason = result[key.removesuffix("_stable") + "_reason"]
        assert bool(reason) != result[key]


@pytest.mark.parametrize(
    ("symbol", "charge", "stable"), [("H", 1, True), ("H", -1, True), ("F", -1, True), ("H", 0, False), ("F", 1, False)]
)
def test_bare_ions_of_hydrogen_and_fluorine_are_stable_in_the_lenient_table_alone(symbol, charge, stable):
    ion = Molecule(np.array([NUMBERS[symbol]]), np.zeros((1, 3)), np.array([charge]), np.zeros((0, 3), dtype=np.int64))
    assert lenient(ion)["p2_stable"] is stable
    assert strict(ion)["p2s_stable"] is False


def test_the_lenient_table_admits_exactly_three_open_shells(real):
    """Over every (element, charge, sum) of the tables, P2 and P2s differ in four entries, all of them open-shell."""
    differing = []
    for symbol, charges in STRICT.items():
        for charge in range(-2, 3):
            for total in range(1, 7):
                # one atom bonded to `total` dummy hydrogens, whose own stability is known
                molecule = Molecule(
                    np.array([NUMBERS[symbol]] + [1] * total),
                    np.arange(3.0 * (total + 1)).reshape(-1, 3),
                    np.array([charge] + [0] * total),
                    np.array([[0, i, 1] for i in range(1, total + 1)]),
                )
                stable = [f(molecule)[key] == total + 1 for f, key in ((strict, "p2s_stable_atoms"), (lenient, "p2_stable_atoms"))]
                assert stable[0] == (total in charges.get(charge, ()))
                if stable[0] != stable[1]:
                    differing.append((symbol, charge, total))
    assert differing == [("C", 0, 3), ("N", 0, 2), ("N", 1, 2), ("N", 1, 3)]


def test_reasons_name_the_cause():
    assert strict(BROKEN["pentavalent carbon"][0]())["p2s_reason"] == "C charge +0 with bond-order sum 5"
    assert strict(BROKEN["two fragments"][0]())["p2s_reason"] == "2 fragments"
    assert strict(BROKEN["cation"][0]())["p2s_reason"] == "total charge +1"
    assert validity(BROKEN["trivalent neutral carbon"][0]())["valid_reason"] == "1 unpaired electrons"
    bare = [Molecule(np.array([z, 1]), np.array([[0.0, 0, 0], [1.0, 0, 0]]), np.zeros(2, int), np.array([[0, 1, 1]])) for z in (8, 6)]
    assert [validity(molecule)["valid_reason"] for molecule in bare] == ["1 unpaired electrons", FEW_HYDROGENS]  # one, and three
    assert validity(BROKEN["pentavalent carbon"][0]())["valid_reason"] == "RDKit: Explicit valence for atom C, 5, is greater than permitted"
    assert geometry(BROKEN["collapsed geometry"][0]())["geometry_reason"] == "atoms on top of each other"
    assert "clash" in geometry(BROKEN["hydrogen inverted into a ring"][0]())["geometry_reason"]


@pytest.mark.parametrize(("distance", "order"), [(1.64, 0), (1.63, 1), (1.40, 1), (1.38, 2), (1.24, 2), (1.22, 3)])
def test_lookup_thresholds_of_carbon_pairs(distance, order):
    """Single 154 + 10, double 134 + 5, triple 120 + 3 pm."""
    bonds = lookup_bonds(np.array([6, 6]), np.array([[0.0, 0, 0], [distance, 0, 0]]))
    assert (bonds[0, 2] if len(bonds) else 0) == order


def test_the_table_holds_the_published_numbers(shared):
    import json

    published = json.loads((shared / "bond_lengths.json").read_text())
    table = bond_length_table()
    assert {key: table[key] for key in ("single", "double", "triple", "margin", "allowed_valence")} == {
        key: published[key] for key in ("single", "double", "triple", "margin", "allowed_valence")
    }
    assert "2203.17003" in table["source"]


def test_fragments_are_counted_like_rdkit_counts_them(real):
    from rdkit import Chem

    for molecule in real[:30]:
        cut = Molecule(molecule.atomic_numbers, molecule.positions, molecule.charges, molecule.bonds[::2])
        assert num_fragments(len(cut), cut.bonds) == len(Chem.GetMolFrags(cut.to_rdkit()))


def test_smiles_do_not_depend_on_stereo_isotopes_or_order():
    mirror = [validity(embed(smiles))["smiles"] for smiles in ("C[C@H](N)O", "C[C@@H](N)O")]
    assert mirror[0] == mirror[1] == canonical("OC(C)N") == canonical("[2H]OC(C)N")
    assert validity(embed("C/C=N/[H]"))["smiles"] == validity(embed("C/C=N\\[H]"))["smiles"] == "CC=N"


def test_smiles_are_those_of_packed_data(shared, tmp_path):
    """Novelty compares with `smiles.txt`, so both sides must write the same molecule the same way."""
    from click.testing import CliRunner

    from molgen.cli import main

    records = list(read_records(shared / "qm9" / "valid.sdf.gz"))[:150] + list(read_records(shared / "ligands" / "neutral.sdf.gz"))[:40]
    (tmp_path / "some.sdf").write_text("".join(records))
    result = CliRunner().invoke(main, ["prepare", str(tmp_path / "some.sdf"), "--out", str(tmp_path / "packed")], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    from molgen.molecules.records import read_sdf_record

    mine = {validity(read_sdf_record(text))["smiles"] for text in records} - {""}
    packed = set((tmp_path / "packed" / "smiles.txt").read_text().split())
    assert len(packed) > 150
    assert packed <= mine


def test_first_occurrences_count_distinct_keys():
    keys = np.array([5, 3, 5, 5, 0, 3])
    assert first_occurrences(keys).tolist() == [True, True, False, False, True, False]


def test_the_headline_metrics_need_no_rdkit():
    import subprocess
    import sys

    code = "import sys; from molgen.molecules.metrics.stability import strict, lenient, distance_lookup; print('rdkit' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
