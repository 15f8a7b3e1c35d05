"""Models by folder and by name."""

import re
from pathlib import Path

from molgen.diffusion import condition
from molgen.files import shipped
from molgen.models import WEIGHTS, find_model, models_that_ship
from molgen.sample import load, loading


def test_a_model_is_found_by_folder_weights_and_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "qm9").mkdir()
    assert find_model("run") is None
    (tmp_path / "run" / WEIGHTS).touch()
    assert find_model("run") == find_model(Path("run", WEIGHTS)) == Path("run")
    ships = shipped("weights") / "qm9"
    assert models_that_ship()["qm9"] == find_model("qm9") == ships  # beside a folder of that name without weights
    assert find_model("./qm9") is None
    assert find_model("x" * 5000) is None  # too long a name for a file
    assert find_model("no-such-model") is None


def test_types_say_what_every_model_that_ships_samples():
    source = Path(loading.__file__).read_text()
    said = {}
    for names, *kinds in re.findall(r"def load\(source: Literal\[(.*?)\].*-> Model\[(\w+), (\w+)\]", source):
        said |= dict.fromkeys(re.findall(r'"(\w+)"', names), kinds)
    assert said.keys() == models_that_ship().keys()
    for name, (kind, asked) in said.items():
        model = load(name, "cpu")
        (item,) = model.sample(1, steps=3, keep_invalid=True)
        assert type(item).__name__ == kind
        members = getattr(condition, asked)
        assert model.properties
        assert all(isinstance(member, members) for member in model.properties)
