"""Fréchet ChemNet distance: do samples and real molecules look alike to a network trained on bioactivities?

ChemNet turns a SMILES into 512 activations. With means m and covariances C of both sets' activations the distance is
|m_1 - m_2|² + tr(C_1 + C_2 - 2 (C_1 C_2)^(1/2)). It shrinks with the number of molecules, so only sets of equal size compare, best of
5,000 or more. The network comes with the optional package fcd, weights included.

Reference: Preuer et al. 2018, Fréchet ChemNet Distance, 10.1021/acs.jcim.8b00234.
"""

import warnings
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

LENGTH = 350  # characters that ChemNet reads
BATCH = 128
_WIDTH = 512


@dataclass
class Moments:
    """Sums from which mean and covariance of activations follow; memory does not grow with their number."""

    count: int = 0
    total: np.ndarray = field(default_factory=lambda: np.zeros(_WIDTH))
    products: np.ndarray = field(default_factory=lambda: np.zeros((_WIDTH, _WIDTH)))

    def add(self, activations: np.ndarray) -> None:
        """Takes in activations, shape (b, 512)."""
        values = activations.astype(np.float64)
        self.count += len(values)
        self.total += values.sum(axis=0)
        self.products += values.T @ values

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(self.count + other.count, self.total + other.total, self.products + other.products)

    @property
    def mean(self) -> np.ndarray:
        """Mean, shape (512,)."""
        return self.total / self.count

    @property
    def covariance(self) -> np.ndarray:
        """Unbiased covariance, shape (512, 512)."""
        return (self.products - self.count * np.outer(self.mean, self.mean)) / (self.count - 1)


def frechet_distance(first: Moments, second: Moments) -> float:
    """Fréchet distance of two normal distributions with these moments; NaN with fewer than two members in one.

    tr (C_1 C_2)^(1/2) is the sum of the square roots of the eigenvalues of S C_2 S with S = C_1^(1/2), which is symmetric.
    """
    if first.count < 2 or second.count < 2:
        return float("nan")
    values, vectors = np.linalg.eigh(first.covariance)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ second.covariance @ root), 0)).sum()
    difference = first.mean - second.mean
    return float(difference @ difference + np.trace(first.covariance) + np.trace(second.covariance) - 2 * cross)


def activations(smiles: list[str]) -> np.ndarray:
    """ChemNet's activations of SMILES of at most 349 characters, shape (b, 512)."""
    import torch

    encode = import_module("fcd.utils").get_one_hot
    encoded = torch.tensor(np.stack([encode(text, LENGTH) for text in smiles]), dtype=torch.float32)
    with torch.no_grad():  # ChemNet learned from ones that are divided by the size of the alphabet
        return np.asarray(_network()(encoded.transpose(1, 2) / encoded.shape[2]).numpy())


@cache
def _network() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return import_module("fcd").load_ref_model()
