"""Samples that contain a given fragment: growth, linking, decoration.

The kept atoms come first in every sample, with their elements, charges, coordinates and the bonds (and missing bonds) among them. An
*attachment point* is a kept atom with open valence ``v - sum of kept bond orders``, where v is the valence in the given molecule or, where
that makes no closed shell, the next that does. Bonds to new atoms are barred at every other kept atom, and orders above the open
valence at attachment points. Whether all open valence is used is for the check that every sample must pass.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from molgen.batch import Batch
from molgen.diffusion.denoiser import Denoiser
from molgen.diffusion.inpaint import Inpaint
from molgen.diffusion.process import Joint
from molgen.domain import Constraint
from molgen.errors import InputError, is_whole
from molgen.geometry import pair_mask
from molgen.molecules.constraints.bridge import Gap, longest_gap
from molgen.molecules.constraints.clock import time_at
from molgen.molecules.constraints.select import check_numbers, check_pull, format_numbers, match
from molgen.molecules.constraints.sound import strained
from molgen.molecules.embed import marked
from molgen.molecules.encode import check_molecule, check_vocabulary, encode
from molgen.molecules.fields import BOND_ORDERS, Statistics
from molgen.molecules.metrics.distributions import neighbours
from molgen.molecules.metrics.elements import SYMBOLS
from molgen.molecules.metrics.stability import STRICT, bond_order_sums
from molgen.molecules.molecule import LABELS, Molecule
from molgen.molecules.valence import ClosedShells, valence_table
from molgen.tags import Value

RESTARTS, RESTART_NOISE = 2, 0.7
"""How often a sample that fails is walked back again, from noise of so many Å: enough to undo bonds, too little to lose the rest."""


@dataclass(frozen=True)
class Fragment:
    """The kept atoms.

    Args:
        molecule: atoms and the bonds among them, in the given frame.
        numbers: (k,) their numbers in the given molecule, from 1.
        open: (k,) valence left for bonds to new atoms; 0 where there is no attachment point.
    """

    molecule: Molecule
    numbers: np.ndarray
    open: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Keep(Constraint):
    """Keep a part of a molecule and generate the rest around it. Atoms are numbered from 1, as in files.

    Args:
        molecule: the given molecule or fragment, or several fragments in one frame.
        atoms: those to keep; all by default.
        smarts: instead of numbers, a pattern: the atoms of one of its matches are kept.
        match: which one, from 1, in the order of the atom numbers; each set of atoms counts once.
        attach: kept atoms that may bond to new ones; all with open valence by default. Where some are named, the hydrogens of the other
            kept atoms are kept with them.
        replace_hydrogens: hydrogens that make room for new atoms: their neighbours become attachment points.
        pull: scale of the guidance that makes the rest fit the kept part, see :class:`Inpaint`: 1 is Bayes' rule, 0 takes half the time. A
            model that was not trained with parts (``objective.parts``) needs about 4 and hardly ever succeeds with 0.
        grow: kept atoms on which something has to grow: every sample bonds them to a new atom other than hydrogen. An atom that is named
            twice gets two, or a double bond.
        new_atoms: numbers of new atoms to choose from; by default what makes a size that occurs in training.
        source: name of the molecule in messages.
    """

    molecule: Molecule
    atoms: Sequence[int] = ()
    smarts: str = ""
    match: int = 1
    attach: Sequence[int] = ()
    replace_hydrogens: Sequence[int] = ()
    grow: Sequence[int] = ()
    new_atoms: Sequence[int] = ()
    pull: float = 1.0
    source: str = "molecule"

    def __post_init__(self) -> None:
        check_molecule(self.molecule)
        for name in ("atoms", "attach", "replace_hydrogens", "grow", "new_atoms"):
            given = getattr(self, name)
            if isinstance(given, str) or not isinstance(given, Iterable) or not all(map(is_whole, given)):
                raise InputError(f"{name}: expected a list of whole numbers, got {given!r}")
            object.__setattr__(self, name, tuple(int(number) for number in given))  # arrays and sets have no truth or order
        if not isinstance(self.smarts, str):
            raise InputError(f"smarts: expected a text such as 'c1ccccc1', got {self.smarts!r}; Chem.MolToSmarts writes that of a pattern")
        if not is_whole(self.match) or self.match < 1:
            raise InputError(f"match: expected the number of a match, from 1, got {self.match!r}")
        check_pull(self.pull)

    @classmethod
    def from_smiles(cls, smiles: str, **options: Any) -> Keep:
        """Keep the molecule of a SMILES, in one conformer (ETKDG, relaxed with MMFF94), and grow something but hydrogen at every `*`.

        Args:
            smiles: such as ``*C(=O)Nc1ccccc1``; a `*` has one single bond.
            options: others of the class; with ``smarts`` or ``atoms`` (in the order of the SMILES) a `*` is not needed.

        Isotope labels are not kept, of which a warning tells.

        Raises:
            InputError: no such SMILES, see :meth:`Molecule.from_smiles`, or one without a place to grow from.
        """
        molecule, places, labelled = marked(smiles)
        kept = cls.starred(molecule, places, smiles, **options)
        if labelled:
            warnings.warn(f"{smiles}: {LABELS}", stacklevel=2)
        return kept

    @classmethod
    def starred(cls, molecule: Molecule, places: Sequence[int], smiles: str, **options: Any) -> Keep:
        """As :meth:`opened`, with the molecule of a SMILES.

        Raises:
            InputError: there is no place, and no option says what is kept.
        """
        if not places and not {"atoms", "smarts", "attach", "replace_hydrogens"} & {name for name, value in options.items() if value}:
            raise InputError(f"{smiles}: has no place to grow from; mark some by *, as in 'c1ccccc1*', or keep a part of it (smarts)")
        return cls.opened(molecule, places, **{"source": smiles, **options})

    @classmethod
    def opened(cls, molecule: Molecule, places: Sequence[int], **options: Any) -> Keep:
        """Keep a molecule and grow something but hydrogen at each of these places, which hydrogens hold; ``options`` are the others."""
        replaced = (*places, *options.pop("replace_hydrogens", ()))
        bearers = [neighbours(molecule)[place - 1][0] + 1 for place in places]
        return cls(**{"molecule": molecule, "replace_hydrogens": replaced, "grow": bearers, **options})

    def start(self, process: Joint) -> float:
        return 1.0

    def restarts(self, process: Joint) -> Sequence[float]:
        return [time_at(process, RESTART_NOISE)] * RESTARTS

    @cached_property
    def matches(self) -> list[tuple[int, ...]]:
        """Numbers of the atoms of every match of the pattern; empty where there is none.

        Raises:
            InputError: a pattern beside numbers, one that cannot be parsed or matches nothing, and too high a number of the match.
        """
        if not self.smarts:
            return []
        if self.atoms:
            raise InputError(f"{self.source}: atoms and smarts both say what to keep; give one of them")
        found = match(self.molecule, self.smarts, self.source)
        if not 1 <= self.match <= len(found):
            raise InputError(f"{self.source}: {self.smarts} matches {len(found)} times; there is no match {self.match}")
        return found

    @cached_property
    def fragment(self) -> Fragment:
        """The kept atoms with their open valences.

        Raises:
            InputError: for numbers that fit no atom, patterns that match nothing, impossible valences, and a part to which nothing can be
                bonded.
        """
        atoms = self.matches[self.match - 1] if self.matches else self.atoms
        for numbers, what in ((atoms, "atoms"), (self.attach, "attach"), (self.replace_hydrogens, "replace_hydrogens")):
            check_numbers(numbers, self.molecule, self.source, what)
        around = neighbours(self.molecule)
        removed = {number - 1 for number in self.replace_hydrogens}
        for number in self.replace_hydrogens:
            if self.molecule.atomic_numbers[number - 1] != 1 or len(around[number - 1]) != 1:
                symbol = SYMBOLS[self.molecule.atomic_numbers[number - 1]]
                raise InputError(f"{self.source}: replace_hydrogens names atom {number}, which is no hydrogen with one bond ({symbol})")
        bearers = {around[index][0] for index in removed}
        chosen = {number - 1 for number in atoms} or set(range(len(self.molecule)))
        ends = {number - 1 for number in self.attach} | bearers
        if ends:
            closed = chosen - {number - 1 for number in self.attach}
            chosen |= {j for i in closed for j in around[i] if self.molecule.atomic_numbers[j] == 1}
        kept = np.array(sorted(chosen - removed), dtype=np.int64)
        for index in sorted(ends - set(kept.tolist())):
            raise InputError(f"{self.source}: atom {index + 1} is to be an attachment point but is not kept; name it among the atoms")
        molecule = replace(self.molecule.take(kept), properties={})
        open_valence = _targets(self.molecule, self.source)[kept] - bond_order_sums(len(kept), molecule.bonds)
        point = np.array([not ends or index in ends for index in kept.tolist()])
        for index in kept[point & (open_valence < 1)].tolist() if ends else ():
            raise InputError(
                f"{self.source}: atom {index + 1} has no open valence for a new bond; leave one of its neighbours out, "
                "or name one of its hydrogens with replace_hydrogens"
            )
        for index, valence in zip(
            kept[~point & (open_valence > 0)].tolist(), open_valence[~point & (open_valence > 0)].tolist(), strict=True
        ):
            raise InputError(
                f"{self.source}: atom {index + 1} would keep {valence} open valence; keep its neighbours, add its hydrogens, "
                "or make it an attachment point"
            )
        if stray := [number for number in self.grow if number - 1 not in kept[open_valence > 0]]:
            raise InputError(f"{self.source}: nothing can grow on atom {stray[0]}; it is not kept, or has no open valence")
        if not open_valence.any():
            raise InputError(f"{self.source}: no kept atom has open valence for a new bond; keep fewer atoms or name replace_hydrogens")
        return Fragment(molecule, kept + 1, open_valence)

    @cached_property
    def gap(self) -> Gap:
        """The gap between the kept fragments that is hardest to bridge.

        Raises:
            InputError: nothing can bond to one of several fragments.
        """
        return longest_gap(self.fragment.molecule, self.fragment.numbers, self.fragment.open, self.source)

    def doubt(self) -> str:
        """Says which atoms may be bonded to although nobody named them: they have open valence as they are given."""
        if self.attach or self.replace_hydrogens:
            return ""
        given = _targets(self.molecule, self.source) - bond_order_sums(len(self.molecule), self.molecule.bonds)
        numbers = [number for number in self.fragment.numbers.tolist() if given[number - 1] > 0]
        if not numbers:
            return ""
        atoms = f"atom{'s' * (len(numbers) > 1)} {format_numbers(numbers)}"
        return f"{self.source}: new atoms may bond to {atoms}, which lack hydrogens; add them, or name the atoms to bond to (attach)"

    def sizes(self, statistics: Statistics, wanted: Sequence[int]) -> list[int]:
        check_vocabulary(
            self.molecule.take(self.fragment.numbers - 1) if self.atoms or self.smarts else self.molecule, statistics, self.source
        )
        k, largest = len(self.fragment.numbers), max(statistics.sizes)
        bonded = -(-int(self.fragment.open.sum()) // 4)  # a new atom has at most four bonds
        fewest = k + max(bonded, self.gap.atoms)
        apart = f" in fragments {self.gap.length:.1f} Å apart" if self.gap.atoms > bonded else ""
        if fewest > largest:
            fix = "; put the fragments nearer to each other" if apart else ""
            raise InputError(f"{self.source}: {k} kept atoms{apart} leave no room; the model was trained on at most {largest} atoms{fix}")
        allowed = sorted(set(wanted)) or sorted(statistics.sizes)
        if self.new_atoms:
            allowed = [n for n in allowed if n - k in self.new_atoms] if wanted else sorted({k + new for new in self.new_atoms})
        if wanted and not allowed:
            raise InputError(
                f"{self.source}: {k} kept and {' or '.join(map(str, self.new_atoms))} new atoms never make the size that is asked for; "
                "ask for one of the two"
            )
        fitting = [n for n in allowed if fewest <= n <= largest]
        if not fitting:
            raise InputError(
                f"{self.source}: {k} kept atoms{apart} need samples of {fewest} to {largest} atoms (the model was trained on no more); "
                "ask for another size or number of new atoms"
            )
        return fitting

    def batch(self, statistics: Statistics, sizes: Sequence[int]) -> Batch:
        return encode(self.fragment.molecule, statistics, sizes)

    def guide(self, denoiser: Denoiser, process: Joint, statistics: Statistics, known: Batch) -> Denoiser:
        k, device = len(self.fragment.numbers), known.mask.device
        node = known.mask & (torch.arange(known.mask.shape[1], device=device) < k)
        crossing = known.pair_mask & (node.unsqueeze(-1) ^ node.unsqueeze(-2))
        room = torch.full(known.mask.shape, BOND_ORDERS, device=device)
        room[:, :k] = torch.from_numpy(self.fragment.open).to(device)
        room = torch.minimum(room.unsqueeze(-1), room.unsqueeze(-2)).unsqueeze(-1)
        barred = crossing.unsqueeze(-1) & (torch.arange(BOND_ORDERS, device=device) > room)
        fixed = {"pos": node, "atom": node, "charge": node, "bond": pair_mask(node)}
        valences = bond_order_sums(k, self.fragment.molecule.bonds) + self.fragment.open
        score = ClosedShells(valence_table(statistics.elements, statistics.charges), torch.from_numpy(valences).to(torch.float32))
        return Inpaint(denoiser, process, known, fixed, {"bond": barred}, score, self.pull)

    def restore(self, molecule: Molecule) -> Molecule:
        given, k = self.fragment.molecule, len(self.fragment.numbers)
        moved = molecule.positions + (given.positions.mean(0) - molecule.positions[:k].mean(0))
        return replace(molecule, positions=np.concatenate([given.positions, moved[k:]]))

    def failure(self, molecule: Molecule) -> str:
        given, k = self.fragment.molecule, len(self.fragment.numbers)
        kept = molecule.take(np.arange(k))
        same = all(
            np.array_equal(getattr(kept, name), getattr(given, name)) for name in ("atomic_numbers", "positions", "charges", "bonds")
        )
        if not same:
            return "kept atoms changed"
        return self._bare(molecule) or strained(molecule, np.arange(len(molecule)) >= k)

    def _bare(self, molecule: Molecule) -> str:
        """Where something should have grown but did not."""
        k = len(self.fragment.numbers)
        grown = np.zeros(k, np.int64)
        for i, j, order in molecule.bonds.tolist():
            if i < k <= j and molecule.atomic_numbers[j] > 1:
                grown[i] += order
        numbers = self.fragment.numbers.tolist()
        bare = next((number for number, times in Counter(self.grow).items() if grown[numbers.index(number)] < times), None)
        return "" if bare is None else f"nothing but hydrogen on atom {bare}"

    def tags(self) -> dict[str, Value]:
        numbers = self.fragment.numbers.tolist()
        choice = (self.fragment.open.tolist(), list(self.new_atoms), self.pull, *([list(self.grow)] if self.grow else []))
        return {"kept": format_numbers(numbers), "kept_from": self.source, "given": self.fragment.molecule.digest(*choice)}


def _targets(molecule: Molecule, source: str) -> np.ndarray:
    """The smallest closed-shell valence (n,) of each atom that is no less than the valence it has."""
    sums = bond_order_sums(len(molecule), molecule.bonds).tolist()
    targets = []
    for number, (element, charge, valence) in enumerate(
        zip(molecule.atomic_numbers.tolist(), molecule.charges.tolist(), sums, strict=True), 1
    ):
        allowed = [v for v in sorted(STRICT.get(SYMBOLS[element], {}).get(charge, ())) if v >= valence]
        if not allowed:
            raise InputError(
                f"{source}: atom {number} ({SYMBOLS[element]}, charge {charge}) has an impossible valence of {valence}; mend it"
            )
        targets.append(allowed[0])
    return np.array(targets, dtype=np.int64)
