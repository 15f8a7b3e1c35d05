"""Molecules: fields, data, bonds, decoding, metrics and files."""
