"""`molgen compare`: differences beyond chance are found, others are not."""

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from molgen.cli import main
from molgen.evaluate.compare import difference_p, holm, standard_error
from molgen.evaluate.summary import Figure, share
from molgen.evaluate.tally import BLOCKS
from molgen.molecules.export import read_molecules, write_sdf


@pytest.fixture(scope="module")
def files(samples_of_qm9, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    molecules, rng = list(read_molecules(samples_of_qm9)), np.random.default_rng(0)
    chosen = [molecules[k] for k in rng.permutation(len(molecules))]
    write_sdf(folder / "first.sdf", chosen[:60])
    write_sdf(folder / "same.sdf", chosen[60:120])
    noisy = [replace(m, positions=m.positions + 0.05 * rng.normal(size=m.positions.shape)) for m in chosen[120:]]
    write_sdf(folder / "noisy.sdf", noisy)
    return folder


def test_only_real_differences_are_marked(files):
    names = [str(files / f"{name}.sdf") for name in ("first", "same", "noisy")]
    words = ["compare", *names, "--workers", "0", "--no-perceive", "--json", str(files / "out.json"), "--html", str(files / "out.html")]
    result = CliRunner().invoke(main, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found = {(entry["file"], entry["metric"]): entry for entry in json.loads((files / "out.json").read_text())["differences"]}
    assert all(entry["p"] is None or entry["p"] > 0.05 for (name, _), entry in found.items() if name == "same.sdf")
    assert found["noisy.sdf", "p1_stable"]["p"] < 1e-6
    assert found["noisy.sdf", "p1_stable"]["difference"] < -0.3
    assert found["noisy.sdf", "p2s_stable"]["p"] == 1
    page = (files / "out.html").read_text()
    assert page.count('class="worse"') >= 3
    assert 'class="better"' not in page
    assert "noisy.sdf (80)" in page
    rows = [line.split() for line in result.output.splitlines()]
    assert any(row[:1] == ["noisy.sdf"] and "-" in row for row in rows)
    assert not any(row[:1] == ["same.sdf"] and ("-" in row or "+" in row) for row in rows)


def test_sets_of_two_sizes_are_not_compared_by_how_many_are_different(files, tmp_path):
    molecules = list(read_molecules(files / "same.sdf"))
    write_sdf(tmp_path / "twice.sdf", [*molecules, *molecules])
    words = ["compare", str(files / "same.sdf"), str(tmp_path / "twice.sdf"), "--workers", "0", "--no-perceive"]
    result = CliRunner().invoke(main, [*words, "--json", str(tmp_path / "out.json")], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found = {entry["metric"]: entry for entry in json.loads((tmp_path / "out.json").read_text())["differences"]}
    assert found["valid_unique"]["difference"] < -0.4
    assert found["valid_unique"]["p"] is None
    assert found["valid"]["p"] == 1


def test_one_file_is_not_enough(files):
    result = CliRunner().invoke(main, ["compare", str(files / "first.sdf")])
    assert result.exit_code == 2
    assert "expected at least two files" in result.output


def test_p_values_are_uniform_under_the_null_and_small_under_a_difference():
    rng = np.random.default_rng(0)

    def figure(rate: float) -> Figure:
        return share(rng.binomial(8, rate, BLOCKS).astype(float), np.full(BLOCKS, 8.0))

    p = np.array([difference_p(figure(0.7), figure(0.7)) for _ in range(300)])
    assert 0.02 < (p < 0.05).mean() < 0.09
    assert 0.4 < np.median(p) < 0.6
    assert np.median([difference_p(figure(0.7), figure(0.8)) for _ in range(20)]) < 1e-3
    assert difference_p(share(np.ones(BLOCKS), np.ones(BLOCKS)), figure(0.7)) < 1e-6
    assert standard_error(share(np.ones(BLOCKS), np.ones(BLOCKS))) > 0
    assert np.isnan(difference_p(Figure(1.0), Figure(2.0)))


def test_holms_adjustment():
    """Worked example: sorted p times (n, n - 1, ..., 1), made monotone, at most 1."""
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, np.nan, 0.005])), [0.03, 0.06, 0.06, np.nan, 0.02])
    assert holm(np.zeros(0)).shape == (0,)
