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
    ("modules", "missing"),
    [
        (
            "molgen.train, molgen.cli.train, molgen.config, molgen.checkpoint, molgen.molecules.data, molgen.nn.tensor_product",
            {"rdkit", "trimesh", "posebusters", "tblite", "openbabel"},
        ),
        (
            "molgen, molgen.cli, molgen.errors, molgen.files, molgen.molecules.molecule",
            {"torch", "rdkit", "trimesh", "lightning", "e3nn", "torch_geometric"},
        ),
        (  # every worker process imports these, and torch alone takes two or three times as long as they
            "molgen.evaluate, molgen.evaluate.pool, molgen.molecules.prepare, molgen.molecules.filters, molgen.molecules.measure",
            {"torch", "lightning", "e3nn", "torch_geometric"},
        ),
        ("molgen.shapes.prepare, molgen.shapes.metrics", {"torch", "rdkit"}),
    ],
)
def test_modules_need_no_library_that_is_not_theirs(modules, missing):
    result = run(f"import {modules}", missing)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("name", ["qm9_small", "shapes"])
def test_models_sample_without_what_only_training_or_tensor_products_need(name):
    """Each of these takes a second or more to import."""
    heavy = {"e3nn", "lightning", "torch_geometric", "tensorboard", "posebusters", "torch._dynamo"}
    sampled = f"import molgen, sys; molgen.load({name!r}, 'cpu').sample(1, steps=2, keep_invalid=True); print({heavy} & sys.modules.keys())"
    result = subprocess.run([sys.executable, "-c", sampled], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "set()\n"), result.stderr


def test_every_public_name_can_be_used():
    import molgen

    assert all(getattr(molgen, name) is not None for name in molgen.__all__)
    assert set(molgen.__all__) <= set(dir(molgen))
    with pytest.raises(AttributeError, match="module 'molgen' has no attribute 'nonsense'"):
        _ = molgen.nonsense
