"""Packages that only some metrics need."""

import importlib.util

from molgen.errors import InputError


def require_package(package: str, what: str) -> None:
    """Raises `InputError` where a package is missing, naming what needs it."""
    if importlib.util.find_spec(package) is None:
        raise InputError(f"{what}: the package {package} is not installed; pip install {package}")
