"""Labels of data sets, and the files that ship with models."""

import json
import math

import numpy as np
import pytest

from molgen.errors import InputError
from molgen.files import shipped
from molgen.molecules.fields import Statistics
from molgen.shapes.fields import ShapeStatistics
from molgen.shapes.latent_statistics import LatentStatistics
from molgen.statistics import Label, find_label, moments, read_statistics
from molgen.statistics import Statistics as Common

FILES = sorted(shipped("weights").rglob("statistics.json"))
LABELS = [Label("gap", "eV", 4, 2.0, 1.0, 0.0, 4.0), Label("logp", "", 0, 0.0, 0.0, 0.0, 0.0, {})]


@pytest.mark.parametrize("path", FILES, ids=lambda path: "/".join(path.parts[-3:-1]))
def test_statistics_that_ship_are_written_as_they_were_read(path):
    text = path.read_text(encoding="utf-8")
    raw = json.loads(text)
    kind = Statistics if raw["domain"] == "molecule" else ShapeStatistics
    again = kind.load(path).to_dict()
    again |= {name: raw[name] for name in ("latent",) if name in raw}  # the section of latent clouds belongs to another class
    if raw.pop("num_atoms", None):  # the file of a data set, which says more than a model must know
        assert json.loads(json.dumps(again)) == raw
    else:
        assert json.dumps(again) == text


@pytest.mark.parametrize(
    ("found", "name"),
    [
        (Statistics.load(shipped("weights") / "qm9_small" / "statistics.json"), "homo_b3lyp"),
        (ShapeStatistics.load(shipped("weights") / "shapes" / "statistics.json"), "legs"),
        (LatentStatistics.load(shipped("weights") / "shapes" / "statistics.json"), "legs"),
    ],
)
def test_every_domain_says_what_a_model_must_know(found, name):
    assert isinstance(found, Common)
    assert name in found.condition_names
    assert found.label(name).count > 0
    assert set(found.classes) == ({"atom", "charge", "bond"} if isinstance(found, Statistics) else set())


def test_latent_clouds_have_the_labels_and_the_axis_of_their_shapes():
    found = LatentStatistics.load(shipped("weights") / "shapes" / "statistics.json")
    assert found.up == found.shape.up == "z"
    assert [found.label(label.name) for label in found.shape.labels] == list(found.shape.labels)


def test_moments_are_those_of_the_known_values_and_of_each_size():
    column, sizes = np.array([1.0, np.nan, 3.0, 8.0]), np.array([5, 5, 5, 6])
    found = moments(column, sizes)
    assert list(found) == ["count", "mean", "std", "min", "max", "by_size"]
    assert found == {
        "count": 3,
        "mean": 4.0,
        "std": pytest.approx(math.sqrt(26 / 3)),
        "min": 1.0,
        "max": 8.0,
        "by_size": {"5": [2, 2.0, 1.0], "6": [1, 8.0, 0.0]},
    }
    assert moments(column) == {name: value for name, value in found.items() if name != "by_size"}


def test_moments_of_single_precision_are_taken_in_double():
    column = np.array([1e8, 1e8 + 8, 1e8 + 24], np.float32)
    assert moments(column)["mean"] == np.mean([1e8, 1e8 + 8, 1e8 + 24])


def test_nothing_known_gives_zeros():
    nothing = np.full(3, np.nan)
    assert moments(nothing) == {"count": 0, "mean": 0.0, "std": 0.0, "min": 0.0, "max": 0.0}
    assert moments(nothing, np.array([1, 2, 3]))["by_size"] == {}


@pytest.mark.parametrize("label", [*LABELS, Label("homo", "eV", 4, 2.0, 1.0, 0.0, 4.0, {5: (3.0, 1.5, 0.5), 6: (1.0, 2.0, 0.0)})])
def test_a_label_survives_json(label):
    assert Label.from_dict(json.loads(json.dumps(label.to_dict()))) == label


def test_labels_are_found_by_name():
    assert find_label(LABELS, "logp") is LABELS[1]
    with pytest.raises(InputError, match=r"unknown property 'logP'; did you mean logp\?"):
        find_label(LABELS, "logP")
    with pytest.raises(InputError, match="unknown property 'qed'; none is known"):
        find_label([], "qed")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"domain": "shape", "version": 1, "labels": []}', "holds shapes; this model is one of molecules, give data of such"),
        ('{"domain": "molecule", "version": 2, "labels": []}', "expected version 1 of the statistics, got 2; prepare the data again"),
        ('{"domain": "molecule", "version": 1}', "not a statistics file of molgen .KeyError: 'labels'.; prepare the data again"),
        ('{"domain": "molecule", "version": 1, "labels": 3}', "not a statistics file of molgen .TypeError"),
        ('{"domain": "molecule", "version": 1, "labels": [{"by_size": 3}]}', "not a statistics file of molgen .AttributeError"),
        ("[]", "not a statistics file of molgen .TypeError"),
        ("{", "not a statistics file of molgen .JSONDecodeError"),
        ("[" * 100_000, "not a statistics file of molgen .nested too deeply.; prepare the data again, or copy the model again"),
        (f'{{"version": {"9" * 5000}}}', "not a statistics file of molgen .ValueError: Exceeds the limit"),
        ("\udcff", "not a statistics file of molgen .not UTF-8 text"),
        (None, "not found; make a data set with `molgen prepare SOURCE --out"),
    ],
)
def test_other_files_are_refused(tmp_path, content, message):
    path = tmp_path / "statistics.json"
    if content is not None:
        path.write_text(content, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(InputError, match=message):
        read_statistics(path, "molecule", lambda raw: [Label.from_dict(label) for label in raw["labels"]])
