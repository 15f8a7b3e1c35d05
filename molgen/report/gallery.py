"""Molecules as data for the gallery of a page: drawing, record, numbers and verdicts."""

import json
import math
from typing import Any

from molgen.evaluate.score import Scores
from molgen.molecules.drawing import draw
from molgen.molecules.molecule import Molecule
from molgen.molecules.records import write_sdf_record

_HIDDEN = ("p1_atoms", "p1_stable_atoms", "p2s_atoms", "p2s_stable_atoms", "p2_atoms", "p2_stable_atoms", "perceived")
CHECKS = ("valid", "p2s", "p1", "geometry", "posebusters")
"""Checks whose verdict a card shows."""


def gallery_data(kept: list[Scores]) -> str:
    """JSON of the molecules, safe inside a `<script>` element."""
    entries = [entry(scores, scores.molecule, number) for number, scores in enumerate(kept, 1) if scores.molecule is not None]
    return json.dumps(entries, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def entry(scores: Scores, molecule: Molecule, number: int) -> dict[str, Any]:
    """What the page knows about one molecule.

    Args:
        scores: of the molecule.
        molecule: itself.
        number: of its record, from 1.
    """
    values: dict[str, float | str] = {}
    for name, value in [*molecule.properties.items(), *scores.values.items()]:
        if name == "title" or name in _HIDDEN:
            continue
        if isinstance(value, bool) or (isinstance(value, float) and not math.isfinite(value)):
            values[name] = str(value).lower()
        else:
            values[name] = float(f"{value:.6g}") if isinstance(value, float) else value
    verdicts = {check: scores.passed.get(check, scores.passed.get(f"{check}_stable")) for check in CHECKS}
    return {
        "number": number,
        "title": str(molecule.properties.get("title", "")),
        "smiles": scores.labels.get("smiles", ""),
        "svg": draw(molecule),
        "sdf": write_sdf_record(molecule),
        "values": values,
        "passed": {check: verdict for check, verdict in verdicts.items() if verdict is not None},
        "reasons": scores.reasons,
    }
