"""Properties that take more than a molecular graph, each by its own method: GFN2-xTB, MMFF94, or the network that stands in for DFT."""

from collections.abc import Collection

from molgen.molecules.molecule import Molecule
from molgen.molecules.properties import PROPERTIES, Method


def slow_properties(molecule: Molecule, names: Collection[str]) -> dict[str, float | str]:
    """What `names` need of GFN2-xTB and of the network, with all that the same computation gives.

    Args:
        molecule: a valid one; its geometry is taken as it stands.
        names: of properties; others are left out.

    Returns:
        Values by name, `xtb_reason`, `strain_mmff_reason` and `homo_b3lyp_reason` where that method ran: "" on success.
    """
    found: dict[str, float | str] = {}
    methods = {PROPERTIES[name].method for name in names if name in PROPERTIES}
    if Method.XTB in methods:
        from molgen.molecules.metrics.quantum import available, xtb_properties

        found |= xtb_properties(molecule) if available() else {"xtb_reason": "tblite is not installed"}
    if Method.MMFF in methods:
        from molgen.molecules.metrics.relaxation import strain_mmff

        found |= strain_mmff(molecule)
    if Method.NETWORK in methods:
        from molgen.molecules.metrics.regressor import homo_b3lyp

        found |= homo_b3lyp(molecule)
    return found
