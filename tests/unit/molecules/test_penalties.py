"""Scores on guesses whose geometry is known, and their gradients."""

import gzip
import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from rdkit import Chem

from molgen.batch import Batch, mask_of
from molgen.diffusion.gaussian import Gaussian
from molgen.diffusion.process import Joint
from molgen.diffusion.schedule import VarianceExploding
from molgen.diffusion.space import Centered
from molgen.errors import InputError
from molgen.guidance import Clash, Distance, EvenElectrons, Gradient, Guess, Neutral, OnePiece, Shape, Valence
from molgen.molecules.export import write_sdf
from molgen.molecules.fields import ANGSTROM_PER_UNIT, MoleculeFields, Statistics, build_process
from molgen.molecules.molecule import Molecule
from molgen.molecules.pieces import one_piece
from molgen.molecules.valence import even_electrons, neutral_charge, valence_table

ELEMENTS = (1, 6, 8)
STATISTICS = Statistics(1, ELEMENTS, (0,), {2: 1}, (0.4, 0.3, 0.3), (1.0,), (0.7, 0.1, 0.1, 0.1), 1.0)


def guess(positions, elements, bonds=(), pad=0, known=ELEMENTS):
    n = len(positions)
    atoms = torch.zeros(1, n + pad, len(known), dtype=torch.float64)
    atoms[0, range(n), [known.index(z) for z in elements]] = 1
    order = torch.zeros(n + pad, n + pad, dtype=torch.long)
    for i, j in bonds:
        order[i, j] = order[j, i] = 1
    xyz = torch.zeros(1, n + pad, 3, dtype=torch.float64)
    xyz[0, :n] = torch.tensor(positions, dtype=torch.float64)
    one_hot = torch.nn.functional.one_hot(order, 4).to(torch.float64)[None]
    charges = torch.ones(1, n + pad, 1, dtype=torch.float64)
    return Guess(xyz, atoms, charges, one_hot, mask_of([n], n + pad), known, (0,))


def test_distance_is_a_parabola_in_the_distance():
    found = guess([[0, 0, 0], [3, 4, 0], [9, 9, 9]], [6, 6, 8], pad=2)
    assert float(Distance(1, 2, 4.0, width=0.5)(found)) == pytest.approx(-(1.0**2) / (2 * 0.25))
    assert float(Distance(2, 1, 5.0)(found)) == pytest.approx(0, abs=1e-6)
    assert float(Distance(1, 4, 5.0)(found)) == 0  # no such atom


@pytest.mark.parametrize("arguments", [(0, 1, 2.0), (1, 1, 2.0), (1, 2, -1.0), (1, 2, 1.0, 0.0)])
def test_bad_distances(arguments):
    with pytest.raises(InputError, match="distance: expected"):
        Distance(*arguments)


def test_clash_counts_contacts_of_atoms_far_apart_in_the_graph():
    # two carbons 2.0 Å apart overlap by 0.75 * 3.4 - 2.0 = 0.55 Å
    apart = [[0, 0, 0], [2.0, 0, 0]]
    assert float(Clash()(guess(apart, [6, 6], pad=1))) == pytest.approx(-(0.55**2) / (2 * 0.3**2))
    assert float(Clash()(guess(apart, [6, 6], [(0, 1)]))) == 0
    bent = [[0, 0, 0], [1.5, 0, 0], [0.5, 1.4, 0]]
    assert float(Clash()(guess(bent, [6, 6, 6], [(0, 1), (1, 2)]))) == 0  # one bond and two bonds apart
    assert float(Clash()(guess([[0, 0, 0], [2.6, 0, 0]], [6, 6]))) == 0
    boron = guess(apart, [5, 5], known=(5, 6))  # of no known radius, hence that of carbon
    assert float(Clash()(boron)) == pytest.approx(float(Clash()(guess(apart, [6, 6]))))


def test_shape_is_one_for_itself_and_falls_with_distance():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(7, 3)) * 2
    same = guess(points + 5, [6] * 7, pad=2)  # shifted: both are centred
    assert float(Shape(points).similarity(same)) == pytest.approx(1)
    assert float(Shape(np.repeat(points, 3, 0)).similarity(same)) == pytest.approx(1)  # density does not count
    hydrogens = guess(np.concatenate([points, points[:2] + 1]), [6] * 7 + [1] * 2)
    assert float(Shape(points).similarity(hydrogens)) == pytest.approx(1)  # heavy atoms alone
    noise = rng.normal(size=(7, 3))
    values = [float(Shape(points).similarity(guess(points + s * noise, [6] * 7))) for s in (0, 0.3, 1, 3)]
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0.5
    assert float(Shape(points, strength=30.0)(same)) == pytest.approx(30)
    told = same.atoms.clone()
    told[0, 7:] = 1 / 3  # what a network says of the padding does not count
    assert float(Shape(points).similarity(replace(same, atoms=told))) == pytest.approx(1)
    assert replace(same, atoms=told).is_element(1, 6).tolist() == [[1.0] * 7 + [0.0] * 2]


def test_shape_files(tmp_path):
    points = np.random.default_rng(1).normal(size=(5, 3))
    np.save(tmp_path / "a.npy", points)
    rows = "".join(f"{z} {x} {y} {w}\n" for z, (x, y, w) in zip("CCHC1", points, strict=True))
    (tmp_path / "a.xyz").write_text(f"5\ncomment\n{rows}")
    np.testing.assert_array_equal(Shape.read(tmp_path / "a.npy").points, points)
    heavy = np.delete(points, [2, 4], 0)  # hydrogens, by symbol and by number
    np.testing.assert_array_equal(Shape.read(tmp_path / "a.xyz").points, heavy)
    (tmp_path / "a.xyz.gz").write_bytes(gzip.compress((tmp_path / "a.xyz").read_bytes()))
    np.testing.assert_array_equal(Shape.read(tmp_path / "a.xyz.gz").points, heavy)
    molecule = replace(Molecule.from_smiles("OCC1CCCO1"), properties={})
    write_sdf(tmp_path / "a.sdf.gz", [molecule])
    heavy = molecule.positions[molecule.atomic_numbers > 1]
    read = Shape.read(tmp_path / "a.sdf.gz")
    np.testing.assert_allclose(read.points, heavy, atol=1e-4)
    placed = replace(read, points=read.points + 7.0, strength=1.0).place(molecule)  # a change of one field keeps the others
    np.testing.assert_allclose(placed.positions, molecule.positions + 7.0, atol=1e-4)
    (tmp_path / "flat.sdf").write_text(Chem.MolToMolBlock(Chem.MolFromSmiles("OCC1CCCO1")) + "$$$$\n")
    write_sdf(tmp_path / "two.sdf", [molecule] * 2)
    (tmp_path / "b.xyz").write_text(f"6\ncomment\n{rows}")
    (tmp_path / "c.xyz").write_text("")
    np.save(tmp_path / "b.npy", points[:, :2])
    (tmp_path / "c.npy").write_bytes(b"\x80\x04.")
    flat = ("flat.sdf", r"flat\.sdf: is a flat drawing, whose shape nobody knows; give coordinates")
    several = ("two.sdf", r"two\.sdf: holds 2 molecules; give a file with one")
    for name, words in (
        flat,
        several,
        ("b.xyz", r"b\.xyz: record 1: fewer lines than atoms \(cut off\?\)"),
        ("c.xyz", r"c\.xyz: record 1: no atoms"),
        ("b.npy", r"got \(5, 2\)"),
        ("c.npy", "unreadable"),
        ("d.npy", "no such file"),
    ):
        with pytest.raises(InputError, match=words):
            Shape.read(tmp_path / name)
    with pytest.raises(InputError, match="expected points as"):
        Shape.read(__file__)


@pytest.mark.parametrize("score", [Distance(1, 2, 2.0), Clash(), Shape(np.random.default_rng(2).normal(size=(6, 3)))])
def test_gradients_are_those_of_finite_differences(score):
    start = torch.randn(1, 5, 3, generator=torch.Generator().manual_seed(4), dtype=torch.float64) * 1.2
    base = guess(start[0].tolist(), [6, 6, 8, 6, 1], [(0, 1), (1, 2), (3, 4)])

    def value(positions):
        return score(Guess(positions, base.atoms, base.charges, base.bonds, base.mask, ELEMENTS, (0,)))

    assert torch.autograd.gradcheck(value, start.requires_grad_())


def test_shape_and_clash_leave_the_elements_and_bonds_alone():
    found = guess(np.random.default_rng(3).normal(size=(6, 3)).tolist(), [6, 6, 8, 6, 1, 1])
    atoms = found.atoms.clone().requires_grad_()
    bonds = found.bonds.clone().requires_grad_()
    moved = replace(found, atoms=atoms, bonds=bonds, positions=found.positions.clone().requires_grad_())
    for score in (Clash(), Shape(np.eye(3))):
        to_atoms, to_bonds, to_positions = torch.autograd.grad(score(moved).sum(), [atoms, bonds, moved.positions], allow_unused=True)
        assert to_atoms is None
        assert to_bonds is None
        assert float(to_positions.abs().max()) > 0.01


def test_description_names_the_score_and_what_it_was_given():
    assert Gradient(Distance(1, 5, 3.2), scale=2.0).describe() == "distance first=1 second=5 target=3.2 width=0.1 scale=2"
    assert Gradient(Clash(), below=1.0).describe() == "clash share=0.75 width=0.3 below=1"
    one, other = (Gradient(Shape(np.array([[0.0, 0, 0], [x, 0, 0]]), name="a.npy")).describe() for x in (1, 2))
    assert one.startswith("shape a.npy (2 points, ")
    assert one.endswith(") strength=300")
    assert one != other


def test_guides_begin_at_their_noise_in_angstrom():
    guide = Gradient(Clash(), below=0.3).guide(lambda *_: {}, Joint({}), STATISTICS)
    assert guide.below == pytest.approx(0.2)  # a unit of the network is 1.5 Å


def test_scores_of_the_wrong_shape_are_told():
    guide = Gradient(lambda guess: guess.positions.sum()).guide(lambda batch, t, condition, previous=None: {}, Joint({}), STATISTICS)
    clean = {"pos": torch.zeros(2, 2, 3), "atom": torch.zeros(2, 2, 3), "charge": torch.zeros(2, 2, 1), "bond": torch.zeros(2, 2, 2, 4)}
    with pytest.raises(ValueError, match=r"one value a molecule, shape \(2,\), got \(\)"):
        guide.score(clean, mask_of([2, 2]))


@pytest.mark.parametrize("t", [0.4, 0.5, 0.6])
def test_guidance_never_ends_where_the_score_is_undefined(t):
    apart = torch.tensor([[[-0.75, 0, 0], [0.75, 0, 0]]], dtype=torch.float64)
    process = build_process(MoleculeFields(), STATISTICS)
    classes = {name: torch.zeros(1, 2, dtype=torch.long) for name in ("atom", "charge")} | {"bond": torch.zeros(1, 2, 2, dtype=torch.long)}
    widths = {"atom": 3, "charge": 1, "bond": 4}
    clean = {"pos": apart} | {name: torch.zeros(*value.shape, widths[name], dtype=torch.float64) for name, value in classes.items()}
    near = 1.2  # Å, from where the score is not a number

    def score(guess):
        return -40 * ((guess.positions[:, 0] - guess.positions[:, 1]).norm(dim=-1) - near).sqrt()

    guided = Gradient(score).guide(lambda *_: clean, process, STATISTICS)
    found = guided(Batch({"pos": apart, **classes}, mask_of([2])), torch.tensor([t], dtype=torch.float64), {})["pos"]
    distance = float((found[0, 0] - found[0, 1]).norm()) * ANGSTROM_PER_UNIT
    assert near <= distance <= 2.25


def test_valence_counts_open_shells_and_the_net_charge():
    methyl = guess(np.random.default_rng(5).normal(size=(4, 3)).tolist(), [6, 1, 1, 1], [(0, 1), (0, 2), (0, 3)], pad=2)
    assert float(Valence(3.0)(methyl)) == pytest.approx(-1.5)  # one carbon lacks one bond
    methane = guess(np.random.default_rng(5).normal(size=(5, 3)).tolist(), [6, 1, 1, 1, 1], [(0, k) for k in range(1, 5)], pad=1)
    assert float(Valence(3.0)(methane)) == 0
    hydroxide = guess([[0, 0, 0], [1, 0, 0]], [8, 1], [(0, 1)], pad=1)
    charges = torch.nn.functional.one_hot(torch.tensor([[1, 0, 0]]), 2).to(torch.float64)
    charged = replace(hydroxide, charges=charges, formal_charges=(0, -1))
    assert float(Valence(3.0)(charged)) == pytest.approx(-1.5)  # closed shells, but an ion
    assert float(Valence(3.0)(hydroxide)) == pytest.approx(-1.5)  # neutral, but a radical
    balanced = torch.nn.functional.one_hot(torch.tensor([[1, 2, 0, 0]]), 3).to(torch.float64)
    oxide = guess([[0, 0, 0], [1, 0, 0], [2, 0, 0], [1, 1, 0]], [8, 8, 1, 1], [(0, 1), (1, 2), (1, 3)])
    assert float(Valence(3.0)(replace(oxide, charges=balanced, formal_charges=(0, -1, 1)))) == 0  # water oxide: charges that cancel


def test_valence_favours_the_bond_that_closes_two_shells():
    ends = guess([[0, 0, 0], [1, 0, 0], [2, 0, 0]], [1, 8, 1], [(0, 1)])
    bonds = ends.bonds.clone().requires_grad_()
    (slope,) = torch.autograd.grad(Valence(1.0)(replace(ends, bonds=bonds)).sum(), bonds)
    both = slope[0] + slope[0].transpose(0, 1)
    assert both[1, 2].tolist() == pytest.approx([0, 2, 4, 6])  # oxygen and hydrogen lack one bond each
    assert both[0, 1].tolist() == both[0, 2].tolist() == pytest.approx([0, 1, 2, 3])  # the oxygen alone, the second hydrogen alone


def test_sulfur_closes_its_shell_in_three_ways():
    """SF2, SF4 and SF6 are right, SF5 lacks a bond or has one too many; a half-made bond is drawn to the nearer of two valences."""
    table = valence_table((9, 16, 15), (0, -1))
    assert table.tolist() == [[[1, 1, 1], [1, 1, 1]], [[2, 4, 6], [1, 1, 1]], [[3, 5, 5], [3, 5, 5]]]
    places = np.random.default_rng(6).normal(size=(7, 3)).tolist()

    def fluoride(bound: int, count: int = 6) -> Guess:
        return guess(places[: count + 1], [16] + [9] * count, [(0, i) for i in range(1, bound + 1)], known=(9, 16))

    assert [float(Valence(2.0)(fluoride(k, k))) for k in range(2, 7)] == pytest.approx([0, -1, 0, -1, 0])
    for bound, share, excess in ((4, 0.2, 0.2), (4, 0.9, 0.9), (5, 0.2, -0.8), (5, 0.9, -0.1)):
        found = fluoride(bound)
        bonds = found.bonds.clone()
        bonds[0, 0, bound + 1] = torch.tensor([1 - share, share, 0, 0])
        bonds.requires_grad_()
        (slope,) = torch.autograd.grad(Valence(2.0)(replace(found, bonds=bonds)).sum(), bonds)
        assert float(slope[0, 0, bound + 1, 1]) == pytest.approx(-2 * excess)


def test_even_electrons_is_the_share_of_all_combinations():
    elements, charges = (1, 6, 7, 8), (-1, 0, 1)
    table = valence_table(elements, charges)
    assert table.squeeze(-1).tolist() == [[1, 1, 1], [3, 4, 3], [2, 3, 4], [1, 2, 3]]
    generator = torch.Generator().manual_seed(1)
    atoms, formal = (torch.rand(1, 3, k, generator=generator, dtype=torch.float64) ** 3 for k in (4, 3))
    atoms, formal = (x / x.sum(-1, keepdim=True) for x in (atoms, formal))
    padded = [torch.cat([x, torch.rand(1, 2, x.shape[-1], generator=generator)], 1) for x in (atoms, formal)]
    element, charge = even_electrons(*padded, mask_of([3], 5), table)
    total, even = 0.0, {"element": torch.zeros(3, 4), "charge": torch.zeros(3, 3)}
    for kinds in itertools.product(range(4), repeat=3):
        for signs in itertools.product(range(3), repeat=3):
            weight = math.prod(float(atoms[0, i, kinds[i]] * formal[0, i, signs[i]]) for i in range(3))
            total += weight
            if sum(table[k, q, 0] for k, q in zip(kinds, signs, strict=True)) % 2 == 0:
                for i in range(3):
                    even["element"][i, kinds[i]] += weight / float(atoms[0, i, kinds[i]])
                    even["charge"][i, signs[i]] += weight / float(formal[0, i, signs[i]])
    assert total == pytest.approx(1)
    assert torch.allclose(element[0, :3].exp().float(), even["element"], atol=1e-6)
    assert torch.allclose(charge[0, :3].exp().float(), even["charge"], atol=1e-6)
    assert not element[0, 3:].any()
    assert not charge[0, 3:].any()


def test_a_neutral_charge_is_the_share_of_all_combinations():
    formal_charges = (-1, 0, 2)
    charges = torch.rand(1, 4, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64) ** 3
    charges = charges / charges.sum(-1, keepdim=True)
    charges[0, 3] = torch.tensor([0.0, 1.0, 0.0])  # one is certain: products have factors that are 0 in part
    padded = torch.cat([charges, torch.rand(1, 2, 3, dtype=torch.float64)], 1)
    found = neutral_charge(padded, mask_of([4], 6), formal_charges)
    expected = torch.zeros(4, 3)
    for places in itertools.product(range(3), repeat=4):
        if sum(formal_charges[place] for place in places) == 0:
            for i in range(4):
                expected[i, places[i]] += math.prod(float(charges[0, j, places[j]]) for j in range(4) if j != i)
    assert torch.allclose(found[0, :4].exp().float(), expected.clamp(min=1e-3), atol=1e-6)
    assert expected.max() > 0.2
    assert not found[0, 4:].any()
    pair = torch.tensor([[[0.2, 0.5, 0.3], [0.1, 0.6, 0.3]]], dtype=torch.float64)  # all +1 has another sum than 0
    opposite = pair.flip(1).flip(2)
    torch.testing.assert_close(neutral_charge(pair, mask_of([2]), (-1, 0, 1)).exp(), opposite)


def test_a_piece_that_is_not_alone_is_the_share_of_all_combinations():
    """Six atoms in two pieces of three: of the 512 ways to bond them to each other all count but the one without a bond."""
    generator = torch.Generator().manual_seed(3)
    bonded = torch.zeros(8, 8, dtype=torch.float64)
    for i, j in ((0, 1), (1, 2), (3, 4), (4, 5), (2, 0)):
        bonded[i, j] = bonded[j, i] = 0.9
    bonded[:3, 3:6] = 0.4 * torch.rand(3, 3, generator=generator, dtype=torch.float64) ** 2
    bonded[3:6, :3] = bonded[:3, 3:6].T
    bonded[6:] = bonded[:, 6:] = 0.3  # padding
    share = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)
    bonds = torch.cat([1 - bonded[..., None], bonded[..., None] * share], -1)
    found = one_piece(bonds[None], mask_of([6], 8))[0]
    pairs = list(itertools.product(range(3), range(3, 6)))
    absent, held = torch.zeros(3, 3), torch.zeros(3, 3)
    for states in itertools.product((0, 1), repeat=9):
        weight = math.prod(float(bonded[i, j] if made else 1 - bonded[i, j]) for (i, j), made in zip(pairs, states, strict=True))
        for (i, j), made in zip(pairs, states, strict=True):
            if not made:
                absent[i, j - 3] += weight
                held[i, j - 3] += weight * any(states)
    assert torch.allclose(found[:3, 3:6].exp().float(), held / absent, atol=1e-6)
    assert torch.equal(found, found.T)
    assert not found[:3, :3].any()
    assert not found[3:6, 3:6].any()
    assert not found[6:].any()
    # and so Bayes' rule: what is left is divided by the probability that there is a bond at all
    process = Joint({"pos": Gaussian(VarianceExploding(), Centered())})
    statistics = Statistics(1, (1,), (0,), {6: 1}, (1.0,), (1.0,), (1.0,), 1.0)
    guided = OnePiece(below=0.75).guide(lambda *_: {"bond": bonds.log().expand(2, -1, -1, -1)}, process, statistics)
    times = process["pos"].schedule.time(torch.tensor([0.49, 0.51], dtype=torch.float64))  # 0.75 Å are half a unit
    after, untouched = guided(Batch({}, mask_of([6, 6], 8)), times, {})["bond"].softmax(-1)
    assert torch.allclose(untouched, bonds)
    some = 1 - float((1 - bonded[:3, 3:6]).prod())
    assert torch.allclose(1 - after[:3, 3:6, 0], bonded[:3, 3:6] / some)
    assert torch.allclose(after[0, 3, 1:] / after[0, 3, 1:].sum(), share)


def test_of_two_pieces_the_one_that_is_likelier_to_be_alone_counts():
    """Three single atoms: without the bond between them the first is alone in 80 % of all cases, the second in 60 %."""
    bonded = torch.tensor([[0.0, 0.1, 0.2], [0.1, 0.0, 0.4], [0.2, 0.4, 0.0]])
    found = one_piece(torch.stack([1 - bonded, bonded], -1)[None], mask_of([3]))
    assert float(found[0, 0, 1]) == pytest.approx(math.log(0.2))


def test_a_molecule_of_one_piece_is_left_as_it_is():
    chain = torch.zeros(1, 40, 40, 4, dtype=torch.float64)
    chain[..., 0] = 0.95
    chain[..., 1] = 0.05
    for k in range(39):  # as long a path as there is
        chain[0, k, k + 1] = chain[0, k + 1, k] = torch.tensor([0.4, 0.6, 0.0, 0.0])
    assert not one_piece(chain, mask_of([40])).any()
    chain[0, 19, 20] = chain[0, 20, 19] = torch.tensor([0.6, 0.4, 0.0, 0.0])
    assert (one_piece(chain, mask_of([40]))[0, :20, 20:] < 0).all()


def test_the_last_open_charge_balances_the_others():
    statistics = Statistics(1, (1, 6), (-1, 0, 1), {3: 1}, (0.5, 0.5), (0.1, 0.8, 0.1), (0.7, 0.1, 0.1, 0.1), 1.0)
    sure = torch.tensor([[0.0, 0, 20.0], [0.0, 20.0, 0], [3.0, 6.0, 3.0]])  # a cation, a neutral atom, one left open
    predicted = {"pos": torch.zeros(1, 3, 3), "atom": torch.zeros(1, 3, 2), "charge": sure[None]}
    guided = Neutral().guide(lambda batch, t, condition, previous=None: predicted, Joint({}), statistics)
    found = guided(Batch({}, mask_of([3])), torch.zeros(1), {})
    assert found["charge"].argmax(-1).tolist() == [[2, 1, 0]]
    assert found["atom"] is predicted["atom"]


def test_the_last_open_element_is_told_by_the_count_of_electrons():
    statistics = Statistics(1, (1, 6, 7), (0,), {4: 1}, (0.4, 0.3, 0.3), (1.0,), (0.7, 0.1, 0.1, 0.1), 1.0)
    sure = torch.tensor([[20.0, 0, 0], [20.0, 0, 0], [20.0, 0, 0], [0.0, 8.0, 5.0]])  # three hydrogens and CH3 or NH3
    predicted = {"pos": torch.zeros(1, 4, 3), "atom": sure[None], "charge": torch.zeros(1, 4, 1)}
    guided = EvenElectrons().guide(lambda batch, t, condition, previous=None: predicted, Joint({}), statistics)
    found = guided(Batch({}, mask_of([4])), torch.zeros(1), {})
    assert found["atom"].argmax(-1).tolist() == [[0, 0, 0, 2]]
    assert found["pos"] is predicted["pos"]
