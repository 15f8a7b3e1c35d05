"""What is asked of a model, from what users write."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from molgen.errors import InputError
from molgen.ranges import Range
from molgen.tags import MEASURED, PREDICTED, REQUESTED

PRECISION = (
    "Of matrix products; bf16 is faster on processors that multiply it (AVX512-BF16, AMX, GPUs; others compute in fp32), "
    "but gives the same output again only with the same --num, cores and device."
)

precision_option = click.option("--precision", type=click.Choice(["fp32", "bf16"]), default="fp32", show_default=True, help=PRECISION)

sampler_option = click.option(
    "--sampler",
    "sampler",
    multiple=True,
    metavar="KEY=VALUE",
    help="A setting of the sampler, such as gamma=0.8, kind=ddim or grid.kind=uniform; repeatable.  [default: those of the model]",
)


def parse_properties(texts: tuple[str, ...]) -> dict[str, float | tuple[float, float]]:
    """Values of ``NAME=VALUE`` options, and ranges of ``NAME=LOW..HIGH``.

    Raises:
        InputError: for anything else, or a property given twice.
    """
    values: dict[str, float | tuple[float, float]] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        try:
            number = Range.parse(value) if ".." in value else float(value)
        except InputError as error:
            raise InputError(f"--property {text}: {error}") from None
        except ValueError:
            sign = ""
        if not sign or not name:
            raise InputError(f"--property {text}: expected NAME=VALUE such as gap_xtb=6.0, or NAME=LOW..HIGH")
        if name in values:
            raise InputError(f"--property {text}: {name} is given twice")
        values[name] = number
    return values


def closed(values: Mapping[str, Any], known: Sequence[Any]) -> dict[str, Any]:
    """Requested values by the model's own names, with the open ends of ranges closed by the range of the training data.

    Raises:
        InputError: a range with an open end begins where that of the training data has ended, or a property is given twice.
    """
    from molgen.sample.request import own_names

    ends = {member.name: Range(member.low, member.high) for member in known if hasattr(member, "low")}
    values = own_names(values, [member.name for member in known])
    found = dict(values)
    for name in ends.keys() & values.keys():
        if isinstance(values[name], tuple):
            try:
                found[name] = Range(*values[name]).within(ends[name])
            except InputError as error:
                raise InputError(f"--property {name}={Range(*values[name])}: in the training data are {ends[name]}: {error}") from None
    return found


def _lacking(name: str) -> str:
    """What has to be installed to measure a property, where something has to."""
    from molgen.molecules.measure import XTB
    from molgen.molecules.metrics.quantum import available

    return ": that needs the extra physics, pip install tblite" if name in XTB and not available() else ""


class Misses:
    """How far what was made is from what was asked for, by property."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = defaultdict(float)
        self._counts: dict[str, int] = defaultdict(int)
        self._predicted: set[str] = set()

    def see(self, tags: Mapping[str, Any]) -> None:
        """Takes in the tags of a molecule; without a pair of requested and measured or predicted values they say nothing."""
        for tag, value in tags.items():
            name = tag.removeprefix(REQUESTED)
            measured, predicted = (tags.get(f"{found}{name}", math.nan) if name != tag else math.nan for found in (MEASURED, PREDICTED))
            found = predicted if math.isnan(measured) else measured
            if not math.isnan(found):
                self._predicted |= {name} if math.isnan(measured) else set()
                self._sums[name] += abs(found - value)
                self._counts[name] += 1

    def lines(self, candidates: int) -> Iterator[str]:
        """One line for every property."""
        how = f", each the nearest of {candidates}" if candidates > 1 else ""
        for name, total in self._sums.items():
            judge = f" (as the estimator tells, not measured{_lacking(name)})" if name in self._predicted else ""
            yield f"  {name}: {total / self._counts[name]:.3g} from what was asked for on average{how}{judge}"
