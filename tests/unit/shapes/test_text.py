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
from molgen.shapes.text import TextStatistics, embed, names_another, split_words

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
        ("that", "that"),
        ("a bold backless bench", "a bold without back bench"),
        ("please", "please"),  # nothing that a caption has
    ],
)
def test_words_are_put_as_captions_have_them(asked, said):
    captions = [*CAPTIONS, "a bold bench with a back", "a backed bench"]
    known = TextStatistics.of(captions, embed(captions))
    np.testing.assert_allclose(known.encode(asked), embed([said])[0])


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
