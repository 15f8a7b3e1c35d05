"""What samples have that nobody asked to have it: requested properties measured on a model's unconditional samples."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace

from molgen.errors import InputError
from molgen.evaluate.data import Progress, Source
from molgen.evaluate.pool import Lost, run
from molgen.evaluate.tally import Requests
from molgen.molecules.molecule import Molecule
from molgen.tags import REQUESTED


@dataclass
class Baseline:
    """Unconditional samples, measured when a property is first asked for.

    Args:
        source: of the samples.
    """

    source: Source
    _known: dict[str, Requests] = field(default_factory=dict)

    def measured(self, names: Collection[str], workers: int, timeout: float, progress: Progress) -> dict[str, Requests]:
        """Sizes and measured values, NaN where a sample fails, by name of the property.

        Raises:
            InputError: the file holds no molecule.
        """
        missing = tuple(sorted(set(names) - set(self._known)))
        if missing:
            found = {name: Requests() for name in missing}
            results = run(Measurer(self.source.format, missing), self.source.items(), workers, timeout)
            sizes = 0
            for result in progress(results, f"baseline {self.source.name}", self.source.count()):
                if isinstance(result, Lost) or result[0] == 0:
                    continue
                sizes += 1
                for name in missing:
                    found[name].add(float("nan"), result[1].get(name, float("nan")), result[0])
            if not sizes:
                raise InputError(f"{self.source.path}: no record is a molecule in three dimensions; give samples drawn without requests")
            self._known |= found
        return {name: self._known[name] for name in names}


@dataclass(frozen=True)
class Measurer:
    """Number of atoms and properties of a record, (0, {}) where it holds no molecule; sent to worker processes.

    Args:
        format: of record texts.
        names: of the properties.
    """

    format: str
    names: tuple[str, ...]

    def __call__(self, item: str | Molecule | None) -> tuple[int, dict[str, float]]:
        """Measures one record, NaN where that fails; None only imports the libraries."""
        from molgen.evaluate.score import Checks, Scorer
        from molgen.molecules.records import READERS

        molecule = READERS[self.format](item) if isinstance(item, str) else item
        if molecule is None or isinstance(molecule, str):
            return 0, {}
        # the same measurements as for samples that were requested to have the properties
        wanted = {name: value for name, value in molecule.properties.items() if not name.startswith(REQUESTED)}
        wanted |= {f"{REQUESTED}{name}": 0.0 for name in self.names}
        scores = Scorer(Checks(format=self.format, perceive=False))(replace(molecule, properties=wanted))
        values = scores.values if scores is not None else {}
        return len(molecule), {name: values.get(name, float("nan")) for name in self.names}
