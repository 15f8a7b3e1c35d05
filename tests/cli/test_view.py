"""Pages of `molgen view` and `molgen evaluate --html`, in a real browser without network."""

import json
import re
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import trimesh
from click.testing import CliRunner
from PIL import Image

from molgen.cli import main
from molgen.molecules.export import read_molecules, write_sdf
from molgen.molecules.records import read_sdf_record

from .webdriver import BINARY, DRIVER, Browser


@pytest.fixture(scope="module")
def molecules(samples_of_qm9):
    named = list(islice(read_molecules(samples_of_qm9), 100, 190))
    odd = replace(named[0], properties={"title": "</script><script>alert(1)</script>", "requested_logp": 0.5})
    radical = replace(named[1], bonds=named[1].bonds[:-1], properties={"title": "radical", "requested_logp": 1.0})
    return [odd, radical, *(replace(m, properties=m.properties | {"requested_logp": 0.1 * k}) for k, m in enumerate(named[2:]))]


@pytest.fixture(scope="module")
def folder(molecules, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    write_sdf(folder / "samples.sdf", molecules)
    with (folder / "samples.sdf").open("a") as file:
        file.write("rubbish\n$$$$\n")
    return folder


@pytest.fixture(scope="module")
def page(folder):
    result = CliRunner().invoke(main, ["view", str(folder / "samples.sdf"), "--no-open"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "90 molecules" in result.output
    return folder / "samples.html"


@pytest.fixture(scope="module")
def report(folder, samples_of_qm9):
    out = folder / "report.html"
    words = ["evaluate", str(folder / "samples.sdf"), "--reference", str(samples_of_qm9), "--reference-limit", "40"]
    result = CliRunner().invoke(
        main, [*words, "--html", str(out), "--gallery", "20", "--workers", "0", "--no-perceive"], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    return out


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if not BINARY or not DRIVER:
        pytest.skip("no chromium and chromedriver")
    browser = Browser(tmp_path_factory.mktemp("downloads"))
    yield browser
    browser.close()


def test_a_page_refers_to_nothing_outside_itself(page, report):
    for path in (page, report):
        text = path.read_text()
        own = re.sub(r"<script>/\*! For license.*?</script>", "", text, flags=re.S)  # 3Dmol.js names servers that it is never asked to call
        assert not re.search(r"""(src|href)\s*=\s*["']?(https?:|//|file:)""", own)
        assert "default-src 'none'" in text
        assert "Copyright (c) 2014, University of Pittsburgh" in text
        assert "<script>alert(1)" not in text


def test_the_gallery_holds_what_the_file_holds(page, molecules):
    data = json.loads(re.search(r'<script type="application/json" id="molecules">(.*?)</script>', page.read_text(), re.S)[1])
    assert len(data) == len(molecules)
    assert [entry["number"] for entry in data] == list(range(1, len(molecules) + 1))
    assert all(entry["svg"].startswith("<svg") for entry in data)
    assert data[1]["passed"]["valid"] is False
    assert data[1]["reasons"]["p2s"]
    for entry, molecule in zip(data[:5], molecules, strict=False):
        back = read_sdf_record(entry["sdf"])
        np.testing.assert_allclose(back.positions, molecule.positions, atol=1e-4)
        assert entry["values"]["requested_logp"] == pytest.approx(molecule.properties["requested_logp"])


def test_the_report_shows_tables_plots_and_reasons(report):
    text = report.read_text()
    assert text.index("real: qm9_sample.sdf.gz (40)") < text.index("samples.sdf (91)")
    assert text.count('<svg class="plot"') > 15
    assert "Requested and measured" in text
    assert text.count("<circle") > 50
    assert "record without M  END (cut off?)" in text


@pytest.mark.parametrize("name", ["page", "report"])
def test_it_opens_without_network_and_without_errors(browser, request, name):
    path = request.getfixturevalue(name)
    browser.open(path)
    browser.run("window.scrollTo(0, document.body.scrollHeight)")
    assert browser.run("return document.querySelectorAll('.card').length") == {"page": 60, "report": 20}[name]
    assert browser.run("return document.querySelectorAll('#viewer canvas').length") >= 1
    assert browser.console() == []
    outside = [address for address in browser.requested() if not address.startswith(("data:", "blob:", "chrome:", path.as_uri()))]
    assert outside == []


def test_a_molecule_rotates(browser, page):
    browser.open(page)
    browser.run("document.querySelector('#viewer').scrollIntoView()")
    before = browser.run("return molgenGallery.viewer.getView()")
    assert browser.run("return molgenGallery.viewer.selectedAtoms({}).length") == browser.run("return molgenGallery.current.values.atoms")
    browser.drag("#viewer", 90, 40)
    after = browser.run("return molgenGallery.viewer.getView()")
    assert np.linalg.norm(np.array(before[4:]) - np.array(after[4:])) > 0.1
    assert np.linalg.norm(after[4:]) == pytest.approx(1.0, abs=1e-6)
    browser.click("#spin")
    browser.run("return new Promise(done => setTimeout(done, 400))")
    spun = browser.run("return molgenGallery.viewer.getView()")
    browser.click("#spin")
    assert np.linalg.norm(np.array(spun[4:]) - np.array(after[4:])) > 0.01


def test_clicking_a_card_shows_its_molecule(browser, page, molecules):
    browser.open(page)
    browser.click(".card:nth-child(4)")
    assert browser.run("return molgenGallery.current.number") == 4
    assert browser.run("return molgenGallery.viewer.selectedAtoms({}).length") == len(molecules[3])
    assert browser.run("return document.querySelector('#name').textContent") == f"record 4: {molecules[3].properties['title']}"
    browser.click(".card:nth-child(2)")
    assert "p2s: " in browser.run("return document.querySelector('#why').textContent")


def test_sorting_and_filtering(browser, page):
    browser.open(page)
    data = browser.run("return molgenGallery.shown.map(m => [m.number, m.values.mw ?? null])")
    browser.choose("#sort", "mw")
    numbers = "return [...document.querySelectorAll('.card')].map(card => +card.dataset.number)"
    expected = [number for number, weight in sorted((e for e in data if e[1] is not None), key=lambda e: (e[1], e[0]))]
    assert browser.run(numbers) == expected[:60]
    browser.click("#direction")
    down = [number for number, weight in sorted((e for e in data if e[1] is not None), key=lambda e: (-e[1], e[0]))]
    assert browser.run(numbers) == down[:60]
    browser.click("#more")
    everything = browser.run(numbers)
    assert len(everything) == 90
    assert everything[-1] == 2  # the radical has no weight and comes last
    browser.choose("#filter", "failed")
    failed = browser.run(numbers)
    assert 2 in failed
    assert 0 < len(failed) < 40


def test_selected_molecules_are_downloaded(browser, page, molecules):
    browser.open(page)
    for place in (3, 5):
        browser.click(f".card:nth-child({place}) input")
    browser.click("#download")
    path = browser.folder / "selected.sdf"
    for _ in range(50):
        if path.exists() and path.read_text().count("$$$$") == 2:
            break
        browser.run("return new Promise(done => setTimeout(done, 100))")
    found = list(read_molecules(path))
    assert len(found) == 2
    for back, number in zip(found, (2, 4), strict=True):
        assert np.array_equal(back.bonds, molecules[number].bonds)
        np.testing.assert_allclose(back.positions, molecules[number].positions, atol=1e-4)


def test_bad_input_of_view(tmp_path):
    for name, options in (("absent.sdf", []), ("absent", ["--out", str(tmp_path / "a.png")])):
        result = CliRunner().invoke(main, ["view", str(tmp_path / name), "--no-open", *options])
        assert result.exit_code == 2
        assert f"{name}: no such file or folder" in result.output


def test_a_page_of_the_first_records_says_so(folder, tmp_path):
    page = tmp_path / "a.html"
    for limit, words in ((5, "The first 5 records of the file; it has more."), (91, "All records.")):
        options = ["view", str(folder / "samples.sdf"), "--out", str(page), "--no-open", "--limit", str(limit)]
        assert CliRunner().invoke(main, options).exit_code == 0
        assert words in page.read_text()


def test_one_record_is_no_records(folder, tmp_path):
    texts = (folder / "samples.sdf").read_text().split("$$$$\n")
    page, rubbish = tmp_path / "a.html", "rubbish\n$$$$\n"
    for records, limit, printed, told in (
        ([texts[0]], 5, ": 1 molecule\n", "1 record ·"),
        ([texts[0], rubbish], 5, ": 1 molecule, and what is wrong with 1 record\n", "1 of the first 2 records holds no molecule and is"),
        ([rubbish, texts[0]], 1, ": 0 molecules, and what is wrong with 1 record, the first one\n", "the first record holds no molecule"),
        ([texts[0], texts[1]], 1, ": 1 molecule, the first one\n", "The first record of the file; it has more."),
    ):
        (tmp_path / "a.sdf").write_text("".join(text if text == rubbish else f"{text}$$$$\n" for text in records))
        options = ["view", str(tmp_path / "a.sdf"), "--out", str(page), "--no-open", "--limit", str(limit)]
        result = CliRunner().invoke(main, options, catch_exceptions=False)
        assert result.exit_code == 0
        assert result.stdout == f"{page}{printed}"
        assert told in page.read_text()
        assert not re.search(r"\b1 records\b", page.read_text().partition("<script")[0])


def test_a_file_without_a_suffix_is_refused_for_that(tmp_path):
    (tmp_path / "molecules").write_text("")
    result = CliRunner().invoke(main, ["view", str(tmp_path / "molecules"), "--no-open"])
    assert result.exit_code == 2
    assert "expected a file name ending in .sdf" in result.stderr


def test_a_page_is_not_written_into_a_file_named_as_a_picture(folder, tmp_path):
    picture = tmp_path / "samples.png"
    result = CliRunner().invoke(main, ["view", str(folder / "samples.sdf"), "--out", str(picture), "--no-open"])
    assert result.exit_code == 2
    assert result.stderr == f"molgen: error: --out {picture}: molecules are shown on a page, expected a name that ends in .html\n"
    assert not picture.exists()


@pytest.mark.parametrize("command", ["evaluate", "compare"])
def test_a_report_is_not_written_over_molecules(folder, command):
    samples = folder / "samples.sdf"
    before = samples.read_bytes()
    files = [str(samples)] * (1 + (command == "compare"))
    result = CliRunner().invoke(main, [command, *files, "--html", str(samples)])
    assert result.exit_code == 2
    assert result.stderr == f"molgen: error: --html {samples}: the report is a page, expected a name that ends in .html\n"
    assert samples.read_bytes() == before


def test_shapes_are_drawn_into_one_picture_and_bad_files_are_counted(tmp_path):
    box = trimesh.creation.box((1, 2, 0.5))
    folder = tmp_path / "shapes"
    folder.mkdir()
    box.export(folder / "box.stl")
    np.savez(folder / "cloud.npz", points=np.random.default_rng(0).normal(size=(500, 3)))
    (folder / "empty.obj").write_text("")
    found = CliRunner().invoke(main, ["view", str(folder), "--no-open"], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    assert f"{tmp_path / 'shapes.png'}: 2 shapes" in found.stdout
    assert "left out 1: " in found.stdout
    image = np.asarray(Image.open(tmp_path / "shapes.png")).astype(int)
    assert image.shape == (256, 512, 3)
    dark = (image < 250).any(-1)
    # the long side of the box fills the picture; half of a Gaussian cloud is empty
    assert 0.2 < dark[:, :256].mean() < 0.9
    assert 0.02 < dark[:, 256:].mean() < 0.5
    bad = CliRunner().invoke(main, ["view", str(folder / "empty.obj"), "--no-open"])
    assert bad.exit_code == 2
    assert "empty.obj: cannot be drawn" in bad.stderr
