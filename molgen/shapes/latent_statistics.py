"""What a model of latent clouds must know (:mod:`molgen.shapes.latent`), the trained autoencoder among it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from molgen.errors import InputError
from molgen.nn.point_autoencoder import Autoencoder, PointAutoencoder
from molgen.shapes.fields import Axis, Normalisation, ShapeStatistics
from molgen.statistics import Label, number, read_statistics
from molgen.tensors import load_weights
from molgen.trees import Unreadable, parse_yaml, read_text

INSIDE = "autoencoder"
"""Name of the autoencoder's folder in the folder of a model."""


def load_autoencoder(folder: Path) -> Autoencoder:
    """The trained autoencoder of a run folder, in evaluation mode.

    Raises:
        InputError: if the folder holds none, or a damaged one.
    """
    path, fix = folder / "config.yaml", "give fields.autoencoder=RUN of `molgen train shape_autoencoder`"
    try:
        section = parse_yaml(read_text(path))["model"]
        kind = section["kind"]
        network = PointAutoencoder(**section).build().float() if kind == "point_autoencoder" else None
    except OSError:
        raise InputError(f"{folder}: no trained autoencoder here; {fix}") from None
    except Unreadable as error:
        raise InputError(f"{path}: not the configuration of a run ({error}); copy the whole folder again") from None
    except (KeyError, TypeError, ValueError) as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(f"{path}: not the configuration of a run ({why}); copy the whole folder again") from None
    if network is None:
        raise InputError(f"{folder}: a {kind}, not an autoencoder; {fix}")
    load_weights(network, folder / "model.safetensors")
    return network.eval().requires_grad_(False)


@dataclass(frozen=True)
class LatentStatistics:
    """What a model of latent clouds must know: of the shapes, of the latent clouds, and where the autoencoder lies."""

    shape: ShapeStatistics
    latents: int
    features: int
    outline: int
    coordinate_std: float
    reach: float
    folder: Path

    @cached_property
    def autoencoder(self) -> Autoencoder:
        """The decoder's network, loaded when it is needed."""
        return load_autoencoder(self.folder)

    @property
    def sizes(self) -> dict[int, int]:
        """Every shape has as many points as are stored."""
        return self.shape.sizes

    @property
    def vocabulary(self) -> dict[str, tuple[Any, ...]]:
        """Classes, whose positions are what batches carry."""
        return self.shape.vocabulary

    @property
    def classes(self) -> dict[str, tuple[Any, ...]]:
        """Latent clouds have no discrete fields."""
        return self.shape.classes

    def relatives(self, field: str, name: str, known: Sequence[str]) -> list[str]:
        """As for clouds."""
        return self.shape.relatives(field, name, known)

    @property
    def condition_names(self) -> tuple[str, ...]:
        """As for clouds."""
        return self.shape.condition_names

    def label(self, name: str) -> Label:
        """As for clouds."""
        return self.shape.label(name)

    @property
    def up(self) -> Axis:
        """Axis that points up in all shapes, "" where unknown."""
        return self.shape.up

    @property
    def normalisation(self) -> Normalisation:
        """What the unit of the shapes is."""
        return self.shape.normalisation

    def inherit(self, source: LatentStatistics) -> LatentStatistics:
        """These statistics with the coordinate scale of a model's, in whose unit it sees distances; the number of latent points may differ.

        Raises:
            InputError: the data were encoded by another encoder, whose features mean something else, or another axis points up in the
                shapes that the model knows.
        """
        self.shape.inherit(source.shape)
        if self.autoencoder.meaning != source.autoencoder.meaning:
            raise InputError(
                f"fields.autoencoder={self.folder}: its features are not those that the model has learned; give {source.folder}"
            )
        return replace(self, coordinate_std=source.coordinate_std)

    @property
    def companions(self) -> dict[str, Path]:
        """The autoencoder travels with the model."""
        return {INSIDE: self.folder}

    def density(self, name: str, size: int, value: float | str) -> float:
        """The number of points says nothing about a shape."""
        return self.shape.density(name, size, value)

    def to_dict(self) -> dict[str, Any]:
        """The content of ``statistics.json``: that of shapes with a section more."""
        names = ("latents", "features", "outline", "coordinate_std", "reach")
        return {**self.shape.to_dict(), "latent": {name: getattr(self, name) for name in names}}

    @classmethod
    def load(cls, path: Path) -> LatentStatistics:
        """Reads a ``statistics.json`` beside the folder of the autoencoder.

        Raises:
            InputError: if the file is missing, broken, or not about latent clouds.
        """

        def parse(raw: Mapping[str, Any]) -> LatentStatistics:
            shape = ShapeStatistics.from_dict(raw)
            try:
                for name in ("latents", "features", "outline", "coordinate_std", "reach"):
                    number(name, raw["latent"][name], 0.0)
                return cls(shape, folder=path.parent / INSIDE, **raw["latent"])
            except (KeyError, TypeError):
                why = "holds no statistics of latent clouds, or those of an earlier version"
                raise InputError(f"{path}: {why}; copy the whole folder of the model again, or train it anew") from None

        return read_statistics(path, "shape", parse)
