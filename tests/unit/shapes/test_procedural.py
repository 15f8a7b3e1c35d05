import numpy as np
import pytest

from molgen.errors import InputError
from molgen.shapes.procedural import FAMILIES, LABELS, MAKERS, generate, seats
from molgen.shapes.procedural.design import caption
from molgen.shapes.procedural.solids import across, between, box, hollow, ring, tube, union
from molgen.shapes.words import split_denials


@pytest.mark.parametrize("kind", MAKERS)
def test_shapes_are_closed_upright_and_described(kind):
    captions = set()
    for seed in range(6):
        design = MAKERS[kind](np.random.default_rng(seed))
        assert not set(design.features) & set(design.lacks)
        shape = generate(kind, np.random.default_rng(seed))
        width, depth, height = shape.mesh.extents
        assert shape.mesh.is_watertight
        assert shape.mesh.body_count == 1
        assert shape.mesh.volume > 0
        assert shape.labels["height"] == pytest.approx(height)
        assert shape.labels["elongation"] == pytest.approx(height / max(width, depth))
        assert shape.labels["flatness"] == pytest.approx(min(width, depth) / max(width, depth))
        assert set(shape.labels) == set(LABELS)
        assert shape.caption.split()[0] == ("an" if shape.caption.split()[1][0] in "aeiou" else "a")
        captions.add(shape.caption)
    assert len(captions) > 2


def test_no_caption_denies_what_it_names():
    """A star foot has arms, also that of a chair without them; requests that do both are refused."""
    chairs = (seats.chair(np.random.default_rng(seed)) for seed in range(1000))
    foot, armless = "one central leg on a star foot with ", "without arms"
    design = next(chair for chair in chairs if chair.features[0].startswith(foot) and "arms" in chair.lacks)
    captions = [caption(np.random.default_rng(seed), design, "chair") for seed in range(200)]
    assert any(foot in one for one in captions)
    assert any(armless in one for one in captions)
    for one in captions:
        denials, rest = split_denials(one)
        assert not {word for _, words in denials for word in words} & {*rest}, one


@pytest.mark.parametrize("kind", ["chair", "stool", "table", "bench", "sofa", "bed"])
def test_the_number_of_legs_is_what_stands_on_the_floor(kind):
    told = []
    for seed in range(12):
        design = MAKERS[kind](np.random.default_rng(seed))
        if design.counts.get("legs", 1) == 1:  # a pedestal stands on one foot or on the arms of a star
            continue
        bottom = design.solid.bounding_box()[2]
        assert len(design.solid.slice(bottom + 0.003).decompose()) == design.counts["legs"], (kind, seed)
        told.append(design.counts["legs"])
    assert told


def test_furniture_is_symmetric_from_left_to_right():
    for seed in range(8):
        design = MAKERS["chair"](np.random.default_rng(seed))
        solid = design.solid
        if design.counts["legs"] > 1:  # the arms of a star foot are not
            assert (solid - solid.mirror((1, 0, 0))).volume() < 1e-6 * solid.volume() + 2e-9


def test_the_same_generator_gives_the_same_shape_and_another_one_another():
    first, again, other = (generate("plane", np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert np.array_equal(first.mesh.vertices, again.mesh.vertices)
    assert first.caption == again.caption
    assert first.mesh.extents.tolist() != other.mesh.extents.tolist()


def test_unknown_classes_are_refused_with_the_list():
    with pytest.raises(InputError, match=r"unknown procedural class 'spoon'; known: .*chair"):
        generate("spoon", np.random.default_rng(0))
    assert sum(map(len, FAMILIES.values())) == len(MAKERS) == 19


def test_solids_have_the_volumes_of_solid_geometry():
    assert box(1, 2, 3).volume() == pytest.approx(6)
    assert between((0, 0, 0), (3, 4, 0), 0.1, square=True).volume() == pytest.approx(5 * 0.04)
    assert across([(0, 0), (2, 0), (2, 1)], 3.0).volume() == pytest.approx(3)
    assert across([(2, 1), (2, 0), (0, 0)], 3.0).volume() == pytest.approx(3)  # clockwise outlines as well
    polygon = 10 * np.sin(2 * np.pi / 10) / 2  # area of the decagon that stands for a circle
    assert ring(1.0, 0.1, 0.0).volume() == pytest.approx(2 * np.pi * polygon * 0.01, rel=0.02)  # Pappus
    path = np.stack([np.linspace(0, 2, 9), np.zeros(9), np.zeros(9)], 1)
    assert tube(path, 0.1).volume() == pytest.approx(2 * 0.01 * 14 * np.sin(2 * np.pi / 14) / 2)
    cup = hollow(np.array([(1.0, 0.0), (1.0, 0.5), (1.0, 1.0)]), 0.1, 0.2)
    assert cup.volume() == pytest.approx(np.pi * (1 - 0.81 * 0.8), rel=0.01)
    assert union([box(1, 1, 1), box(1, 1, 1, (0.5, 0, 0))]).volume() == pytest.approx(1.5)
