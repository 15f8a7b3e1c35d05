"""What a medicinal chemist looks at: drug-likeness, synthesis, lipophilicity, polar surface, rings, stereo, structural alerts.

References: Bickerton et al. 2012, Quantifying the chemical beauty of drugs, 10.1038/nchem.1243 (QED); Ertl and Schuffenhauer
2009, Estimation of synthetic accessibility score, 10.1186/1758-2946-1-8 (SA, 1 easy to 10 hard); Wildman and Crippen 1999,
10.1021/ci990307l (logP); Ertl et al. 2000, 10.1021/jm000942e (TPSA); Brenk et al. 2008, 10.1002/cmdc.200700139 and Baell and
Holloway 2010, 10.1021/jm901137j (PAINS), structural alerts as in RDKit's filter catalogues; Bemis and Murcko 1996,
10.1021/jm9602928 (scaffolds).
"""

import importlib
from functools import cache
from types import ModuleType

from rdkit import Chem, rdBase
from rdkit.Chem import QED, Fragments, rdMolDescriptors
from rdkit.Chem.FilterCatalog import FilterCatalog, FilterCatalogParams
from rdkit.Chem.Scaffolds import MurckoScaffold

_GROUPS = tuple(sorted(name for name in dir(Fragments) if name.startswith("fr_")))


def descriptors(mol: Chem.Mol) -> dict[str, float | int | str]:
    """Chemists' descriptors of a sanitised molecule, with or without explicit hydrogens.

    Returns:
        `weight` (Da), `heavy_atoms`, `qed` (0 to 1), `sa` (1 to 10; absent where RDKit comes without its Contrib folder), `logp`,
        `tpsa` (Å²), `rings`, `aromatic_rings`, `largest_ring` (atoms), `rotatable_bonds`, `donors`, `acceptors`, `fraction_csp3`,
        `stereocentres` (assigned or not), `alerts` (number of matches) and `alert` (name of the first, "" if none).
    """
    with rdBase.BlockLogs():
        bare = Chem.RemoveHs(mol)
        rings = [len(ring) for ring in bare.GetRingInfo().AtomRings()]
        matches = [match.GetDescription() for match in _alerts().GetMatches(bare)]
        shared = QED.properties(bare)
        result: dict[str, float | int | str] = {
            "weight": float(shared.MW),
            "heavy_atoms": bare.GetNumHeavyAtoms(),
            "qed": float(QED.qed(bare, qedProperties=shared)),
            "logp": float(shared.ALOGP),
            "tpsa": rdMolDescriptors.CalcTPSA(bare),
            "rings": len(rings),
            "aromatic_rings": rdMolDescriptors.CalcNumAromaticRings(bare),
            "largest_ring": max(rings, default=0),
            "rotatable_bonds": rdMolDescriptors.CalcNumRotatableBonds(bare),
            "donors": rdMolDescriptors.CalcNumHBD(bare),
            "acceptors": rdMolDescriptors.CalcNumHBA(bare),
            "fraction_csp3": rdMolDescriptors.CalcFractionCSP3(bare),
            "stereocentres": len(Chem.FindMolChiralCenters(bare, includeUnassigned=True, useLegacyImplementation=False)),
            "alerts": len(matches),
            "alert": matches[0] if matches else "",
        }
        scorer = _synthetic_accessibility()
        if scorer is not None and bare.GetNumHeavyAtoms() > 0:
            result["sa"] = float(scorer.calculateScore(bare))
    return result


def ring_sizes(mol: Chem.Mol) -> list[int]:
    """Sizes of the smallest set of smallest rings of a sanitised molecule."""
    return [len(ring) for ring in mol.GetRingInfo().AtomRings()]


def scaffold(mol: Chem.Mol) -> str:
    """Canonical SMILES of the Bemis-Murcko scaffold (rings and what links them), "" for a molecule without rings."""
    with rdBase.BlockLogs():
        flat = Chem.RemoveHs(mol)
        Chem.RemoveStereochemistry(flat)
        return Chem.MolToSmiles(MurckoScaffold.GetScaffoldForMol(flat), isomericSmiles=False)


def functional_groups(mol: Chem.Mol) -> list[str]:
    """Names of the functional groups that occur, as RDKit's `fr_` descriptors define them, without the prefix."""
    bare = Chem.RemoveHs(mol)
    return [name.removeprefix("fr_") for name in _GROUPS if getattr(Fragments, name)(bare)]


@cache
def _alerts() -> FilterCatalog:
    parameters = FilterCatalogParams()
    parameters.AddCatalog(FilterCatalogParams.FilterCatalogs.BRENK)
    parameters.AddCatalog(FilterCatalogParams.FilterCatalogs.PAINS)
    return FilterCatalog(parameters)


@cache
def _synthetic_accessibility() -> ModuleType | None:
    """RDKit's own implementation of the SA score, part of its wheels and conda packages."""
    try:
        return importlib.import_module("rdkit.Contrib.SA_Score.sascorer")
    except ImportError:
        return None
