"""The experiment: one YAML file, dotted overrides, frozen dataclasses.

Every component owns its part of the configuration; ``kind`` selects among alternatives. Unknown keys, wrong types and wrong kinds are
errors with the dotted name of the key. There is no inheritance between files and no interpolation.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import yaml
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from molgen.diffusion.estimation import Estimation
from molgen.diffusion.objective import Objective
from molgen.diffusion.sampler import Annealed, Sampler
from molgen.domain import Domain
from molgen.errors import InputError
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

Fields = Annotated[MoleculeFields | ShapeFields | LatentFields, Field(discriminator="kind")]
Network = Annotated[
    EquivariantTransformer | TensorProduct | PointUNet | PointTransformer | PointAutoencoder | PropertyEstimator,
    Field(discriminator="kind"),
]
Loss = Annotated[Objective | Reconstruction | Estimation, Field(discriminator="kind")]


@dataclass(frozen=True, kw_only=True)
class Data:
    """Packed training data, validation data, and the labels used as conditions.

    Validation data are the folder ``valid``, or else the `valid` beside a training set called `train`, or else the share
    ``valid_fraction`` of the training data, at most 2,000.
    """

    path: str = ""
    valid: str = ""
    valid_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.02
    conditions: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Training:
    """Optimiser, budget and bookkeeping of a run.

    The learning rate warms up, holds until the share ``decay_from`` of the budget and then falls to zero along a cosine. The budget is
    ``max_steps`` or ``max_time`` (DD:HH:MM:SS), whichever ends first; interrupted time does not count. ``start`` names a model whose
    weights the run begins with, see :mod:`molgen.finetune`; without it they are drawn from ``seed``. ``compile`` is meant for
    GPUs and warns on a CPU, see :mod:`molgen.train.compile`; ``cuda_graphs`` makes every step one launch where there is one GPU,
    see :mod:`molgen.train.graphs`.
    ``patience`` ends it after so many validations without a lower loss and keeps the weights of the lowest, for data that are learned by
    heart; 0 keeps the last weights.
    ``optimizer`` is AdamW, or Muon for the matrices inside of the network and Adam for the rest, see :mod:`molgen.train.muon`.
    """

    out: str = ""
    start: str = ""
    max_steps: Annotated[int, Field(ge=1)] = 100_000
    max_time: str = ""
    pair_budget: Annotated[int, Field(ge=1)] = 32_000
    optimizer: Literal["adam", "muon"] = "adam"
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    warmup_steps: Annotated[int, Field(ge=0)] = 500
    decay_from: Annotated[float, Field(ge=0, le=1)] = 0.0
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
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
    objective: Loss = field(default_factory=Objective)
    sampler: Sampler = Annealed()
    train: Training = Training()

    @property
    def domain(self) -> Domain[Any]:
        """What the experiment is about, by the kind of its fields."""
        return DOMAINS[self.fields.kind](self.fields)

    @property
    def completes(self) -> bool:
        """Whether the network has an input that marks given nodes, because it learns from given parts."""
        return isinstance(self.objective, Objective) and self.objective.parts.share > 0


def _adapter() -> Any:
    """Validator of an experiment in which unknown keys are errors, down to the smallest component."""
    import molgen.diffusion.categorical as categorical
    import molgen.diffusion.estimation as estimation
    import molgen.diffusion.objective as objective
    import molgen.diffusion.sampler as sampler
    import molgen.diffusion.schedule as schedule
    import molgen.molecules.fields as molecule_fields
    import molgen.nn.equivariant as equivariant
    import molgen.nn.estimator as estimator
    import molgen.nn.point_autoencoder as point_autoencoder
    import molgen.nn.point_transformer as point_transformer
    import molgen.nn.point_unet as point_unet
    import molgen.nn.reconstruction as reconstruction
    import molgen.nn.tensor_product as tensor_product
    import molgen.shapes.domain as shape_domain
    import molgen.shapes.latent as shape_latent

    parts = (categorical, estimation, objective, sampler, schedule, molecule_fields, shape_domain, shape_latent)
    modules = (*parts, equivariant, estimator, tensor_product, point_unet, point_transformer, point_autoencoder, reconstruction)
    for kind in (*(value for module in modules for value in vars(module).values()), Data, Training, Experiment):
        if isinstance(kind, type) and is_dataclass(kind):
            kind.__pydantic_config__ = ConfigDict(extra="forbid", strict=False)  # type: ignore[attr-defined]
    return TypeAdapter(Experiment)


ADAPTER = _adapter()


def _texts(kind: Any, prefix: str = "") -> Iterator[str]:
    """Dotted names of the settings that are any text."""
    for name, hint in get_type_hints(kind).items():
        for part in get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,):
            if part is str:
                yield prefix + name
            elif is_dataclass(part):
                yield from _texts(part, f"{prefix}{name}.")


TEXTS = frozenset(_texts(Experiment))
"""Settings whose values are taken as they are written."""


def parse_override(text: str) -> tuple[list[str], Any]:
    """Splits ``a.b=value``; the value is YAML, or text as it is where the setting is one; InputError without a key or an equals sign."""
    name, sign, value = text.partition("=")
    if not sign or not name.strip():
        raise InputError(f"expected an override KEY=VALUE such as train.max_steps=1000, got {text!r}")
    name = name.strip()
    if name in TEXTS:
        return name.split("."), value.strip()  # such as 2024, on, and times, which YAML takes for base-60 numbers
    try:
        parsed = yaml.safe_load(value) if value else ""
    except yaml.YAMLError:
        parsed = value
    return name.split("."), _number(parsed, name)


def _number(value: Any, name: str = "") -> Any:
    """YAML 1.1 reads ``1e-3`` as text; people mean a number, but in a setting of `TEXTS`."""
    if isinstance(value, dict):
        return {key: _number(item, f"{name}.{key}".lstrip(".")) for key, item in value.items()}
    if isinstance(value, list):
        return [_number(item) for item in value]
    if isinstance(value, str) and name not in TEXTS:
        try:
            return float(value) if "e" in value.lower() else value
        except ValueError:
            return value
    return value


def _explain(error: ValidationError, raw: Any, origin: str) -> InputError:
    first = error.errors()[0]
    name = _dotted(first["loc"], raw)
    if first["type"] == "union_tag_not_found":
        return InputError(f"{origin}: {name}: expected the key 'kind', got {first['input']!r}; give {name}.kind as well")
    if first["type"] == "tuple_type":
        return InputError(f"{origin}: {name}: expected a list such as [a,b], got {first['input']!r}")
    if first["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        return InputError(f"{origin}: unknown key {name!r}{_suggest(name)}")
    return InputError(f"{origin}: {name}: {first['msg'][0].lower()}{first['msg'][1:]}, got {first['input']!r}")


def _dotted(location: Sequence[str | int], raw: Any) -> str:
    """Dotted name of a key as it is written; pydantic puts the kind of an alternative before its keys."""
    parts = []
    for part in location:
        if isinstance(raw, dict) and part not in raw and part == raw.get("kind"):
            continue
        parts.append(str(part))
        raw = raw.get(part) if isinstance(raw, dict) else None
    return ".".join(parts)


def _keys(kind: Any, prefix: str = "") -> list[str]:
    names = []
    for item in fields(kind):
        names.append(prefix + item.name)
        value = getattr(kind, item.name, None)
        if is_dataclass(value):
            names += _keys(value, f"{prefix}{item.name}.")
    return names


def _suggest(name: str) -> str:
    close = difflib.get_close_matches(name, _keys(Experiment()), n=1)
    return f"; did you mean {close[0]!r}?" if close and close[0] != name else ""


def load_experiment(path: str | Path, overrides: Sequence[str] = ()) -> Experiment:
    """Reads an experiment from YAML and applies dotted overrides such as ``train.max_steps=1000``.

    Raises:
        InputError: with the file, the dotted key and what was expected.
    """
    sections = apply_overrides(read_sections(path, "no such configuration file"), overrides)
    try:
        return build_experiment(sections, str(path))
    except InputError as error:
        words = str(error).partition("; did you mean")[0]
        keys = [text.partition("=")[0] for text in overrides]
        found = [key in words for key in keys] + [f" {key.rpartition('.')[0]}:" in words for key in keys]  # or the section that it is in
        blamed = overrides[found.index(True) % len(overrides)] if True in found else None
        raise error if blamed is None else InputError(str(error).replace(str(path), blamed, 1)) from None


def apply_overrides(sections: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Sections of an experiment with dotted overrides.

    A section whose ``kind`` is overridden by another begins anew, with the defaults of that kind and the other overrides.

    Raises:
        InputError: an override that is not KEY=VALUE, or whose key leads into a value.
    """
    raw: dict[str, Any] = _number(sections)
    parsed = [(text, *parse_override(text)) for text in overrides]
    for text, keys, value in sorted(parsed, key=lambda one: one[1][-1] != "kind"):
        node = raw
        for key in keys[:-1]:
            node = node.setdefault(key, {})
            if not isinstance(node, dict):
                raise InputError(f"override {text!r}: {key!r} is a value, not a section")
        if keys[-1] == "kind" and node.get("kind", value) != value:
            node.clear()
        node[keys[-1]] = value
    return raw


def read_sections(path: str | Path, missing: str, fix: str = "") -> dict[str, Any]:
    """Reads a YAML file whose top level is a mapping.

    Raises:
        InputError: with the file and what is wrong; ``missing`` says what a missing file means, ``fix`` what helps against other content.
    """
    try:
        raw = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: {missing}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise InputError(f"{path}: expected a mapping of sections, got {type(raw).__name__}{fix}")
    return raw


def build_experiment(raw: dict[str, Any], origin: str) -> Experiment:
    """Validates a nested mapping.

    Raises:
        InputError: with the origin, the dotted key and what was expected.
    """
    for name, kind in (("fields", "molecule"), ("objective", "diffusion")):
        section = raw.get(name)
        if isinstance(section, dict) and "kind" not in section:
            raw = {**raw, name: {"kind": kind, **section}}
    try:
        return ADAPTER.validate_python(raw)
    except ValidationError as error:
        raise _explain(error, raw, origin) from None


def dump_experiment(experiment: Experiment) -> str:
    """Complete YAML of an experiment: every key, also those left at their default.

    Raises:
        InputError: a part is of a class that no ``kind`` stands for, and would be read as another.
    """
    tree = ADAPTER.dump_python(experiment, mode="json", warnings=False)
    for name, section in tree.items():
        own, again = getattr(experiment, name), None
        with suppress(InputError):
            again = getattr(build_experiment({name: section}, ""), name)
        if again != own:
            lost = f"{name}: {type(own).__name__} cannot be written into config.yaml, from which runs go on and models are loaded"
            raise InputError(f"{lost}; add a class with a kind of its own to the alternatives in molgen/config.py")
    return yaml.safe_dump(tree, sort_keys=False, width=120)
