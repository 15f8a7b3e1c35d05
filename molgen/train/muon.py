"""Muon: steps of matrices are made orthogonal, all other parameters take Adam's (Jordan et al. 2024, kellerjordan.github.io/posts/muon).

The momentum G of a matrix is replaced by its nearest orthogonal matrix ``U V^T`` (G = U S V^T), found approximately by five rounds of a
Newton-Schulz iteration with a quintic polynomial. The step of a matrix with m rows and k columns is scaled by ``0.2 sqrt(max(m, k))``, the
size of a step of Adam, so that one learning rate serves both kinds (Liu et al. 2025, arXiv 2502.16982). Matrices of equal shape go
together.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch.optim import Optimizer

from molgen.diffusion.rounding import multiplies_bfloat16
from molgen.types import Float, Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ROUNDS = 5


def orthogonalize(matrices: Float[Tensor, "b m k"]) -> Float[Tensor, "b m k"]:
    """Matrices with the singular vectors of the given ones and singular values near one, between about 0.7 and 1.2.

    Single precision is multiplied as bfloat16 where the device has instructions for it.
    """
    a, b, c = COEFFICIENTS
    wide = matrices.shape[-2] <= matrices.shape[-1]
    x = matrices if wide else matrices.transpose(-1, -2)
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    if x.dtype == torch.float32 and multiplies_bfloat16(x.device):
        x = x.bfloat16()
    for _ in range(ROUNDS):
        square = x @ x.transpose(-1, -2)
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return (x if wide else x.transpose(-1, -2)).to(matrices.dtype)


class Muon(Optimizer):
    """Muon for matrices, Adam for the rest.

    Args:
        matrices: parameters (m, k) inside of a network.
        others: all other parameters: biases, first and last layers.
        lr: learning rate of both.
        momentum: decay of the gradients' mean that is made orthogonal, with Nesterov's look ahead.
        betas: Adam's.
        weight_decay: decoupled, of both.
    """

    def __init__(
        self,
        matrices: Iterable[torch.nn.Parameter],
        others: Iterable[torch.nn.Parameter],
        lr: float,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
    ):
        groups = [{"params": list(matrices), "orthogonal": True}, {"params": list(others), "orthogonal": False}]
        defaults = {"lr": lr, "momentum": momentum, "betas": betas, "weight_decay": weight_decay, "steps": 0}
        super().__init__([group for group in groups if group["params"]], defaults)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if not parameters:
                continue
            if group["weight_decay"]:
                torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
            group["steps"] += 1
            (self._orthogonal if group["orthogonal"] else self._adam)(parameters, group)
        return loss

    def _moments(self, parameters: list[torch.nn.Parameter], name: str) -> list[Tensor]:
        for parameter in parameters:
            if name not in self.state[parameter]:
                self.state[parameter][name] = torch.zeros_like(parameter)
        return [self.state[parameter][name] for parameter in parameters]

    def _orthogonal(self, parameters: list[torch.nn.Parameter], group: dict[str, Any]) -> None:
        gradients: list[Tensor] = [p.grad for p in parameters if p.grad is not None]
        means, beta = self._moments(parameters, "mean"), group["momentum"]
        torch._foreach_lerp_(means, gradients, 1 - beta)
        ahead = torch._foreach_lerp(gradients, means, beta)
        alike = defaultdict(list)
        for number, parameter in enumerate(parameters):
            alike[parameter.shape].append(number)
        for shape, numbers in alike.items():
            steps = orthogonalize(torch.stack([ahead[k] for k in numbers]))
            torch._foreach_add_([parameters[k] for k in numbers], list(steps.unbind()), alpha=-0.2 * max(shape) ** 0.5 * group["lr"])

    def _adam(self, parameters: list[torch.nn.Parameter], group: dict[str, Any]) -> None:
        gradients: list[Tensor] = [p.grad for p in parameters if p.grad is not None]
        means, squares, (first, second) = self._moments(parameters, "mean"), self._moments(parameters, "square"), group["betas"]
        torch._foreach_lerp_(means, gradients, 1 - first)
        torch._foreach_mul_(squares, second)
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - second)
        scale = torch._foreach_sqrt(squares)
        torch._foreach_div_(scale, (1 - second ** group["steps"]) ** 0.5)
        torch._foreach_add_(scale, 1e-8)
        torch._foreach_addcdiv_([p.detach() for p in parameters], means, scale, -group["lr"] / (1 - first ** group["steps"]))


def split_parameters(network: torch.nn.Module) -> tuple[list[torch.nn.Parameter], list[torch.nn.Parameter]]:
    """Matrices inside of a network, in its lists of layers, for Muon; all other parameters for Adam."""
    inner = {
        id(parameter)
        for module in network.modules()
        if isinstance(module, torch.nn.ModuleList)
        for parameter in module.parameters()
        if parameter.dim() == 2 and min(parameter.shape) > 1
    }
    every = list(network.parameters())
    return [p for p in every if id(p) in inner], [p for p in every if id(p) not in inner]
