"""Models by folder and by name."""

from pathlib import Path

from molgen.files import shipped
from molgen.models import WEIGHTS, find_model, models_that_ship


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
    assert find_model("no-such-model") is None
