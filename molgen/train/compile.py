"""`torch.compile` of the layers of the default backbone.

A layer is compiled, not the network: all layers share the same few programs (first layer or a later one, with gradients or without), whose
numbers of samples and atoms are symbols, so that buckets of new sizes compile nothing new. The modules stay in place, and so do the names
of their weights. The moving average, which validates, is a copy that is not compiled.

Meant for a GPU. On a CPU compiling took minutes, and the compiled layers were slower than the plain ones
(benchmarks/results/speed_train_cpu_202611.md), because the matrix products are the same and vector code for symbolic sizes is poor.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from molgen.errors import InputError
from molgen.nn.equivariant import Backbone

SLOW = "train.compile=true: on a CPU compiling takes minutes and the compiled steps are slower than plain ones; it is meant for GPUs"


def compile_layers(backbone: nn.Module, backend: str | Callable[..., Any] = "inductor") -> None:
    """Compiles every layer of a backbone when it is first run.

    Args:
        backbone: of the kind `equivariant_transformer`.
        backend: of `torch.compile`.

    Raises:
        InputError: another backbone.
    """
    if not isinstance(backbone, Backbone):
        raise InputError("train.compile=true: only model.kind=equivariant_transformer can be compiled; leave train.compile out")
    for layer in backbone.layers:
        layer.compile(dynamic=True, backend=backend)


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
