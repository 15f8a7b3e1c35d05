"""What defines a model and its training, as frozen dataclasses; :mod:`molgen.config` reads them from YAML.

Every component owns its part of the configuration; ``kind`` selects among alternatives. :func:`register` adds alternatives of one's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, is_dataclass
from types import NoneType
from typing import Annotated, Any, Literal, TypeVar, get_args, get_type_hints

from pydantic import Field

from molgen.alternatives import Alternatives, choices
from molgen.diffusion.estimation import Estimation
from molgen.diffusion.grid import GRIDS
from molgen.diffusion.objective import Objective
from molgen.diffusion.sampler import SAMPLERS, Annealed, Sampler
from molgen.diffusion.schedule import SCHEDULES
from molgen.domain import Domain
from molgen.errors import InputError
from molgen.limits import Limited, NotNegative, Positive, Probability
from molgen.molecules.domain import Molecules
from molgen.molecules.fields import MoleculeFields
from molgen.nn.equivariant import EquivariantTransformer
from molgen.nn.estimator import PropertyEstimator
from molgen.nn.point_autoencoder import PointAutoencoder
from molgen.nn.point_transformer import PointTransformer
from molgen.nn.point_unet import PointUNet
from molgen.nn.reconstruction import Reconstruction
from molgen.nn.tensor_product import TensorProduct
from molgen.shapes.domain import ShapeFields, Shapes
from molgen.shapes.latent import LatentFields, ShapeLatents

DOMAINS: dict[str, Any] = {"molecule": Molecules, "shape": Shapes, "shape_latent": ShapeLatents}
"""Kind of the fields -> domain, which takes the fields."""

_Fields = MoleculeFields | ShapeFields | LatentFields
_Network = EquivariantTransformer | TensorProduct | PointUNet | PointTransformer | PointAutoencoder | PropertyEstimator
_Objective = Objective | Reconstruction | Estimation
NETWORKS = Alternatives(_Network, "build")
OBJECTIVES = Alternatives(_Objective, default="diffusion")
Fields = Annotated[_Fields, Alternatives(_Fields, default="molecule")]
Network = Annotated[_Network, NETWORKS]
AnyObjective = Annotated[_Objective, OBJECTIVES]


@dataclass(frozen=True, kw_only=True)
class Data(Limited):
    """Packed training data, validation data, and the labels used as conditions.

    Validation data are the folder ``valid``, or else the `valid` beside a training set called `train`, or else the share
    ``valid_fraction`` of the training data, at most 2,000.
    """

    path: str = ""
    valid: str = ""
    valid_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.02
    conditions: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Training(Limited):
    """Optimiser, budget and bookkeeping of a run.

    The learning rate warms up, holds until the share ``decay_from`` of the budget and then falls to zero along a cosine. The budget is
    ``max_steps`` or ``max_time`` (DD:HH:MM:SS), whichever ends first; interrupted time does not count. ``start`` names a model whose
    weights the run begins with, see :mod:`molgen.finetune`; without it they are drawn from ``seed``. ``compile`` is meant for
    GPUs and warns on a CPU, see :mod:`molgen.train.compile`; ``cuda_graphs`` makes every step one launch where there is one GPU,
    see :mod:`molgen.train.graphs`.
    ``patience`` ends it after so many validations without a lower loss and keeps the weights of the lowest, for data that are learned by
    heart; 0 keeps the last weights.
    ``optimizer``: ``adam`` is AdamW (decoupled ``weight_decay``); ``muon`` is Muon for the matrices inside of the network and Adam for the
    rest, see :mod:`molgen.train.muon`.
    """

    out: str = ""
    start: str = ""
    max_steps: Annotated[int, Field(ge=1)] = 100_000
    max_time: str = ""
    pair_budget: Annotated[int, Field(ge=1)] = 32_000
    optimizer: Literal["adam", "muon"] = "adam"
    learning_rate: Positive = 1e-3
    warmup_steps: Annotated[int, Field(ge=0)] = 500
    decay_from: Probability = 0.0
    weight_decay: NotNegative = 0.0
    gradient_clip: Annotated[float, Field(ge=0)] = 1.0
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.999
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    compile: bool = False
    cuda_graphs: bool = False
    devices: Annotated[int, Field(ge=1)] = 1
    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps"] = "auto"
    strategy: Literal["auto", "ddp"] = "auto"
    validate_every: Annotated[int, Field(ge=1)] = 1000
    checkpoint_every: Annotated[int, Field(ge=1)] = 1000
    sample_every: Annotated[int, Field(ge=0)] = 0
    patience: Annotated[int, Field(ge=0)] = 0
    seed: Annotated[int, Field(ge=0)] = 0


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Everything that defines a model and its training."""

    data: Data = Data()
    fields: Fields = MoleculeFields()
    model: Network = EquivariantTransformer()
    objective: AnyObjective = field(default_factory=Objective)
    sampler: Sampler = Annealed()
    train: Training = Training()

    @property
    def domain(self) -> Domain[Any]:
        """What the experiment is about, by the kind of its fields."""
        return DOMAINS[self.fields.kind](self.fields)

    def check_kinds(self) -> None:
        """Checks that network, objective and fields go together.

        Raises:
            InputError: an objective has another network or other fields than it needs, or a network another objective.
        """
        kinds = {f"{name}.kind={getattr(self, name).kind}" for name in ("model", "objective", "fields")}
        for needs in (objective.needs for objective in (self.objective, *OBJECTIVES.known.values())):
            if kinds & set(needs[:2]) and not kinds >= set(needs):
                raise InputError(f"{', '.join(needs[:-1])} and {needs[-1]} go together; set {'both' if len(needs) == 2 else 'all three'}")


Part = TypeVar("Part", bound=type)


def register(part: Part) -> Part:
    """Makes a part of one's own an alternative, in experiments and in the models that are loaded; a class decorator.

    Args:
        part: a dataclass with ``kind: Literal["NAME"] = "NAME"``, under which ``model.kind``, ``sampler.kind``, ``sampler.grid.kind`` or
            ``fields.pos.kind`` finds it, and sizes that can be written as YAML. A network has the method ``build`` of
            :class:`EquivariantTransformer`, a sampler ``walk`` of :class:`molgen.diffusion.sampler.Ddim`, a grid ``times`` of
            :class:`molgen.diffusion.grid.UniformGrid`, a noise schedule of positions the methods of
            :class:`molgen.diffusion.schedule.Schedule`. A class of the same name that was registered before gives way.

    Raises:
        ValueError: it is none of these, or an alternative that ships has its kind.
    """
    role = next((role for role in (NETWORKS, SAMPLERS, GRIDS, SCHEDULES) if callable(getattr(part, role.method, None))), None)
    if not is_dataclass(part) or role is None:
        raise ValueError(
            f"{part.__name__}: expected a dataclass with a method `build` (a network), `walk` (a sampler), `times` (a grid) "
            "or `alpha` (a noise schedule)"
        )
    if role is SCHEDULES and (lacking := next((name for name in ("sigma", "time") if not hasattr(part, name)), None)):
        raise ValueError(f"{part.__name__}: a noise schedule needs the method `{lacking}` as well, see molgen.diffusion.schedule.Schedule")
    role.add(part)
    return part


def texts() -> set[str]:
    """Dotted names of the settings that are any text: values that are taken as they are written."""
    return set(_texts(Experiment))


def _texts(part: Any, prefix: str = "") -> Iterator[str]:
    for name, hint in get_type_hints(part, include_extras=True).items():
        if hint is str or {*get_args(hint)} == {str, NoneType}:
            yield prefix + name
        for inner in choices(hint):
            yield from _texts(inner, f"{prefix}{name}.")
