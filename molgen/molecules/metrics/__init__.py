"""Metrics of molecules: pure functions from a molecule (or a set) to a flat dict, importable one by one.

A molecule that breaks a check gets a reason under the key `<check>_reason`, never an exception. Nothing is imported here, so that the
numpy-only metrics stay free of RDKit.

Example:
    >>> from molgen.molecules.metrics.stability import distance_lookup, strict
    >>> from molgen.molecules.metrics.validity import validity
"""
