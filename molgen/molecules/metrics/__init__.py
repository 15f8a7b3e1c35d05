"""Metrics of molecules: pure functions from a molecule (or a set) to a flat dict, importable one by one.

A molecule that breaks a check gets a reason under the key `<check>_reason`, never an exception.
"""
