"""Whole evaluations: figures, intervals, broken files, memorisation, requests."""

import importlib.util
import os
import tracemalloc
from collections import Counter
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem, Descriptors
from scipy.stats import binom, binomtest

from molgen.errors import InputError
from molgen.evaluate import Settings, evaluate
from molgen.evaluate.data import open_source
from molgen.evaluate.distributions import DISTRIBUTIONS
from molgen.evaluate.run import make_yardstick
from molgen.evaluate.score import Checks, Scores, score
from molgen.evaluate.summary import RESAMPLES, _distance, median, ratio, set_figures, share, summarise
from molgen.evaluate.tally import BLOCKS, LARGEST_SET, OTHER, Tally
from molgen.known import Known, fingerprint
from molgen.molecules.export import BrokenRecord, read_molecules, write_molecules, write_sdf
from molgen.molecules.molecule import Molecule
from molgen.molecules.records import write_sdf_record

HERE = Settings(workers=0, perceive=False)


@pytest.fixture(scope="module")
def real(samples_of_qm9) -> list[Molecule]:
    return list(read_molecules(samples_of_qm9))


@pytest.fixture(scope="module")
def reference(real, tmp_path_factory):
    path = tmp_path_factory.mktemp("reference") / "real.sdf"
    write_sdf(path, real[:60])
    return path


def without_hydrogen(molecule: Molecule) -> Molecule:
    """A carbon radical: the molecule without one hydrogen."""
    i, j = molecule.bonds[:, 0], molecule.bonds[:, 1]
    gone = int(j[(molecule.atomic_numbers[i] == 6) & (molecule.atomic_numbers[j] == 1)][-1])
    keep = np.arange(len(molecule)) != gone
    bonds = molecule.bonds[(molecule.bonds[:, :2] != gone).all(axis=1)].copy()
    bonds[:, :2] -= bonds[:, :2] > gone
    return Molecule(molecule.atomic_numbers[keep], molecule.positions[keep], molecule.charges[keep], bonds)


def test_a_pipe_is_no_missing_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.sdf")
    for part in ("", "train"):
        with pytest.raises(InputError, match=r"pipe\.sdf: is no regular file"):
            open_source(tmp_path / "pipe.sdf", part)


def test_figures_count_everything_that_was_asked_for(real, reference, tmp_path):
    path = tmp_path / "samples.sdf"
    samples = [*real[60:90], *real[60:64], *(without_hydrogen(molecule) for molecule in real[90:96])]
    write_sdf(path, samples)
    with path.open("a") as file:
        file.write("rubbish\n$$$$\n" * 4)
    outcome = evaluate(path, reference, reference, replace(HERE, asked=50))
    figures = outcome.samples.figures
    assert (outcome.samples.records, outcome.samples.asked) == (44, 50)
    assert figures["p2s_stable"].value == figures["valid"].value == pytest.approx(34 / 50)
    assert figures["p2_stable"].value == pytest.approx(40 / 50)
    assert figures["valid_unique"].value == pytest.approx(30 / 50)
    known = {fingerprint(smiles) for smiles in _smiles(real[:60])}
    new = sum(fingerprint(smiles) not in known for smiles in set(_smiles(real[60:90])))
    assert figures["valid_unique_novel"].value == pytest.approx(new / 50)
    assert figures["unique_of_valid"].value == pytest.approx(30 / 34)
    assert figures["novel_of_unique"].value == pytest.approx(new / 30)
    exact = binomtest(34, 50).proportion_ci(method="exact")
    assert (figures["p2s_stable"].low, figures["p2s_stable"].high) == pytest.approx((exact.low, exact.high), abs=1e-9)
    assert outcome.samples.reasons["record"] == {"record without M  END (cut off?)": 4}
    assert outcome.samples.reasons["valid"] == {"1 unpaired electrons": 6}
    assert outcome.real is not None
    assert outcome.real.figures["p2s_stable"].value == 1.0
    assert outcome.samples.figures["bond_lengths_w1"].value < 0.03


def _smiles(molecules):
    from molgen.molecules.metrics.validity import validity

    return [validity(molecule)["smiles"] for molecule in molecules]


def test_a_distorted_geometry_moves_every_distance(real, reference):
    rng = np.random.default_rng(0)
    shaken = [replace(m, positions=m.positions + 0.1 * rng.normal(size=m.positions.shape)) for m in real[60:]]
    yardstick = make_yardstick(reference, None, HERE)
    good, bad = (summarise(_tally(m), None, yardstick.tally).figures for m in (real[60:], shaken))
    for name in ("bond_lengths_w1", "bond_angles_w1"):
        assert bad[name].low > good[name].high
    for name in ("atoms_w1", "mw_w1", "atom_types_tv", "valences_w1"):
        assert bad[name].value == pytest.approx(good[name].value)


def test_the_interval_of_a_distance_is_around_it(real, reference):
    """Resampling twenty molecules adds noise of its own, which makes most distances larger."""
    figures = summarise(_tally(real[60:80]), None, make_yardstick(reference, None, HERE).tally).figures
    for name in ("bond_lengths_w1", "bond_angles_w1", "atoms_w1", "qed_w1", "atom_types_tv", "bond_types_tv"):
        figure = figures[name]
        assert np.median(figure.resamples) == pytest.approx(figure.value)
        assert 0 <= figure.low < figure.value < figure.high


def _tally(molecules) -> Tally:
    from molgen.evaluate.score import Checks, score

    tally = Tally("test")
    for molecule in molecules:
        tally.add(score(molecule, Checks(perceive=False)))
    return tally


def test_no_end_of_the_interval_of_a_distance_is_negative():
    """Values from 0 to 1 are moved by 0.1 - 0.5."""
    found = _distance(np.concatenate([[0.1], np.linspace(0, 1, RESAMPLES)]), BLOCKS)
    assert (found.value, found.low, found.high) == (0.1, 0.0, pytest.approx(0.975 - 0.4))
    assert np.median(found.resamples) == pytest.approx(0.1)


def test_memorised_samples_are_found_and_their_conformers_compared(real, reference, tmp_path):
    rng = np.random.default_rng(0)
    copies = [replace(m, positions=m.positions + 0.02 * rng.normal(size=m.positions.shape)) for m in real[:10]]
    write_sdf(tmp_path / "samples.sdf", [*copies, *real[60:70]])
    figures = evaluate(tmp_path / "samples.sdf", None, reference, HERE).samples.figures
    assert figures["memorised"].value == pytest.approx(0.5)
    assert 0.005 < figures["memorised_rmsd"].value < 0.05
    for name in ("known.xyz", "known.smi.gz"):
        write_molecules(tmp_path / name, real[:60])
        again = evaluate(tmp_path / "samples.sdf", None, tmp_path / name, HERE).samples.figures
        assert again["memorised"].value == pytest.approx(0.5)
        assert ("memorised_rmsd" in again) == (name == "known.xyz")  # SMILES have no conformers


def test_requests_are_measured_and_compared_with_both_baselines(real, reference, tmp_path):
    from molgen.molecules.metrics.descriptors import descriptors

    measured = [descriptors(m.to_rdkit(sanitize=True))["logp"] for m in real[:40]]
    asked = [
        replace(m, properties={"requested_logp": value + 0.25, "index": k})
        for k, (m, value) in enumerate(zip(real, measured, strict=False))
    ]
    write_sdf(tmp_path / "samples.sdf", asked[:-1])
    outcome = evaluate(tmp_path / "samples.sdf", None, None, HERE).samples
    assert outcome.figures["logp:mae"].value == pytest.approx(0.25, abs=1e-6)
    assert outcome.figures["logp:not_measured"].value == 0
    with (tmp_path / "samples.sdf").open("a") as file:
        file.write("rubbish\n$$$$\n")
    fewer = evaluate(tmp_path / "samples.sdf", None, None, replace(HERE, asked=50)).samples.figures
    assert (fewer["logp:requests"].value, fewer["logp:not_measured"].value) == (50, pytest.approx(11 / 50))
    labelled = [replace(m, properties={"requested_gap_xtb": m.properties["gap_xtb"]}) for m in real[60:80]]
    write_sdf(tmp_path / "gaps.sdf", labelled)
    gaps = evaluate(tmp_path / "gaps.sdf", reference, None, HERE).samples
    assert np.isnan(gaps.figures["gap_xtb:unconditional"].value)
    if importlib.util.find_spec("tblite"):
        assert 0.3 < gaps.figures["gap_xtb:size_only"].value < gaps.figures["gap_xtb:real_molecules"].value < 6
        assert gaps.figures["gap_xtb:mae"].value < 2e-3
        assert gaps.notes == []
    else:
        assert gaps.figures["gap_xtb:not_measured"].value == 1
        assert "tblite is not installed" in gaps.notes[0]


def test_each_real_molecule_gives_a_label_once(real):
    """What is measured stands for labels of its name; other labels are taken as they are."""
    labels = {"mw": 1.0, "heavy": 9, "rotatable": 0, "fsp3": 0.5, "logp": 0.1, "colour": 7.0}
    labelled = [replace(m, properties=dict(labels)) for m in real[:20]]
    tally = Tally("real", real=True)
    for molecule in [*labelled, without_hydrogen(labelled[0])]:
        tally.add(score(replace(molecule, properties=dict(labels)), Checks(perceive=False)))
    assert {name: len(tally.labels[name].values) for name in labels} == dict.fromkeys(labels, 21)
    weights = [Descriptors.MolWt(m.to_rdkit(sanitize=True)) for m in labelled]
    assert list(tally.labels["mw"].values) == pytest.approx([*weights, 1.0])  # a radical has its label alone


def test_unconditional_samples_are_measured_as_the_requested_ones_are(real, tmp_path):
    """Request 1 logP from molecules that have theirs; the baseline file holds three molecules of their sizes and one radical."""
    from molgen.molecules.metrics.descriptors import descriptors

    asked = real[60]
    same = [m for m in real if len(m) == len(asked) and m is not asked][:3]
    write_sdf(tmp_path / "samples.sdf", [replace(asked, properties={"requested_logp": 1.0, "requested_homo_b3lyp": -6.0})])
    write_sdf(tmp_path / "free.sdf", [*same, without_hydrogen(same[0])])
    with (tmp_path / "free.sdf").open("a") as file:
        file.write("rubbish\n$$$$\n")
    outcome = evaluate(tmp_path / "samples.sdf", "qm9", None, HERE, baseline=tmp_path / "free.sdf").samples
    logp = [descriptors(m.to_rdkit(sanitize=True))["logp"] for m in same]
    assert outcome.figures["logp:unconditional"].value == pytest.approx(np.mean(np.abs(np.array(logp) - 1.0)))
    write_molecules(tmp_path / "free.xyz", [replace(m, properties={"model": "qm9"}) for m in same])  # bonds are told by the geometry
    by_geometry = evaluate(tmp_path / "samples.sdf", None, None, HERE, baseline=tmp_path / "free.xyz").samples
    assert by_geometry.figures["logp:unconditional"].value == pytest.approx(np.mean(np.abs(np.array(logp) - 1.0)))
    homo = [float(m.properties["homo_b3lyp"]) for m in same]
    assert outcome.figures["homo_b3lyp:unconditional"].value == pytest.approx(np.mean(np.abs(np.array(homo) + 6)), abs=0.3)
    assert outcome.figures["homo_b3lyp:mae"].value == pytest.approx(abs(float(asked.properties["homo_b3lyp"]) + 6), abs=0.5)
    assert "homo_b3lyp is estimated by a network" in outcome.notes[0]
    (tmp_path / "empty.sdf").write_text("rubbish\n$$$$\n")
    with pytest.raises(InputError, match="no record is a molecule in three dimensions"):
        evaluate(tmp_path / "samples.sdf", None, None, HERE, baseline=tmp_path / "empty.sdf")


def test_a_request_that_nothing_can_measure_is_noted(real, tmp_path):
    write_sdf(tmp_path / "samples.sdf", [replace(real[0], properties={"requested_colour": 1.0})])
    outcome = evaluate(tmp_path / "samples.sdf", None, None, HERE).samples
    assert outcome.notes[0].startswith("colour: requested, but there is no way to compute it; known are acceptors, aromatic_rings, dipole_")
    assert outcome.figures["colour:not_measured"].value == 1


def test_the_real_row_has_novelty_and_coverage(real, reference, tmp_path):
    """Of the real molecules themselves: in training are 20 of 60; coverage is of the odd records by the even ones."""
    from molgen.molecules.metrics.descriptors import scaffold

    write_sdf(tmp_path / "train.sdf", real[:20])
    figures = make_yardstick(reference, tmp_path / "train.sdf", HERE).summary.figures
    assert figures["valid_unique_novel"].value == pytest.approx(40 / 60, abs=0.02)
    assert figures["p1_valid_unique_novel"].value == pytest.approx(40 / 60, abs=0.06)
    assert figures["p1_valid_unique_novel"].value <= figures["p1_valid_unique"].value
    rings = [scaffold(m.to_rdkit(sanitize=True)) for m in real[:60]]
    odd = set(rings[1::2]) - {""}
    assert figures["scaffolds_covered"].value == pytest.approx(len(odd & set(rings[::2])) / len(odd))


def test_the_reference_that_ships_knows_what_is_in_training(shared, tmp_path):
    write_sdf(tmp_path / "train.sdf", islice(read_molecules(shared / "qm9" / "valid.sdf.gz"), 5, 660, 33))
    stored = make_yardstick("qm9", tmp_path / "train.sdf", HERE).summary.figures
    assert stored["valid_unique_novel"].value == pytest.approx(1 - 20 / 4000, abs=0.002)
    assert 0 < stored["scaffolds_covered"].value < 1


def test_a_file_without_bonds_is_scored_by_its_geometry(real, tmp_path):
    write_molecules(tmp_path / "samples.xyz", real[60:72])
    outcome = evaluate(tmp_path / "samples.xyz", settings=HERE).samples
    assert outcome.figures["p2s_stable"].value == 1
    assert outcome.notes == ["12 records came without bonds; theirs were perceived from the geometry"]


@pytest.mark.parametrize(("name", "told"), [("samples.xyz", "charge= in the comment"), ("samples.sdf", "the tag charge")])
def test_a_record_whose_geometry_tells_no_bonds_fails_every_check_of_bonds(real, tmp_path, name, told):
    """Two ions that do not say that they are some, beside ten molecules of one piece without radicals."""
    ions = [replace(embedded(smiles), charges=np.zeros(atoms, np.int64)) for smiles, atoms in (("[NH4+]", 5), ("C[NH3+]", 8))]
    write_molecules(tmp_path / name, [replace(m, bonds=m.bonds[:0]) for m in [*real[60:70], *ions]])
    found = evaluate(tmp_path / name, settings=HERE).samples
    for check in ("p2s_stable", "p2_stable", "sanitizes", "valid", "geometry"):
        assert found.figures[check].value == pytest.approx(10 / 12), check
    atoms = sum(map(len, real[60:70]))
    assert found.figures["p2s_atom"].value == found.figures["p2_atom"].value == pytest.approx(atoms / (atoms + 13))
    assert found.figures["atoms"].value == pytest.approx((atoms + 13) / 12)  # P1 and the size need no bonds
    assert found.figures["p1_atom"].value > atoms / (atoms + 13)
    assert (found.figures["fragments"].value, found.figures["radical_electrons"].value) == (1, 0)
    for check in ("p2s", "p2", "valid", "geometry"):
        assert found.reasons[check] == {"no bonds fit the geometry": 2}, check
    assert found.notes == [
        "10 records came without bonds; theirs were perceived from the geometry",
        "2 of 12 records: no bonds fit the geometry; they count as failed "
        f"(all hydrogens have to be atoms; a total charge other than 0 is told by {told})",
    ]


def test_heavy_atoms_alone_are_no_molecules(tmp_path):
    """Without their hydrogens rings would be cumulenes and allyl chains cations, some of which are closed shells."""
    benzene, water = embedded("c1ccccc1"), embedded("O")
    bare = [replace(m.take(m.atomic_numbers > 1), bonds=m.bonds[:0]) for m in (benzene, embedded("C1CCCC1"))]
    write_molecules(tmp_path / "bare.xyz", [*bare, water])
    found = evaluate(tmp_path / "bare.xyz", settings=HERE).samples
    assert found.figures["valid"].value == pytest.approx(1 / 3)
    assert found.reasons["valid"] == {"no bonds fit the geometry": 2}


def test_coordinates_in_nanometres_tell_no_bonds(real, tmp_path):
    """Perception finds some, of a tenth of their lengths."""
    write_molecules(tmp_path / "nm.xyz", [replace(m, positions=0.1 * m.positions) for m in real[:8]])
    found = evaluate(tmp_path / "nm.xyz", settings=HERE).samples
    assert (found.figures["valid"].value, found.figures["p2s_stable"].value) == (0, 0)
    assert found.reasons["p2s"] == {"no bonds fit the geometry": 8}


@pytest.mark.parametrize(("name", "scale", "length"), [("a.sdf", 0.1, 0.1), ("a.xyz", 0.1, 0.1), ("a.xyz", 1 / 0.529177, 1.89)])
def test_another_unit_than_angstrom_is_told(real, tmp_path, name, scale, length):
    write_molecules(tmp_path / name, [replace(m, positions=scale * m.positions) for m in real[:12]])
    notes = evaluate(tmp_path / name, settings=HERE).samples.notes
    (line,) = [note for note in notes if "usual length" in note]
    which, _, rest = line.partition(" bonds of ")
    assert which == "12 of the first 12 molecules have"
    assert float(rest.partition(" times")[0]) == pytest.approx(length, rel=0.1)
    assert line.endswith("give coordinates in Å (not nm, 0.1, or bohr, 1.9)")
    assert not any("charge" in note for note in notes)  # which is not what is wrong


def test_a_few_molecules_of_odd_lengths_are_no_other_unit(real, tmp_path):
    some = [replace(m, positions=0.1 * m.positions) for m in real[:5]]
    write_sdf(tmp_path / "a.sdf", [*some, *real[5:10]])
    assert evaluate(tmp_path / "a.sdf", settings=HERE).samples.notes == []


def test_a_draw_without_bonds_is_not_helped(real, tmp_path):
    tags = {"model": "mine", "seed": 0, "index": 3, "steps": 50}
    bare = [replace(m, bonds=m.bonds[:0], properties=tags) for m in real[60:64]]
    write_sdf(tmp_path / "samples.sdf", [*bare, *real[64:70]])
    outcome = evaluate(tmp_path / "samples.sdf", settings=HERE).samples
    assert outcome.figures["valid"].value == outcome.figures["p2s_stable"].value == 0.6
    assert not any("perceived" in note for note in outcome.notes)


def test_coordinates_are_scored_where_bonds_are_unusual(real, tmp_path):
    samples = [replace(molecule, properties={"title": "one", "requested_logp": 1.0}) for molecule in real[:8]]
    texts = [write_sdf_record(molecule) for molecule in samples]
    query, aromatic = "bond of type unspecified", "aromatic bonds without a Kekulé form"
    odd = {8: query, 9: "bond of type dative", 4: aromatic, 5: query}
    for place, kind in enumerate(odd, 1):  # the first bond of four of the molecules
        rows = texts[place].split("\n")
        row = rows[4 + len(samples[place])]
        rows[4 + len(samples[place])] = f"{row[:6]}{kind:3d}{row[9:]}"
        texts[place] = "\n".join(rows)
    (tmp_path / "whole.sdf").write_text("".join(write_sdf_record(molecule) for molecule in samples))
    (tmp_path / "odd.sdf").write_text("".join(texts))
    settings = Settings(workers=0, keep=8)
    whole, found = (evaluate(tmp_path / name, settings=settings) for name in ("whole.sdf", "odd.sdf"))
    for name in ("p1_atom", "p1_stable", "p1_valid", "p1_valid_unique", "read"):
        assert found.samples.figures[name] == whole.samples.figures[name]
    assert np.array_equal(found.tally.histograms["atoms"][""], whole.tally.histograms["atoms"][""])
    for name in ("p2s_stable", "p2_stable", "sanitizes", "valid", "geometry", "agreement"):
        assert found.samples.figures[name].value == pytest.approx(whole.samples.figures[name].value - 4 / 8)
    expected = dict(Counter(odd.values()))
    assert all(found.samples.reasons[check] == expected for check in ("p2s", "p2", "valid"))
    assert "record" not in found.samples.reasons
    assert [len(scores.molecule.bonds) > 0 for scores in found.tally.kept] == [True] + [False] * 4 + [True] * 3
    assert found.samples.figures["logp:not_measured"].value == 4 / 8
    assert [isinstance(record, BrokenRecord) for record in read_molecules(tmp_path / "odd.sdf")] == [False] + [True] * 4 + [False] * 3


def test_a_data_set_without_hydrogens_is_scored_with_those_that_it_implies(real, tmp_path):
    from molgen.molecules.prepare import open_source, prepare

    write_sdf(tmp_path / "real.sdf", real[:12])
    prepare(open_source(str(tmp_path / "real.sdf")), tmp_path / "packed", hydrogens=False)
    figures = evaluate(tmp_path / "packed", settings=HERE).samples.figures
    assert figures["valid"].value == figures["p2s_stable"].value == 1


def test_large_integers_among_the_tags_do_no_harm(real, tmp_path):
    write_sdf(tmp_path / "samples.sdf", [replace(m, properties={"batch": 20231231123456, "seed": 3_000_000_000}) for m in real[:4]])
    outcome = evaluate(tmp_path / "samples.sdf", settings=HERE).samples
    assert outcome.figures["valid"].value == 1
    assert outcome.run["seed"] == "3000000000"


def test_words_in_tags_of_other_programs_do_no_harm(real, tmp_path):
    tags = [{"steps": "1000 (DDPM)"}, {"steps": 50, "candidates": "four"}, {"steps": 50, "candidates": 4}]
    write_sdf(tmp_path / "samples.sdf", [replace(m, properties=tag) for m, tag in zip(real[:3], tags, strict=True)])
    assert evaluate(tmp_path / "samples.sdf", settings=HERE).samples.run["network calls"] == "200"


@pytest.mark.parametrize(("guidance", "calls"), [(1, "100"), (0, "100"), (2.0, "200")])
def test_guidance_doubles_the_network_calls_of_every_candidate(real, tmp_path, guidance, calls):
    write_sdf(tmp_path / "samples.sdf", [replace(real[0], properties={"steps": 50, "candidates": 2, "guidance": guidance})])
    assert evaluate(tmp_path / "samples.sdf", settings=HERE).samples.run["network calls"] == calls


def test_bonds_that_do_not_fit_the_geometry_are_noticed(real, tmp_path):
    rolled = [replace(m, positions=np.roll(m.positions, 1, axis=0)) for m in real[60:66]]
    write_sdf(tmp_path / "samples.sdf", [*real[60:66], *rolled])
    figures = evaluate(tmp_path / "samples.sdf", settings=Settings(workers=0)).samples.figures
    assert figures["agreement"].value == 0.5
    assert figures["geometry"].value == 0.5
    assert figures["p2s_stable"].value == 1


def test_records_that_lack_bonds_say_nothing_of_how_well_bonds_fit(real, tmp_path):
    """Six with their bonds and four without; a draw of a model without bonds counts against it, and so does a broken record."""
    bare = [replace(m, bonds=m.bonds[:0]) for m in real[66:70]]
    write_sdf(tmp_path / "samples.sdf", [*real[60:66], *bare])
    found = evaluate(tmp_path / "samples.sdf", settings=Settings(workers=0)).samples
    assert found.figures["agreement"].value == 1
    assert found.figures["agreement"].low == pytest.approx(0.025 ** (1 / 6))
    assert "agreement" not in found.reasons
    drawn = replace(bare[0], properties={"model": "mine", "seed": 0, "index": 7, "steps": 50})
    write_sdf(tmp_path / "samples.sdf", [*real[60:66], *bare, drawn])
    with (tmp_path / "samples.sdf").open("a") as file:
        file.write("rubbish\n$$$$\n")
    found = evaluate(tmp_path / "samples.sdf", settings=replace(Settings(workers=0), asked=14)).samples
    assert found.figures["agreement"].value == pytest.approx(6 / 10)
    assert sum(found.reasons["agreement"].values()) == 1


def test_bonds_that_do_not_fit_have_a_reason(real):
    good, checks = real[60], Checks()
    fewer = replace(good, bonds=good.bonds[:-1])
    far = replace(good, positions=good.positions * 10)
    charged = replace(good, charges=np.array([1, -1] + [0] * (len(good) - 2)))
    reasons = [score(molecule, checks).reasons.get("agreement") for molecule in (good, fewer, far, charged)]
    assert reasons == [None, "other atoms are bonded", "no bonds fit the geometry", "other bond orders or charges"]
    helium = Molecule(np.array([2]), np.zeros((1, 3)), np.zeros(1, np.int64), np.zeros((0, 3), np.int64))
    assert score(helium, checks).reasons["agreement"] == "unknown element"
    assert score(helium, Checks(perceive=False)).passed.get("agreement") is None


def test_a_tag_of_ones_own_that_is_called_model_leaves_records_without_bonds_their_perception(real, tmp_path):
    write_sdf(tmp_path / "samples.sdf", [replace(m, bonds=m.bonds[:0], properties={"model": "EDM"}) for m in real[60:66]])
    found = evaluate(tmp_path / "samples.sdf", settings=Settings(workers=0)).samples
    assert found.figures["valid"].value == found.figures["p2s_stable"].value == 1


@pytest.mark.parametrize("smiles", ["C[N+](=O)[O-]", "O=C([O-])C[NH3+]", "CC(=O)[O-]"])
def test_bonds_agree_whichever_of_two_equivalent_atoms_has_the_charge(smiles):
    drawn = embedded(smiles)
    mol = drawn.to_rdkit()
    ends = [atom.GetIdx() for atom in mol.GetAtoms() if atom.GetAtomicNum() == 8]
    swapped = dict(zip(ends, reversed(ends), strict=True))
    order = np.array([swapped.get(k, k) for k in range(len(drawn))])  # the atoms stay where they are, bonds and charges change places
    rows = np.array([(*sorted(order[row[:2]]), row[2]) for row in drawn.bonds])
    other = replace(drawn, charges=drawn.charges[order], bonds=rows[np.lexsort((rows[:, 1], rows[:, 0]))])
    assert not np.array_equal(other.charges, drawn.charges)
    for molecule in (drawn, other):
        assert score(molecule, Checks()).passed["agreement"]


def test_what_lies_beyond_a_histogram_is_told(real, reference):
    yardstick = make_yardstick(reference, None, HERE)
    values = [{"mw": 100.0, "mmff_drop": 3.0}, {"mw": 2500.5, "mmff_drop": 700.0, "logp": -12.0}, {"mw": 2000.0, "mmff_rmsd": 9.0}]
    with_real, alone = Tally("samples", reference=yardstick.tally), Tally("samples")
    for found in values:
        for tally in (with_real, alone):
            tally.add(Scores(molecule=real[0], values=found, kinds={"bond_lengths": {"C-H": np.array([0.3, 1.1]), "C-C": np.array([1.5])}}))
    assert with_real.clipped() == [
        "Bond length: 3 of 9 values below 0.5 Å count as 0.5 Å, so the distance is a lower bound",
        "logP: 1 of 1 values below -10 count as -10, so the distance is a lower bound",
        "MMFF94 energy drop: 1 of 2 values above 500 kcal/mol count as 500 kcal/mol, so the distance and the median are lower bounds",
        "MMFF94 RMSD: 1 of 1 values above 4 Å count as 4 Å, so the median is a lower bound",
        "Weight: 1 of 3 values above 2,000 g/mol count as 2,000 g/mol, so the distance is a lower bound",
    ]
    assert [note.partition(":")[0] for note in alone.clipped()] == ["MMFF94 energy drop", "MMFF94 RMSD"]


def test_notes_tell_what_lies_beyond_the_histograms(real):
    chain = embedded("C" * 40)  # of logP 15.9
    here, there = "logP: 1 of 3 values above 15 count as 15, so the distance is a lower bound", "molecules: logP: 1 of 61"
    outcome = evaluate([*real[60:62], chain], [*real[:60], chain], None, HERE).samples
    assert outcome.notes[0] == here
    assert outcome.notes[1].startswith(there)


def test_the_median_of_an_even_number_of_values_lies_between_the_two_in_the_middle():
    grid = DISTRIBUTIONS["mmff_drop"].grid
    for values, middle in (((2, 40), 21), ((2, 3, 40, 41), 21.5), ((2, 3, 40), 3), ((1, 1, 1, 9), 1), ((5,), 5), ((5, 5), 5)):
        counts = np.zeros((BLOCKS, grid.bins), np.int32)
        np.add.at(counts, (np.arange(len(values)), [grid.place(float(value)) for value in values]), 1)
        assert median(counts, grid).value == pytest.approx(middle, abs=grid.width), values


def test_one_memorised_molecule_has_no_interval(real, reference, tmp_path):
    write_sdf(tmp_path / "samples.sdf", [real[0], *real[60:62]])
    found = evaluate(tmp_path / "samples.sdf", None, reference, HERE).samples.figures["memorised_rmsd"]
    assert np.isfinite(found.value)
    assert np.isnan([found.low, found.high]).all()


def test_what_rdkit_cannot_sanitise_has_no_count_of_radicals(real):
    """Methane with a fifth bond to the carbon of a second one is one piece, and how many electrons it has left nobody knows."""
    tally = Tally("samples")
    methane = embedded("C")
    two = Molecule(
        np.concatenate([methane.atomic_numbers] * 2),
        np.vstack([methane.positions, methane.positions + np.array([3.0, 0, 0])]),
        np.zeros(10, np.int64),
        np.vstack([methane.bonds, methane.bonds + np.array([5, 5, 0]), [[0, 5, 1]]]),
    )
    for molecule in (two, without_hydrogen(real[60])):
        tally.add(score(molecule, Checks(perceive=False)))
    figures = summarise(tally).figures
    assert figures["sanitizes"].value == 0.5
    assert (figures["fragments"].value, figures["radical_electrons"].value) == (1, 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "found no record"),
        ("a\nb\nc\n", r"the only record is no molecule in three dimensions \(record without M  END \(cut off\?\): 1\)"),
    ],
)
def test_a_file_without_a_single_molecule_is_an_error(tmp_path, content, message):
    (tmp_path / "bad.sdf").write_text(content)
    with pytest.raises(InputError, match=message):
        evaluate(tmp_path / "bad.sdf", settings=HERE)


def test_a_file_whose_every_record_timed_out_says_so(reference):
    with pytest.raises(InputError, match=r"none of the 2 records could be scored \(timed out after 1e-09 s: 2\); give a longer --timeout$"):
        evaluate(reference, settings=replace(HERE, workers=1, timeout=1e-9, limit=2))


def test_fewer_asked_for_than_there_are_is_an_error(reference):
    with pytest.raises(InputError, match="at least the 60 records"):
        evaluate(reference, settings=replace(HERE, asked=59))


def test_repeats_are_unique_once_and_memorised_each_time():
    tally = Tally("samples")
    for labels in ({"smiles": "C"}, {"smiles": "C"}, {"smiles": "N"}, {}):
        tally.add(Scores(labels=labels))
    found = {name: figure.value for name, figure in set_figures(tally, Known.of([fingerprint("C")])).items() if "p1" not in name}
    shares = {"valid_unique": 2 / 4, "unique_of_valid": 2 / 3, "valid_unique_novel": 1 / 4, "novel_of_unique": 1 / 2, "memorised": 2 / 4}
    assert found == pytest.approx(shares)


@pytest.mark.parametrize(("samples", "exact"), [("CNO", True), ("CCNO", False)])
def test_shares_without_repeats_have_the_exact_interval(samples, exact):
    """Ten records, of which these are valid; methane is known."""
    tally = Tally("samples")
    for smiles in (*samples, *([""] * (10 - len(samples)))):
        tally.add(Scores(labels={"smiles": smiles, "p1_smiles": smiles}))
    found = set_figures(tally, Known.of([fingerprint("C")]))
    for name, hits in (("valid_unique", 3), ("valid_unique_novel", 2)):
        interval = binomtest(hits, 10).proportion_ci(method="exact")
        for figure in (found[name], found[f"p1_{name}"]):
            assert figure.value == hits / 10
            assert ((figure.low, figure.high) == pytest.approx((interval.low, interval.high))) == exact


def test_numbers_of_draws_tell_how_many_there_were_but_not_those_of_a_search(real):
    tally = Tally("samples")
    drawn = {"seed": 0, "model": "qm9"}  # as every draw says; an index alone is that of another program
    for tags, highest in (({"index": 3}, 3), ({"index": 9, "round": 2}, 3), ({"index": 1}, 3), ({"index": 5}, 5)):
        tally.add(Scores(molecule=replace(real[0], properties=drawn | tags)))
        tally.add(Scores(molecule=replace(real[0], properties={"index": 100_000})))
        assert tally.highest_index == highest


def test_samples_that_are_missing_go_on_where_the_records_end():
    tally = Tally("x", records=130)
    tally.ask(200)
    assert np.ptp(np.bincount(np.arange(130) % BLOCKS, minlength=BLOCKS) + tally.missing) <= 1


def test_every_record_has_a_chance_to_be_drawn(real, tmp_path, monkeypatch):
    write_sdf(tmp_path / "two.sdf", real[:2])
    source, plain, drawn = open_source(tmp_path / "two.sdf"), np.random.default_rng, set()
    for seed in range(20):
        monkeypatch.setattr(np.random, "default_rng", lambda _, seed=seed: plain(seed))
        drawn.update(source.sample(1))
    assert drawn == set(source.items())


def test_intervals_cover_the_truth():
    """95 % intervals of a ratio and of a median from 600 records hold the true value in at least 88 of 100 repetitions."""
    rng = np.random.default_rng(0)
    grid, covered, covered_median = DISTRIBUTIONS["mmff_drop"].grid, 0, 0
    blocks = np.arange(600) % BLOCKS
    whole = np.bincount(blocks, minlength=BLOCKS)
    for _ in range(100):
        part = np.bincount(blocks, weights=rng.random(600) < 0.9, minlength=BLOCKS)
        counts = np.zeros((BLOCKS, grid.bins), np.int32)
        np.add.at(counts, (blocks, [grid.place(value) for value in rng.exponential(10.0, 600)]), 1)
        figure, middle = ratio(part, whole), median(counts, grid)
        covered += figure.low <= 0.9 <= figure.high
        covered_median += middle.low <= 10 * np.log(2) <= middle.high
    assert covered >= 88
    assert covered_median >= 88


@pytest.mark.parametrize(("trials", "rate"), [(256, 0.98), (256, 0.5), (100, 0.97), (1000, 0.002)])
def test_intervals_of_shares_miss_the_truth_on_neither_side_too_often(trials, rate):
    blocks = np.arange(trials) % BLOCKS
    whole = np.bincount(blocks, minlength=BLOCKS)
    above = below = 0.0  # chances of missing the rate, summed over all numbers of hits
    for hits in range(trials + 1):
        chance = float(binom.pmf(hits, trials, rate))
        if chance > 1e-9:
            figure = share(np.bincount(blocks, weights=np.arange(trials) < hits, minlength=BLOCKS), whole)
            assert figure.low <= figure.value <= figure.high
            above, below = above + chance * (figure.low > rate), below + chance * (figure.high < rate)
    assert max(above, below) <= 0.025 + 1e-9
    assert above + below >= 0.01  # and it is no wider than it has to be


def test_a_fraction_of_one_has_the_exact_binomial_interval():
    figure = ratio(np.ones(BLOCKS), np.ones(BLOCKS), float(BLOCKS))
    assert (figure.value, figure.high) == (1.0, 1.0)
    assert figure.low == pytest.approx(0.025 ** (1 / BLOCKS))  # chance of 128 of 128 at this rate is 2.5 %


def test_a_single_molecule_gives_means_without_an_interval(real, tmp_path):
    write_sdf(tmp_path / "one.sdf", real[:1])
    figures = evaluate(tmp_path / "one.sdf", settings=HERE).samples.figures
    assert np.isfinite(figures["qed"].value)
    assert np.isnan([figures["qed"].low, figures["qed"].high]).all()
    assert figures["valid"].low == pytest.approx(0.025)


def test_memory_grows_by_the_two_hashes_of_a_record(real):
    """Scores that differ in SMILES, scaffold, groups and reason: what is kept grows by 16 bytes a record and their slack."""
    from molgen.evaluate.score import Checks, score

    template = replace(score(real[0], Checks(perceive=False)), kinds={}, values={})
    reference = _tally(real[60:62])
    scaffold = next(iter(reference.scaffolds), "")

    def different(number: int) -> Scores:
        labels = {"smiles": f"C{number}", "p1_smiles": f"N{number}", "scaffold": f"O{number}" if number % 2 else scaffold}
        reasons = {"record": f"check failed with number {number}"}
        return replace(template, labels=labels, reasons=reasons, groups=[f"group {number}"])

    tally = Tally("test", reference=reference)
    kept, numbers = [], iter(range(4200))
    tracemalloc.start()
    for records in (1200, 3000):
        for number in islice(numbers, records):
            tally.add(different(number))
        kept.append(tracemalloc.get_traced_memory()[0])
    figures = summarise(tally, None, reference).figures
    peak = tracemalloc.get_traced_memory()[1] - kept[1]
    tracemalloc.stop()
    assert (kept[1] - kept[0]) / 3000 < 24
    assert peak < 1_500_000
    assert figures["valid_unique"].value == 1.0
    assert set(tally.scaffolds) <= {scaffold}
    assert tally.reasons["record"][OTHER] == 4200 - LARGEST_SET
    assert tally.reasons["record"].total() == 4200


def test_a_file_without_hydrogens_is_told_so(real, tmp_path):
    bare = [molecule.take(np.flatnonzero(molecule.atomic_numbers > 1)) for molecule in real[60:63]]
    phenol = Molecule.from_smiles("Oc1ccccc1")
    polar = phenol.take(np.array([*range(7), 7]))  # the hydrogen of the oxygen alone, as docking programs write it
    assert polar.bonds[polar.bonds[:, 1] == 7].tolist() == [[0, 7, 1]]
    write_sdf(tmp_path / "samples.sdf", [*bare, polar, *real[64:70]])
    outcome = evaluate(tmp_path / "samples.sdf", settings=HERE).samples
    assert outcome.figures["valid"].value == 0.6
    assert outcome.notes == [
        "4 of 10 records have more open valences than hydrogen atoms, and count as radicals: evaluate a file with all hydrogens, "
        "or a data set to which `molgen prepare samples.sdf --out DIR --add-hydrogens` adds them"
    ]


def test_a_check_that_fails_is_counted_not_raised(monkeypatch, real):
    from molgen.evaluate.score import Checks, Scorer
    from molgen.molecules.metrics import geometry

    def broken(molecule: Molecule) -> dict:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(geometry, "geometry", broken)
    scores = Scorer(Checks())(real[0])
    assert isinstance(scores, Scores)
    assert scores.reasons == {"record": "check failed with ZeroDivisionError: division by zero"}


def test_a_stored_reference_gives_the_figures_of_its_molecules(real, reference, tmp_path, monkeypatch):
    from molgen.evaluate import stored
    from molgen.evaluate.run import evaluate_against

    write_sdf(tmp_path / "samples.sdf", [replace(m, properties={"requested_gap_xtb": 7.0}) for m in real[60:90]])
    settings = replace(HERE, relax=True)
    direct = make_yardstick(reference, None, settings)
    stored.save(tmp_path / "reference_some.npz", direct.tally, direct.summary)
    monkeypatch.setattr(stored, "files", lambda package: tmp_path)
    monkeypatch.setattr("molgen.evaluate.run.STORED", ("some",))
    again = make_yardstick("some", None, settings)
    figures = [evaluate_against(tmp_path / "samples.sdf", yardstick, settings).samples.figures for yardstick in (direct, again)]
    assert figures[0].keys() == figures[1].keys()
    for name in figures[0]:
        assert figures[1][name].value == pytest.approx(figures[0][name].value, rel=1e-6, nan_ok=True), name
        assert figures[1][name].low == pytest.approx(figures[0][name].low, rel=1e-6, nan_ok=True), name
    for name in ("p1_stable", "mmff_drop", "bond_lengths_w1"):
        assert again.summary.figures[name] == direct.summary.figures[name]


def test_the_reference_that_ships_scores_what_real_molecules_score():
    yardstick = make_yardstick("qm9", None, HERE)
    figures = yardstick.summary.figures
    assert yardstick.summary.records == 4000
    assert 100 * figures["p1_atom"].value == pytest.approx(99.4, abs=0.2)
    assert 100 * figures["p1_stable"].value == pytest.approx(95.8, abs=1.0)
    assert 100 * figures["p1_valid"].value == pytest.approx(97.8, abs=0.7)
    assert figures["p2s_stable"].value == figures["valid"].value == figures["geometry"].value == 1.0
    assert figures["bond_lengths_w1"].value < 0.001
    assert figures["xtb_drop"].value < 2


def embedded(smiles):
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.EmbedMolecule(mol, randomSeed=1)
    return replace(Molecule.from_rdkit(mol), properties={})


def test_the_real_row_compares_even_records_with_odd_ones():
    tally = Tally("real", real=True)
    for made in [embedded("CC"), embedded("CCC")] * 10:
        tally.add(score(made, Checks(perceive=False)))
    figures = summarise(tally, None, tally).figures
    assert figures["atoms_w1"].value == pytest.approx(3)  # C2H6 and C3H8
    assert figures["atom_types_tv"].value == pytest.approx(3 / 11 - 2 / 8)


def test_sets_without_a_kind_in_common_have_no_distance():
    water, methane = Tally("water"), Tally("methane", real=True)
    for _ in range(3):
        water.add(score(embedded("O"), Checks(perceive=False)))
        methane.add(score(embedded("C"), Checks(perceive=False)))
    figures = summarise(water, None, methane).figures
    assert np.isnan(figures["bond_lengths_w1"].value)


def test_a_limit_and_what_was_asked_exclude_each_other(reference):
    with pytest.raises(InputError, match="leave --limit away"):
        evaluate(reference, settings=replace(HERE, limit=2, asked=60))


def test_atoms_of_a_molecule_are_not_independent():
    tally = Tally("same")
    for _ in range(3):
        tally.add(score(embedded("CCCCCC"), Checks(perceive=False)))
    figures = summarise(tally).figures
    for name in ("p2s_stable", "p2s_atom"):
        assert (figures[name].value, figures[name].low) == (1, pytest.approx(0.025 ** (1 / 3)))


def test_a_tag_of_thousands_of_digits_stops_nothing(tmp_path):
    write_sdf(tmp_path / "a.sdf", [replace(embedded("CCO"), properties={"bits": "1" * 5000, "mass": "1" * 400})] * 3)
    outcome = evaluate(tmp_path / "a.sdf", tmp_path / "a.sdf", settings=HERE)
    assert outcome.samples.figures["valid"].value == 1


def test_molecules_in_memory_are_evaluated_as_those_of_a_file(real, tmp_path):
    some, others = real[:12], real[12:40]
    write_sdf(tmp_path / "some.sdf", some)
    write_sdf(tmp_path / "others.sdf", others)
    by_file = evaluate(tmp_path / "some.sdf", tmp_path / "others.sdf", None, HERE)
    in_memory = evaluate(some, others, None, HERE)
    for name in ("samples", "real"):
        before, after = (getattr(one, name) for one in (by_file, in_memory))
        assert before.figures.keys() == after.figures.keys()
        for key, figure in before.figures.items():
            assert after.figures[key].value == pytest.approx(figure.value, abs=1e-3, nan_ok=True), key  # an SDF has four decimals
    assert (in_memory.samples.name, in_memory.samples.records) == ("molecules", 12)


def test_an_item_that_is_no_molecule_is_named_by_its_position(real):
    with pytest.raises(InputError, match=r"^record 2: got None; leave it out and count it by Settings\(asked=\.\.\.\)$"):
        evaluate([real[0], None, real[1]], settings=HERE)
    with pytest.raises(InputError, match=r"^record 1: expected a molgen\.Molecule, got 'CCO'; Molecule\.from_rdkit makes one$"):
        evaluate(real[:1], train=["CCO"], settings=HERE)


def test_training_molecules_in_memory_are_known_as_those_of_a_file(real, reference):
    bare = replace(real[3], bonds=real[3].bonds[:0])  # of which the geometry tells the bonds
    by_file, in_memory = (evaluate(real[:80], None, train, HERE).samples.figures for train in (reference, [*real[:3], bare, *real[4:60]]))
    assert in_memory["memorised"].value == 0.75
    for name in ("memorised", "valid_unique_novel", "p1_valid_unique_novel", "memorised_rmsd"):
        assert in_memory[name].value == pytest.approx(by_file[name].value, abs=1e-3), name
