"""Does the model reach everything that real molecules show: their scaffolds and functional groups?

References: Bemis and Murcko 1996, The properties of known drugs 1, 10.1021/jm9602928 (scaffolds); Polykovskiy et al. 2020, MOSES,
10.3389/fphar.2020.565644 (comparing scaffolds of sets).
"""

from collections.abc import Iterable, Mapping


def coverage(found: Mapping[str, int] | Iterable[str], held_out: Mapping[str, int]) -> dict[str, float]:
    """How much of a held-out set's kinds (scaffolds, functional groups) occurs among samples.

    Args:
        found: kinds that occur among the samples.
        held_out: number of held-out molecules that show each kind.

    Returns:
        `covered` share of the held-out kinds, `weighted` share of held-out occurrences whose kind is covered.
    """
    seen = set(found)
    total = sum(held_out.values())
    common = [kind for kind in held_out if kind in seen]
    return {
        "covered": len(common) / len(held_out) if held_out else 0.0,
        "weighted": sum(held_out[kind] for kind in common) / total if total else 0.0,
    }
