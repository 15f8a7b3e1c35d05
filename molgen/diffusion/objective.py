"""The training objective: draw a time, corrupt, denoise, compare.

Times are drawn so that ``ln r`` is normal around the middle of the schedule (Karras et al. 2022), a share of them uniform in t, and
stratified over the batch to lower the variance. With probability ``self_condition`` a first pass without gradient gives the prediction that
the second pass sees. With ``parts``, a part of some samples is given (:mod:`molgen.diffusion.parts`) and the denoiser is that of samples
around it, which leaves the loss to the rest. The loss is the sum of the fields' losses with their weights.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import torch

from molgen.batch import Batch
from molgen.chance import coin
from molgen.diffusion.condition import Conditions, drop
from molgen.diffusion.denoiser import Denoiser, Preconditioned
from molgen.diffusion.inpaint import Inpaint
from molgen.diffusion.noise import SharedNoise
from molgen.diffusion.parts import Parts
from molgen.diffusion.process import Joint
from molgen.diffusion.schedule import Schedule
from molgen.errors import InputError
from molgen.limits import Limited, NotNegative, Positive, Probability
from molgen.types import PerSample, Prediction, Tensor

SMALLEST_TIME = 1e-3


class Loss(Protocol):
    """What a run minimises. The network brings whatever process of noise it knows."""

    def __call__(self, network: Any, clean: Batch, generator: torch.Generator | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """Total loss, and the mean of each of its terms by name."""
        ...


@runtime_checkable
class Learner(Denoiser, Protocol):
    """A denoiser that knows its process, such as :class:`Preconditioned`."""

    process: Joint


@dataclass(frozen=True, kw_only=True)
class Times(Limited):
    """Training times: ``ln r ~ N(ln center, width^2)`` clipped to the schedule, or uniform t with probability ``uniform_share``."""

    center: Positive = 0.4
    width: Positive = 1.15
    uniform_share: Probability = 0.15

    def draw(self, schedule: Schedule, count: int, generator: torch.Generator | None, device: torch.device) -> PerSample:
        """Stratified times (count,) in [0.001, 1], in random order."""
        u, pick = strata(count, generator, device), torch.rand(count, generator=generator, device=device)
        normal = torch.special.ndtri(u.clamp(1e-6, 1 - 1e-6))
        t = schedule.time(torch.exp(math.log(self.center) + self.width * normal))
        return torch.where(pick < self.uniform_share, strata(count, generator, device), t).clamp(SMALLEST_TIME, 1.0)


@dataclass(frozen=True, kw_only=True)
class Objective(Limited):
    """Loss weights per field, time distribution, self-conditioning and condition dropout."""

    needs = ()  # kinds of network, objective and fields of which the first two are not used without all the others
    unsampled = ""  # why nothing can be sampled, and what to do instead

    kind: Literal["diffusion"] = "diffusion"
    weights: Mapping[str, NotNegative] = field(default_factory=dict)
    times: Times = Times()
    self_condition: Probability = 0.5
    drop_each: Probability = 0.15
    drop_all: Probability = 0.1
    keep_one: Probability = 0.0
    parts: Parts = Parts()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.drop_all + self.keep_one > 1:
            raise InputError(f"expected drop_all + keep_one of at most 1, got {self.drop_all} + {self.keep_one}")

    @property
    def completes(self) -> bool:
        """Whether the network has an input that marks given nodes, because it learns from given parts."""
        return self.parts.share > 0

    def network(self, model: Any, process: Joint, conditions: Conditions) -> Preconditioned:
        """The denoiser of these sizes with fresh weights.

        Raises:
            InputError: parts of unknown fields, or without the coordinates.
        """
        if strange := set(self.parts.fields) - set(process.processes):
            raise InputError(f"objective.parts.fields: no field {min(strange)!r}; there are {', '.join(process.processes)}")
        if self.parts.fields and process.position not in self.parts.fields:
            raise InputError(f"objective.parts.fields: {process.position!r} is missing, by which a part is given")
        backbone = model.build(*Preconditioned.widths(process, conditions.width, self.completes))
        return Preconditioned(backbone, process, conditions, self.completes)

    def terms(self, process: Joint) -> tuple[str, ...]:
        """Names of the losses: the fields."""
        return tuple(process.processes)

    def time(self, process: Joint, count: int, generator: torch.Generator | None, device: torch.device) -> PerSample:
        """Draws training times for a batch from the schedule of the Gaussian field."""
        return self.times.draw(process.clock.schedule, count, generator, device)

    def repeats(self, generator: torch.Generator | None = None) -> bool:
        """Decides whether a batch gets a first pass for self-conditioning."""
        return self.self_condition > 0 and coin(generator) < self.self_condition

    def __call__(
        self,
        network: Learner,
        clean: Batch,
        generator: torch.Generator | None = None,
        t: PerSample | None = None,
        again: bool | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Total loss and the mean loss of each field; ``t`` fixes the times and ``again`` whether there is a first pass."""
        device, process = clean.mask.device, network.process
        denoiser: Denoiser = network
        if t is None:
            t = self.time(process, len(clean), generator, device)
        noisy = process.corrupt(clean, t, SharedNoise(generator))
        if self.parts.share or self.parts.classes:
            denoiser = Inpaint(denoiser, process, clean, self.parts.draw(process, clean, generator))
        condition = drop(clean.labels, self.drop_each, self.drop_all, self.keep_one, generator)
        previous: Prediction | None = None
        if self.repeats(generator) if again is None else again:
            with torch.no_grad():
                previous = denoiser(noisy, t, condition)
        losses = {name: value.mean() for name, value in process.loss(denoiser(noisy, t, condition, previous), clean, t).items()}
        total = torch.stack([self.weights.get(name, 1.0) * value for name, value in losses.items()]).sum()
        return total, losses


def strata(count: int, generator: torch.Generator | None, device: torch.device) -> PerSample:
    """Uniform numbers (count,) in [0, 1), one in every interval of length 1 / count, in random order."""
    order = torch.randperm(count, generator=generator, device=device)
    return (order + torch.rand(count, generator=generator, device=device)) / count
