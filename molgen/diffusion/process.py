"""The process of a batch. A dict of processes is a process: :class:`Joint` corrupts every field at one common time."""

from collections.abc import Mapping
from functools import cached_property

from molgen.batch import Batch
from molgen.diffusion.categorical import Discrete
from molgen.diffusion.field import Process
from molgen.diffusion.gaussian import Gaussian
from molgen.diffusion.noise import Noise
from molgen.diffusion.space import Centered, Features, Whole
from molgen.types import PerSample, Prediction


class Joint:
    """A process for every field of a batch, all at the same time t."""

    def __init__(self, processes: Mapping[str, Process]):
        self.processes = dict(processes)

    def __getitem__(self, name: str) -> Process:
        return self.processes[name]

    @cached_property
    def position(self) -> str:
        """Name of the one Gaussian field of positions.

        Raises:
            ValueError: if there is none, or more than one.
        """
        found = [*self._reals(Centered)]
        if len(found) != 1:
            raise ValueError(f"expected exactly one Gaussian field of positions, got {found}")
        return found[0]

    @cached_property
    def clock(self) -> Gaussian:
        """The process of the positions, whose schedule is the clock of all fields."""
        return self._reals(Centered)[self.position]

    @cached_property
    def features(self) -> dict[str, Gaussian]:
        """The fields of real features of nodes."""
        return self._reals(Features)

    @cached_property
    def wholes(self) -> dict[str, Gaussian]:
        """The fields of real features of samples as a whole."""
        return self._reals(Whole)

    @cached_property
    def nodes(self) -> dict[str, Discrete]:
        """The fields of classes of nodes."""
        return {name: p for name, p in self.processes.items() if isinstance(p, Discrete) and not p.space.pairs}

    @cached_property
    def pairs(self) -> dict[str, Discrete]:
        """The fields of classes of pairs."""
        return {name: p for name, p in self.processes.items() if isinstance(p, Discrete) and p.space.pairs}

    def _reals(self, space: type[Centered | Features | Whole]) -> dict[str, Gaussian]:
        return {name: p for name, p in self.processes.items() if isinstance(p, Gaussian) and isinstance(p.space, space)}

    def prior(self, like: Batch, noise: Noise) -> Batch:
        """Draws every field of the batch from its prior."""
        return like.replace({name: p.prior(like[name], like.mask, noise) for name, p in self.processes.items()})

    def corrupt(self, clean: Batch, t: PerSample, noise: Noise) -> Batch:
        """Draws every field at time t given the clean batch."""
        return clean.replace({name: p.corrupt(clean[name], t, clean.mask, noise) for name, p in self.processes.items()})

    def lift(self, batch: Batch, s: PerSample, t: PerSample, noise: Noise) -> Batch:
        """Adds noise to every field, from time s up to t."""
        return batch.replace({name: p.lift(batch[name], s, t, batch.mask, noise) for name, p in self.processes.items()})

    def reverse(self, batch: Batch, prediction: Prediction, t: PerSample, s: PerSample, noise: Noise, eta: float) -> Batch:
        """Steps every field from t down to s."""
        return batch.replace(
            {name: p.reverse(batch[name], prediction[name], t, s, batch.mask, noise, eta) for name, p in self.processes.items()}
        )

    def settle(self, batch: Batch, prediction: Prediction) -> Batch:
        """The most probable clean batch under the prediction."""
        return batch.replace({name: p.settle(prediction[name], batch.mask) for name, p in self.processes.items()})

    def sharpen(self, prediction: Prediction, factor: float) -> Prediction:
        """Makes the class predictions of every field more certain (factor above 1) or less."""
        return {name: p.sharpen(prediction[name], factor) for name, p in self.processes.items()}

    def extrapolate(self, now: Prediction, before: Prediction, t: PerSample, t_before: PerSample, s: PerSample) -> Prediction:
        """Multistep prediction of every field."""
        return {name: p.extrapolate(now[name], before[name], t, t_before, s) for name, p in self.processes.items()}

    def correct(self, start: Prediction, end: Prediction, t: PerSample, s: PerSample) -> Prediction:
        """Heun prediction of every field."""
        return {name: p.correct(start[name], end[name], t, s) for name, p in self.processes.items()}

    def loss(self, prediction: Prediction, clean: Batch, t: PerSample) -> dict[str, PerSample]:
        """Loss of each field and sample."""
        return {name: p.loss(prediction[name], clean[name], t, clean.mask) for name, p in self.processes.items()}
