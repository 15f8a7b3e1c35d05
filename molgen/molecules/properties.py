"""Properties that molgen measures on a finished molecule: one table of their names, units and methods, free of RDKit.

A name means the same in labels of data sets, requests, filters, targets, reports and figures. What RDKit computes is defined in
`molgen.molecules.prepare.compute`, the others in `quantum`, `relaxation` and `regressor` of `molgen.molecules.metrics`.
"""

from dataclasses import dataclass
from enum import StrEnum


class Method(StrEnum):
    """By what a property is measured, as reports say it."""

    RDKIT = "RDKit"
    XTB = "GFN2-xTB"
    MMFF = "MMFF94"
    NETWORK = "a network trained on half of QM9"


@dataclass(frozen=True)
class Property:
    """A property that is measured.

    Args:
        name: everywhere.
        method: that measures it: from the graph by RDKit, from the geometry by the others.
        unit: of its values; empty where they have none.
        count: whether it is a whole number.
        stereo: whether it hangs on stereo.
    """

    name: str
    method: Method
    unit: str = ""
    count: bool = False
    stereo: bool = False


PROPERTIES = {
    known.name: known
    for known in (
        Property("logp", Method.RDKIT),
        Property("qed", Method.RDKIT),
        Property("tpsa", Method.RDKIT, "Å^2"),
        Property("mw", Method.RDKIT, "g/mol"),
        Property("sa", Method.RDKIT, stereo=True),  # ring centres that depend on each other are centres to the score only with stereo
        Property("heavy", Method.RDKIT, count=True),
        Property("rotatable", Method.RDKIT, count=True),
        Property("rings", Method.RDKIT, count=True),
        Property("donors", Method.RDKIT, count=True),
        Property("acceptors", Method.RDKIT, count=True),
        Property("nhoh_count", Method.RDKIT, count=True),
        Property("no_count", Method.RDKIT, count=True),
        Property("fsp3", Method.RDKIT),
        Property("aromatic_rings", Method.RDKIT, count=True),
        Property("stereocentres", Method.RDKIT, count=True, stereo=True),  # some hang on the stereo of others
        Property("gap_xtb", Method.XTB, "eV"),
        Property("dipole_xtb", Method.XTB, "D"),
        Property("homo_xtb", Method.XTB, "eV"),
        Property("lumo_xtb", Method.XTB, "eV"),
        Property("energy_xtb", Method.XTB, "Hartree"),
        Property("strain_mmff", Method.MMFF, "kcal/mol"),
        Property("homo_b3lyp", Method.NETWORK, "eV"),
    )
}
"""By name."""


def measured_by(method: Method) -> tuple[str, ...]:
    """Names of the properties that a method measures."""
    return tuple(name for name, known in PROPERTIES.items() if known.method == method)
