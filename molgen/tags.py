"""Names of the tags that records of samples carry beside those of their data, and whether tags are the same."""

from collections.abc import Mapping
from typing import Any

FOUND = ("index", "passed", "smiles")
"""Tags that tell what was drawn, beside those of measured and of predicted properties; all others tell what was asked for."""

REQUESTED = "requested_"
"""What the tags of requested properties begin with."""

MEASURED = "measured_"
"""What the tags of properties that were measured on the sample begin with."""

PREDICTED = "predicted_"
"""What the tags of properties begin with that an estimator of the model told of the finished sample."""

DEVIATION = "deviation_"
"""What the tags of the standard deviations begin with that an estimator states for what it predicts."""


def same_tags(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether these tags are equal; NaN equals itself."""
    return one.keys() == other.keys() and all(
        value == other[name] or (value != value and other[name] != other[name]) for name, value in one.items()
    )
