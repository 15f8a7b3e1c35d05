"""Asserts that a network on padded point sets obeys the symmetries of its task.

A function f of padded samples is *equivariant* under a group element g if ``f(g x) = g f(x)``. What g does to a tensor is told by
its :class:`Role`: how many node axes follow the batch axis, whether the last axis is a vector, whether it moves with the origin.
Checked are rotation, reflection, translation, permutation of nodes, more padding (filled with noise) and samples taken one by one.
The error of an output is ``max |f(g x) - g f(x)| / max |f(x)|`` over real entries: 1e-5 is allowed in float32, 1e-10 in float64.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from molgen.geometry import random_rotation
from molgen.types import NodeMask, Tensor

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}
Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Role:
    """How a tensor transforms.

    Args:
        nodes: number of node axes behind the batch axis.
        vector: the last axis is a vector in space.
        moves: a vector from the origin, which a translation shifts; otherwise a difference, which it leaves alone.
    """

    nodes: int
    vector: bool = False
    moves: bool = False


SAMPLE = Role(0)
NODE = Role(1)
PAIR = Role(2)
VECTOR = Role(1, vector=True)
POSITION = Role(1, vector=True, moves=True)


def equivariance_errors(
    function: Callable[..., Any], inputs: Tensors, roles: Mapping[str, Role], outputs: Sequence[Role], mask: str = "mask", seed: int = 0
) -> dict[str, list[float]]:
    """Measures the relative error of every output under every symmetry.

    Args:
        function: takes the inputs by name, returns one tensor or a tuple of tensors.
        inputs: tensors with the batch axis first, node axes next; `mask` (b n) is true at real nodes.
        roles: the role of every input but the mask.
        outputs: the roles of the outputs, in order.
        mask: name of the mask among the inputs.
        seed: seed of the random group elements.

    Returns:
        Symmetry -> error of each output; a value that is not finite counts as infinite.
    """
    generator = torch.Generator().manual_seed(seed)
    roles = {**roles, mask: NODE}
    if set(roles) != set(inputs):
        raise ValueError(f"roles are needed for exactly the inputs {sorted(inputs)}, got {sorted(roles)}")
    real = inputs[mask]
    expected = _run(function, inputs, outputs)
    count, n = real.shape
    dtype = next(x.dtype for x in inputs.values() if x.is_floating_point())
    turn = random_rotation(count, generator, dtype)
    mirror = turn @ torch.diag(torch.tensor([1, 1, -1], dtype=dtype))
    shift = torch.randn(count, 3, generator=generator, dtype=dtype)
    order = torch.stack([torch.randperm(n, generator=generator) for _ in range(count)])

    errors = {}
    for name, matrix in (("rotation", turn), ("reflection", mirror)):
        found = _run(function, {k: _rotate(x, roles[k], matrix) for k, x in inputs.items()}, outputs)
        errors[name] = _errors(found, [_rotate(y, r, matrix) for y, r in zip(expected, outputs, strict=True)], outputs, real)
    found = _run(function, {k: _translate(x, roles[k], shift) for k, x in inputs.items()}, outputs)
    errors["translation"] = _errors(found, [_translate(y, r, shift) for y, r in zip(expected, outputs, strict=True)], outputs, real)
    found = _run(function, {k: _permute(x, roles[k], order) for k, x in inputs.items()}, outputs)
    permuted = [_permute(y, r, order) for y, r in zip(expected, outputs, strict=True)]
    errors["permutation"] = _errors(found, permuted, outputs, _permute(real, NODE, order))
    found = _run(function, {k: _pad(x, roles[k], 3, generator) for k, x in inputs.items()}, outputs)
    errors["padding"] = _errors([_take(y, r, slice(n)) for y, r in zip(found, outputs, strict=True)], expected, outputs, real)
    errors["one by one"] = [0.0] * len(outputs)
    for b in range(count):
        one = {k: _take(x[b : b + 1], roles[k], real[b]) for k, x in inputs.items()}
        alone = [_take(y[b : b + 1], r, real[b]) for y, r in zip(expected, outputs, strict=True)]
        each = _errors(_run(function, one, outputs), alone, outputs, one[mask])
        errors["one by one"] = [max(pair) for pair in zip(errors["one by one"], each, strict=True)]
    return errors


def assert_equivariant(
    function: Callable[..., Any],
    inputs: Tensors,
    roles: Mapping[str, Role],
    outputs: Sequence[Role],
    mask: str = "mask",
    tolerance: float | None = None,
    seed: int = 0,
) -> None:
    """Asserts that a function is equivariant, and independent of padding and of the rest of the batch.

    A network whose last layers start at zero passes whatever it is: give it random weights first.

    Args:
        function: takes the inputs by name, returns one tensor or a tuple of tensors.
        inputs: tensors with the batch axis first, node axes next.
        roles: the role of every input but the mask.
        outputs: the roles of the outputs, in order.
        mask: name of the mask among the inputs.
        tolerance: largest relative error allowed; by default 1e-5 for float32 and 1e-10 for float64 inputs.
        seed: seed of the random group elements.

    Raises:
        AssertionError: names every symmetry that is broken, with the error of each output.
    """
    if tolerance is None:
        tolerance = max(TOLERANCE[x.dtype] for x in inputs.values() if x.is_floating_point())
    errors = equivariance_errors(function, inputs, roles, outputs, mask, seed)
    broken = {name: [f"{value:.1e}" for value in values] for name, values in errors.items() if not max(values) <= tolerance}
    if broken:
        listed = "; ".join(f"{name}: {', '.join(values)}" for name, values in broken.items())
        raise AssertionError(f"relative errors above {tolerance:.0e}, by output: {listed}")


def _run(function: Callable[..., Any], inputs: Tensors, outputs: Sequence[Role]) -> list[Tensor]:
    """Calls the function and checks the number of its outputs."""
    with torch.no_grad():
        result = function(**inputs)
    tensors = [result] if isinstance(result, Tensor) else list(result)
    if len(tensors) != len(outputs):
        raise ValueError(f"the function returned {len(tensors)} tensors but {len(outputs)} output roles were given")
    return tensors


def _rotate(x: Tensor, role: Role, matrix: Tensor) -> Tensor:
    """Applies one orthogonal matrix (3, 3) a sample to the vectors of a tensor."""
    return torch.einsum("bij,b...j->b...i", matrix, x) if role.vector else x


def _translate(x: Tensor, role: Role, shift: Tensor) -> Tensor:
    """Adds one vector (3,) a sample to whatever moves with the origin."""
    return x + shift.view(-1, *[1] * (x.dim() - 2), 3) if role.moves else x


def _permute(x: Tensor, role: Role, order: Tensor) -> Tensor:
    """Reorders the nodes of every sample."""
    return torch.stack([_take(x[b : b + 1], role, order[b])[0] for b in range(len(x))])


def _take(x: Tensor, role: Role, index: Tensor | slice) -> Tensor:
    """Selects nodes along every node axis."""
    for axis in range(1, 1 + role.nodes):
        x = x[(slice(None),) * axis + (index,)]
    return x


def _pad(x: Tensor, role: Role, extra: int, generator: torch.Generator) -> Tensor:
    """Adds nodes with random content, symmetric for pairs; false in a mask and zero in classes."""
    if not role.nodes:
        return x
    n = x.shape[1]
    shape = [size + extra if 1 <= axis <= role.nodes else size for axis, size in enumerate(x.shape)]
    padded = torch.randn(shape, generator=generator, dtype=x.dtype) if x.is_floating_point() else x.new_zeros(shape)
    if role.nodes == 2:
        padded = padded + padded.transpose(1, 2)
    padded[(slice(None),) + (slice(n),) * role.nodes] = x
    return padded


def _errors(found: Sequence[Tensor], expected: Sequence[Tensor], roles: Sequence[Role], real: NodeMask) -> list[float]:
    """Largest deviation of each output over real entries, relative to its largest value."""
    errors = []
    for a, b, role in zip(found, expected, roles, strict=True):
        weight = torch.ones(len(b), dtype=torch.bool) if role.nodes == 0 else real
        if role.nodes == 2:
            weight = real.unsqueeze(1) & real.unsqueeze(2)
        scale = b[weight].abs().max() if b[weight].numel() else b.new_zeros(())
        gap = (a[weight] - b[weight]).abs().max() if b[weight].numel() else b.new_zeros(())
        error = float(gap / scale.clamp(min=torch.finfo(b.dtype).tiny)) if gap > 0 or not torch.isfinite(gap) else 0.0
        errors.append(error if error == error else float("inf"))
    return errors
