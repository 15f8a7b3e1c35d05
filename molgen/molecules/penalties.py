"""Differentiable scores of a molecule that is still a guess: distances, contacts, shape, valences.

A score is a log weight: guidance tilts the model towards ``p(x) exp(score)``, so a quadratic penalty ``-(d - d*)^2 / (2 w^2)`` reads as
"d is d* with the standard deviation w". Atoms and bonds enter by their probabilities, positions in Å.

The shape score is Carbó's index of two sums of Gaussians, ``sum_ab w_a w_b exp(-a d_ab^2 / 2)`` normalised by the self-overlaps
(Carbó et al. 1980, 10.1002/qua.560170612; Gaussian shape: Grant and Pickup 1995, 10.1021/j100011a016): 1 for equal shapes, whatever the
number of points. Van der Waals radii: Bondi 1964, 10.1021/j100785a001, hydrogen after Rowland and Taylor 1996, 10.1021/jp953141.
"""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from molgen.errors import InputError
from molgen.geometry import pair_mask
from molgen.molecules.formats import ENDINGS, ending
from molgen.molecules.molecule import Molecule
from molgen.molecules.text import NO_ATOMS
from molgen.molecules.valence import expected_valences, valence_table
from molgen.types import Float, NodeMask, PerSample, Positions, Tensor

RADII = {1: 1.10, 6: 1.70, 7: 1.55, 8: 1.52, 9: 1.47, 14: 2.10, 15: 1.80, 16: 1.80, 17: 1.75, 35: 1.85, 53: 1.98}
"""Van der Waals radii, Å; other elements get that of carbon."""
FILES = "points as .sdf, .xyz or .npy"
EXPONENT = 0.81
"""Exponent of the Gaussian of a carbon atom, Å^-2: 2.34 / 1.7^2."""


@dataclass(frozen=True)
class Guess:
    """What the model believes about the clean molecules of a batch.

    Args:
        positions: expected coordinates (b, n, 3), Å, centred.
        atoms: probabilities of the elements (b, n, k).
        charges: probabilities of the formal charges (b, n, q).
        bonds: probabilities of the bond orders 0 to 3 (b, n, n, 4), symmetric.
        mask: real atoms (b, n).
        elements: atomic numbers that the k columns of ``atoms`` stand for.
        formal_charges: charges that the q columns of ``charges`` stand for, e.
    """

    positions: Positions
    atoms: Float[Tensor, "b n k"]
    charges: Float[Tensor, "b n q"]
    bonds: Float[Tensor, "b n n 4"]
    mask: NodeMask
    elements: tuple[int, ...]
    formal_charges: tuple[int, ...]

    def is_element(self, *numbers: int) -> Float[Tensor, "b n"]:
        """Probability that an atom is one of these elements (by atomic number), 0 in the padding."""
        chosen = torch.tensor([number in numbers for number in self.elements], device=self.mask.device)
        return self.atoms[..., chosen].sum(-1) * self.mask


@dataclass(frozen=True)
class Distance:
    """Two atoms at a given distance, ``-(d - target)^2 / (2 width^2)``.

    Atoms are numbered from 1 in the order of the file. Free samples have no order that means anything; kept atoms come first.

    Args:
        first: number of an atom.
        second: number of another.
        target: Å.
        width: standard deviation that is tolerated, Å.

    Raises:
        InputError: numbers below 1, equal ones, or lengths that are not positive.
    """

    first: int
    second: int
    target: float
    width: float = 0.1

    def __post_init__(self) -> None:
        if min(self.first, self.second) < 1 or self.first == self.second:
            raise InputError(f"distance: expected the numbers of two atoms, from 1, got {self.first} and {self.second}")
        if not (self.target > 0 and self.width > 0):
            raise InputError(f"distance: expected a positive target and width, got {self.target:g} and {self.width:g} Å")

    def __call__(self, guess: Guess) -> PerSample:
        there = guess.mask.sum(-1) >= max(self.first, self.second)
        last = guess.mask.shape[1] - 1
        ends = [guess.positions[:, min(number - 1, last)] for number in (self.first, self.second)]
        length = ((ends[0] - ends[1]).square().sum(-1) + 1e-8).sqrt()
        return torch.where(there, -(length - self.target).square() / (2 * self.width**2), 0.0)


@dataclass(frozen=True)
class Clash:
    """No contacts of atoms that are three or more bonds apart: ``-sum_ij w_ij max(0, c_ij - d_ij)^2 / (2 width^2)``.

    It moves atoms and leaves elements and bonds alone. While these are undecided every near pair looks like a contact: use it with
    ``Gradient(Clash(), below=1.0)``.

    Args:
        share: contact distance c as a share of the sum of the van der Waals radii.
        width: overlap that is tolerated, Å.
    """

    share: float = 0.75
    width: float = 0.3

    def __call__(self, guess: Guess) -> PerSample:
        radii = torch.tensor([RADII.get(number, RADII[6]) for number in guess.elements], device=guess.mask.device)
        radius = (guess.atoms.detach() * radii.to(guess.atoms.dtype)).sum(-1)
        bonded = (1 - guess.bonds[..., 0]) * pair_mask(guess.mask)
        near = (bonded + bonded @ bonded).clamp(max=1)
        contact = self.share * (radius.unsqueeze(1) + radius.unsqueeze(2))
        difference = guess.positions.unsqueeze(1) - guess.positions.unsqueeze(2)
        overlap = (contact - (difference.square().sum(-1) + 1e-8).sqrt()).clamp(min=0)
        weight = ((1 - near) * pair_mask(guess.mask)).detach()
        return -(weight * overlap.square()).sum((-1, -2)) / (4 * self.width**2)


@dataclass(frozen=True)
class Valence:
    """Closed shells and no net charge, ``-weight / 2 (sum_i (s_i - v_i)^2 + q^2)``.

    s_i is the expected bond order sum of an atom, v_i the valence that its expected element and charge ask for
    (:mod:`molgen.molecules.valence`), q the expected total charge. It leaves positions alone. It mends what is nearly decided: use it with
    ``Gradient(Valence(), below=0.2)``; weights above 4 and more noise do harm.

    Args:
        weight: log weight of a valence that is off by one is half of this.
    """

    weight: float = 2.0

    def __call__(self, guess: Guess) -> PerSample:
        table = valence_table(guess.elements, guess.formal_charges)
        sums, wanted = expected_valences(guess.atoms, guess.charges, guess.bonds, guess.mask, table)
        off = ((sums - wanted).square() * guess.mask).sum(-1)
        formal = torch.tensor(guess.formal_charges, device=guess.mask.device, dtype=guess.charges.dtype)
        return -self.weight / 2 * (off + ((guess.charges @ formal) * guess.mask).sum(-1).square())


@dataclass(frozen=True, eq=False)
class Shape:
    """Heavy atoms where a cloud of points is: ``strength`` times Carbó's index of the two shapes, both centred, in the frame of the cloud.

    It moves atoms and leaves elements alone. :meth:`place` brings a sample to where the points are.

    Args:
        points: (m, 3), Å.
        strength: log weight of a perfect match.
        name: of the cloud, for the records.

    Raises:
        InputError: no points, or not three finite coordinates each.
    """

    points: np.ndarray
    strength: float = 300.0
    name: str = "points"

    def __post_init__(self) -> None:
        points = np.asarray(self.points, dtype=np.float64)
        if points.ndim != 2 or points.shape[1] != 3 or not len(points) or not np.isfinite(points).all():
            raise InputError(f"{self.name}: expected points of shape (m, 3) with finite coordinates in Å, got {points.shape}")
        object.__setattr__(self, "points", points)

    @classmethod
    def read(cls, path: Path | str, strength: float = 300.0) -> "Shape":
        """Reads the heavy atoms of an SDF file of one molecule or of an ``.xyz`` file (its first record), or a ``.npy`` array (m, 3), Å.

        Raises:
            InputError: no such file, another format, no points in it, several molecules or a flat drawing.
        """
        from molgen.molecules.export import BrokenRecord, read_molecules
        from molgen.molecules.given import Changes
        from molgen.molecules.reading import read_one

        path = Path(path)
        if not path.is_file():
            raise InputError(f"{path}: no such file; expected {FILES}")
        if path.suffix == ".npy":
            try:
                points = np.asarray(np.load(path, allow_pickle=False), dtype=np.float64)
            except (ValueError, TypeError, EOFError, OSError) as error:
                raise InputError(f"{path}: unreadable ({error}); expected an array of shape (m, 3)") from None
            return cls(points, strength, path.name)
        format = ENDINGS.get(ending(path.name.lower()))
        if format == "sdf":
            changes = Changes(path.name)
            molecule = read_one(str(path), changes)
            if changes.embedded:
                raise InputError(f"{path}: is a flat drawing, whose shape nobody knows; give coordinates, as of `molgen conformers`")
        elif format == "xyz":
            found = next(read_molecules(path), BrokenRecord(1, NO_ATOMS))
            if isinstance(found, BrokenRecord):
                fix = "expected the number of points, a comment, and lines such as C x y z"
                raise InputError(f"{path}: record {found.number}: {found.reason}; {fix}")
            molecule = found
        else:
            raise InputError(f"{path}: expected {FILES}")
        return cls(molecule.positions[molecule.atomic_numbers != 1], strength, path.name)

    def describe(self) -> str:
        """One line that is the same for the same points and strength."""
        digest = hashlib.blake2b(np.ascontiguousarray(self.points).tobytes(), digest_size=4).hexdigest()
        return f"shape {self.name} ({len(self.points)} points, {digest}) strength={self.strength:g}"

    def place(self, molecule: Molecule) -> Molecule:
        """The molecule moved so that its heavy atoms have their middle where the points had theirs."""
        heavy = molecule.atomic_numbers != 1
        middle = molecule.positions[heavy if heavy.any() else slice(None)].mean(0)
        return replace(molecule, positions=molecule.positions - middle + self.points.mean(0))

    def similarity(self, guess: Guess) -> PerSample:
        """Carbó's index of each molecule's heavy atoms and the cloud, 0 to 1."""
        points = self.points - self.points.mean(0)
        cloud = torch.as_tensor(points, dtype=guess.positions.dtype, device=guess.positions.device)
        weight = guess.mask.to(guess.positions.dtype) - guess.is_element(1).detach()
        # the cloud's centre meets that of the heavy atoms, which need not be that of all atoms
        middle = (weight.unsqueeze(-1) * guess.positions).sum(1, keepdim=True) / weight.sum(1)[:, None, None].clamp(min=1e-6)
        positions = guess.positions - middle
        mutual = (weight.unsqueeze(-1) * _gaussian(positions, cloud.expand(len(positions), -1, -1))).sum((-1, -2))
        own = (weight.unsqueeze(-1) * weight.unsqueeze(-2) * _gaussian(positions, positions)).sum((-1, -2))
        given = _gaussian(cloud[None], cloud[None]).sum()
        return mutual / (own * given).clamp(min=1e-12).sqrt()

    def __call__(self, guess: Guess) -> PerSample:
        return self.strength * self.similarity(guess)


def _gaussian(a: Float[Tensor, "b n 3"], b: Float[Tensor, "b m 3"]) -> Float[Tensor, "b n m"]:
    return torch.exp(-EXPONENT / 2 * (a.unsqueeze(2) - b.unsqueeze(1)).square().sum(-1))
