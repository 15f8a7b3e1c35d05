"""Which figures stand in which table, under which heading, in which unit. Protocols never share a table."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from molgen.evaluate.summary import Summary
from molgen.molecules.properties import PROPERTIES
from molgen.molecules.units import unit as property_unit


@dataclass(frozen=True)
class Column:
    """A figure in a table.

    Args:
        name: in `Summary.figures`.
        title: heading.
        unit: of what is shown; "%" shows a share times 100.
        digits: after the point; a share that is not quite 0 or 1 gets as many as tell so.
        better: "high", "low", or "" where neither is.
        meaning: one sentence.
    """

    name: str
    title: str
    unit: str = "%"
    digits: int = 1
    better: str = "high"
    meaning: str = ""

    @property
    def heading(self) -> str:
        """Title with unit."""
        return f"{self.title} ({self.unit})" if self.unit else self.title

    def parts(self, summary: Summary) -> tuple[str, str]:
        """Value and interval, "-" and "" where there is none."""
        figure = summary.figures.get(self.name)
        if figure is None or not np.isfinite(figure.value):
            return "-", ""
        scale = 100 if self.unit == "%" else 1
        digits = self._digits_of(figure.value)
        value, low, high = (f"{end * scale:.{digits}f}" for end in (figure.value, figure.low, figure.high))
        return value, f"[{low}, {high}]" if np.isfinite(figure.low) else ""

    def _digits_of(self, value: float) -> int:
        """Digits that show a value: more than usual for a share that is neither 0 nor 1 but would look so."""
        digits = self.digits
        while self.unit == "%" and 0 < value < 1 and float(f"{100 * value:.{digits}f}") in (0, 100):
            digits += 1
        return digits


@dataclass(frozen=True)
class Group:
    """A table.

    Args:
        title: with the protocol and its reference.
        columns: of the table.
        protocol: of stability by which its figures are, "" where they are by none.
    """

    title: str
    columns: tuple[Column, ...]
    protocol: str = ""

    @property
    def of_bonds(self) -> bool:
        """Whether the bonds of records count."""
        return self.protocol != "p1"

    def origin(self, row: Summary) -> str:
        """What there is to say of the bonds of a row, behind its name."""
        return "(bonds perceived)" if self.of_bonds and row.perceived else ""

    def shown(self, summaries: Sequence[Summary]) -> list[Column]:
        """Columns that have a figure in at least one row."""
        return [c for c in self.columns if any(c.name in s.figures and np.isfinite(s.figures[c.name].value) for s in summaries)]

    def rows(self, samples: Sequence[Summary], real: Summary | None) -> list[tuple[int, str, Summary]]:
        """Place among the samples, label and figures of each row; real molecules come first, at -1, where they have one of the columns."""
        rows = [(place, row.name, row) for place, row in enumerate(samples)]
        beside = real is not None and any(column.name in real.figures for column in self.shown(samples))
        return [(-1, f"real: {real.name}", real), *rows] if real is not None and beside else rows


GROUPS = (
    Group(
        "Strict, explicit bonds (P2s): shares of all samples asked for",
        (
            Column("p2s_atom", "atoms stable", digits=2, meaning="closed-shell valence for element and charge"),
            Column("p2s_stable", "molecules stable", meaning="all atoms stable, total charge zero, one fragment"),
            Column("valid", "valid", meaning="RDKit sanitises, no radicals, one fragment, zero net charge"),
            Column("valid_unique", "valid, unique", meaning="distinct SMILES"),
            Column("valid_unique_novel", "valid, unique, novel", meaning="distinct SMILES that are not in the training set"),
            Column("memorised", "in training set", better="", meaning="SMILES is in the training set"),
            Column("memorised_rmsd", "RMSD of those", "Å", 3, "", "heavy atoms, to the nearest training conformer, median of up to 200"),
        ),
        "p2s",
    ),
    Group(
        "Distance lookup (P1, EDM, arXiv 2203.17003): bonds from distances alone",
        (
            Column("p1_atom", "atoms stable", digits=2, meaning="bond orders sum to a valence of the neutral element"),
            Column("p1_stable", "molecules stable", meaning="all atoms stable"),
            Column("p1_valid", "valid", meaning="RDKit sanitises the looked-up bonds"),
            Column("p1_valid_unique", "valid, unique", meaning="distinct SMILES of the largest fragment"),
            Column("p1_valid_unique_novel", "valid, unique, novel", meaning="distinct SMILES that are not in the training set"),
        ),
        "p1",
    ),
    Group(
        "Lenient, explicit bonds (P2, after MiDi, arXiv 2302.09048): open-shell C and N, ions and pieces pass, only for comparison",
        (
            Column("p2_atom", "atoms stable", digits=2, meaning="as P2s with C 0:{3,4}, N 0:{2,3}, N +1:{2,3,4}"),
            Column("p2_stable", "molecules stable", meaning="all atoms stable, whatever the total charge and the number of fragments"),
            Column("sanitizes", "RDKit sanitises", meaning="the usual, weaker validity"),
        ),
        "p2",
    ),
    Group(
        "Geometry: shares of all samples asked for",
        (
            Column(
                "geometry",
                "plausible",
                meaning="nothing collapsed, clashing, crossing or threaded; bonds and angles in wide bounds",
            ),
            Column(
                "agreement",
                "bonds fit geometry",
                meaning="bonds perceived from the geometry are the model's bonds; of the samples that do not lack theirs",
            ),
            Column("posebusters", "PoseBusters", meaning="all checks of the preset mol_fast, 10.1039/D3SC04185A"),
        ),
    ),
    Group(
        "Distances to real molecules (1-Wasserstein; total variation for types); the real row: two halves of the real molecules",
        (
            Column("bond_lengths_w1", "bond lengths", "Å", 4, "low", "mean over kinds of bonds, weighted as in the real molecules"),
            Column("bond_angles_w1", "bond angles", "°", 2, "low", "by central element"),
            Column("torsions_w1", "torsions", "°", 2, "low", "of four heavy atoms, by central bond"),
            Column("valences_w1", "valences", "", 4, "low", "by element and charge"),
            Column("ring_sizes_w1", "ring sizes", "atoms", 3, "low"),
            Column("atoms_w1", "size", "atoms", 2, "low", "of all records that hold a molecule; other distances are of valid ones"),
            Column("mw_w1", "weight", property_unit("mw"), 2, "low"),
            Column("atom_types_tv", "atom types", "", 4, "low", "elements with charges"),
            Column("bond_types_tv", "bond types", "", 4, "low", "elements with order"),
            Column("fcd", "FCD", "", 2, "low", "Fréchet ChemNet distance, 10.1021/acs.jcim.8b00234; shrinks with the number of molecules"),
            Column("mmff_drop_w1", "MMFF94 drop", "kcal/mol", 2, "low"),
        ),
    ),
    Group(
        "Relaxation: medians of valid molecules",
        (
            Column("mmff_drop", "MMFF94 energy drop", "kcal/mol", 2, "low", "Halgren 1996, Merck molecular force field I"),
            Column("mmff_rmsd", "MMFF94 RMSD", "Å", 3, "low"),
            Column("mmff_bond_change", "MMFF94 bonds, mean", "Å", 4, "low"),
            Column("mmff_angle_change", "MMFF94 angles, mean", "°", 2, "low"),
            Column("mmff_torsion_change", "MMFF94 torsions, mean", "°", 2, "low"),
            Column("xtb_drop", "GFN2-xTB energy drop", "kcal/mol", 2, "low", "10.1021/acs.jctc.8b01176"),
            Column("xtb_rmsd", "GFN2-xTB RMSD", "Å", 3, "low"),
            Column("xtb_bond_change", "GFN2-xTB bonds, mean", "Å", 4, "low"),
            Column("xtb_angle_change", "GFN2-xTB angles, mean", "°", 2, "low"),
            Column("xtb_torsion_change", "GFN2-xTB torsions, mean", "°", 2, "low"),
        ),
    ),
    Group(
        "For chemists: means of valid molecules",
        (
            Column("qed", "QED", "", 3, "", "drug-likeness, 10.1038/nchem.1243"),
            Column("sa", "SA", "", 2, "", "synthetic accessibility, 1 easy to 10 hard, 10.1186/1758-2946-1-8"),
            Column("logp", "logP", "", 2, "", "10.1021/ci990307l"),
            Column("tpsa", "TPSA", property_unit("tpsa"), 1, "", "10.1021/jm000942e"),
            Column("mw", "weight", property_unit("mw"), 1, ""),
            Column("rings", "rings", "", 2, ""),
            Column("aromatic_rings", "aromatic", "", 2, ""),
            Column("stereocentres", "stereocentres", "", 2, ""),
            Column("no_alerts", "no alerts", better="", meaning="no match in the Brenk and PAINS catalogues"),
        ),
    ),
    Group(
        "Coverage of the real molecules; the real row: one half of them by the other",
        (
            Column("scaffolds_covered", "scaffolds", meaning="share of the real molecules' scaffolds that samples show"),
            Column("scaffolds_weighted", "scaffolds, weighted", meaning="share of real molecules with rings whose scaffold samples show"),
            Column("groups_covered", "functional groups", meaning="share of the real molecules' functional groups that samples show"),
        ),
    ),
)


def request_groups(summary: Summary) -> list[Group]:
    """One table for each requested property."""
    names = sorted({name.rpartition(":")[0] for name in summary.figures if ":" in name})  # of tags, which may hold a colon
    groups = []
    for name in names:
        unit = property_unit(name)
        columns = (
            Column(f"{name}:mae", "mean absolute error", unit, 3, "low"),
            Column(f"{name}:size_only", "size-only baseline", unit, 3, "", "error of the mean of real molecules of the same size"),
            Column(f"{name}:real_molecules", "real molecules of the size", unit, 3, "", "error of a real molecule drawn for its size"),
            Column(f"{name}:unconditional", "unconditional samples", unit, 3, "", "error of the --baseline samples of the same size"),
            Column(f"{name}:bias", "bias", unit, 3, ""),
            Column(f"{name}:correlation", "correlation", "", 3),
            Column(f"{name}:not_measured", "not measured", better="low"),
        )
        method = PROPERTIES[name].method if name in PROPERTIES else "nothing: what the records predict"
        groups.append(Group(f"Requested {name}, measured by {method}", columns))
    return groups
