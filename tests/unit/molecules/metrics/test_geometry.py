"""Distances, angles, torsions, crossings and the distances between their distributions."""

from dataclasses import replace

import numpy as np
import pytest
from rdkit.Chem import rdMolTransforms
from scipy.stats import wasserstein_distance

from molgen.molecules.metrics import distributions as of
from molgen.molecules.metrics.distances import RARE, Grid, family_distance, missing_kinds, total_variation, wasserstein
from molgen.molecules.metrics.elements import NUMBERS
from molgen.molecules.metrics.geometry import _pierces, geometry, segment_distances, small_rings
from molgen.molecules.metrics.relaxation import changes
from molgen.molecules.molecule import Molecule

from .conftest import embed


def test_nearly_every_real_molecule_is_plausible(real):
    failed = [geometry(molecule)["geometry_reason"] for molecule in real[:400] if not geometry(molecule)["geometry"]]
    assert len(failed) <= 1, failed


def test_bonds_that_cross_and_bonds_through_rings():
    cross = Molecule(
        np.ones(4, np.int64),
        np.array([[-0.4, 0, 0], [0.4, 0, 0], [0, -0.4, 0.4], [0, 0.4, 0.4]]),
        np.zeros(4, np.int64),
        np.array([[0, 1, 1], [2, 3, 1]]),
    )
    assert geometry(cross)["geometry_reason"] == "bonds that cross"
    angles = np.arange(8) * np.pi / 4
    ring = np.stack([1.9 * np.cos(angles), 1.9 * np.sin(angles), np.zeros(8)], axis=1)
    bonds = [[i, i + 1, 1] for i in range(7)] + [[0, 7, 1], [8, 9, 1]]
    threaded = Molecule(
        np.array([6] * 8 + [1, 1]), np.vstack([ring, [[0, 0, -0.37], [0, 0, 0.37]]]), np.zeros(10, np.int64), np.array(bonds)
    )
    assert geometry(threaded)["geometry_reason"] == "bond through a ring"
    beside = threaded.positions + np.where(np.arange(10)[:, None] >= 8, [0, 0, 3.0], 0)
    assert geometry(replace(threaded, positions=beside))["geometry"]


@pytest.mark.parametrize(("size", "caught"), [(6, True), (12, True), (14, True), (15, False)])
def test_threads_are_seen_in_rings_of_up_to_fourteen_atoms(size, caught):
    """A stretched hydrogen molecule through the middle of a regular ring of carbons."""
    angles = np.arange(size) * 2 * np.pi / size
    radius = 1.5 / (2 * np.sin(np.pi / size))
    ring = radius * np.stack([np.cos(angles), np.sin(angles), np.zeros(size)], axis=1)
    bonds = [[i, i + 1, 1] for i in range(size - 1)] + [[0, size - 1, 1], [size, size + 1, 1]]
    atoms = np.array([6] * size + [1, 1])
    molecule = Molecule(atoms, np.vstack([ring, [[0, 0, -0.37], [0, 0, 0.37]]]), np.zeros(size + 2, np.int64), np.array(bonds))
    reason = geometry(molecule)["geometry_reason"]
    assert (reason in ("bond through a ring", "bonds that cross")) is caught, reason
    assert size < 10 or not caught or reason == "bond through a ring"


@pytest.mark.parametrize("smiles", ["C1CCCCCCCCCCC1", "O=C1CCCCCCCCCCCCO1", "C1COCCOCCOCCO1", "CC1CCCCCC(C(C)(C)C)CCCCCC1"])
def test_real_macrocycles_are_not_threaded(smiles):
    assert all(geometry(embed(smiles, seed))["geometry"] for seed in range(1, 6))


def test_segment_distances_against_brute_force():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(60, 2, 3)), rng.normal(size=(60, 2, 3))
    first[0], second[0] = [[0, 0, 0], [1, 0, 0]], [[0.2, 1, 0], [0.8, 1, 0]]  # parallel
    second[1] = second[1][:1]  # a point
    steps = np.linspace(0, 1, 101)[None, :, None]
    points = [ends[:, :1] + steps * (ends[:, 1:] - ends[:, :1]) for ends in (first, second)]
    brute = np.linalg.norm(points[0][:, :, None] - points[1][:, None], axis=-1).min(axis=(1, 2))
    found = segment_distances(first, second)
    assert (found <= brute + 1e-9).all()
    np.testing.assert_allclose(found, brute, atol=0.02)


def test_piercing_against_linear_algebra():
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(100):
        origin, direction, corners = rng.normal(size=(5, 3)), 2 * rng.normal(size=(5, 3)), rng.normal(size=(4, 3))
        centre, following = corners.mean(axis=0), np.roll(corners, -1, axis=0)
        found = _pierces(origin, direction, centre, corners, following)
        for p in range(5):
            for k in range(4):
                u, v, t = np.linalg.solve(np.stack([corners[k] - centre, following[k] - centre, -direction[p]], 1), origin[p] - centre)
                expected = u >= 0 and v >= 0 and u + v <= 1 and 0 <= t <= 1
                assert found[p, k] == expected
                hits += expected
    assert hits > 20


def test_small_rings_are_rdkits(real):
    """Same sizes as the smallest set of smallest rings, except in cages, where there are more rings through bonds."""
    compared = 0
    for molecule in real[:200]:
        mol = molecule.to_rdkit(sanitize=True)
        rings = mol.GetRingInfo().AtomRings()
        if len(rings) <= 1:
            found = small_rings(molecule, 8)
            assert sorted(map(sorted, found)) == sorted(map(sorted, rings))
            bonded = {frozenset(pair) for pair in molecule.bonds[:, :2].tolist()}
            assert all(frozenset((a, b)) in bonded for ring in found for a, b in zip(ring, ring[1:] + ring[:1], strict=True))
            compared += 1
    assert compared > 50


def test_internal_coordinates_are_rdkits(real):
    molecule = real[100]
    conformer = molecule.to_rdkit().GetConformer()
    quadruples, _ = of.torsion_atoms(molecule, heavy=False)
    for quadruple, torsion in zip(quadruples, of.torsions_of(molecule.positions, quadruples), strict=True):
        atoms = [int(atom) for atom in quadruple]
        if np.isfinite(torsion):
            assert rdMolTransforms.GetDihedralDeg(conformer, *atoms) == pytest.approx(torsion, abs=1e-6)
        assert rdMolTransforms.GetAngleDeg(conformer, *atoms[:3]) == pytest.approx(
            of.angles_of(molecule.positions, quadruple[None, :3])[0], abs=1e-6
        )
    i, j, order = molecule.bonds[0]
    kind = of.bond_kind(int(molecule.atomic_numbers[i]), int(molecule.atomic_numbers[j]), int(order))
    assert np.abs(of.bond_lengths(molecule)[kind] - rdMolTransforms.GetBondLength(conformer, int(i), int(j))).min() < 1e-9


def test_every_angle_and_torsion_is_counted_once():
    molecule = embed("CCO")
    assert {kind: len(values) for kind, values in of.bond_angles(molecule).items()} == {"C": 12, "O": 1}
    assert {kind: len(values) for kind, values in of.torsions(embed("CCCO")).items()} == {"C-C": 1}
    assert {kind: sorted(values) for kind, values in of.valences(embed("C[NH3+]")).items()} == {"C": [4], "N+": [4], "H": [1] * 6}
    assert len(of.torsion_atoms(molecule, heavy=False)[0]) == 9 + 3
    assert of.angle_atoms(molecule).shape == (13, 3)
    assert of.angle_atoms(embed("[H][H]")).shape == (0, 3)
    assert not of.torsions(embed("CC#CC"))  # a straight line has no torsion
    assert not of.torsions(embed("C1CC1"))  # nor has a ring of three


def test_mirror_images_measure_the_same(real):
    for molecule in real[:20]:
        mirrored = replace(molecule, positions=molecule.positions * [1, 1, -1])
        for measure in (of.bond_lengths, of.bond_angles, of.torsions):
            here, there = measure(molecule), measure(mirrored)
            assert here.keys() == there.keys()
            for kind in here:
                np.testing.assert_allclose(here[kind], there[kind], atol=1e-9)


def histogram(grid, values):
    """Counts of values in the bins of a grid."""
    return np.bincount([grid.place(float(value)) for value in values], minlength=grid.bins)


def test_binned_wasserstein_is_scipys():
    rng = np.random.default_rng(0)
    grid = Grid(0.5, 3.0, 0.002, "Å")
    first, second = rng.normal(1.5, 0.02, 4000), rng.normal(1.503, 0.025, 3000)
    exact = wasserstein_distance(first, second)
    one, other = histogram(grid, first), histogram(grid, second)
    assert wasserstein(one, other, grid.width) == pytest.approx(exact, abs=2e-4)
    assert wasserstein(one, one, grid.width) == 0
    assert np.isnan(wasserstein(one, np.zeros(grid.bins), grid.width))
    assert [grid.place(value) for value in (-5.0, 0.5, 99.0)] == [0, 0, grid.bins - 1]


def test_family_distance_weights_by_the_reference_and_leaves_out_rare_kinds():
    grid = Grid(0.0, 10.0, 1.0)

    def at(position, count):
        return count * histogram(grid, [position])

    reference = {"a": at(0, 300), "b": at(0, 100), "rare": at(0, 3), "absent": at(0, 60)}
    samples = {"a": at(1, 7), "b": at(5, 7), "rare": at(9, 7)}
    assert family_distance(samples, reference, 1.0) == pytest.approx((300 * 1 + 100 * 5) / 400)
    assert missing_kinds(samples, reference) == ["absent"]
    assert np.isnan(family_distance({}, reference, 1.0))
    for count, frequent in ((RARE, True), (RARE - 1, False)):
        assert np.isfinite(family_distance({"a": at(1, 7)}, {"a": at(0, count)}, 1.0)) == frequent
        assert (missing_kinds({}, {"a": at(0, count)}) == ["a"]) is frequent


def test_total_variation():
    assert total_variation(np.array([1, 1, 0]), np.array([0, 2, 2])) == pytest.approx(0.5)
    assert total_variation(np.array([2, 4]), np.array([1, 2])) == 0


def molecule(symbols, positions, bonds):
    z = [NUMBERS[symbol] for symbol in symbols]
    return Molecule(np.array(z), np.array(positions, float), np.zeros(len(z), int), np.array(bonds, int).reshape(-1, 3))


def bent(degrees):
    """A bent H-O-H with a carbon behind: the smallest of three angles."""
    half = np.radians(degrees / 2)
    ends = [0.97 * np.array([np.cos(half), sign * np.sin(half), 0]) for sign in (1, -1)]
    return molecule("OHHC", [[0, 0, 0], *ends, [-1.4, 0, 0]], [[0, 1, 1], [0, 2, 1], [0, 3, 1]])


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (molecule("CC", [[0, 0, 0], [1.29 * 1.46, 0, 0]], [[0, 1, 1]]), ""),
        (molecule("CC", [[0, 0, 0], [1.31 * 1.46, 0, 0]], [[0, 1, 1]]), "bond C-C too long"),
        (molecule("CC", [[0, 0, 0], [0.71 * 1.46, 0, 0]], [[0, 1, 2]]), ""),
        (molecule("CC", [[0, 0, 0], [0.69 * 1.46, 0, 0]], [[0, 1, 2]]), "bond C=C too short"),
        (molecule("HI", [[0, 0, 0], [1.29 * 1.70, 0, 0]], [[0, 1, 1]]), ""),
        (molecule("IH", [[0, 0, 0], [1.31 * 1.70, 0, 0]], [[0, 1, 1]]), "bond I-H too long"),
        (bent(46), ""),
        (bent(44), "angle at O too small"),
        (molecule("OHO", [[0, 0, 0], [0.97, 0, 0], [0.97 + 1.10, 0, 0]], [[0, 1, 1]]), ""),  # 0.40 of 2.72 Å: 1.088
        (molecule("OHO", [[0, 0, 0], [0.97, 0, 0], [0.97 + 1.07, 0, 0]], [[0, 1, 1]]), "clash between atoms that are not bonded"),
        (molecule("OHC", [[0, 0, 0], [0.97, 0, 0], [0.97 + 1.78, 0, 0]], [[0, 1, 1]]), "clash between atoms that are not bonded"),
        (molecule("OHC", [[0, 0, 0], [0.97, 0, 0], [0.97 + 1.81, 0, 0]], [[0, 1, 1]]), ""),  # 0.62 of 2.90 Å: 1.798
    ],
)
def test_the_bounds_of_lengths_angles_and_contacts(made, reason):
    assert geometry(made)["geometry_reason"] == reason


def test_the_closest_contact_is_that_of_atoms_three_bonds_apart():
    """Hydrogen peroxide, planar: H...H 2.07 Å on the same side, 2.4 Å are the sum of their radii; water has no such pair."""
    peroxide = molecule("HOOH", [[-0.3, 0.9, 0], [0, 0, 0], [1.47, 0, 0], [1.77, 0.9, 0]], [[0, 1, 1], [1, 2, 1], [2, 3, 1]])
    assert geometry(peroxide)["closest_contact"] == pytest.approx(2.07 / 2.4)
    assert np.isnan(geometry(bent(104))["closest_contact"])


@pytest.mark.parametrize(("symbol", "nearest"), [("N", 0.40 * 2.75), ("F", 0.40 * 2.67), ("S", 0.40 * 3.00), ("P", 0.62 * 3.00)])
def test_a_proton_may_be_shared_by_some_elements(symbol, nearest):
    for farther, reason in ((0.01, ""), (-0.01, "clash between atoms that are not bonded")):
        made = molecule(["O", "H", symbol], [[0, 0, 0], [0.97, 0, 0], [0.97 + nearest + farther, 0, 0]], [[0, 1, 1]])
        assert geometry(made)["geometry_reason"] == reason


@pytest.mark.parametrize(("degrees", "defined"), [(2.0, False), (4.0, True)])
def test_chains_within_three_degrees_of_a_line_have_no_torsion(degrees, defined):
    a = np.radians(degrees)
    ends = [-1.2 * np.cos(a), 1.2 * np.sin(a), 0], [1.2 + 1.2 * np.cos(a), 0, 1.2 * np.sin(a)]
    (found,) = of.torsions_of(np.array([ends[0], [0, 0, 0], [1.2, 0, 0], ends[1]]), np.array([[0, 1, 2, 3]]))
    assert np.isfinite(found) == defined
    assert not defined or abs(found) == pytest.approx(90)


@pytest.mark.parametrize(
    ("numbers", "order", "name"), [((1, 6), 1, "C-H"), ((6, 1), 1, "C-H"), ((8, 6), 2, "C=O"), ((7, 6), 3, "C#N"), ((1, 1), 1, "H-H")]
)
def test_bonds_are_named_by_the_lighter_heavy_atom_first(numbers, order, name):
    assert of.bond_kind(*numbers, order) == name


def test_torsions_turn_the_short_way():
    def chain(degrees):
        a = np.radians(degrees)
        return molecule(
            "CCCC", [[-0.5, 1.4, 0], [0, 0, 0], [1.5, 0, 0], [2.0, 1.4 * np.cos(a), 1.4 * np.sin(a)]], [[0, 1, 1], [1, 2, 1], [2, 3, 1]]
        )

    found = changes("x", chain(179), chain(-179))
    assert found["x_torsion_change"] == pytest.approx(2)
    assert found["x_bond_change"] == pytest.approx(0)
