"""PoseBusters' checks of a single molecule, through the optional package posebusters.

Its preset `mol_fast`: sanitisation, InChI, one fragment, no radicals, bond lengths and angles within bounds of distance
geometry, no internal clash, flat aromatic rings and double bonds, other six-membered rings not flat; without the energy test against 50
conformers of the preset `mol`, which takes about 30 times as long.

Reference: Buttenschoen, Morris and Deane 2024, PoseBusters, 10.1039/D3SC04185A.
"""

import logging
import warnings
from functools import cache
from typing import Any

from rdkit import rdBase

from molgen.molecules.molecule import Molecule


def posebusters(molecule: Molecule) -> dict[str, bool | str]:
    """Runs PoseBusters' checks.

    Args:
        molecule: with bonds.

    Returns:
        `posebusters` (all checks passed) and `posebusters_reason`: the first failed check, "" if none.
    """
    with warnings.catch_warnings(), rdBase.BlockLogs():
        warnings.simplefilter("ignore")
        try:
            table = _busters().bust(mol_pred=[molecule.to_rdkit()])
        except Exception as error:  # whatever a check raises on a broken molecule is that molecule's failure
            return {"posebusters": False, "posebusters_reason": f"check raised {type(error).__name__}"}
    checks = table.iloc[0].to_dict()
    failed = [name for name, passed in checks.items() if passed is not None and passed == passed and not passed]
    return {"posebusters": not failed, "posebusters_reason": str(failed[0]).replace("_", " ") if failed else ""}


@cache
def _busters() -> Any:
    from posebusters import PoseBusters

    logging.getLogger("posebusters").setLevel(logging.CRITICAL)
    return PoseBusters(config="mol_fast", max_workers=0)
