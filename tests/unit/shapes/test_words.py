import pytest

from molgen.shapes.words import class_meant, names_another, split_denials


@pytest.mark.parametrize(
    ("text", "denials", "rest"),
    [
        ("a chair", [], ["a", "chair"]),
        ("an armless couch", [("without", ["arm"])], ["an", "couch"]),
        ("a chair that is not tall", [("not", ["tall"])], ["a", "chair", "that", "is"]),
        ("no arms and back", [("no", ["arms"]), ("no", ["back"])], []),
        ("without arms, legs or a round back", [("without", ["arms"]), ("without", ["legs"]), ("without", ["round", "back"])], []),
        ("without a back and 4 legs", [("without", ["back"])], ["and", "four", "legs"]),
        ("no arms, with a back", [("no", ["arms"])], ["with", "a", "back"]),
        ("no arms, backless", [("no", ["arms"]), ("without", ["back"])], []),
        ("a rocket without", [("without", [])], ["a", "rocket"]),
    ],
)
def test_what_a_text_denies_is_told_from_what_it_asks_for(text, denials, rest):
    assert split_denials(text) == (denials, rest)


@pytest.mark.parametrize(
    ("name", "meant"), [("couch", "sofa"), ("Chairs", "chair"), ("shelves", "shelf"), ("Airplane", "plane"), ("cups", ""), ("zebra", "")]
)
def test_classes_are_found_by_other_names(name, meant):
    assert class_meant(name, ("chair", "plane", "shelf", "sofa")) == meant


@pytest.mark.parametrize(
    ("text", "category", "other"),
    [
        ("a mug", "chair", "mug"),
        ("two Mugs", "Chair", "mug"),
        ("a picnic table", "chair", "table"),
        ("a chair", "chair", ""),
        ("a table lamp", "lamp", ""),
        ("a lorry with an open bed", "truck", ""),
        ("something round", "chair", ""),
        ("a kitchen", "kitchen chair", ""),
    ],
)
def test_a_text_names_another_class_where_it_names_that_alone(text, category, other):
    assert names_another(text, category, ("bed", "chair", "lamp", "mug", "table", "truck", "kitchen chair", "...")) == other
