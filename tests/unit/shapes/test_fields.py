import json

import pytest

from molgen.errors import InputError
from molgen.shapes.fields import ShapeStatistics
from molgen.statistics import Label

STATISTICS = ShapeStatistics(
    num_shapes=5,
    num_points=64,
    categories=("chair", "table", "mug"),
    category_counts=(2, 2, 0),
    coordinate_std=0.31,
    normalisation="global",
    scale=2.5,
    up="z",
    labels=(Label("legs", "", 4, 3.5, 0.5, 3.0, 4.0),),
    captions=True,
)


def test_round_trip_through_json(tmp_path):
    path = tmp_path / "statistics.json"
    path.write_text(json.dumps(STATISTICS.to_dict()))
    assert ShapeStatistics.load(path) == STATISTICS


def test_labels_of_shapes_say_nothing_of_sizes():
    assert "by_size" not in STATISTICS.to_dict()["labels"][0]


def test_misspelt_names_offer_the_nearest():
    with pytest.raises(InputError, match=r"unknown property 'leg'; did you mean legs\?"):
        STATISTICS.label("leg")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "version 1 of the statistics, got 2; prepare the data again"),
        ({"domain": "molecule"}, "holds molecules; this model is one of shapes"),
        ({"up": "w"}, "'w'"),
        ({"category_counts": [1]}, "3 categories but 1 counts"),
    ],
)
def test_other_files_are_refused(tmp_path, change, message):
    path = tmp_path / "statistics.json"
    path.write_text(json.dumps(STATISTICS.to_dict() | change))
    with pytest.raises(InputError, match=message):
        ShapeStatistics.load(path)


def test_missing_and_broken_files_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"not found; make a data set with `molgen prepare"):
        ShapeStatistics.load(tmp_path / "statistics.json")
    (tmp_path / "statistics.json").write_text("{")
    with pytest.raises(InputError, match="not a statistics file"):
        ShapeStatistics.load(tmp_path / "statistics.json")
