"""Properties have one name and one unit in requests, figures, plots and the references that ship."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from molgen.evaluate import Settings, evaluate
from molgen.evaluate.distributions import DISTRIBUTIONS
from molgen.evaluate.run import make_yardstick
from molgen.evaluate.summary import Figure, Summary, share, summarise
from molgen.evaluate.tables import GROUPS, Column, request_groups
from molgen.evaluate.tally import BLOCKS, Tally
from molgen.molecules.export import read_molecules
from molgen.molecules.measure import heavy_graph
from molgen.molecules.prepare.compute import COMPUTED, compute
from molgen.molecules.properties import PROPERTIES
from molgen.molecules.units import unit
from molgen.report.page import evaluation_page

HERE = Settings(workers=0, perceive=False)


def test_the_mean_error_is_of_the_samples_that_were_measured():
    tally = Tally("some", records=4, read=4)
    for requested, measured in ((1.0, 1.5), (2.0, np.nan), (3.0, 3.0), (4.0, 3.0)):
        tally.requests["logp"].add(requested, measured, 9)
    tally.requests["qed"].add(0.5, np.nan, 9)
    figures = summarise(tally).figures
    assert figures["logp:mae"].value == pytest.approx(0.5)
    assert figures["logp:not_measured"].value == 0.25
    assert np.isnan(figures["qed:mae"].value)


def test_every_property_of_the_graph_can_be_requested(samples_of_qm9):
    """Each is measured as `molgen prepare --compute` does, with real molecules beside it."""
    real = list(read_molecules(samples_of_qm9))
    computed = [dict(zip(COMPUTED, compute(heavy_graph(m), tuple(COMPUTED)), strict=True)) for m in real[60:66]]
    asked = [
        replace(m, properties={f"requested_{name}": value for name, value in found.items()})
        for m, found in zip(real[60:66], computed, strict=True)
    ]
    outcome = evaluate(asked, real[:60], None, HERE).samples
    assert outcome.notes == []
    for name in COMPUTED:
        assert outcome.figures[f"{name}:mae"].value == 0, name
        assert np.isfinite(outcome.figures[f"{name}:size_only"].value), name
        assert outcome.figures[name].value == pytest.approx(np.mean([found[name] for found in computed])), name
    assert {group.title for group in request_groups(outcome)} == {f"Requested {name}, measured by RDKit" for name in COMPUTED}


def test_a_label_may_hold_a_colon(samples_of_qm9):
    """It comes from a tag of any name."""
    real = [replace(m, properties={"logp:x": 2.0}) for m in islice(read_molecules(samples_of_qm9), 4)]
    asked = [replace(m, properties={"requested_logp:x": 3.0, "predicted_logp:x": 3.5}) for m in real]
    outcome = evaluate(asked, real, None, HERE)
    (group,) = request_groups(outcome.samples)
    assert group.title == "Requested logp:x, measured by nothing: what the records predict"
    shown = {column.title: column.parts(outcome.samples)[0] for column in group.shown([outcome.samples])}
    assert (shown["mean absolute error"], shown["size-only baseline"]) == ("0.500", "1.000")
    assert group.title in evaluation_page(outcome)


@pytest.mark.parametrize(
    ("hits", "trials", "digits", "shown"),
    [
        (1999, 2000, 1, ("99.95", "[99.72, 100.00]")),
        (1, 100_000, 1, ("0.001", "[0.000, 0.006]")),
        (1998, 2000, 1, ("99.9", "[99.6, 100.0]")),
        (2000, 2000, 1, ("100.0", "[99.8, 100.0]")),
        (0, 2000, 1, ("0.0", "[0.0, 0.2]")),
        (99_999, 100_000, 2, ("99.999", "[99.994, 100.000]")),
    ],
)
def test_a_share_that_is_not_whole_does_not_look_so(hits, trials, digits, shown):
    figure = share(np.array([float(hits)] + [0.0] * (BLOCKS - 1)), np.array([float(trials)] + [0.0] * (BLOCKS - 1)))
    assert Column("valid", "valid", digits=digits).parts(Summary("a", trials, trials, {"valid": figure})) == shown


def test_numbers_that_are_no_shares_keep_their_digits():
    summary = Summary("a", 9, 9, {"x": Figure(0.00001)})
    assert Column("x", "x", "Å", 3).parts(summary) == ("0.000", "")


@pytest.mark.parametrize("name", ["qm9", "leads"])
def test_references_that_ship_name_properties_as_everything_else_does(name):
    yardstick = make_yardstick(name, None, HERE)
    assert yardstick.tally is not None
    assert {*yardstick.tally.labels} <= {*PROPERTIES}
    assert {len(labels.values) for labels in yardstick.tally.labels.values()} == {yardstick.summary.records}
    assert {*yardstick.tally.histograms} <= {*DISTRIBUTIONS}
    assert {"mw", "heavy", "rotatable", "fsp3", "mw_w1"} <= {*yardstick.summary.figures}
    weights = np.array(yardstick.tally.labels["mw"].values)
    assert weights.mean() == pytest.approx(yardstick.summary.figures["mw"].value, rel=1e-4)


def test_a_property_has_one_unit_in_every_table_and_plot():
    columns = {column.name.removesuffix("_w1"): column for group in GROUPS for column in group.columns}
    assert {"tpsa", "mw"} <= {*PROPERTIES} & {*columns}
    assert {"tpsa", "mw", "gap_xtb", "dipole_xtb"} <= {*PROPERTIES} & {*DISTRIBUTIONS}
    for name in PROPERTIES:
        assert name not in columns or columns[name].unit == unit(name), name
        assert name not in DISTRIBUTIONS or DISTRIBUTIONS[name].grid.unit == unit(name), name
    for name, known in DISTRIBUTIONS.items():
        assert name not in columns or known.grid.unit in ("", columns[name].unit), name
