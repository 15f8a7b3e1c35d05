"""What errors say about an unknown name."""

import pytest

from molgen.errors import nearest, suggest


@pytest.mark.parametrize(
    ("name", "known", "words"),
    [
        ("chairs", ["chair", "table"], "did you mean chair?"),
        ("CHAIRS", ["Chair", "Table"], "did you mean Chair?"),
        ("pic50", ["pIC50", "pIC51", "logp"], "did you mean pIC50 or pIC51?"),
        ("xyzzy", ["chair", "table", "mug"], "known are chair, table, mug"),
        ("xyzzy", [], "none is known"),
    ],
)
def test_the_nearest_known_names_are_offered_or_all(name, known, words):
    assert suggest(name, known) == words


def test_no_more_names_than_asked_for_come_back():
    assert nearest("leg", ["legs", "Leg", "lego"], 1) == ["Leg"]
    assert nearest("leg", ["mug"]) == []
