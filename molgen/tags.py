"""Names of the tags that records of samples carry beside those of their data."""

FOUND = ("index", "passed", "smiles")
"""Tags that tell what was drawn, beside those of measured properties; all others tell what was asked for."""

REQUESTED = "requested_"
"""What the tags of requested properties begin with."""

MEASURED = "measured_"
"""What the tags of properties that were measured on the sample begin with."""
