"""What samples have that nobody asked to have it: requested properties measured on a model's unconditional samples."""

from collections.abc import Collection
from dataclasses import dataclass, field

from molgen.errors import InputError
from molgen.evaluate.data import Progress, Source
from molgen.evaluate.pool import Lost, run
from molgen.evaluate.score import Checks, Scorer
from molgen.evaluate.tally import Values


@dataclass
class Baseline:
    """Unconditional samples, measured when a property is first asked for.

    Args:
        source: of the samples.
    """

    source: Source
    _known: dict[str, Values] = field(default_factory=dict)

    def measured(self, names: Collection[str], workers: int, timeout: float, progress: Progress) -> dict[str, Values]:
        """Measured values, NaN where a sample fails, by name of the property.

        Raises:
            InputError: the file holds no molecule.
        """
        missing = frozenset(names) - set(self._known)
        if missing:
            found = {name: Values() for name in missing}
            # the same measurements as for samples that were requested to have the properties
            scorer = Scorer(Checks(format=self.source.format, perceive=False, measure=missing))
            results = run(scorer, self.source.items(), workers, timeout)
            samples = 0
            for scores in progress(results, f"baseline {self.source.name}", self.source.count()):
                if isinstance(scores, Lost) or not scores.molecule:
                    continue
                samples += 1
                for name in missing:
                    found[name].add(len(scores.molecule), scores.values.get(name, float("nan")))
            if not samples:
                raise InputError(f"{self.source.path}: no record is a molecule in three dimensions; give samples drawn without requests")
            self._known |= found
        return {name: self._known[name] for name in names}
