"""`molgen compare`: differences beyond chance are found, others are not."""

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from molgen.cli import main
from molgen.evaluate import Settings, evaluate
from molgen.evaluate.compare import compare, difference_p, holm, standard_error
from molgen.evaluate.summary import Figure, Summary, ratio, share
from molgen.evaluate.tally import BLOCKS
from molgen.molecules.export import read_molecules, write_molecules, write_sdf
from molgen.report.page import comparison_page


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
    assert found["valid_unique"]["reason"] == "changes with the number of samples, in which the files differ"
    assert (found["valid"]["p"], found["valid"]["reason"]) == (1, None)
    line = "twice.sdf: not compared with same.sdf: P2s valid, unique; P1 valid, unique (120 samples against 60, with whose number these"
    assert any(row.startswith(line) for row in result.output.splitlines())


def test_failed_draws_of_each_file_count(files, tmp_path):
    molecules = list(read_molecules(files / "same.sdf"))
    write_sdf(tmp_path / "half.sdf", molecules[:30])
    words = ["compare", str(files / "same.sdf"), str(tmp_path / "half.sdf"), "--workers", "0", "--no-perceive"]
    words += ["--json", str(tmp_path / "out.json")]
    for numbers, asked in (([60], [60, 60]), ([80, 60], [80, 60])):
        given = [word for number in numbers for word in ("--asked", str(number))]
        result = CliRunner().invoke(main, [*words, *given], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        content = json.loads((tmp_path / "out.json").read_text())
        assert [one["asked"] for one in content["files"]] == asked
        assert content["settings"]["asked"] == numbers
        assert content["files"][1]["metrics"]["valid"]["value"] == 0.5
        found = {entry["metric"]: entry for entry in content["differences"]}
        assert (found["valid_unique"]["p"] is None) == (len(set(asked)) > 1)
        assert "not compared" in result.output or len(set(asked)) == 1
    result = CliRunner().invoke(main, [*words, "--asked", "60", "--asked", "60", "--asked", "60"])
    assert result.exit_code == 2
    assert "--asked: got 3 numbers for 2 files; give one for all, or one for each in their order" in result.output


def test_perceived_bonds_are_not_compared_with_bonds_of_a_file(files, tmp_path):
    molecules = list(read_molecules(files / "noisy.sdf"))
    write_molecules(tmp_path / "bare.xyz", molecules[:60])
    words = ["compare", str(files / "first.sdf"), str(tmp_path / "bare.xyz"), "--workers", "0", "--no-perceive"]
    words += ["--json", str(tmp_path / "out.json"), "--html", str(tmp_path / "out.html")]
    result = CliRunner().invoke(main, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    content = json.loads((tmp_path / "out.json").read_text())
    assert [one["perceived_records"] for one in content["files"]] == [0, 60]
    found = {entry["metric"]: entry for entry in content["differences"]}
    assert found["p1_stable"]["p"] < 0.05  # which takes the bonds of neither file
    assert all(entry["p"] is None for name, entry in found.items() if not name.startswith("p1_"))
    assert found["valid"]["reason"].startswith("depends on bonds")
    assert "bare.xyz: not compared with first.sdf: P2s atoms stable; P2s molecules stable; P2s valid; P2s valid, unique" in result.output
    strict, _, rest = result.output.partition("Distance lookup (P1")
    told = [part.count("(bonds perceived)") for part in (strict, *rest.partition("Lenient")[::2])]
    assert (told[0], told[1], told[2] > 0) == (1, 0, True)
    assert "bare.xyz (60) (bonds perceived)</th>" in (tmp_path / "out.html").read_text()


@pytest.mark.parametrize(("records", "asked", "fair"), [(20, 40, True), (30, 40, True), (20, 41, False)])
def test_the_size_of_a_set_is_what_was_asked_for(records, asked, fair):
    first, other = ({name: Figure(value, value - 0.1, value + 0.1) for name in ("valid_unique", "valid")} for value in (0.5, 0.6))
    found = compare([Summary("a", 20, 40, first), Summary("b", records, asked, other)])
    assert np.isfinite(found[1, "valid_unique"].p) == fair
    assert np.isfinite(found[1, "valid"].p)


@pytest.mark.parametrize("records", [1, 2, 19])
def test_a_handful_of_molecules_is_not_compared(files, tmp_path, records):
    molecules = list(read_molecules(files / "same.sdf"))
    write_sdf(tmp_path / "few.sdf", molecules[:records])
    write_sdf(tmp_path / "others.sdf", molecules[-records:])
    words = ["compare", str(tmp_path / "few.sdf"), str(tmp_path / "others.sdf"), "--reference", "qm9", "--workers", "0", "--no-perceive"]
    words += ["--json", str(tmp_path / "out.json"), "--html", str(tmp_path / "out.html")]
    result = CliRunner().invoke(main, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    content = json.loads((tmp_path / "out.json").read_text())
    assert {entry["p"] for entry in content["differences"]} == {None}
    ends = [figure["low"] is None for name, figure in content["files"][0]["metrics"].items() if name.endswith(("_w1", "_tv"))]
    assert len(ends) > 5
    assert all(ends) if records == 1 else not any(ends)
    line = "no differences are marked between few.sdf, others.sdf and others: fewer than 20 records tell too little"
    assert result.output.splitlines()[-1] == line
    assert line in (tmp_path / "out.html").read_text()


def test_a_figure_of_a_handful_of_molecules_is_not_compared():
    """Of 60 records 19 are valid in the first file, and 20 in the third."""
    asked, qed = 1.0 * (np.arange(BLOCKS) < 60), 5.0 + np.arange(BLOCKS) % 2
    valid = [1.0 * (np.arange(BLOCKS) < number) for number in (19, 20)]
    found = [{"qed": ratio(qed * some, some), "valid": share(some, asked)} for some in valid]
    for first, other, tested in ((0, 0, False), (0, 1, False), (1, 0, False), (1, 1, True)):
        compared = compare([Summary("a", 60, 60, found[first]), Summary("b", 60, 60, found[other])])
        assert np.isfinite(compared[1, "qed"].p) == tested
        assert np.isfinite(compared[1, "valid"].p)


def test_rounding_is_no_standard_error():
    noise = np.random.default_rng(0).normal(size=400) * 1e-15
    figures = [Figure(value, value, value, value + noise) for value in (9.02, 8.02)]
    assert np.isnan(difference_p(*figures))
    assert np.isnan(difference_p(Figure(0.0, 0.0, 0.0, noise), figures[0]))
    assert difference_p(Figure(9.02, 9.0, 9.04, 9.02 + 1e13 * noise), figures[1]) < 1e-6


def test_real_molecules_that_are_one_of_the_files_get_no_marks(files, tmp_path, monkeypatch):
    monkeypatch.chdir(files)
    words = ["compare", "first.sdf", "noisy.sdf", "noisy.sdf", "--reference", "noisy.sdf", "--html", str(tmp_path / "out.html")]
    result = CliRunner().invoke(main, [*words, "--workers", "0", "--no-perceive"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    table = result.output[result.output.index("Distance lookup") : result.output.index("Lenient")]
    marked = ["-" in line.split() for line in table.splitlines() if "sdf" in line]
    assert marked == [False, False, True, True]
    page = (tmp_path / "out.html").read_text()
    rows = page[page.index("<h3>Distance lookup") : page.index("<h3>Lenient")].split('<th scope="row">')[1:5]
    assert [row.partition(" (")[0] for row in rows] == ["real: noisy.sdf", "first.sdf", "noisy.sdf", "noisy.sdf"]
    assert [row.count('class="worse"') for row in rows] == [0, 0, 3, 3]


def test_a_page_names_files_by_their_figures_and_changes_nothing(files):
    evaluations = [evaluate(files / "first.sdf", settings=Settings(workers=0, perceive=False, limit=4)) for _ in range(2)]
    evaluations[0].samples.name = "old/first.sdf"
    assert "</svg>old/first.sdf</span>" in comparison_page(evaluations, {})
    assert [evaluation.tally.name for evaluation in evaluations] == ["first.sdf", "first.sdf"]


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
    assert difference_p(Figure(1.0), Figure(1.0)) == 1.0


def test_an_interval_alone_tells_its_standard_error_and_the_p_value():
    """Of a normal figure the interval reaches 1.96 standard errors to each side; 1.96 errors of a difference are p = 0.05."""
    one, other = (Figure(value, value - 1.96 * error, value + 1.96 * error) for value, error in ((0.5, 0.03), (0.5 + 1.96 * 0.05, 0.04)))
    assert standard_error(one) == pytest.approx(0.03)
    assert difference_p(one, other) == pytest.approx(0.05, abs=1e-4)


def test_holms_adjustment():
    """Worked example: sorted p times (n, n - 1, ..., 1), made monotone, at most 1."""
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, np.nan, 0.005])), [0.03, 0.06, 0.06, np.nan, 0.02])
    assert holm(np.zeros(0)).shape == (0,)
