"""CUDA graphs of training steps: loss and gradients of a batch as one launch.

A step of the default backbone is some 4,700 kernels, which the host needs 105 ms to start on any batch, while an H200 needs 40 to 55 ms to
run them on 1,024 molecules of QM9. A graph starts them at once. It is bound to the shape of its batch: the shapes are those of the full
batches of :class:`molgen.buckets.Buckets`, and any other batch runs as it is. Numbers come from the default generator of the device, which
is seeded before every step.

With compiled layers (:mod:`molgen.train.compile`) a graph replays programs that were made for its shape alone.

The graphs share their memory: one may use what another has left, so that gradients and losses must be taken before the next step.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import torch

from molgen.batch import Batch
from molgen.types import Tensor

Loss = Callable[[Batch, bool], tuple[Tensor, dict[str, Tensor]]]

LARGE = (
    "train.cuda_graphs=true: a recipe for a GPU; on a CPU a small one such as qm9_small, or at least a small train.pair_budget, is needed"
)


@dataclass(frozen=True)
class _Captured:
    graph: "torch.cuda.CUDAGraph"
    batch: Batch
    total: Tensor
    losses: dict[str, Tensor]
    gradients: list[Tensor | None]

    def replay(self, batch: Batch, parameters: Sequence[torch.nn.Parameter]) -> None:
        for own, new in ((self.batch.fields, batch.fields), (self.batch.labels, batch.labels)):
            for name, value in new.items():
                own[name].copy_(value)
        self.batch.mask.copy_(batch.mask)
        self.graph.replay()
        for parameter, gradient in zip(parameters, self.gradients, strict=True):
            parameter.grad = gradient


class Graphs:
    """Losses and gradients of batches.

    Args:
        loss: of a batch, with a first pass for self-conditioning or without.
        parameters: whose ``grad`` each step sets.
        shapes: (b, n) of the batches that get a graph each, and another with a first pass.
    """

    def __init__(self, loss: Loss, parameters: Sequence[torch.nn.Parameter], shapes: Iterable[tuple[int, int]]):
        self.loss, self.parameters, self.shapes = loss, list(parameters), set(shapes)
        self.captured: dict[tuple[int, ...], _Captured] = {}
        self.seen: set[tuple[int, ...]] = set()

    def step(self, batch: Batch, seed: int, again: bool) -> tuple[Tensor, dict[str, Tensor]]:
        """Total loss and its terms; sets the gradients."""
        key = (*batch.mask.shape, int(again))
        torch.cuda.manual_seed(seed)
        if key not in self.captured:
            planned = key[:2] in self.shapes
            if not planned or key not in self.seen:  # the first step of a shape compiles, and libraries set themselves up in it
                self.seen.add(key)
                with torch.compiler.set_stance("default" if planned else "force_eager"):
                    total, losses = self._differentiate(batch, again)
                return total.detach(), {name: value.detach() for name, value in losses.items()}
            self.captured[key] = self._capture(batch, again)
            torch.cuda.manual_seed(seed)
        captured = self.captured[key]
        captured.replay(batch, self.parameters)
        return captured.total.clone(), {name: value.clone() for name, value in captured.losses.items()}

    def _differentiate(self, batch: Batch, again: bool) -> tuple[Tensor, dict[str, Tensor]]:
        for parameter in self.parameters:
            parameter.grad = None
        kind = torch.get_autocast_dtype("cuda")
        # without a cache: a graph must convert the weights as they are when it runs
        with torch.autocast("cuda", kind, enabled=torch.is_autocast_enabled("cuda"), cache_enabled=False):
            total, losses = self.loss(batch, again)
        with torch.autocast("cuda", enabled=False):
            total.backward()
        return total, losses

    def _capture(self, batch: Batch, again: bool) -> _Captured:
        fields = {name: value.clone() for name, value in batch.fields.items()}
        own = replace(batch, fields=fields, mask=batch.mask.clone(), labels={name: value.clone() for name, value in batch.labels.items()})
        graph = torch.cuda.CUDAGraph()
        pool = next(iter(self.captured.values())).graph.pool() if self.captured else None
        torch.clear_autocast_cache()
        torch.cuda.synchronize()
        with torch.cuda.graph(graph, pool=pool):
            total, losses = self._differentiate(own, again)
        return _Captured(graph, own, total.detach(), {k: v.detach() for k, v in losses.items()}, [p.grad for p in self.parameters])
