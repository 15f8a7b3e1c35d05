"""The error of a run that gives up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container

from molgen.errors import InputError


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
