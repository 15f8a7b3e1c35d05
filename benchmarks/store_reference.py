"""Writes the reference that ships: real molecules scored with every check.

python benchmarks/store_reference.py VALID.sdf.gz qm9 [--workers 2] [--limit 4000] [--no-xtb]

VALID may be a prepared data set. --no-xtb leaves GFN2-xTB away, which takes long for large molecules.
"""

import argparse
from pathlib import Path

import molgen.evaluate
from molgen.cli.progress import track
from molgen.evaluate import Settings
from molgen.evaluate.run import make_yardstick
from molgen.evaluate.stored import save


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("name")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--limit", type=int, default=4000)
    parser.add_argument("--xtb", action=argparse.BooleanOptionalAction, default=True)
    arguments = parser.parse_args()
    settings = Settings(relax=True, posebusters=True, xtb=arguments.xtb, workers=arguments.workers, reference_limit=arguments.limit)
    yardstick = make_yardstick(arguments.source, None, settings, track)
    path = Path(molgen.evaluate.__file__).with_name(f"reference_{arguments.name}.npz")
    save(path, yardstick.tally, yardstick.summary)
    print(f"{path}: {path.stat().st_size} bytes, {yardstick.summary.records} molecules in {yardstick.summary.seconds:.0f} s")


if __name__ == "__main__":
    main()
