"""Real molecules that ship as histograms, so that every evaluation can show them without their files.

`qm9`: 4,000 molecules of QM9 that no shipped model was trained on, scored by this package; `leads`: 1,000 of the test molecules of MOSES,
with conformers by ETKDG and MMFF94. An archive holds the summed histograms,
the labels with sizes for the baselines of requests, the hashes of the SMILES for novelty, and the figures with their intervals;
benchmarks/store_reference.py writes it.

References: Ramakrishnan et al. 2014, Quantum chemistry structures and properties of 134 kilo molecules, 10.1038/sdata.2014.22 (CC0);
Polykovskiy et al. 2020, Molecular Sets (MOSES), 10.3389/fphar.2020.565644 (MIT).
"""

import json
from array import array
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from molgen.evaluate.distributions import DISTRIBUTIONS
from molgen.evaluate.summary import Figure, Summary
from molgen.evaluate.tally import Tally, Values

STORED = ("qm9", "leads")
"""Names that `--reference` takes instead of a file."""


def save(path: Path, tally: Tally, summary: Summary) -> None:
    """Writes the archive of a reference.

    Args:
        path: ending in .npz.
        tally: of the real molecules.
        summary: its figures, as `make_yardstick` computes them.
    """
    arrays: dict[str, Any] = {}
    for family, kinds in tally.histograms.items():
        for kind, counts in kinds.items():
            total = counts.sum(axis=0)
            used = np.flatnonzero(total)
            arrays[f"histogram/{family}/{kind}"] = np.stack([used, total[used]]).astype(np.int32)
    for name, labels in tally.labels.items():
        arrays[f"label/{name}"] = np.stack(labels.arrays()).astype(np.float32)
    facts = {
        "summary": summary.as_dict(),
        "records": tally.records,
        "read": tally.read,
        "scaffolds": dict(tally.scaffolds),
        "groups": dict(tally.groups),
    }
    arrays["smiles"], arrays["p1_smiles"] = np.array(tally.smiles), np.array(tally.p1_smiles)
    arrays["facts"] = np.array(json.dumps(facts))
    np.savez_compressed(path, **arrays)


def load(name: str) -> tuple[Tally, Summary]:
    """Reads a reference that ships, by its name in `STORED`."""
    with files("molgen.evaluate").joinpath(f"reference_{name}.npz").open("rb") as stream, np.load(stream) as archive:
        facts = json.loads(str(archive["facts"]))
        tally = Tally(f"{name} (stored)", real=True, records=facts["records"], read=facts["read"])
        for key in archive.files:
            what, _, rest = key.partition("/")
            if what == "histogram":
                family, _, kind = rest.partition("/")
                used, counts = archive[key]
                tally.histograms[family][kind] = np.zeros((1, DISTRIBUTIONS[family].grid.bins), np.int32)
                tally.histograms[family][kind][0, used] = counts
            elif what == "label":
                sizes, values = archive[key]
                tally.labels[rest] = Values(array("i", sizes.astype(int)), array("d", values))
        tally.smiles, tally.p1_smiles = (array("Q", archive[name].tobytes()) for name in ("smiles", "p1_smiles"))
    tally.scaffolds.update(facts["scaffolds"])
    tally.groups.update(facts["groups"])
    written = facts["summary"]
    summary = Summary(tally.name, written["records"], written["asked"], seconds=written["seconds"], reasons=written["reasons"])
    for metric, ends in written["metrics"].items():
        value, low, high = (float("nan") if ends[key] is None else float(ends[key]) for key in ("value", "low", "high"))
        summary.figures[metric] = Figure(value, low, high)
    return tally, summary
