"""Plots are well-formed SVG that shows the numbers that it was given."""

from xml.etree import ElementTree

import numpy as np
import pytest

from molgen.report.plots import HEIGHT, WIDTH, Curve, density_plot, legend, scatter_plot, ticks


def test_density_plot_draws_both_distributions_with_equal_area():
    centres = np.arange(200) * 0.01 + 0.005
    narrow, wide = np.zeros(200), np.zeros(200)
    narrow[95:105], wide[50:150] = 100, 1
    svg = density_plot(
        "a < b", centres, [Curve("x", narrow, "red", filled=True), Curve("y", wide, "blue"), Curve("z", 0 * wide, "green")], "Å"
    )
    root = ElementTree.fromstring(svg)
    areas = []
    for element in [*root.iter("polygon"), *root.iter("polyline")]:
        points = np.array([[float(value) for value in pair.split(",")] for pair in element.attrib["points"].split()])
        assert ((points >= 0) & (points <= [WIDTH, HEIGHT])).all()
        heights = points[:, 1].max() - points[:, 1]
        areas.append(np.trapezoid(heights, points[:, 0]))
    assert len(areas) == 2
    assert areas[0] == pytest.approx(areas[1], rel=0.02)
    assert "a &lt; b" in svg


def test_scatter_plot_leaves_out_what_was_not_measured():
    svg = scatter_plot("gap", np.array([1.0, 2.0, 3.0]), np.array([1.0, np.nan, 3.0]), "eV")
    circles = list(ElementTree.fromstring(svg).iter("circle"))
    assert len(circles) == 2
    assert (
        len(list(ElementTree.fromstring(scatter_plot("many", *np.random.default_rng(0).normal(size=(2, 9000)), "")).iter("circle"))) <= 2000
    )
    assert scatter_plot("gap", np.array([1.0]), np.array([np.nan]), "eV") == ""
    assert density_plot("none", np.arange(3.0), [Curve("x", np.zeros(3), "red")], "") == ""


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (1.09, 1.13), (-7.2, 33.0), (0.0, 1e-4), (100.0, 101.0)])
def test_ticks_are_round_and_inside(low, high):
    found = ticks(low, high)
    assert 3 <= len(found) <= 8
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in found)
    steps = np.diff(found)
    np.testing.assert_allclose(steps, steps[0])


def test_names_are_escaped():
    assert "<script>" not in legend([("<script>", "red", False)])
