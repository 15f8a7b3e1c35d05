"""What is kept of a set as a distribution: one entry tells its bins, its distance to real molecules, its plots, and what stands for it.

An entry is all that a new distribution needs, beside the value in `Scores.values` or the values in `Scores.kinds`; tables show its
figures where `molgen.evaluate.tables` has a column for them.
"""

from dataclasses import dataclass
from typing import Literal

from molgen.molecules.metrics.distances import Grid
from molgen.molecules.units import unit


@dataclass(frozen=True)
class Distribution:
    """How a distribution is kept and what is made of it.

    Args:
        grid: its bins.
        distance: to real molecules: 1-Wasserstein, total variation between the counts of kinds, or none.
        title: of its plots; "" where none is drawn.
        by_kind: values are pooled by kind.
        drawn: kinds to draw, the most frequent first.
        median: stands for the set instead of the mean, which a single broken molecule moves.
    """

    grid: Grid
    distance: Literal["w1", "tv", ""] = ""
    title: str = ""
    by_kind: bool = False
    drawn: int = 1
    median: bool = False


DISTRIBUTIONS = {
    "bond_lengths": Distribution(Grid(0.5, 3.0, 0.002, "Å"), "w1", "Bond length", by_kind=True, drawn=9),
    "bond_angles": Distribution(Grid(0.0, 180.0, 0.25, "°"), "w1", "Angle at", by_kind=True, drawn=4),
    "torsions": Distribution(Grid(0.0, 180.0, 1.0, "°"), "w1", "Torsion", by_kind=True, drawn=4),
    "valences": Distribution(Grid(-0.5, 9.5, 1.0), "w1", by_kind=True),
    "ring_sizes": Distribution(Grid(2.5, 60.5, 1.0), "w1", "Ring size"),
    "atom_types": Distribution(Grid(-1.0, 1.0, 2.0), "tv", by_kind=True),
    "bond_types": Distribution(Grid(-1.0, 1.0, 2.0), "tv", by_kind=True),
    "atoms": Distribution(Grid(-0.5, 999.5, 1.0), "w1", "Atoms"),
    "mw": Distribution(Grid(0.0, 2000.0, 1.0, unit("mw")), "w1", "Weight"),
    "qed": Distribution(Grid(0.0, 1.0, 0.005), "w1", "QED"),
    "sa": Distribution(Grid(1.0, 10.0, 0.05), "", "Synthetic accessibility"),
    "logp": Distribution(Grid(-10.0, 15.0, 0.1), "w1", "logP"),
    "tpsa": Distribution(Grid(0.0, 300.0, 1.0, unit("tpsa")), "", "TPSA"),
    "closest_contact": Distribution(Grid(0.0, 1.5, 0.005), "", "Closest contact / van der Waals"),
    "mmff_drop": Distribution(Grid(0.0, 500.0, 0.1, "kcal/mol"), "w1", "MMFF94 energy drop", median=True),
    "mmff_rmsd": Distribution(Grid(0.0, 4.0, 0.005, "Å"), "", "MMFF94 RMSD", median=True),
    "xtb_drop": Distribution(Grid(0.0, 500.0, 0.1, "kcal/mol"), "w1", "GFN2-xTB energy drop", median=True),
    "xtb_rmsd": Distribution(Grid(0.0, 4.0, 0.005, "Å"), "", "GFN2-xTB RMSD", median=True),
    "gap_xtb": Distribution(Grid(0.0, 25.0, 0.05, unit("gap_xtb")), "", "GFN2-xTB gap"),
    "dipole_xtb": Distribution(Grid(0.0, 20.0, 0.05, unit("dipole_xtb")), "", "GFN2-xTB dipole"),
}
"""By name, in the order of the plots; numbers that are not here are kept as sums.

Stored references count from the lower ends of these grids: move an upper end alone, or store them anew.
"""
