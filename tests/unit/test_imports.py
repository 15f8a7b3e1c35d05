"""Heavy libraries stay in their room: a bare node trains without rdkit and trimesh, and a name costs nothing until it is used."""

import subprocess
import sys

import pytest

REFUSE = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {names}:
            raise ImportError(f"{{name}} is not installed on this node")

sys.meta_path.insert(0, Refuse())
"""


def run(code, names):
    return subprocess.run([sys.executable, "-c", REFUSE.format(names=names) + code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "module",
    ["molgen.train", "molgen.cli.train", "molgen.config", "molgen.checkpoint", "molgen.molecules.data", "molgen.nn.tensor_product"],
)
def test_training_needs_neither_rdkit_nor_trimesh(module):
    result = run(f"import {module}", {"rdkit", "trimesh", "posebusters", "tblite", "openbabel"})
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("module", ["molgen", "molgen.cli", "molgen.errors", "molgen.files", "molgen.molecules.molecule"])
def test_light_modules_need_no_heavy_library(module):
    result = run(f"import {module}", {"torch", "rdkit", "trimesh", "lightning", "e3nn", "torch_geometric"})
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("name", ["qm9_small", "shapes"])
def test_models_sample_without_what_only_training_or_tensor_products_need(name):
    """Each of these takes a second or more to import."""
    code = f"import molgen; molgen.load({name!r}, 'cpu').sample(1, steps=2, keep_invalid=True)"
    result = run(code, {"e3nn", "lightning", "torch_geometric", "tensorboard", "posebusters"})
    assert result.returncode == 0, result.stderr
    loaded = subprocess.run(
        [sys.executable, "-c", f"import sys; {code}; print('torch._dynamo' in sys.modules)"], capture_output=True, text=True, check=True
    )
    assert loaded.stdout == "False\n"


def test_every_public_name_can_be_used():
    import molgen

    assert all(getattr(molgen, name) is not None for name in molgen.__all__)
    assert set(molgen.__all__) <= set(dir(molgen))
    with pytest.raises(AttributeError, match="module 'molgen' has no attribute 'nonsense'"):
        _ = molgen.nonsense
