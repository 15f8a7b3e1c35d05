"""What a medicinal chemist looks at: drug-likeness, synthesis, lipophilicity, polar surface, rings, stereo, structural alerts.

References: those of `molgen.molecules.prepare.compute`; Brenk et al. 2008, 10.1002/cmdc.200700139 and Baell and Holloway 2010,
10.1021/jm901137j (PAINS), structural alerts as in RDKit's filter catalogues; Bemis and Murcko 1996, 10.1021/jm9602928 (scaffolds).
"""

from rdkit import Chem, rdBase
from rdkit.Chem import Fragments
from rdkit.Chem.Scaffolds import MurckoScaffold

from molgen.molecules.metrics.validity import heavy
from molgen.molecules.patterns import catalogue
from molgen.molecules.prepare.compute import COMPUTED, compute, sa_score

_GROUPS = tuple(sorted(name for name in dir(Fragments) if name.startswith("fr_")))


def descriptors(mol: Chem.Mol) -> dict[str, float]:
    """Chemists' descriptors of a sanitised molecule, with or without explicit hydrogens.

    Returns:
        What `compute` computes, by name (`sa` is absent without heavy atoms, and where RDKit comes without its folder Contrib), and
        `largest_ring` (atoms) and `alerts` (number of matches).
    """
    with rdBase.BlockLogs():
        bare = heavy(mol)
        scored = sa_score() is not None and bare.GetNumHeavyAtoms() > 0
        names = tuple(name for name in COMPUTED if name != "sa" or scored)
        return dict(zip(names, compute(bare, names), strict=True)) | {
            "largest_ring": float(max(ring_sizes(bare), default=0)),
            "alerts": float(len(catalogue("brenk", "pains").GetMatches(bare))),
        }


def ring_sizes(mol: Chem.Mol) -> list[int]:
    """Sizes of the smallest set of smallest rings of a sanitised molecule."""
    return [len(ring) for ring in mol.GetRingInfo().AtomRings()]


def scaffold(mol: Chem.Mol) -> str:
    """Canonical SMILES of the Bemis-Murcko scaffold (rings and what links them), "" for a molecule without rings."""
    with rdBase.BlockLogs():
        flat = heavy(mol)
        Chem.RemoveStereochemistry(flat)
        return Chem.MolToSmiles(MurckoScaffold.GetScaffoldForMol(flat), isomericSmiles=False)


def functional_groups(mol: Chem.Mol) -> list[str]:
    """Names of the functional groups that occur, as RDKit's `fr_` descriptors define them, without the prefix."""
    bare = heavy(mol)
    return [name.removeprefix("fr_") for name in _GROUPS if getattr(Fragments, name)(bare)]
