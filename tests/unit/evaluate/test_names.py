"""Properties have one name and one unit in requests, figures, plots and the references that ship."""

from dataclasses import replace

import numpy as np
import pytest

from molgen.evaluate import Settings, evaluate
from molgen.evaluate.run import make_yardstick
from molgen.evaluate.summary import summarise
from molgen.evaluate.tables import GROUPS, request_groups
from molgen.evaluate.tally import GRIDS, Tally
from molgen.molecules.export import read_molecules
from molgen.molecules.measure import heavy_graph
from molgen.molecules.prepare.compute import COMPUTED, compute
from molgen.molecules.properties import PROPERTIES
from molgen.molecules.units import unit

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


@pytest.mark.parametrize("name", ["qm9", "leads"])
def test_references_that_ship_name_properties_as_everything_else_does(name):
    yardstick = make_yardstick(name, None, HERE)
    assert yardstick.tally is not None
    assert {*yardstick.tally.labels} <= {*PROPERTIES}
    assert {len(labels.requested) for labels in yardstick.tally.labels.values()} == {yardstick.summary.records}
    assert {*yardstick.tally.histograms} <= {*GRIDS}
    assert {"mw", "heavy", "rotatable", "fsp3", "mw_w1"} <= {*yardstick.summary.figures}
    weights = np.array(yardstick.tally.labels["mw"].measured)
    assert weights.mean() == pytest.approx(yardstick.summary.figures["mw"].value, rel=1e-4)


def test_a_property_has_one_unit_in_every_table_and_plot():
    columns = {column.name.removesuffix("_w1"): column for group in GROUPS for column in group.columns}
    assert {"tpsa", "mw"} <= {*PROPERTIES} & {*columns}
    assert {"tpsa", "mw", "gap_xtb", "dipole_xtb"} <= {*PROPERTIES} & {*GRIDS}
    for name in PROPERTIES:
        assert name not in columns or columns[name].unit == unit(name), name
        assert name not in GRIDS or GRIDS[name].unit == unit(name), name
