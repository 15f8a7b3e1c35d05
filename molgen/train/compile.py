"""`torch.compile` of the layers of the default backbone.

A layer is compiled, not the network: all layers share the same few programs (first layer or a later one, with gradients or without). Their
numbers of samples and atoms are symbols, so that buckets of new sizes compile nothing new, or, where steps are CUDA graphs of few shapes
(:mod:`molgen.train.graphs`), fixed: every shape has programs of its own, which are faster and serve the first layer too. The modules stay
in place, and so do the names of their weights. The moving average, which validates, is a copy that is not compiled.

Meant for a GPU. On a CPU compiling took minutes, and the compiled layers were slower than the plain ones
(benchmarks/results/speed_train_cpu_202611.md), because the matrix products are the same and vector code for symbolic sizes is poor.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from molgen.errors import InputError
from molgen.nn.equivariant import Backbone

SLOW = "train.compile=true: on a CPU compiling takes minutes and the compiled steps are slower than plain ones; it is meant for GPUs"
MOST = 64
"""Programs of a layer that may be compiled for fixed shapes."""


def compile_layers(backbone: nn.Module, backend: str | Callable[..., Any] = "inductor", fixed: bool = False) -> None:
    """Compiles every layer of a backbone when it is first run.

    Args:
        backbone: of the kind `equivariant_transformer`.
        backend: of `torch.compile`.
        fixed: whether every shape gets programs of its own.

    Raises:
        InputError: another backbone.
    """
    if not isinstance(backbone, Backbone):
        raise InputError("train.compile=true: only model.kind=equivariant_transformer can be compiled; leave train.compile out")
    if fixed:
        torch._dynamo.config.recompile_limit = max(MOST, torch._dynamo.config.recompile_limit)
    for layer in backbone.layers:
        layer.compile(dynamic=not fixed, backend=backend)


@contextmanager
def compile_errors() -> Iterator[None]:
    """Turns a compiler's failure inside the block into one line.

    Raises:
        InputError: no compiler on this machine, or one that fails.
    """
    from torch._dynamo.exc import TorchDynamoException
    from torch._inductor.exc import CppCompileError, InvalidCxxCompiler

    try:
        yield
    except (TorchDynamoException, CppCompileError, InvalidCxxCompiler) as error:
        cause = getattr(error, "inner_exception", error)
        words = [line.strip() for line in str(cause).splitlines() if line.strip()]
        reason = f"{type(cause).__name__}: {words[0].rstrip(':.')}" if words else type(cause).__name__
        raise InputError(
            f"train.compile=true: the layers cannot be compiled on this machine ({reason}); leave train.compile out"
        ) from error
