"""Numbers of things in words."""


def counted(number: int, noun: str) -> str:
    """``1 molecule``, ``2,000 molecules``: a number and a noun whose plural ends in s."""
    return f"{number:,} {noun}{'s' * (number != 1)}"
