"""Guidance by what you can differentiate, without training anything.

A score maps a :class:`~molgen.molecules.penalties.Guess`, the clean molecules that the model expects at a step, to one log weight a
molecule; :class:`Gradient` tilts the samples towards ``p(x) exp(scale score)``. Scores that come along: :class:`Distance` (two atoms at a
given distance), :class:`Clash` (no contacts), :class:`Shape` (overlap with a cloud of points), :class:`Valence` (closed shells). Any
function of torch operations will do:

    import torch
    import molgen, molgen.guidance

    def flat(guess):  # molecules in a plane: log weight 0 for flat ones, falling with the squared thickness in Å
        centred = guess.positions * guess.mask.unsqueeze(-1)
        return -50 * torch.linalg.eigvalsh(centred.mT @ centred)[:, 0] / guess.mask.sum(-1)

    molgen.load("qm9").sample(8, guides=[molgen.guidance.Gradient(flat)])

:func:`closed_shells` is the guidance of models whose experiment says ``fields.valence``: :class:`Neutral`, :class:`EvenElectrons` and
:class:`Valence`; where it says ``fields.one_piece``, :class:`OnePiece` comes on top.
See :class:`molgen.diffusion.guidance.Gradient` for what a step does and where it is exact.
"""

from molgen.molecules.guiding import EvenElectrons, Gradient, Neutral, OnePiece, closed_shells
from molgen.molecules.penalties import Clash, Distance, Guess, Shape, Valence

__all__ = ["Clash", "Distance", "EvenElectrons", "Gradient", "Guess", "Neutral", "OnePiece", "Shape", "Valence", "closed_shells"]
