"""Guidance of a molecule model by the gradient of a score; see :mod:`molgen.guidance`."""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from molgen.batch import Batch
from molgen.diffusion.denoiser import Denoiser
from molgen.diffusion.guidance import Gradient as GuidedDenoiser
from molgen.diffusion.process import Joint
from molgen.errors import InputError, got
from molgen.geometry import pair_mask
from molgen.molecules.fields import ANGSTROM_PER_UNIT, Statistics
from molgen.molecules.penalties import Guess, Valence
from molgen.molecules.pieces import one_piece
from molgen.molecules.valence import even_electrons, neutral_charge, valence_table
from molgen.tags import called
from molgen.types import NodeMask, PairMask, PerSample, Prediction, Tensor

Score = Callable[[Guess], PerSample]
CLOSED_BELOW = 0.2
"""Å of noise below which bonds are all but decided."""


@dataclass(frozen=True)
class Gradient:
    """Guidance of a molecule model by the gradient of a score.

    Args:
        score: differentiable function of a `Guess`: one log weight a molecule, (b,).
        scale: factor on the score.
        below: guide only once the noise has a deviation below so many Å. Before, the guess is a mean over many molecules, with atoms nearer
            to each other than in any of them: a score of contacts needs 1 Å or less, one of the overall shape no limit.
    """

    score: Score
    scale: float = 1.0
    below: float = math.inf

    def __post_init__(self) -> None:
        if not math.isfinite(self.scale):
            raise InputError(f"scale: expected a finite number, got {self.scale!r}")
        if not self.below > 0:
            raise InputError(f"below: expected a noise above 0 Å, got {self.below!r}")

    def describe(self) -> str:
        """One line for the records, the same for the same guidance: what the score's own ``describe`` says, or its name and numbers."""
        if hasattr(self.score, "describe"):
            return " ".join([str(self.score.describe()), *self._numbers()])
        if isinstance(self.score, partial):
            return " ".join([called(self.score), *self._numbers()])
        name = getattr(self.score, "__qualname__", "") or type(self.score).__qualname__.lower()
        given = getattr(self.score, "__dict__", {})
        shown = [f"{key}={value}" for key, value in given.items() if isinstance(value, int | float | str)]
        return " ".join([name, *shown, *self._numbers()])

    def _numbers(self) -> list[str]:
        own = {"scale": (self.scale, 1.0), "below": (self.below, math.inf)}
        return [f"{name}={value:g}" for name, (value, usual) in own.items() if value != usual]

    def guide(self, denoiser: Denoiser, process: Joint, statistics: Statistics) -> Denoiser:
        """The guided denoiser.

        Args:
            denoiser: of molecules.
            process: their fields.
            statistics: the vocabulary of the model.
        """
        if not isinstance(statistics, Statistics):
            raise InputError("guides: a Gradient is for models of molecules")
        name = self.describe()

        def score(clean: Prediction, mask: NodeMask) -> PerSample:
            positions = clean["pos"] * ANGSTROM_PER_UNIT
            guess = Guess(
                positions=positions,
                atoms=clean["atom"],
                charges=clean["charge"],
                bonds=clean["bond"],
                mask=mask,
                elements=statistics.elements,
                formal_charges=statistics.charges,
            )
            value = self.score(guess)
            if not isinstance(value, Tensor) or value.shape != mask.shape[:1]:
                shape = tuple(value.shape) if isinstance(value, Tensor) else got(value)
                raise InputError(f"guides: {name}: expected a tensor of one value a molecule, shape ({len(mask)},), got {shape}")
            if torch.is_grad_enabled() and not value.requires_grad:
                raise InputError(f"guides: {name}: has no gradient; compute it from the guess by operations of torch, without detach()")
            leaves = {"positions": positions, "atoms": clean["atom"], "charges": clean["charge"], "bonds": clean["bond"]}
            for what, leaf in leaves.items():
                if leaf.requires_grad:
                    _watch(leaf, value, pair_mask(mask) if what == "bonds" else mask, f"{name}: its gradient by {what}")
            # a guess without a finite score is never the best one
            return torch.where(torch.isfinite(value), self.scale * value, torch.full_like(value, -torch.inf))

        return GuidedDenoiser(denoiser, process, score, below=self.below / ANGSTROM_PER_UNIT)


def _watch(leaf: Tensor, value: PerSample, mask: NodeMask | PairMask, which: str) -> None:
    """Warns where a score has a value and its gradient, which is then taken for zero, has none at an entry of the mask."""

    def look(gradient: Tensor) -> None:
        if not (gradient.isfinite().all(-1) | ~mask)[value.detach().isfinite()].all():
            warnings.warn(f"guides: {which} is not finite, and left out; is there a square root of 0? add 1e-12", stacklevel=2)

    leaf.register_hook(look)


@dataclass(frozen=True)
class EvenElectrons:
    """Conditions predictions of elements and charges on an even sum of the valences, which all closed shells have.

    A network that predicts atoms one by one counts badly: most failures of good models are radicals. This is Bayes' rule for independent
    atoms, exact and without network calls; see :func:`molgen.molecules.valence.even_electrons`.
    """

    def describe(self) -> str:
        """One line for the records."""
        return "even electrons"

    def guide(self, denoiser: Denoiser, process: Joint, statistics: Statistics) -> Denoiser:
        """The guided denoiser."""
        table = valence_table(statistics.elements, statistics.charges)

        def guided(batch: Batch, t: PerSample, condition: dict[str, Tensor], previous: Prediction | None = None) -> Prediction:
            prediction = denoiser(batch, t, condition, previous)
            atoms, charges = (prediction[name].softmax(-1) for name in ("atom", "charge"))
            element, charge = even_electrons(atoms, charges, batch.mask, table)
            return prediction | {"atom": prediction["atom"] + element, "charge": prediction["charge"] + charge}

        return guided


@dataclass(frozen=True)
class Neutral:
    """Conditions predictions of formal charges on their sum 0: Bayes' rule as in :class:`EvenElectrons`.

    See :func:`molgen.molecules.valence.neutral_charge`.
    """

    def describe(self) -> str:
        """One line for the records."""
        return "neutral"

    def guide(self, denoiser: Denoiser, process: Joint, statistics: Statistics) -> Denoiser:
        """The guided denoiser; as it was where the model knows no charges."""
        if not any(statistics.charges):
            return denoiser

        def guided(batch: Batch, t: PerSample, condition: dict[str, Tensor], previous: Prediction | None = None) -> Prediction:
            prediction = denoiser(batch, t, condition, previous)
            tilt = neutral_charge(prediction["charge"].softmax(-1), batch.mask, statistics.charges)
            return prediction | {"charge": prediction["charge"] + tilt}

        return guided


@dataclass(frozen=True)
class OnePiece:
    """Conditions predictions of bonds on each piece of the molecule being bonded to the rest: Bayes' rule as in :class:`EvenElectrons`.

    See :func:`molgen.molecules.pieces.one_piece`.

    Args:
        below: guide only once the noise has a deviation below so many Å. Before, hardly a bond is probable and every atom a piece, of which
            the network knows better than the rule how many bonds it has.
    """

    below: float = 1.5

    def describe(self) -> str:
        """One line for the records."""
        return f"one piece below={self.below:g}"

    def guide(self, denoiser: Denoiser, process: Joint, statistics: Statistics) -> Denoiser:
        """The guided denoiser."""

        def guided(batch: Batch, t: PerSample, condition: dict[str, Tensor], previous: Prediction | None = None) -> Prediction:
            prediction = denoiser(batch, t, condition, previous)
            low = process.clock.ratio(t) < self.below / ANGSTROM_PER_UNIT
            if not low.any():
                return prediction
            bond = prediction["bond"]
            tilt = one_piece(bond.softmax(-1), batch.mask) * low.view(-1, 1, 1)
            return prediction | {"bond": torch.cat([bond[..., :1] + tilt.unsqueeze(-1), bond[..., 1:]], -1)}

        return guided


def closed_shells(weight: float) -> tuple[Neutral, EvenElectrons, Gradient]:
    """Guidance towards neutral closed shells: charge 0 and even electrons throughout, valences in the last steps, with this weight."""
    return Neutral(), EvenElectrons(), Gradient(Valence(weight), below=CLOSED_BELOW)
