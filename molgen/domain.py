"""What molecules and shapes both are to the rest of the library.

A *domain* turns files into batches and batches into things with a name: it owns the fields of a sample and their processes, the statistics
that a model must know of its training data, the packed data set, and the way back from a clean batch to an item that can be checked and
exported. ``fields.kind`` of an experiment chooses the member, and everything above (experiment, checkpoint, training, sampling) speaks to
this protocol. Only what one domain alone can do asks for that domain: the autoencoder of shapes
(:class:`molgen.nn.reconstruction.Reconstruction`, :mod:`molgen.finetune`), and interpolation of clouds (:mod:`molgen.sample.interpolate`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch

from molgen.batch import Batch
from molgen.diffusion.condition import Conditions
from molgen.diffusion.denoiser import Denoiser
from molgen.diffusion.inpaint import RESAMPLING
from molgen.diffusion.process import Joint
from molgen.diffusion.sampler import Walks
from molgen.errors import InputError
from molgen.known import Known
from molgen.statistics import Statistics
from molgen.tags import Value


@runtime_checkable
class Dataset(Protocol):
    """Packed training data in a folder, read without the library that made it."""

    path: Path
    sizes: np.ndarray
    """Number of nodes of every sample."""

    @property
    def statistics(self) -> Statistics:
        """Of the whole data set."""
        ...

    def __len__(self) -> int: ...

    def batch(self, indices: Sequence[int] | np.ndarray) -> Batch:
        """Padded batch of these samples, with the labels that the data set was opened with."""
        ...


@runtime_checkable
class Item(Protocol):
    """What is sampled: a dataclass that carries its named values."""

    @property
    def properties(self) -> dict[str, Any]:
        """Named values that travel with the item into its file."""
        ...


@runtime_checkable
class Filters(Protocol):
    """Which items are handed out; those for one kind of them alone say so by an attribute ``items``, such as "molecules"."""

    def describe(self) -> str:
        """One line that is the same for the same filters, "" for the domain's own."""
        ...

    def start(self, seen: Iterable[int] = (), trained: Known | None = None, predicted: Collection[str] = ()) -> Callable[[Any], str]:
        """The screen of one run: why an item is ruled out, or "".

        Args:
            seen: fingerprints of the items that an earlier part of the run has handed out.
            trained: what the model was trained on, where it says so.
            predicted: properties that the items of the run carry as predicted.
        """
        ...


@runtime_checkable
class Guide(Protocol):
    """Guidance that comes on top of the conditions."""

    def describe(self) -> str:
        """One line for the records, the same for the same guidance."""
        ...

    def guide(self, denoiser: Denoiser, process: Joint, statistics: Any) -> Denoiser:
        """The guided denoiser."""
        ...


@runtime_checkable
class Constraint(Protocol):
    """What every sample has in common with a given item."""

    def for_draw(self, number: int) -> Constraint:
        """That of the draw with this number, which tells its sizes, batch, frame, failures and tags; by default one for all draws.

        How draws are walked (start, sampler, restarts, guide, decode) is for the common one to say, as they are walked together.
        """
        return self

    def start(self, process: Joint) -> float:
        """Time at which walks begin from :meth:`batch` corrupted; 1 for noise."""
        ...

    def sampler(self, own: Walks) -> Walks:
        """What walks the samples of a model whose free samples are walked by ``own``."""
        return RESAMPLING

    def restarts(self, process: Joint) -> Sequence[float]:
        """Times up to which a sample that fails is corrupted and walked back, one after the other until it passes."""
        ...

    def sizes(self, statistics: Any, wanted: Sequence[int]) -> list[int]:
        """Those of the wanted numbers of nodes that samples may have; of all that were trained on if none is wanted.

        Raises:
            InputError: if the model cannot represent the constraint, or no wanted size fits it.
        """
        ...

    def doubt(self) -> str:
        """What is strange about the given item, in one line; nothing by default."""
        return ""

    def batch(self, statistics: Any, sizes: Sequence[int]) -> Batch:
        """What is known about samples of these sizes, in network units; zeros elsewhere."""
        ...

    def guide(self, denoiser: Denoiser, process: Joint, statistics: Any, known: Batch) -> Denoiser:
        """The denoiser that keeps to the constraint; ``known`` is :meth:`batch`."""
        ...

    def guide_each(self, each: Sequence[Any], denoiser: Denoiser, process: Joint, statistics: Any, known: Batch) -> Denoiser:
        """As :meth:`guide`, of samples walked together of which each has a constraint of its own; by default this one speaks for all."""
        return self.guide(denoiser, process, statistics, known)

    def decode(self, domain: Domain[Any], batch: Batch, statistics: Any) -> list[Any]:
        """Items of a clean batch, as the domain decodes them by default."""
        return domain.decode(batch, statistics)

    def restore(self, item: Any) -> Any:
        """A sample in the frame of the given item, what is kept of that exactly as given."""
        ...

    def failure(self, item: Any) -> str:
        """Why a restored sample does not keep to the constraint; empty if it does."""
        ...

    def tags(self) -> dict[str, Value]:
        """What the record of a sample says about its constraint."""
        ...


AnyItem = TypeVar("AnyItem", bound=Item)


@dataclass(frozen=True)
class Verdict:
    """Why an item is refused, in words that can be counted ("" if it passes), and what the check found out, for its tags."""

    reason: str
    found: Mapping[str, Value] = field(default_factory=dict)


@runtime_checkable
class Domain(Protocol[AnyItem]):
    """Fields, data and items of one kind of thing, bound to the fields of an experiment."""

    @property
    def guidance(self) -> float:
        """Scale of classifier-free guidance where nobody says it."""
        ...

    @property
    def steps(self) -> int:
        """Network calls of a walk where nobody says it."""
        ...

    @property
    def items(self) -> str:
        """What samples are called, in the plural."""
        ...

    @property
    def node(self) -> str:
        """What a node of a sample is called."""
        ...

    @property
    def out(self) -> str:
        """A good name for what samples are written to."""
        ...

    @property
    def most_nodes(self) -> int:
        """Largest number of nodes of a sample that may be asked for."""
        ...

    @property
    def pairs_per_batch(self) -> int:
        """Largest ``b n^2`` of a batch in sampling on a CPU; smaller batches are padded less."""
        ...

    def load_statistics(self, path: Path) -> Statistics:
        """Reads a ``statistics.json`` of this domain.

        Raises:
            InputError: if the file is missing, broken, of another domain or of another version.
        """
        ...

    def open(self, path: str | Path, labels: Sequence[str]) -> Dataset:
        """Opens a packed data set whose batches carry these labels.

        Raises:
            InputError: if a file is missing or damaged, or a label unknown.
        """
        ...

    def known(self, data: Dataset, chosen: np.ndarray) -> Known | None:
        """These items of a packed data set, so that samples can be told from them; None where items have no identity or the set has none.

        Args:
            data: the data set.
            chosen: numbers of the items, (n,).
        """
        return None

    def process(self, statistics: Any) -> Joint:
        """The joint process of the fields."""
        ...

    def conditions(self, names: Sequence[str], statistics: Any) -> Conditions:
        """The conditions for the labels of these names.

        Raises:
            InputError: if a label is unknown.
        """
        ...

    def view(self, batch: Batch, generator: torch.Generator) -> Batch:
        """What training sees of a batch: the batch itself, or a random part or pose of every sample."""
        ...

    def empty(self, sizes: Sequence[int], statistics: Any) -> Batch:
        """A batch of these sizes with every field zero: the shape of what is to be sampled."""
        ...

    def decode(self, batch: Batch, statistics: Any) -> list[AnyItem]:
        """Items of a clean batch, in its order."""
        ...

    def check(self, item: AnyItem) -> Verdict:
        """Whether an item passes."""
        ...

    def measures(self, names: Sequence[str]) -> bool:
        """Whether :meth:`measure` knows all of these properties, here and now."""
        return False

    def measure(self, item: AnyItem, names: Sequence[str]) -> dict[str, float]:
        """Properties of an item that passes, NaN where it has none."""
        return {}

    def encode(self, items: Sequence[AnyItem], statistics: Any, first: int = 1) -> Batch:
        """Clean batch of items, the inverse of :meth:`decode`; errors number them from ``first`` on.

        Raises:
            InputError: if the vocabulary lacks something of an item, or nothing reads such items.
        """
        raise InputError(f"{self.items}: no model reads them")

    def with_labels(self, statistics: Any, others: Any) -> Any:
        """The statistics with the labels of others that they lack."""
        return statistics

    def doubt(self, sizes: Sequence[int], statistics: Any) -> str:
        """A line if samples of some of these sizes are unlike all training data, else ""."""
        ...

    def extremes(self, guidance: float | None, steps: int) -> list[str]:
        """Lines about guidance (None where nothing is asked for) that is too strong and steps that are too few for good samples."""
        return []

    def filters(self) -> Filters | None:
        """Filters that apply unless others are asked for."""
        ...

    def guides(self, statistics: Any) -> Sequence[Guide]:
        """Guidance that applies unless the request says otherwise."""
        ...

    def quality(self, items: Sequence[AnyItem]) -> dict[str, float]:
        """Cheap figures about samples that are logged during training; needs no more than training does."""
        ...


def require(items: str, domain: Domain[Any], model: str, purpose: str) -> None:
    """Refuses a model of other items than these, in one line that names the model and what it was meant for.

    Raises:
        InputError: its domain is not one of these items.
    """
    if domain.items != items:
        raise InputError(f"{purpose} needs a model of {items}; {model} is one of {domain.items}")
