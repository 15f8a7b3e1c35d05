# mypy: disallow-untyped-calls, disallow-any-generics, warn-return-any, strict-equality, extra-checks
# mypy: warn-unused-ignores, disallow-subclassing-any, disallow-untyped-defs, disallow-untyped-decorators
"""What type checkers know of the library: checked by mypy (`make check`), where each ignored error has to be one; never run."""

from typing import assert_type

import numpy as np

import molgen
from molgen.diffusion.condition import Category, Scalar, Vector

model = molgen.load("qm9")
for label in model.properties:
    print(f"{label.name}: {label.low:.2f} to {label.high:.2f} {label.unit}")
assert_type(model.properties, list[Scalar])
assert_type(model.sample(1, molgen.Request(sizes=np.array([12])), sizes=np.array([12])), list[molgen.Molecule])
for _, molecule in model.trajectory(molgen.Request()):
    assert_type(molecule, molgen.Molecule)
    print(molecule.no_such_thing)  # type: ignore[attr-defined]
for found in molgen.conformers(model, [molgen.Conformers.from_smiles("CCO")], 1):
    assert_type([*found], list[molgen.Molecule])
for member in molgen.load("shapes").properties:
    assert_type(member, Scalar | Category | Vector)
    print(member.name, member.low)  # type: ignore[union-attr]
