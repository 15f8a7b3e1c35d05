"""Variants of a shape against the closed form: with the exact denoiser of a Gaussian they are the posterior given a noisy shape."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

import molgen
from molgen.checkpoint import Checkpoint, build_denoiser
from molgen.config import build_experiment
from molgen.errors import InputError
from molgen.models import shipped
from molgen.sample import Model, Request
from molgen.shapes.fields import ShapeStatistics, turning
from molgen.shapes.metrics import chamfer
from molgen.shapes.points import unit_sphere
from molgen.shapes.shape import Shape
from molgen.shapes.variation import NOISE, Variation

STATISTICS = ShapeStatistics(num_shapes=1, num_points=400, categories=("all",), category_counts=(1,), coordinate_std=0.25, up="z")
TINY = {"kind": "point_unet", "scalars": 8, "vectors": 8, "levels": [8], "layers": 1, "neighbours": 4, "context": 8}


@pytest.fixture(scope="module")
def gaussian():
    """A fresh network, which is the exact denoiser of independent Gaussian points of deviation 0.25."""
    experiment = build_experiment({"fields": {"kind": "shape"}, "model": TINY, "sampler": {"kind": "ancestral"}}, "test")
    return Model(Checkpoint("fresh", experiment, STATISTICS, build_denoiser(experiment, STATISTICS).eval()), "cpu")


@pytest.fixture(scope="module")
def given():
    points = np.random.default_rng(0).normal(size=(400, 3)) * 0.25 + [0.3, 0, 0]
    return points * 0.25 / (points - points.mean(0)).std()


@pytest.mark.parametrize("step", [1, 3, 5])
def test_variants_have_the_law_of_the_model_and_the_share_of_the_shape_that_the_noise_leaves(gaussian, given, step):
    """Given ``z = x + r eps`` points have mean ``z / (1 + (r / d)^2)``: so much of x is left, and their deviation is that of the model."""
    shapes = gaussian.sample(3, sizes=[400], steps=250, constraint=Variation(given, step / 10))
    centred, middle = given - given.mean(0), given.mean(0)
    for shape in shapes:
        np.testing.assert_allclose(shape.points.mean(0), middle, atol=1e-6)
        left = float(((shape.points - middle) * centred).mean() / np.square(centred).mean())
        # 1,200 coordinates: standard error of the share at most 3 %; of the deviation 2 %, and steps of finite length take some
        assert left == pytest.approx(1 / (1 + NOISE[step] ** 2), abs=0.1)
        assert (shape.points - middle).std() == pytest.approx(0.25, rel=0.08)


def test_both_ends_of_the_strength(gaussian, given):
    (same,) = gaussian.sample(1, sizes=[400], constraint=Variation(given, 0.0))
    np.testing.assert_allclose(same.points, given, atol=1e-6)
    (thinned,) = gaussian.sample(1, sizes=[200], constraint=Variation(given, 0.0))
    assert len(np.unique(thinned.points, axis=0)) == 200
    assert thinned.up == "z"
    tree, moved = cKDTree(given), thinned.points - thinned.points[0]
    assert min(tree.query(moved + there)[0].max() for there in given) < 1e-6  # some of the given points, about their own middle
    free, wanted = gaussian.sample(1, sizes=[400], seed=5, steps=20, constraint=Variation(given, 1.0)), given.mean(0)
    (own,) = gaussian.sample(1, sizes=[400], seed=5, steps=20)
    np.testing.assert_allclose(free[0].points - wanted, own.points, atol=1e-6)
    assert free[0].properties["around"] == "shape"
    assert free[0].properties["strength"] == 1.0


def test_what_cannot_be_varied_is_refused(gaussian, given):
    for points, words in (
        (given[:, :2], r"mug\.ply: expected an array \(n, 3\), got \(400, 2\)"),
        (np.ones((9, 3)), r"mug\.ply: only 1 of 9 points are different"),
        (given * np.nan, r"mug\.ply: coordinates are not finite"),
    ):
        with pytest.raises(InputError, match=words):
            Variation(points, source="mug.ply")
    for strength in (-0.1, 1.1, "0.5", float("nan")):
        with pytest.raises(InputError, match="strength: expected a number from 0 to 1"):
            Variation(given, strength)
    with pytest.raises(InputError, match="shape: 400 points are given and 500 asked for; variants of this model have no more points"):
        gaussian.sample(1, sizes=[500], constraint=Variation(given))
    for scale in (9, 0.45):
        words = r"chair\.ply: reaches \S+ from its middle, and the shapes of the model fill the unit sphere; scale it"
        with pytest.raises(InputError, match=words):
            gaussian.sample(1, sizes=[300], constraint=Variation(scale * given, source="chair.ply"))
        with pytest.raises(InputError, match="shape 1: reaches"):
            gaussian.encode([Shape(scale * given)])
    with pytest.raises(InputError, match=r"mug\.ply: expected points \(n, 3\), got none"):
        Variation(given[:0], source="mug.ply")
    with pytest.raises(InputError, match=r"chair\.ply: is a cloud of points; use a model of shapes, or molgen\.Around for a molecule"):
        molgen.load("qm9_small", "cpu").sample(1, constraint=Variation(given, source="chair.ply"))


def test_shapes_are_encoded_and_decoded(gaussian, given):
    batch = gaussian.encode([Shape(given), Shape(given[:300])])
    assert batch.sizes.tolist() == [400, 300]
    for shape, points in zip(gaussian.decode(batch), (given, given[:300]), strict=True):
        np.testing.assert_allclose(shape.points, points - points.mean(0), atol=1e-6)
    (turned,) = gaussian.decode(gaussian.encode([Shape(given @ turning("z", "y").T, up="y")]))
    np.testing.assert_allclose(turned.points, given - given.mean(0), atol=1e-6)
    assert turned.up == "z"


def test_what_cannot_be_encoded_or_decoded_is_refused(gaussian, given):
    molecule, batch = molgen.Molecule.from_smiles("CCO"), gaussian.encode([Shape(given), Shape(given)])
    for items, words in (
        ([], "shapes: expected at least one"),
        ([Shape(given), Shape(given * np.nan)], "shape 2: coordinates are not finite"),
        ([Shape(given[:0])], "shape 1: expected points"),
        ([molecule], r"shape 1: expected a molgen\.Shape, got"),
    ):
        with pytest.raises(InputError, match=words):
            gaussian.encode(items)
    other = molgen.load("qm9_small", "cpu")
    with pytest.raises(InputError, match=r"molecule 1: expected a molgen\.Molecule, got"):
        other.encode([Shape(given)])
    with pytest.raises(InputError, match="batch: lacks the field 'atom'; it is of another model"):
        other.decode(batch)
    with pytest.raises(InputError, match="batch: fields, mask and labels are of 1 and 2 items"):
        gaussian.decode(batch.replace({"pos": batch["pos"][:1]}))
    with pytest.raises(InputError, match=r"batch: expected one of model\.encode, got"):
        gaussian.decode([given])
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(gaussian.encode([Shape(given)])["pos"], batch.select([0])["pos"])


@pytest.mark.skipif(not (shipped("weights") / "shapes" / "model.safetensors").is_file(), reason="no weights in this tree")
def test_variants_by_the_weights_that_ship_leave_the_shape_as_the_strength_rises():
    model = molgen.load("shapes", "cpu")
    (goblet,) = model.sample(1, seed=11, properties={"category": "goblet"})
    assert len(model.encode([goblet])["feature"][0]) == 64
    (again,) = model.decode(model.encode([goblet]))
    gaps = [chamfer(again.points, goblet.points)]
    assert len(again) == len(goblet)
    for strength in (0.0, 0.3, 1.0):
        variants = model.sample(3, steps=12, sizes=[1024], constraint=Variation(goblet.points, strength))
        assert {len(variant) for variant in variants} == {1024}
        gaps.append(float(np.mean([chamfer(variant.points, goblet.points) for variant in variants])))
    assert gaps[0] < 0.06**2
    assert gaps[1] == pytest.approx(gaps[0], rel=0.5)
    assert gaps[1] < gaps[2] < 0.25 * gaps[3]
    two = model.encode([goblet, replace(goblet, points=unit_sphere(goblet.points[:100]))])
    assert two.labels["points"].tolist() == [len(goblet), 100]
    with pytest.raises(InputError, match="batch: its labels lack 'points'"):
        model.decode(replace(two, labels={}))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(model.encode([goblet])["feature"], two.select([0])["feature"])
    with pytest.raises(InputError, match=r"mug\.ply: 60 points, the model reads at least 64; give a denser cloud"):
        model.sample(1, constraint=Variation(unit_sphere(goblet.points[:60]), source="mug.ply"))
    with pytest.raises(InputError, match="shape 2: 60 points, the model reads at least 64; give a denser cloud"):
        model.encode([goblet, Shape(unit_sphere(goblet.points[:60]))])
    assert torch.equal(two.select([0])["pos"], model.encode([goblet])["pos"])
    assert Request(constraint=Variation(goblet.points)).constraint.strength == 0.2
