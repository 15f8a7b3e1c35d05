"""Captions as vectors: offline, forgiving of endings, strict about words that no caption has; stored vectors are those of the captions."""

import logging
import socket
import sys

import numpy as np
import pytest

from molgen.errors import InputError
from molgen.shapes import text
from molgen.shapes.data import PackedShapes
from molgen.shapes.prepare import open_source, prepare
from molgen.shapes.text import WIDTH, TextStatistics, embed
from molgen.shapes.words import split_words

CAPTIONS = ["a low table with four legs", "a couch that has rolled arms", "", "a slatted rocket without wings"]


def cosine(first: str, second: str) -> float:
    a, b = embed([first, second]).astype(float)
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_the_encoder_needs_no_network_and_leaves_logging_alone(monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    text._encoder.cache_clear()
    root = logging.getLogger()
    before = root.level, list(root.handlers)
    vectors = embed(CAPTIONS)
    assert (root.level, list(root.handlers)) == before
    assert vectors.shape == (4, 256)
    assert np.isnan(vectors).all(1).tolist() == [False, False, True, False]


def test_shapes_without_a_caption_do_not_count():
    vectors = np.stack([np.full(WIDTH, value, np.float32) for value in (1, np.nan, 4)])
    found = TextStatistics.of(["a low table", "", "a table"], vectors)
    assert (set(found.mean), set(found.std), found.words) == ({2.5}, {1.5}, ("a", "low", "table"))


def test_words_that_mean_the_same_lie_closer():
    assert cosine("couch", "sofa") > cosine("couch", "rocket") + 0.2
    assert cosine("A LOW  table, with 4 legs!", "a low table with four legs") == pytest.approx(1)


def test_endings_digits_and_stop_words_are_forgiven():
    vectors = embed(CAPTIONS)
    known = TextStatistics.of(CAPTIONS, vectors)
    assert known.words == tuple(sorted({word for caption in CAPTIONS for word in caption.split()}))
    np.testing.assert_allclose(known.mean, vectors[[0, 1, 3]].mean(0), atol=1e-5)
    np.testing.assert_allclose(known.std, vectors[[0, 1, 3]].std(0), atol=1e-5)
    assert split_words("4-legged Tables") == ["four", "legged", "tables"]
    np.testing.assert_allclose(known.encode("please, a low Table, 4 legs"), embed(["a low table four legs"])[0])


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("a 4-legged Table", "a table with four legs"),
        ("an armless couch", "without arms couch"),
        ("a legless table", "a without legs table"),
        ("a couch with no arm", "a couch with without arms"),
        ("slatted tables", "slatted table"),
        ("a wing rocket", "a wings rocket"),
        ("a rolling rocket", "a rolled rocket"),
        ("a bold backless bench", "a bold without back bench"),
    ],
)
def test_words_are_put_as_captions_have_them(asked, said):
    captions = [*CAPTIONS, "a bold bench with a back", "a backed bench"]
    known = TextStatistics.of(captions, embed(captions))
    np.testing.assert_allclose(known.encode(asked), embed([said])[0])


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("shelves", "shelf"),
        ("barstools", "tall stool"),
        ("aeroplanes", "plane"),
        ("a sailboat", "a sailing boat"),
    ],
)
def test_irregular_plurals_and_compounds_are_put_as_captions_have_them(asked, said):
    captions = ["a shelf", "a tall stool", "a plane", "a sailing boat"]
    known = TextStatistics.of(captions, embed(captions))
    np.testing.assert_allclose(known.encode(asked), embed([said])[0])
    with pytest.raises(InputError, match="no caption of the training data has 'automobile'"):
        known.encode("an automobile")  # nor has one "car"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("not a chair", "'not chair' cannot be asked for, .*and chair is a class; name the class that is wanted"),
        ("a table, not a couch", "'not couch' cannot be asked for, .*and sofa is a class"),
        ("a table without chairs", "'without chairs' cannot be asked for, .*and chair is a class"),
        ("a table that is not tall", "'not tall' cannot be asked for, as captions deny parts alone, .*such as 'low'"),
        ("a chair with no rolled arms", "'no rolled arms' cannot be asked for"),
        ("a table that is not small", "'not small' cannot be asked for, .*say what is wanted instead$"),
        ("a table without legs with four legs", "'legs' is both asked for and denied"),
        ("a legless table with legs", "'leg' is both asked for and denied"),
        ("arms not", "'not' stands before no part"),
        ("the", "got 'the', which names nothing"),
        ("a small one", "got 'a small one', which names nothing"),
        ("椅子", "words have to be English, got '椅子'"),
        ("a table Tür", "words have to be English, got 'Tür'"),
    ],
)
def test_texts_that_captions_cannot_say_are_refused(text, words):
    captions = [*CAPTIONS, "a chair"]
    with pytest.raises(InputError, match=words):
        TextStatistics.of(captions, embed(captions)).encode(text, ["chair", "sofa", "table"])


def test_parts_with_the_name_of_a_class_are_denied_of_the_whole_alone():
    captions = [*CAPTIONS, "a truck with a bed", "a table with a shelf", "a bed", "a couch without arms"]
    known, classes = TextStatistics.of(captions, embed(captions)), ["bed", "shelf", "sofa", "table", "truck"]
    for whole in ("a truck without a bed", "a table without a shelf"):
        np.testing.assert_allclose(known.encode(whole, classes), embed([whole])[0])
    for request in ("a couch without a bed", "a table, not a shelf", "without a bed"):
        with pytest.raises(InputError, match="is a class; name the class that is wanted"):
            known.encode(request, classes)


@pytest.mark.parametrize("words", ["that does not have arms", "that doesn't have any arms", "lacking arms", "that lacks arms", "w/o arms"])
def test_what_lacks_a_part_is_without_it(words):
    captions = [*CAPTIONS, "a couch without arms"]
    known = TextStatistics.of(captions, embed(captions))
    usual = "a couch that without arms" if words.startswith("that") else "a couch without arms"
    np.testing.assert_allclose(known.encode(f"I want a couch {words}", ["sofa"]), embed([usual])[0])
    with pytest.raises(InputError, match="is both asked for and denied"):
        known.encode(f"arms, a couch {words}", ["sofa"])


def test_words_of_no_caption_are_refused_with_the_nearest():
    known = TextStatistics.of(CAPTIONS, embed(CAPTIONS))
    with pytest.raises(InputError, match=r"no caption of the training data has 'sofa' \(nearest: couch, "):
        known.encode("a sofa with arms")
    with pytest.raises(InputError, match="got no words"):
        known.encode(" ?! ")


def test_a_missing_encoder_is_told_in_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "wordllama", None)
    text._encoder.cache_clear()
    with pytest.raises(InputError, match=r"the extra 'text'; in the checkout: pip install -c constraints\.txt -e '\.\[text\]'"):
        embed(["a table"])
    text._encoder.cache_clear()


def test_prepared_vectors_are_those_of_the_captions(tmp_path):
    source = open_source("procedural", num=6, kinds=["stool", "table"])
    prepare(source, tmp_path / "with", points=16, text=True)
    prepare(source, tmp_path / "without", points=16)
    data = PackedShapes(tmp_path / "with", ["text", "legs"])
    batch = data.batch([4, 1])
    expected = embed([data.captions[k] for k in (4, 1)])
    np.testing.assert_allclose(batch.labels["text"].numpy(), expected, atol=2e-3)
    assert list(batch.labels) == ["text", "legs"]  # training drops all but one of these: no other may be the one
    assert PackedShapes(tmp_path / "without").statistics.text is None
    with pytest.raises(InputError, match="hold no vectors of captions; prepare them with --text"):
        PackedShapes(tmp_path / "without", ["text"])
    np.savez(tmp_path / "plain.npz", points=np.random.default_rng(0).normal(size=(2, 16, 3)))
    with pytest.raises(InputError, match="--text: the source has no captions"):
        prepare(open_source(str(tmp_path / "plain.npz")), tmp_path / "none", points=16, text=True)
