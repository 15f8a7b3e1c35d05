"""Labels computed from the molecular graph with RDKit.

Their units stand in `molgen.molecules.properties`.

| name | quantity | reference |
|---|---|---|
| logp | Crippen octanol-water partition coefficient | Wildman and Crippen 1999, 10.1021/ci990307l |
| qed | quantitative estimate of drug-likeness, 0 to 1 | Bickerton et al. 2012, 10.1038/nchem.1243 |
| tpsa | topological polar surface area | Ertl et al. 2000, 10.1021/jm000942e |
| mw | molecular weight | |
| sa | synthetic accessibility, 1 (easy) to 10 (hard) | Ertl and Schuffenhauer 2009, 10.1186/1758-2946-1-8 |
| heavy | number of heavy atoms | |
| rotatable, rings, donors, acceptors | counts as RDKit defines them | |
| nhoh_count, no_count | N-H and O-H bonds, N and O atoms | Lipinski et al. 1997, 10.1016/S0169-409X(96)00423-1 |
| fsp3 | fraction of carbons that are sp3 | Lovering et al. 2009, 10.1021/jm901241e |
| aromatic_rings | aromatic rings as RDKit counts them | |
| stereocentres | tetrahedral stereocentres, assigned or not | |
"""

from collections.abc import Callable
from functools import cache
from importlib import import_module

from rdkit import Chem
from rdkit.Chem import QED, rdMolDescriptors

from molgen.errors import InputError
from molgen.molecules.properties import PROPERTIES


@cache
def sa_score() -> Callable[[Chem.Mol], float] | None:
    """RDKit's own implementation of the SA score, part of its wheels and conda packages; None where its folder Contrib is missing."""
    try:
        return import_module("rdkit.Contrib.SA_Score.sascorer").calculateScore
    except ImportError:
        return None


def _sa(mol: Chem.Mol) -> float:
    score = sa_score()
    if score is None:
        raise InputError("sa: RDKit is installed without its folder Contrib, which has the score; pip install rdkit")
    return score(mol)


COMPUTED: dict[str, Callable[[Chem.Mol], float]] = {
    "logp": lambda mol: rdMolDescriptors.CalcCrippenDescriptors(mol)[0],
    "qed": QED.qed,
    "tpsa": rdMolDescriptors.CalcTPSA,
    "mw": rdMolDescriptors._CalcMolWt,
    "sa": _sa,
    "heavy": lambda mol: mol.GetNumHeavyAtoms(),
    "rotatable": rdMolDescriptors.CalcNumRotatableBonds,
    "rings": rdMolDescriptors.CalcNumRings,
    "donors": rdMolDescriptors.CalcNumHBD,
    "acceptors": rdMolDescriptors.CalcNumHBA,
    "nhoh_count": rdMolDescriptors.CalcNumLipinskiHBD,
    "no_count": rdMolDescriptors.CalcNumLipinskiHBA,
    "fsp3": rdMolDescriptors.CalcFractionCSP3,
    "aromatic_rings": rdMolDescriptors.CalcNumAromaticRings,
    "stereocentres": lambda mol: len(Chem.FindMolChiralCenters(mol, includeUnassigned=True, useLegacyImplementation=False)),
}
"""Those of `PROPERTIES` that RDKit measures."""
STEREO = frozenset(name for name in COMPUTED if PROPERTIES[name].stereo)
"""Those of them that hang on stereo."""


def compute(mol: Chem.Mol, names: tuple[str, ...]) -> list[float]:
    """Computed labels of a sanitised molecule whose hydrogens are implicit, in the order of `names`."""
    if "logp" not in names or "qed" not in names:
        return [float(COMPUTED[name](mol)) for name in names]
    shared = QED.properties(mol)  # logp is one of the eight properties that qed weighs: compute it once
    known = {"logp": shared.ALOGP, "qed": QED.qed(mol, qedProperties=shared)}
    return [float(known[name] if name in known else COMPUTED[name](mol)) for name in names]
