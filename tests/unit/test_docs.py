"""The Python of the documentation runs, block after block of a page in one interpreter, beside the files that it names."""

import re
from pathlib import Path

import pytest

from molgen.molecules.export import read_molecules, write_molecules

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not (ROOT / "molgen/weights/qm9/model.safetensors").is_file(), reason="no weights in this tree")


@pytest.mark.parametrize("page", ["README.md", "docs/control.md", "docs/filters.md", "docs/properties.md"])
def test_python_of_a_page_runs(page, tmp_path, monkeypatch):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    assert blocks
    monkeypatch.chdir(tmp_path)
    molecules = [m for m in read_molecules(ROOT / "data/qm9_sample/qm9_sample.sdf.gz") if (m.atomic_numbers == 6).sum() > 2]
    write_molecules("lead.sdf", molecules[:1])
    write_molecules("train.smi", molecules[1:9])
    write_molecules("pocket.xyz", molecules[1:2])
    names: dict = {"__name__": "docs"}
    for block in blocks:
        exec(compile(block, page, "exec"), names)
