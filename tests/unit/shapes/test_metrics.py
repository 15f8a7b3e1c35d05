import numpy as np
import pytest
import trimesh
from scipy.spatial.distance import cdist

from molgen.errors import InputError
from molgen.shapes.metrics import (
    CHAMFER,
    EARTH_MOVERS,
    chamfer,
    covered,
    distance_matrix,
    earth_movers,
    in_one_piece,
    interval,
    mesh_checks,
    nearest_neighbour_interval,
    one_nearest_neighbour,
    points_to_surface,
    set_figures,
)

RNG = np.random.default_rng


def matrices(samples, references, distance=CHAMFER):
    """Distances within and between two sets."""
    return tuple(distance_matrix(distance, a, b) for a, b in ((samples, None), (samples, references), (references, None)))


def test_chamfer_and_earth_movers_of_a_shifted_lattice():
    lattice = np.stack(np.meshgrid(*[np.arange(5.0)] * 3), -1).reshape(-1, 3)
    shift = np.array([0.3, 0, 0])
    assert chamfer(lattice, lattice + shift) == pytest.approx(2 * 0.3**2)  # the nearest is the own copy both ways
    assert earth_movers(lattice, lattice[::-1] + shift) == pytest.approx(0.3)
    assert chamfer(lattice, lattice[::-1]) == 0
    assert chamfer(np.zeros((4, 3)), np.array([[3.0, 4.0, 0.0]])) == pytest.approx(50)


def test_distances_are_symmetric_and_chamfer_agrees_with_all_pairs():
    a, b = RNG(0).normal(size=(40, 3)), RNG(1).normal(size=(60, 3))
    square = np.square(a[:, None] - b[None]).sum(-1)
    assert chamfer(a, b) == pytest.approx(square.min(1).mean() + square.min(0).mean())
    assert chamfer(a, b) == pytest.approx(chamfer(b, a))
    assert earth_movers(a, b[:40]) == pytest.approx(earth_movers(b[:40], a))
    assert earth_movers(a, b[:40]) >= np.sqrt(square[:, :40]).min(1).mean()


def test_earth_movers_distance_of_translated_clouds_is_the_length_of_the_translation():
    cloud = RNG(2).normal(size=(200, 3))
    far = np.array([0.0, 50.0, 0.0])
    assert earth_movers(cloud, RNG(3).permutation(cloud) + far) == pytest.approx(50)
    for a, b in ((cloud, cloud[:100]), (np.zeros((2049, 3)), np.zeros((2049, 3)))):
        with pytest.raises(InputError, match="one size up to 2048 points"):
            earth_movers(a, b)


@pytest.mark.parametrize("count", [256, 2048])
@pytest.mark.parametrize("size", [0.01, 1.0, 300.0])
def test_a_dumbbell_breaks_with_its_bar_whatever_its_size_and_the_number_of_points(count, size):
    rng = RNG(4)
    balls = rng.normal(size=(count, 3))
    balls = 0.4 * balls / np.linalg.norm(balls, axis=1, keepdims=True) + np.where(np.arange(count) % 2, 1.0, -1.0)[:, None] * [1.0, 0, 0]
    bar = np.zeros((count // 16, 3))
    bar[:, 0] = np.linspace(-0.6, 0.6, len(bar))
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    whole = size * np.concatenate([balls, bar]) @ turn + 7 * size
    assert in_one_piece(rng.permutation(whole))
    assert not in_one_piece(whole[np.abs((whole / size - 7) @ turn.T[:, 0]) > 0.25])  # the middle of the bar is gone
    stray = np.concatenate([whole, whole.mean(0) + size * np.array([[0, 0.8, 0]]) @ turn])
    assert in_one_piece(stray)
    far = size * np.array([[0, 0, 40.0]]) @ turn  # a stray that is far away does not make the gap small
    assert not in_one_piece(np.concatenate([whole[np.abs((whole / size - 7) @ turn.T[:, 0]) > 0.25], whole.mean(0) + far]))


@pytest.mark.parametrize("count", [256, 512, 2048])
def test_random_points_of_a_sphere_are_in_one_piece_and_of_its_caps_in_two(count):
    """Within 4.5 / sqrt(n) of the radius such points have five others, hardly more than where they fall into islands by chance."""
    for seed in range(8):
        ball = RNG(seed).normal(size=(count, 3))
        ball /= np.linalg.norm(ball, axis=1, keepdims=True)
        assert in_one_piece(ball), seed
        assert not in_one_piece(ball[np.abs(ball[:, 2]) > 6 / count**0.5]), seed  # of the belt the width is twelve times 1 / sqrt(n)


def test_half_a_percent_of_the_points_is_a_piece_and_less_is_a_stray():
    line = np.zeros((400, 3))
    line[:, 0] = np.linspace(0, 1, 400)
    line[:2, 1] = 0.5
    assert not in_one_piece(line)
    line[1, 1] = 0  # joins the others
    assert in_one_piece(line)


def test_matrices_hold_the_distance_of_every_pair_whatever_the_number_of_threads():
    clouds = [RNG(k).normal(size=(20 + k, 3)) for k in range(7)]
    expected = np.array([[chamfer(a, b) for b in clouds] for a in clouds])
    np.testing.assert_allclose(distance_matrix(CHAMFER, clouds, threads=3), expected, rtol=1e-12)
    np.testing.assert_array_equal(
        distance_matrix(CHAMFER, clouds[:3], clouds[3:], threads=3), distance_matrix(CHAMFER, clouds[:3], clouds[3:])
    )
    np.testing.assert_allclose(distance_matrix(CHAMFER, clouds[:3], clouds[3:]), expected[:3, 3:], rtol=1e-12)


@pytest.mark.parametrize("distance", [CHAMFER, EARTH_MOVERS])
def test_copies_different_sets_and_one_distribution(distance):
    clouds = [RNG(k).normal(size=(20, 3)) for k in range(12)]
    far = [cloud + 100 for cloud in clouds]
    copies = set_figures(*matrices(clouds, clouds, distance))
    assert (copies["nna"].mean(), copies["coverage"].mean(), copies["mmd"].mean()) == (0, 1, 0)
    apart = set_figures(*matrices(clouds, far, distance))
    assert apart["nna"].mean() == 1


def test_ties_count_as_foreign():
    assert not np.concatenate(one_nearest_neighbour(*np.zeros((3, 2, 2)))).any()


def test_one_distribution_gives_fifty_percent():
    # points on a line stand for clouds: distances are those of one-dimensional draws
    values = []
    for seed in range(60):
        s, r = RNG(seed).normal(size=(2, 40))
        ss, sr, rr = (np.abs(a[:, None] - b[None]) for a, b in ((s, s), (s, r), (r, r)))
        values.append(set_figures(ss, sr, rr)["nna"].mean())
    assert np.mean(values) == pytest.approx(0.5, abs=4 * np.std(values) / np.sqrt(60) + 0.01)


def test_coverage_sees_a_missing_mode_that_mmd_hardly_sees():
    references = [np.zeros((4, 3)) + k for k in range(4)]
    samples = [np.zeros((4, 3)) + 0.01 * k for k in range(4)]
    _, sr, _ = matrices(samples, references)
    assert covered(sr).tolist() == [True, False, False, False]


def test_intervals_hold_the_mean_and_shrink_with_the_number():
    draws = RNG(0).normal(3, 1, 4000)
    mean, low, high = interval(draws)
    assert low < mean < high
    assert high - low == pytest.approx(2 * 1.96 / np.sqrt(4000), rel=0.1)
    assert interval(np.ones(10, bool)) == (1.0, pytest.approx(0.6915, abs=1e-4), 1.0)  # Clopper and Pearson
    assert interval(np.zeros(10, bool)) == (0.0, 0.0, pytest.approx(0.3085, abs=1e-4))
    assert interval(np.array([2.5])) == (2.5, pytest.approx(np.nan, nan_ok=True), pytest.approx(np.nan, nan_ok=True))


def test_intervals_of_nearest_neighbours_allow_for_pairs_that_agree():
    """Of equal sets they hold 50 % in 95 % of the cases, the binomial one of as many independent clouds in about 90 %."""
    rng, held, independent = RNG(0), 0, 0
    for _ in range(400):
        samples, references = rng.normal(size=(2, 60, 3))
        ss, sr, rr = cdist(samples, samples), cdist(samples, references), cdist(references, references)
        value, low, high = nearest_neighbour_interval(ss, sr, rr)
        agree = set_figures(ss, sr, rr)["nna"]
        assert value == agree.mean()
        held += low <= 0.5 <= high
        independent += interval(agree)[1] <= 0.5 <= interval(agree)[2]
    assert 0.93 * 400 <= held < 0.99 * 400
    assert independent < held


@pytest.mark.parametrize(("dimension", "share"), [(1, 5 / 9), (2, 0.584)])
def test_coverage_of_large_equal_sets(dimension, share):
    found = [covered(cdist(*RNG(seed).random(size=(2, 1500, dimension)))).mean() for seed in range(4)]
    assert np.mean(found) == pytest.approx(share, abs=0.02)


def test_checks_of_meshes_that_are_closed_open_and_a_ring():
    ball, ring = trimesh.creation.icosphere(3), trimesh.creation.torus(1.0, 0.25, major_sections=64, minor_sections=32)
    assert mesh_checks(ball) | {"volume": 0} == {
        "watertight": True,
        "consistent": True,
        "euler": 2,
        "bodies": 1,
        "volume": 0,
    }
    assert mesh_checks(ball)["volume"] == pytest.approx(4 / 3 * np.pi, rel=0.01)
    assert mesh_checks(ring)["euler"] == 0
    assert mesh_checks(ring)["volume"] == pytest.approx(2 * np.pi**2 * 0.25**2, rel=0.01)
    opened = trimesh.Trimesh(ball.vertices, ball.faces[5:], process=False)
    assert not mesh_checks(opened)["watertight"]
    assert np.isnan(mesh_checks(opened)["volume"])
    both = trimesh.util.concatenate([ball, trimesh.creation.icosphere(2).apply_translation((5, 0, 0))])
    assert mesh_checks(both)["bodies"] == 2


def test_points_to_surface_of_a_box_is_the_distance_to_its_walls():
    box = trimesh.creation.box((2, 2, 2))
    points = RNG(0).uniform(-1, 1, (100, 3))
    assert points_to_surface(points, box) == pytest.approx((1 - np.abs(points)).min(1), abs=1e-9)
    outside = points + np.sign(points) * np.array([2.0, 0, 0])
    assert points_to_surface(outside, box) == pytest.approx(np.abs(outside[:, 0]) - 1, abs=1e-9)


def test_real_meshes_hold_their_own_points(shared):
    mesh = trimesh.load_mesh(sorted((shared / "shapes" / "meshes_watertight" / "vase").glob("*.ply"))[0])
    assert mesh_checks(mesh)["watertight"]
    drawn, _ = trimesh.sample.sample_surface(mesh, 500, seed=1)
    assert points_to_surface(np.asarray(drawn), mesh).max() < 1e-6 * mesh.scale
