"""Rules about properties as people write them: ranges of computed and predicted ones, and sets of ranges with a name.

References: Lipinski et al. 1997, 10.1016/S0169-409X(96)00423-1 (rule of five); Veber et al. 2002, 10.1021/jm020017n; Congreve et al. 2003,
10.1016/S1359-6446(03)02831-9 (rule of three); Ertl and Schuffenhauer 2009, 10.1186/1758-2946-1-8 (sa).
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from molgen.errors import InputError
from molgen.molecules.measure import COUNTS, find_measured
from molgen.ranges import Range
from molgen.tags import PREDICTED

RULES: Mapping[str, tuple[int, Mapping[str, Range]]] = {
    "lipinski": (1, {"mw": Range(0, 500), "logp": Range(-99, 5), "nhoh_count": Range(0, 5), "no_count": Range(0, 10)}),
    "veber": (0, {"rotatable": Range(0, 10), "tpsa": Range(0, 140)}),
    "rule_of_three": (0, {"mw": Range(0, 300), "logp": Range(-99, 3), "donors": Range(0, 3), "acceptors": Range(0, 3)}),
}
"""Rules with a name: how many of their ranges a molecule may miss, and the ranges."""

_COMPARISON = re.compile(rf"\s*({PREDICTED}[^<>=]+?|[^\W\d]\w*)\s*(<=|>=|<|>|==?)\s*(.+?)\s*")
_BETWEEN = re.compile(rf"\s*([^<>=\s]+)\s*<=?\s*({PREDICTED}[^<>=]+?|\w+)\s*<=?\s*([^<>=\s]+)\s*")


@dataclass(frozen=True)
class Rule:
    """Ranges of computed properties, of which a molecule may miss some.

    Args:
        text: as it was written, properties by their own names; the reason of what fails.
        ranges: by name of the property, ends included.
        misses: how many of them may fail.
    """

    text: str
    ranges: Mapping[str, Range]
    misses: int = 0

    @classmethod
    def parse(cls, text: str, option: str = "where") -> "Rule":
        """Reads ``logp=0..3``, ``rings=1``, ``mw<500``, ``250<=mw<=350``, ``predicted_NAME>7`` or the name of one of `RULES`.

        ``<`` and ``<=`` mean the same, the end is included; so do ``=`` and ``==``. Case does not matter, but for predicted properties.

        Args:
            text: as the user wrote it.
            option: what errors call the argument or the option that it was given to.

        Raises:
            InputError: anything else, a property that cannot be measured, or one value of a property that is a real number.
        """
        name = text.strip().lower()
        if name in RULES:
            misses, ranges = RULES[name]
            return cls(name, ranges, misses)
        if match := _BETWEEN.fullmatch(text):
            name, sign, value = match[2], "=", f"{match[1]}..{match[3]}"
        elif match := _COMPARISON.fullmatch(text):
            name, sign, value = match[1], match[2].replace("==", "="), match[3]
        else:
            raise InputError(f"{option} {text}: expected NAME=A..B, NAME<B, NAME>A or one of {', '.join(RULES)}")
        name = find_measured(name, f"{option} {text}")
        spelled = {"<": f"..{value}", "<=": f"..{value}", ">": f"{value}..", ">=": f"{value}.."}
        try:
            found = Range.parse(spelled.get(sign, value)) if sign != "=" or ".." in value else _only(name, value)
        except InputError as error:
            raise InputError(f"{option} {text}: {error}") from None
        return cls(f"{name}{sign}{value}", {name: found})

    def __call__(self, found: Mapping[str, float]) -> str:
        """Why these properties fail the rule, or ""."""
        missed = [name for name, limits in self.ranges.items() if found[name] not in limits]
        return f"not {self.text}" if len(missed) > self.misses else ""


def _only(name: str, value: str) -> Range:
    """The range that holds one value of a property.

    Raises:
        InputError: it is no number, or the property is never, or hardly ever, exactly this.
    """
    found = Range.parse(f"{value}..{value}")
    if name not in COUNTS:
        width = max(0.1, abs(found.low) / 20)
        raise InputError(f"{name} is a real number: write {name}={Range(found.low - width, found.high + width)}")
    if not found.low.is_integer():
        raise InputError(f"{name} is a whole number: write {name}={Range(math.floor(found.low), math.ceil(found.high))}")
    return found


def check_together(rules: Sequence[Rule], option: str = "where") -> None:
    """Refuses rules that no molecule can meet together; those that allow misses are passed over.

    Args:
        rules: all that are to hold.
        option: what errors call the argument or the option that they were given to.

    Raises:
        InputError: two ranges of one property do not overlap.
    """
    ranges = [(rule.text, name, limits) for rule in rules if not rule.misses for name, limits in rule.ranges.items()]
    for (one, name, limits), (other, same, others) in combinations(ranges, 2):
        if name == same and not limits.overlaps(others):
            raise InputError(f"{option} {one} and {option} {other}: no {name} is in both ranges; leave one of them away")
