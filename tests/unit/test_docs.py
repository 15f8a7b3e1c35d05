"""The Python of the documentation runs, block after block of a page in one interpreter; what is public says what it does."""

import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import numpy as np
import plain
import pytest

import molgen
from molgen.molecules.export import read_molecules, write_molecules

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not (ROOT / "molgen/weights/qm9/model.safetensors").is_file(), reason="no weights in this tree")
@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "docs/control.md",
        "docs/evaluation.md",
        "docs/extending.md",
        "docs/filters.md",
        "docs/properties.md",
        "docs/records.md",
        "docs/shapes.md",
    ],
)
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # which torch-geometric uses
def test_python_of_a_page_runs(page, tmp_path, monkeypatch):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    assert blocks
    monkeypatch.chdir(tmp_path)
    molecules = [m for m in read_molecules(ROOT / "data/qm9_sample/qm9_sample.sdf.gz") if (m.atomic_numbers == 6).sum() > 2]
    write_molecules("lead.sdf", molecules[:1])
    write_molecules("samples.sdf", molecules[:2])
    write_molecules("train.smi", molecules[1:9])
    write_molecules("cavity.xyz", molecules[1:2])
    one_hot = (molecules[0].atomic_numbers[:, None] == [1, 6, 7, 8, 9]).astype(float)
    np.savez("samples.npz", positions=molecules[0].positions[None], one_hot=one_hot[None])
    names: dict = {"__name__": "docs"}
    for block in blocks:
        # the same code with fewer steps, and all pages but the first with a smaller model, at a fraction of the time
        steps = 20 if page == "README.md" else 10
        block = re.sub(r"^(?!.*steps=)(.*\.sample\(\d+)", rf"\1, steps={steps}", block, flags=re.MULTILINE)
        if page != "README.md":
            block = block.replace('load("qm9")', 'load("qm9_small")').replace("Request(properties", "Request(steps=10, properties")
        exec(compile(block, page, "exec"), names)


def public():
    """Names and objects of all modules, classes, functions and methods whose names do not begin with an underscore."""
    for info in pkgutil.walk_packages(molgen.__path__, "molgen."):
        if info.name.endswith("__main__"):
            continue
        module = importlib.import_module(info.name)
        yield info.name, module
        for name, thing in vars(module).items():
            if name.startswith("_") or getattr(thing, "__module__", None) != info.name:
                continue
            if inspect.isfunction(thing) or inspect.isclass(thing):
                yield f"{info.name}.{name}", thing
            if inspect.isclass(thing):
                for attribute, value in vars(thing).items():
                    if not attribute.startswith("_") and isinstance(value, type(public) | classmethod | staticmethod | property):
                        yield f"{info.name}.{name}.{attribute}", getattr(thing, attribute)


def test_everything_public_is_documented():
    names = dict(public())
    assert {"molgen.diffusion.gaussian.Gaussian.corrupt", "molgen.sample.loading.load"} <= set(names)
    assert [name for name, thing in names.items() if not inspect.getdoc(thing)] == []  # inherited words count


BENCHMARKS = """
import importlib.util, pathlib, sys

folder = pathlib.Path(sys.argv[1])
sys.path.insert(0, str(folder))
for path in sorted(folder.glob("*.py")):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    print(path.stem, callable(module.main))
"""


def test_benchmarks_can_be_started():
    done = plain.python(BENCHMARKS, ROOT / "benchmarks")
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split()[::2] == sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py"))


def test_type_checkers_see_the_public_names():
    """The imports for type checkers are those that are made on first use, and the package says that it has types."""
    import ast

    tree = ast.parse((ROOT / "molgen/__init__.py").read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    seen = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen == molgen._PUBLIC
    assert sorted([*seen, "__version__"]) == sorted(molgen.__all__)
    assert (ROOT / "molgen/py.typed").is_file()
