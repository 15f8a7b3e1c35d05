"""What of the draws of a request is handed out, and when that is given up."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Container, Sequence
from typing import Any

from molgen.domain import Domain
from molgen.errors import InputError
from molgen.sample.request import Request, Tally
from molgen.sample.settling import relief

HOPELESS = 250
"""Draws in a row that may come to nothing where none has passed yet, but for constraints, which few draws may meet."""


class Vain(InputError):
    """Too many draws in a row came to nothing."""

    @classmethod
    def after(cls, reasons: Counter[str], withheld: Container[str], relief: str) -> Vain:
        """The error after these draws, by reason.

        Args:
            reasons: how often each, failures of the check and what filters say.
            withheld: what filters said in the run.
            relief: advice for draws that fail the check, to be followed by others; may be empty.
        """
        ruled = any(reason in withheld for reason in reasons)
        what, fix = ("were ruled out", "") if ruled else ("failed the check", f"{relief}take more steps, or ")
        ((worst, _),) = reasons.most_common(1)
        counted = f"{reasons.total()} draws in a row {what} (most often: {worst})"
        return cls(f"{counted}; {fix}ask for other properties, sizes or filters")


class Kept:
    """The draws of a request that are handed out, told one after the other.

    Args:
        request: what was asked for.
        domain: of the model.
        tally: counts the run.
        screen: why an item that passed is withheld, or "".
        patience: draws in a row that may come to nothing.
        done: ascending numbers of the draws that an earlier run has handed out.
    """

    def __init__(
        self,
        request: Request,
        domain: Domain[Any],
        tally: Tally,
        screen: Callable[[Any], str] | None,
        patience: int,
        done: Sequence[int] = (),
    ):
        self.request, self.domain, self.tally, self.screen, self.patience = request, domain, tally, screen, patience
        self.numbers = array("Q", done)
        self.next = self.numbers[-1] + 1 if self.numbers else 0
        self._vain = Counter[str]()

    def before(self, number: int) -> int:
        """How many draws below this number were handed out."""
        return bisect_left(self.numbers, number)

    def takes(self, item: Any, reason: str) -> bool:
        """Whether the item of the next draw is handed out; the reason says why it fails, "" if it passes.

        Raises:
            Vain: it was one too many that comes to nothing.
        """
        number, self.next = self.next, self.next + 1
        self.tally.draw(reason)
        failed = bool(reason) and not self.request.keep_invalid
        withheld = self.screen(item) if self.screen is not None and not failed else ""
        if withheld:
            self.tally.withheld[withheld] += 1
        if failed or withheld:
            self._vain[reason if failed else withheld] += 1
            hopeless = not self.numbers and not self.tally.valid and self.request.constraint is None
            if self._vain.total() >= (min(self.patience, HOPELESS) if hopeless else self.patience):
                raise Vain.after(self._vain, self.tally.withheld, relief(self.request, self.domain))
            return False
        self._vain.clear()
        self.numbers.append(number)
        self.tally.keep(item)
        return True
