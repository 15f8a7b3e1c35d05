"""One way to each property that can be requested: RDKit, GFN2-xTB, or the network that stands in for DFT.

Properties are computed from the molecule as it was generated, geometry included, never guessed from the request.
"""

from collections.abc import Collection

from molgen.molecules.metrics.conditional import MEASURED_BY
from molgen.molecules.metrics.validity import validity
from molgen.molecules.molecule import Molecule

BY_RDKIT, BY_XTB, BY_NETWORK = (
    {name for name, method in MEASURED_BY.items() if method == wanted} for wanted in ("RDKit", "GFN2-xTB", MEASURED_BY["homo_b3lyp"])
)


def measure(molecule: Molecule, names: Collection[str]) -> dict[str, float | str]:
    """Values of properties by name.

    Args:
        molecule: with bonds.
        names: of properties; those without a way to compute them are left out.

    Returns:
        The values that could be had (units in the functions that compute them), and `measure_reason`: why others are missing, "" if none.
    """
    verdict = validity(molecule)
    if not verdict["valid"]:
        return {"measure_reason": str(verdict["valid_reason"])}
    found: dict[str, float | str] = {}
    if BY_RDKIT & set(names):
        from molgen.molecules.metrics.descriptors import descriptors

        found |= descriptors(molecule.to_rdkit(sanitize=True))
    found |= slow_properties(molecule, names)
    reasons = [str(value) for name, value in found.items() if name.endswith("_reason") and value]
    return {name: found[name] for name in names if name in found} | {"measure_reason": reasons[0] if reasons else ""}


def slow_properties(molecule: Molecule, names: Collection[str]) -> dict[str, float | str]:
    """What `names` need of GFN2-xTB, where tblite is installed, and of the network; flat, with reasons."""
    found: dict[str, float | str] = {}
    if BY_XTB & set(names):
        from molgen.molecules.metrics.quantum import available, xtb_properties

        found |= xtb_properties(molecule) if available() else {"xtb_reason": "tblite is not installed"}
    if BY_NETWORK & set(names):
        from molgen.molecules.metrics.regressor import homo_b3lyp

        found |= homo_b3lyp(molecule)
    return found
