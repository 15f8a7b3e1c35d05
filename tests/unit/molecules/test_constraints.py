"""Constraints on real molecules with the weights that ship: what is kept is bit-exact, what cannot be is refused with the reason."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import plain
import pytest
import torch
from rdkit import Chem
from rdkit.Chem import AllChem

import molgen
from molgen.checkpoint import load_statistics
from molgen.diffusion.gaussian import Gaussian
from molgen.diffusion.inpaint import RESAMPLING
from molgen.diffusion.process import Joint
from molgen.diffusion.schedule import Cosine, Linear, Polynomial, VarianceExploding, ratio
from molgen.diffusion.space import Centered
from molgen.errors import InputError
from molgen.molecules.constraints import Around, Conformers, Keep
from molgen.molecules.constraints.around import noise_of
from molgen.molecules.constraints.bridge import longest_gap
from molgen.molecules.constraints.read import check_apart, join
from molgen.molecules.constraints.select import format_numbers, parse_numbers
from molgen.molecules.decode import check
from molgen.molecules.encode import check_vocabulary, encode, shipped_for
from molgen.molecules.export import read_molecules, write_molecules
from molgen.molecules.fields import ANGSTROM_PER_UNIT
from molgen.molecules.metrics.elements import SYMBOLS
from molgen.molecules.molecule import Molecule
from molgen.molecules.stereo import MARGIN, WEIGHT, Handedness, Led
from molgen.molecules.valence import ClosedShells, valence_table
from molgen.sample import Draw, Request

ROOT = Path(__file__).parents[3]
SAMPLE = ROOT / "data" / "qm9_sample" / "qm9_sample.sdf.gz"
pytestmark = pytest.mark.skipif(not (ROOT / "molgen/weights/qm9_small/model.safetensors").is_file(), reason="no weights in this tree")


@pytest.fixture(scope="module")
def model():
    torch.set_num_threads(1)
    return molgen.load("qm9_small", "cpu")


@pytest.fixture(scope="module")
def molecules():
    return list(read_molecules(SAMPLE))


@pytest.fixture(scope="module")
def lead(molecules):
    """A molecule with at least six heavy atoms, the first four of them bonded in some way to the rest."""
    return next(m for m in molecules if 6 <= (m.atomic_numbers > 1).sum() <= 7 and len(m) > 14)


def drawn(model, count, window=8, **request):
    request = {"steps": 5, **request}
    return [m for m, _ in itertools.islice(model.draws(Request(**request), window=lambda start: window), count)]


def test_kept_atoms_are_bit_exact_and_survive_the_file(model, lead, tmp_path):
    keep = Keep(molecule=lead, atoms=[2, 1, 3])
    samples = drawn(model, 6, constraint=keep)
    kept = [0, 1, 2]
    inside = {(i, j): order for i, j, order in lead.bonds.tolist() if i in kept and j in kept}
    write_molecules(tmp_path / "a.sdf", samples)
    for sample in [*samples, *read_molecules(tmp_path / "a.sdf")]:
        assert np.array_equal(sample.positions[:3], lead.positions[:3])
        assert np.array_equal(sample.atomic_numbers[:3], lead.atomic_numbers[:3])
        assert np.array_equal(sample.charges[:3], lead.charges[:3])
        assert {(i, j): order for i, j, order in sample.bonds.tolist() if i < 3 and j < 3} == inside
        assert len(sample) > 3
    assert samples[0].properties["kept"] == "1-3"
    assert len({tuple(sample.positions[3]) for sample in samples}) == 6


def test_a_constrained_draw_does_not_depend_on_the_batch(model, lead):
    keep = Keep(molecule=lead, atoms=[1, 2, 3])
    for a, b in zip(drawn(model, 3, 1, constraint=keep, seed=5), drawn(model, 3, 8, constraint=keep, seed=5), strict=True):
        assert np.array_equal(a.atomic_numbers, b.atomic_numbers)
        assert np.array_equal(a.bonds, b.bonds)
        np.testing.assert_allclose(a.positions, b.positions, atol=5e-2)


class Once(Keep):
    """Keeps without restarts."""

    def restarts(self, process):
        return ()


def test_restarts_and_gradients_work_within_inference_mode(lead):
    with torch.inference_mode():
        network = molgen.load("qm9_small", "cpu")
        keep = Keep(molecule=lead, atoms=[1, 2, 3])
        inside = network.sample(3, steps=6, seed=1, constraint=keep, keep_invalid=True)
    outside = network.sample(3, steps=6, seed=1, constraint=keep, keep_invalid=True)
    assert [a.positions.tolist() for a in inside] == [b.positions.tolist() for b in outside]


def test_restarts_replace_failing_draws_alone(model, lead):
    wish = {"molecule": lead, "atoms": [1, 2, 3]}
    once, twice = (
        list(itertools.islice(model.draws(Request(constraint=kind(**wish), steps=12), window=lambda start: 8), 8)) for kind in (Once, Keep)
    )
    failed = [bool(reason) for _, reason in once]
    assert any(failed)
    for (a, reason), (b, _) in zip(once, twice, strict=True):
        assert np.array_equal(a.positions, b.positions) is not bool(reason)
        assert np.array_equal(b.positions[:3], lead.positions[:3])
    assert sum(bool(reason) for _, reason in twice) <= sum(failed)


def test_new_atoms_bond_to_attachment_points_alone_and_within_their_valence(model, molecules):
    for molecule in molecules[:2]:
        heavy = [i + 1 for i in range(len(molecule)) if molecule.atomic_numbers[i] > 1][:4]
        keep = Keep(molecule=molecule, atoms=heavy)
        k, room = len(keep.fragment.numbers), keep.fragment.open
        for sample in drawn(model, 3, constraint=keep):
            for i, j, order in sample.bonds.tolist():
                assert j < k or i >= k or order <= room[i]


def test_replaced_hydrogens_open_their_neighbours(lead):
    hydrogen = next(i for i in range(len(lead)) if lead.atomic_numbers[i] == 1)
    bearer = next(i + j - hydrogen for i, j, _ in lead.bonds.tolist() if hydrogen in (i, j))
    fragment = Keep(molecule=lead, replace_hydrogens=[hydrogen + 1]).fragment
    assert fragment.numbers.tolist() == [i + 1 for i in range(len(lead)) if i != hydrogen]
    assert {int(fragment.numbers[i]) - 1: int(v) for i, v in enumerate(fragment.open) if v} == {bearer: 1}


def test_named_attachment_points_keep_the_hydrogens_of_the_others(lead):
    heavy = [i + 1 for i in range(len(lead)) if lead.atomic_numbers[i] > 1]
    bearing = next(h for h in heavy if sum(lead.atomic_numbers[i + j - h + 1] == 1 for i, j, _ in lead.bonds.tolist() if h - 1 in (i, j)))
    fragment = Keep(molecule=lead, atoms=heavy, attach=[bearing]).fragment
    lost = set(range(1, len(lead) + 1)) - set(fragment.numbers.tolist())
    ends = [{i + 1, j + 1} for i, j, _ in lead.bonds.tolist()]
    assert lost == {n for pair in ends if bearing in pair for n in pair if lead.atomic_numbers[n - 1] == 1}
    assert fragment.open.sum() == len(lost)


def test_a_smiles_is_kept_but_for_its_marks(model):
    amide = Keep.from_smiles("O=C(N*)C*", new_atoms=[4])
    fragment = amide.fragment
    symbols = "".join(SYMBOLS[number] for number in fragment.molecule.atomic_numbers.tolist())
    assert (symbols, fragment.open.tolist()) == ("OCNCHHH", [0, 0, 1, 1, 0, 0, 0])
    assert fragment.numbers.tolist() == [1, 2, 3, 5, 7, 8, 9]  # 4 and 6 are the marks, hydrogens come last
    for sample in model.sample(2, steps=10, constraint=amide, keep_invalid=True):
        np.testing.assert_array_equal(sample.positions[:7], fragment.molecule.positions)
        assert len(sample) == 11
    numbers, given = np.append(fragment.molecule.atomic_numbers, [6, 1, 1, 1]), amide.molecule.positions
    carbon = given[2] + 1.45 * (given[3] - given[2]) / np.linalg.norm(given[3] - given[2])
    positions = np.vstack([fragment.molecule.positions, carbon, given[5], carbon + 50, carbon - 50])
    half = Molecule(numbers, positions, np.zeros(11, int), np.vstack([fragment.molecule.bonds, [[2, 7, 1], [3, 8, 1]]]))
    assert amide.failure(half) == "nothing but hydrogen on atom 5"
    assert (
        amide.failure(replace(half, bonds=np.vstack([fragment.molecule.bonds, [[3, 7, 1], [2, 8, 1]]]))) == "nothing but hydrogen on atom 3"
    )
    assert replace(amide, grow=[3]).failure(half) == ""
    assert replace(amide, grow=[3, 3]).failure(half) == "nothing but hydrogen on atom 3"
    with pytest.raises(InputError, match="nothing can grow on atom 1"):
        replace(amide, grow=[1]).sizes(model.checkpoint.statistics, [])
    whole = Molecule.from_smiles("O=C(NC)CC")
    assert Chem.MolToSmiles(Chem.RemoveHs(whole.to_rdkit(sanitize=True))) == "CCC(=O)NC"
    assert whole == Molecule.from_smiles("O=C(NC)CC")
    assert not np.allclose(whole.positions, Molecule.from_smiles("O=C(NC)CC", seed=1).positions)
    bonds = np.linalg.norm(whole.positions[whole.bonds[:, 0]] - whole.positions[whole.bonds[:, 1]], axis=1)
    assert 0.9 < bonds.min() < bonds.max() < 1.6
    ring = Keep.from_smiles("c1ccccc1C", smarts="c1ccccc1")
    assert (ring.fragment.open == 1).all()
    assert len(ring.fragment.open) == 6


@pytest.mark.parametrize(
    ("smiles", "words"),
    [
        ("c1ccccc1C", "has no place to grow from"),
        ("C*C", "another bond than a single one"),
        ("C=*", "another bond than a single one"),
        ("*C.C*", "more than one molecule"),
        ("lead", "no SMILES that RDKit can read"),
        ("[Fe]*", "no MMFF94 parameters"),
    ],
)
def test_a_smiles_that_cannot_be_kept_is_refused(smiles, words):
    with pytest.raises(InputError, match=words) as error:
        Keep.from_smiles(smiles)
    assert str(error.value).startswith(smiles)


def test_a_mark_is_no_atom():
    with pytest.raises(InputError, match="stands for no element"):
        Molecule.from_smiles("CC*")


def test_an_open_valence_needs_an_atom(model):
    methyl = Keep(molecule=Conformers.from_smiles("C").molecule, replace_hydrogens=[5], new_atoms=(0, 1))
    assert methyl.sizes(model.checkpoint.statistics, []) == [5]


def test_models_that_ship_are_named_for_what_they_are_made_for():
    """QM9 has nine heavy atoms at most; `leads` knows no charges."""
    expected = {"OCC1CCCCC1O": ["qm9", "leads"], "OCCC1CCCCC1O": ["leads", "qm9"], "CCS": ["leads"], "C[N+](C)(C)CCCC([O-])=O": ["qm9"]}
    assert {smiles: shipped_for(Conformers.from_smiles(smiles).molecule) for smiles in expected} == expected


def test_open_valences_that_nobody_named_are_doubted(model, lead):
    heavy = [i + 1 for i in range(len(lead)) if lead.atomic_numbers[i] > 1]
    bare = Keep(molecule=Keep(molecule=lead, atoms=heavy).fragment.molecule, source="a.sdf")
    (line,) = model.warnings(Request(constraint=bare))
    points = format_numbers((np.flatnonzero(bare.fragment.open > 0) + 1).tolist())
    assert line == f"a.sdf: new atoms may bond to atoms {points}, which lack hydrogens; add them, or name the atoms to bond to (attach)"
    assert model.warnings(Request(constraint=Keep(molecule=lead, atoms=heavy))) == []
    ethanol = Conformers.from_smiles("CCO").molecule  # hydrogens 4 to 9, the last one on the oxygen
    polar = replace(ethanol, positions=np.random.default_rng(0).normal(size=(9, 3))).take(np.array([0, 1, 2, 8]))
    assert "atoms 1-2, which lack hydrogens" in Keep(molecule=polar).doubt()
    assert Keep(molecule=polar, atoms=[1, 2, 3]).doubt() == Keep(molecule=polar).doubt()
    assert Keep(molecule=polar.take(np.array([1, 2, 3]))).doubt().startswith("molecule: new atoms may bond to atom 1, which")
    assert Keep(molecule=polar, attach=[1, 2]).doubt() == ""


def test_fragments_of_several_files_are_one_in_their_frame(molecules):
    a, b = molecules[:2]
    both = join([a, b])
    assert np.array_equal(both.positions, np.concatenate([a.positions, b.positions]))
    assert np.array_equal(both.bonds, np.concatenate([a.bonds, b.bonds + np.array([len(a), len(a), 0])]))
    far = replace(b, positions=b.positions + 50)
    check_apart([a, far], "parts.sdf")
    with pytest.raises(InputError, match=r"parts\.sdf: record 3 stands where another one is"):
        check_apart([a, far, replace(a, positions=a.positions + 0.1)], "parts.sdf")


def test_what_was_cut_out_of_a_molecule_can_bridge_the_gap(molecules):
    """Of real molecules no part is refused: what stood between the fragments crossed the longest gap."""
    rng, several = np.random.default_rng(0), 0
    for molecule in molecules:
        for share in (0.3, 0.5, 0.8):
            chosen = rng.random(len(molecule)) < share
            ends = chosen[molecule.bonds[:, :2]]
            cut = ends.sum(1) == 1
            lost = np.bincount(molecule.bonds[cut, :2][ends[cut]], minlength=len(molecule))[chosen]
            kept = molecule.take(np.flatnonzero(chosen))
            if len(kept):
                gap = longest_gap(kept, np.flatnonzero(chosen) + 1, lost, "a.sdf")
                assert gap.atoms <= (~chosen).sum()
                several += gap.atoms > 0
    assert several > 50


def test_fragments_that_new_atoms_cannot_join_are_refused(model):
    methane = Conformers.from_smiles("C").molecule
    for apart, needed in ((3.0, 1), (5.0, 2), (11.0, 5), (13.0, 6)):  # a bond gains 2 Å at most
        both = join([methane, replace(methane, positions=methane.positions + np.array([apart, 0, 0]))])
        keep = Keep(molecule=both, replace_hydrogens=[2, 7])
        assert keep.gap.length == pytest.approx(apart)
        assert keep.gap.atoms == needed
        assert keep.sizes(load_statistics("qm9"), [])[0] == 8 + needed
    far = join([methane, replace(methane, positions=methane.positions + np.array([0, 60, 0]))])
    with pytest.raises(InputError, match=r"8 kept atoms in fragments 60\.0 Å apart leave no room; .*; put the fragments nearer"):
        model.sample(1, constraint=Keep(molecule=far, replace_hydrogens=[2, 7]))
    near = join([methane, replace(methane, positions=methane.positions + np.array([0, 9, 0]))])
    with pytest.raises(InputError, match=r"8 kept atoms in fragments 9\.0 Å apart need samples of 12 to 29 atoms"):
        model.sample(1, constraint=Keep(molecule=near, replace_hydrogens=[2, 7], new_atoms=[3]))
    with pytest.raises(InputError, match="nothing can bond to the fragment of atom 6, so that it never becomes one molecule"):
        model.sample(1, constraint=Keep(molecule=near, replace_hydrogens=[2]))


def test_strength_zero_is_the_molecule_itself(model, molecules):
    for molecule in molecules[:3]:
        (same,) = model.sample(1, constraint=Around(molecule=molecule, strength=0.0))
        for name in ("atomic_numbers", "positions", "charges", "bonds"):
            assert np.array_equal(getattr(same, name), getattr(molecule, name))


def test_strength_maps_to_noise_evenly_and_whatever_the_schedule(model):
    values = [noise_of(s) for s in np.linspace(0, 0.99, 100)]
    assert values[0] == 0
    assert noise_of(1.0) == np.inf
    assert (np.diff(values) > 0).all()
    ethane = Conformers.from_smiles("CC").molecule
    for strength in (0.05, 0.3, 0.72):
        for schedule in (Cosine(), VarianceExploding()):
            process = Joint({"pos": Gaussian(schedule, Centered())})
            t = torch.tensor(Around(molecule=ethane, strength=strength).start(process), dtype=torch.float64)
            assert float(ratio(schedule, t)) * ANGSTROM_PER_UNIT == pytest.approx(noise_of(strength), rel=1e-6)
    for free in (model.denoiser.process, *(Joint({"pos": Gaussian(schedule, Centered())}) for schedule in (Linear(), Polynomial()))):
        assert Around(molecule=ethane, strength=1.0).start(free) == 1
    assert Around(molecule=ethane, strength=0.0).start(model.denoiser.process) == 0


def test_what_is_given_is_known_by_more_than_its_name(lead):
    def given(molecule, **more):
        return Keep(molecule=molecule, atoms=[1, 2, 3], **more).tags()["given"]

    moved = replace(lead, positions=lead.positions + 1e-9)
    assert given(lead) == given(replace(lead)) != given(moved)
    assert len({given(lead), given(lead, new_atoms=[4]), given(lead, pull=2.0)}) == 3
    assert Around(molecule=lead).tags()["given"] != Around(molecule=moved).tags()["given"]


def test_variants_leave_the_molecule_as_strength_grows(model, molecules):
    molecule = next(m for m in molecules if len(m) == 18)

    def moved(strength):
        samples = drawn(model, 6, constraint=Around(molecule=molecule, strength=strength), steps=10)
        return np.mean([np.abs(sample.positions - molecule.positions).mean() for sample in samples])

    near, far = moved(0.1), moved(1.0)
    assert near < 0.1
    assert far > 10 * near


def test_conformers_have_the_graph_and_the_stereo(model):
    graph = Conformers.from_smiles("C[C@H](O)N")
    samples = model.sample(3, constraint=graph, steps=20, seed=1)
    for sample in samples:
        assert np.array_equal(sample.atomic_numbers, graph.molecule.atomic_numbers)
        assert np.array_equal(sample.bonds, graph.molecule.bonds)
        assert Chem.MolToSmiles(Chem.RemoveHs(sample.to_rdkit(sanitize=True))) == Chem.CanonSmiles("C[C@H](O)N")
    assert not np.allclose(samples[0].positions, samples[1].positions)


CIS, TRANS = Chem.BondStereo.STEREOCIS, Chem.BondStereo.STEREOTRANS
STEREO = {
    "C[C@H](O)N": 1,
    "C[C@@H](O)[C@H](N)/C=C/O": 3,
    "O[C@@H]1CC[C@H](N)C1": 2,
    r"C/C(O)=C(/N)C": 1,
    r"C/C=C\C#N": 1,
    "C[C@H]1CC[C@@H](C)CC1": 2,
    "C[S@](=O)c1ccccc1": 1,
    "O=[S@@]1CC[C@H](C)C1": 2,
    "C[C@]12CC[N@](C1)CC2": 2,
}


@pytest.mark.parametrize(("smiles", "count"), STEREO.items())
def test_handedness_is_that_of_embedded_molecules(smiles, count):
    """RDKit's embedding of the SMILES, which follows its stereo by a code of its own, has every sign; its mirror image no centre's."""
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert AllChem.EmbedMolecule(mol, randomSeed=1) == 0
    handed = Handedness.of(mol)
    assert len(handed.centres) + len(handed.bonds) == count
    positions = torch.tensor(mol.GetConformer().GetPositions() / ANGSTROM_PER_UNIT)[None]
    values, mirrored = handed.values(positions), handed.values(-positions)
    assert (values > MARGIN).all()
    k = len(handed.centres)
    torch.testing.assert_close(mirrored, torch.cat([-values[:, :k], values[:, k:]], 1))
    mask = torch.ones(1, len(positions[0]), dtype=torch.bool)
    led = Led([handed])
    assert float(led({"pos": positions}, mask)) == 0
    assert k == 0 or float(led({"pos": -positions}, mask)) < -WEIGHT * k * MARGIN**2
    for bond in mol.GetBonds():  # as RDKit's newer perception of stereo says it
        bond.SetStereo({Chem.BondStereo.STEREOZ: CIS, Chem.BondStereo.STEREOE: TRANS}.get(bond.GetStereo(), bond.GetStereo()))
    assert Handedness.of(mol) == handed


def test_conformers_of_several_stereocentres_and_a_double_bond(model):
    """Draws with another stereo are refused, and guidance leaves fewer of them."""
    smiles = r"C[C@@H](O)[C@H](N)/C=C\O"
    graph, wanted = Conformers.from_smiles(smiles), Chem.CanonSmiles(smiles)
    rights = []
    for constraint in (graph, replace(graph, handedness=Handedness())):
        found = list(itertools.islice(model.draws(Request(constraint=constraint, steps=20), window=lambda start: 12), 12))
        rights.append([Chem.MolToSmiles(Chem.RemoveHs(sample.to_rdkit(sanitize=True))) == wanted for sample, _ in found])
        if constraint is graph:
            assert all(same or reason for same, (_, reason) in zip(rights[0], found, strict=True))
            assert not any(same and reason == "other stereo than given" for same, (_, reason) in zip(rights[0], found, strict=True))
    assert sum(rights[0]) > sum(rights[1])


@pytest.mark.parametrize("smiles", ["C[C@H]1CC[C@@H](C)CC1", "C[C@H]1CC[C@H](C)CC1"])
def test_conformers_of_rings_are_cis_or_trans_as_given(model, smiles):
    """Neither centre has a label of Cahn, Ingold and Prelog in RDKit."""
    samples = model.sample(4, constraint=Conformers.from_smiles(smiles), steps=20, seed=1)
    assert {Chem.MolToSmiles(Chem.RemoveHs(sample.to_rdkit(sanitize=True))) for sample in samples} == {Chem.CanonSmiles(smiles)}


def test_the_mirror_image_is_taken_where_it_has_the_stereo(molecules):
    chiral = next(m for m in molecules if Handedness.of_geometry(m).centres)
    graph, mirrored = Conformers.of(chiral), replace(chiral, positions=chiral.positions * [-1, 1, 1])
    assert graph.failure(mirrored) == "other stereo than given"
    assert graph.failure(graph.restore(mirrored)) == ""
    np.testing.assert_array_equal(graph.restore(chiral).positions, chiral.positions)
    centre = graph.handedness.centres[0]
    both = replace(graph, handedness=Handedness(centres=(centre, (*centre[:4], -centre[4]))))  # neither image has both signs
    np.testing.assert_array_equal(both.restore(chiral).positions, chiral.positions)
    assert graph.failure(replace(chiral, positions=chiral.positions * 1.5)) == "stretched bond"
    assert graph.failure(replace(chiral, positions=chiral.positions * 0.5)) == "atoms too close"


@pytest.mark.parametrize("smiles", ["CS(=O)(=O)N", "C[S@](=O)c1ccccc1", "CS(C)=O"])
def test_graphs_of_sulfur_without_a_geometry_pass_the_check(smiles):
    graph = Conformers.from_smiles(smiles)
    assert check(graph.molecule).reason == ""
    assert len(graph.handedness.centres) == smiles.count("@")


def test_isotopes_are_forgotten_and_unknown_bonds_refused():
    with pytest.warns(UserWarning, match=r"^C\[C@H\]\(\[2H\]\)O: isotope labels are not kept$") as told:
        assert not Conformers.from_smiles("C[C@H]([2H])O").handedness
    with pytest.warns(UserWarning, match=r"^\[13CH3\]C\*: isotope labels are not kept$") as more:
        assert Keep.from_smiles("[13CH3]C*").molecule == Keep.from_smiles("CC[1*]").molecule
    assert len(told) == len(more) == 1
    with pytest.raises(InputError, match="dative bond"):
        Conformers.from_smiles("[Cu]<-N")


def test_closed_shells_score_real_molecules_best(model, molecules):
    statistics, molecule = model.checkpoint.statistics, next(m for m in molecules if not m.charges.any())
    clean = encode(molecule, statistics, [len(molecule)])
    certain = {
        name: model.denoiser.process[name].impose(torch.zeros(*clean[name].shape, width), clean[name], torch.ones_like(clean[name]) > 0)
        for name, width in (("atom", len(statistics.elements)), ("charge", len(statistics.charges)), ("bond", 4))
    }
    score = ClosedShells(
        valence_table(statistics.elements, statistics.charges), torch.tensor([4.0]) if molecule.atomic_numbers[0] == 6 else torch.zeros(0)
    )
    assert float(score(certain, clean.mask)) == 0
    i, j, order = molecule.bonds[0].tolist()
    certain["bond"][0, [i, j], [j, i]] = torch.nn.functional.one_hot(torch.tensor(0), 4) * 1e4
    broken = ClosedShells(valence_table(statistics.elements, statistics.charges), torch.zeros(0))
    assert float(broken(certain, clean.mask)) == -2 * order**2  # two new atoms, each short of the order of the bond


@pytest.mark.parametrize(("text", "numbers"), [("1,4-9", (1, 4, 5, 6, 7, 8, 9)), ("3", (3,)), ("2-2", (2,))])
def test_numbers_are_read_and_written(text, numbers):
    assert parse_numbers(text, "--atoms") == numbers
    assert parse_numbers(format_numbers(numbers), "--atoms") == numbers


@pytest.mark.parametrize("text", ["", "a", "1-", "-3", "3-1", "1,,2", "1.5"])
def test_numbers_that_are_none_are_refused(text):
    with pytest.raises(InputError, match="expected numbers of atoms such as"):
        parse_numbers(text, "--atoms")


WRONG = """
import math

from rdkit import Chem

import molgen

lead = molgen.Molecule.from_smiles("CC(=O)NC")
for arguments in (
    {"pull": "1"},
    {"pull": None},
    {"pull": math.inf},
    {"smarts": "[#6]", "match": "1"},
    {"smarts": "[#6]", "match": 0},
    {"smarts": Chem.MolFromSmarts("[#6]")},
    {"atoms": [True, False]},
):
    try:
        molgen.Keep(molecule=lead, **arguments)
    except molgen.InputError as error:
        print(str(error).replace(hex(id(arguments.get("smarts"))), "ID").split(" object at ")[0])
for given in ("lead.sdf", None, "lead"):
    try:
        molgen.Conformers.from_smiles(given)
    except molgen.InputError as error:
        print(error)
try:
    molgen.Conformers(molecule=lead, pull=-1)
except molgen.InputError as error:
    print(error)
"""


def test_what_is_no_argument_of_a_constraint_is_refused_when_it_is_built():
    done = plain.python(WRONG)
    assert done.stdout.splitlines() == [
        "pull: expected a number of at least 0, got '1'",
        "pull: expected a number of at least 0, got None",
        "pull: expected a number of at least 0, got inf",
        "match: expected the number of a match, from 1, got '1'",
        "match: expected the number of a match, from 1, got 0",
        "smarts: expected a text such as 'c1ccccc1', got <rdkit.Chem.rdchem.Mol",
        "atoms: expected a list of whole numbers, got [True, False]",
        "lead.sdf: no SMILES that RDKit can read; molgen.read_sdf reads files",
        "smiles: expected a text such as 'CC(=O)NC', got None",
        "lead: no SMILES that RDKit can read",
        "pull: expected a number of at least 0, got -1",
    ], done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"atoms": [99]}, "names atom 99, but the atoms are numbered from 1 to"),
        ({"atoms": [1, 1]}, "names atom 1 twice"),
        ({}, "no kept atom has open valence"),
        ({"replace_hydrogens": [1]}, "which is no hydrogen"),
        ({"atoms": [1, 2], "attach": [3]}, "atom 3 is to be an attachment point but is not kept"),
        ({"attach": [1]}, "atom 1 has no open valence"),
        ({"atoms": [1, 2], "attach": [1]}, "atom 2 would keep 1 open valence"),
    ],
)
def test_parts_that_cannot_be_kept_are_refused(molecules, arguments, words):
    ethane = next(m for m in molecules if len(m) > 15 and m.atomic_numbers[0] == 6 and m.atomic_numbers[1] == 6)
    if "attach" in arguments and arguments.get("atoms") == [1, 2]:
        ethane = Conformers.from_smiles("CCC").molecule
    with pytest.raises(InputError, match=words):
        _ = Keep(molecule=ethane, **arguments).fragment


def test_what_the_model_cannot_represent_is_refused(model, molecules):
    sulfur, ion = Conformers.from_smiles("CCS").molecule, Conformers.from_smiles("C[C+2]C").molecule
    with pytest.raises(InputError, match="atom 3 is S; the model was trained on H, C, N, O only; the model leads knows such"):
        model.sample(1, constraint=Keep(molecule=sulfur, atoms=[1, 2, 3]))
    with pytest.raises(InputError, match=r"atom 2 has the charge \+2; the model was trained on the charges -1, 0, \+1 only"):
        model.sample(1, constraint=Conformers(molecule=ion))
    for smiles, words in (
        ("C[NH3+]", r"atom 2 has the charge \+1; the model was trained on the charges 0 only; give its neutral form$"),
        ("[NH3+]CC(=O)[O-]", r"atom 1 has the charge \+1; the model was trained on the charges 0 only; the model qm9 knows such$"),
        ("C[S+](C)[O-]", r"atom 2 has the charge \+1; the model was trained on the charges 0 only; write \[S\+\]\[O-\] as S=O$"),
    ):
        with pytest.raises(InputError, match=words):
            check_vocabulary(Conformers.from_smiles(smiles).molecule, load_statistics("leads"), "a.sdf")
    big = Conformers.from_smiles("C" * 12).molecule
    with pytest.raises(InputError, match="38 atoms; the model was trained on at most 29; the model leads knows such"):
        model.sample(1, constraint=Around(molecule=big))
    with pytest.raises(InputError, match=r"no sample with its atoms can pass the check \(.*\); give its neutral form"):
        model.sample(1, constraint=Conformers.from_smiles("CC[NH3+]"))
    with pytest.raises(InputError, match="leave no room; the model was trained on at most 29"):
        model.sample(1, constraint=Keep(molecule=big, replace_hydrogens=[38]))
    with pytest.raises(InputError, match="ask for another size"):
        model.sample(1, constraint=Keep(molecule=molecules[0], atoms=[1, 2]), sizes=[2])
    with pytest.raises(InputError, match="strength: expected a number from 0 to 1"):
        Around(molecule=big, strength=1.5)


def test_bonds_to_new_atoms_are_barred_where_no_valence_is_left(model):
    ethanol = Conformers.from_smiles("CCO").molecule  # hydrogens 4 to 9, the last one on the oxygen
    keep = Keep(molecule=replace(ethanol, positions=np.random.default_rng(0).normal(size=(9, 3))), replace_hydrogens=[4, 5, 9], pull=0.0)
    known = keep.batch(model.checkpoint.statistics, [10])
    k, widths = len(keep.fragment.numbers), {"atom": len(model.checkpoint.statistics.elements), "charge": 3}
    plain = {"pos": known["pos"], **{name: torch.zeros(1, 10, width) for name, width in widths.items()}, "bond": torch.zeros(1, 10, 10, 4)}
    guided = keep.guide(lambda *_: plain, model.denoiser.process, model.checkpoint.statistics, known)
    found = guided(known, torch.ones(1), {})["bond"].softmax(-1)
    assert keep.fragment.open.tolist() == [2, 0, 1, 0, 0, 0]
    for i, room in enumerate(keep.fragment.open.tolist()):
        for j in range(k, 10):
            for pair in (found[0, i, j], found[0, j, i]):
                assert pair.tolist() == pytest.approx([1 / (1 + room)] * (1 + room) + [0] * (3 - room))
    assert found[0, k:, k:].unique().tolist() == [0.25]  # between new atoms all is open
    assert guided.score.valences.tolist() == [4, 4, 2, 1, 1, 1]


def test_walks_around_a_part_are_resampled_and_conformers_walk_as_free_samples_do(model):
    graph = Conformers.from_smiles("CC")
    ethane = replace(graph.molecule, positions=np.random.default_rng(0).normal(size=(8, 3)))
    usual = model.checkpoint.experiment.sampler
    for constraint, sampler in ((Keep(molecule=ethane, replace_hydrogens=[8]), RESAMPLING), (graph, usual)):
        times = [step.time for step in model.walker(Request(constraint=constraint, steps=5)).walk([Draw(0, 8, 0, constraint=constraint)])]
        assert times == sampler.grid.times(5, model.denoiser.process.clock.schedule)[1:].tolist()
