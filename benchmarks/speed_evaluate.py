"""Time and memory of `molgen evaluate`: a real SDF repeated to 10,000 records, on two worker processes.

python benchmarks/speed_evaluate.py ../shared/data/qm9/valid.sdf.gz [--records 10000] [--workers 2]
"""

import argparse
import resource
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

from molgen.evaluate import Settings, evaluate
from molgen.molecules.export import read_records


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        repeated = Path(folder) / "repeated.sdf"
        records = list(read_records(arguments.source))
        repeated.write_text("".join(islice(cycle(records), arguments.records)))
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
