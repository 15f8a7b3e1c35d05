"""Time and memory of `molgen evaluate`: a real SDF repeated to 10,000 records, on two worker processes.

python benchmarks/speed_evaluate.py VALID.sdf.gz [--records 10000] [--workers 2] [--replay 400]
The memory is that of the main process. With --replay the workers answer with the scores of the first so many records, computed before and
given SMILES that are all different: nothing but reading, passing on and counting is left, so that memory can be measured on large files.
"""

import argparse
import resource
import tempfile
import time
from dataclasses import dataclass, replace
from itertools import chain, islice, repeat
from pathlib import Path

from molgen.evaluate import Settings, evaluate
from molgen.evaluate import run as evaluation
from molgen.evaluate.score import Checks, Scorer, Scores
from molgen.molecules.export import read_records


@dataclass
class Replay:
    """Answers the n-th record that it sees with the scores of a record scored before, and a SMILES of its own."""

    scores: list[Scores]
    number: int = 0

    def __call__(self, item: str | None) -> Scores | None:
        if item is None:
            return None
        self.number += 1
        labels = {"smiles": f"{id(self)} {self.number}", "p1_smiles": f"{self.number}"}
        known = self.scores[self.number % len(self.scores)]
        return replace(known, labels={**known.labels, **labels})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--replay", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.replay:
        scorer = Scorer(Checks())
        scores = [scorer(record) for record in islice(read_records(arguments.source), arguments.replay)]
        evaluation.Scorer = lambda checks: Replay(scores)
    with tempfile.TemporaryDirectory() as folder:
        repeated = Path(folder) / "repeated.sdf"
        with repeated.open("w") as file:  # record by record: the file in memory would count as memory of the evaluation
            file.writelines(islice(chain.from_iterable(map(read_records, repeat(arguments.source))), arguments.records))
        started = time.perf_counter()
        outcome = evaluate(repeated, settings=Settings(workers=arguments.workers))
        seconds = time.perf_counter() - started
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    figures = outcome.samples.figures
    print(f"{outcome.samples.records} records in {seconds:.1f} s on {arguments.workers} workers, {memory:.0f} MiB in the main process")
    for name in ("p1_atom", "p1_stable", "p1_valid", "p2s_stable", "valid"):
        print(f"{name}: {100 * figures[name].value:.2f} %")


if __name__ == "__main__":
    main()
