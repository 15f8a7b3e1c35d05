"""Captions as vectors: a sentence encoder whose weights come with its package, and the words that a model has learnt.

A sentence is the mean of the 256-dimensional vectors of its word pieces (WordLlama: token embeddings of large language models, distilled
and cut to 256 numbers; package ``wordllama``, extra ``text``, nothing is downloaded). Words that mean the same lie close together, so that
a model trained on "a small couch" understands something of "a little sofa". Data sets store the vectors of their captions, so that training
needs no encoder; a request is encoded when shapes are sampled.

A word that no caption holds tells the model nothing. Requests with such words are refused with the nearest words of the captions, measured
by the same vectors. Other endings are put as the captions have them (order tells nothing: "three-legged" is "three with legs", "armless"
"without arms"), digits in words; stop words that no caption has are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any

import numpy as np

from molgen.errors import InputError

WIDTH = 256
STOP_WORDS = frozenset(
    "a an and any are as at be but by for from has have having in is it its no not of on one only or shape shaped please some that the "
    "there this to very quite rather which with without whose small large big little made me show generate draw new".split()
)
_NOT = ("no", "not")
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_ENDINGS = ("ings", "ing", "ers", "er", "ies", "es", "ed", "s", "y", "e")


@dataclass(frozen=True)
class TextStatistics:
    """Moments (256,) of the vectors of the captions, and every word that they hold."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    words: tuple[str, ...]

    @classmethod
    def of(cls, captions: Sequence[str], vectors: np.ndarray) -> TextStatistics:
        """Statistics of captions and their vectors (S, 256); empty captions do not count."""
        known = vectors[[bool(caption) for caption in captions]].astype(np.float64)
        mean, std = (np.round(moment, 5).tolist() for moment in (known.mean(0), known.std(0)))
        return cls(tuple(mean), tuple(std), tuple(sorted({word for caption in captions for word in split_words(caption)})))

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> TextStatistics:
        """Reads a part of ``statistics.json``."""
        return cls(tuple(raw["mean"]), tuple(raw["std"]), tuple(raw["words"]))

    def encode(self, text: str) -> list[float]:
        """The vector of a request.

        Raises:
            InputError: the encoder is not installed, or words are in no caption.
        """
        spoken = split_words(text)
        if not spoken:
            raise InputError("text: expected a description such as 'a low table with four legs', got no words")
        forms: dict[str, list[str]] = {}
        for known in self.words:
            forms.setdefault(_stem(known), []).append(known)
        said = {word: self._said(word, forms) for word in spoken}
        strange = [word for word, meant in said.items() if meant is None]
        if strange:
            near = "; ".join(f"{word!r} (nearest: {', '.join(self.nearest(word))})" for word in strange)
            raise InputError(f"text: no caption of the training data has {near}")
        return embed([" ".join(filter(None, map(said.get, spoken))) or text])[0].tolist()

    def _said(self, word: str, forms: Mapping[str, list[str]]) -> str | None:
        """A word as captions say it, whose words have these forms by stem; "" for a stop word of none, None for any other of none."""
        if word in self.words:
            return word
        if word in STOP_WORDS:
            denial = "without" if "without" in self.words else word
            return denial if word in _NOT else ""
        if word.endswith("less") and "without" in self.words and (found := forms.get(_stem(word.removesuffix("less")))):
            return f"without {_likest(word, found)}"
        found = forms.get(_stem(word), [])
        if not found:
            return None
        form = _likest(word, found)
        return f"with {form}" if word.endswith("ed") and form.endswith("s") and "with" in self.words else form

    def nearest(self, word: str, count: int = 4) -> list[str]:
        """The words of the captions that mean most nearly the same."""
        content = [known for known in self.words if known not in STOP_WORDS]
        vectors = embed([word, *content])
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return [content[k] for k in np.argsort(-(vectors[1:] @ vectors[0]))[:count]]


def names_another(text: str, category: str, categories: Iterable[str]) -> str:
    """The class that a description names in the place of the one asked for, "" if none: in "a truck with a bed" a bed is no other class."""
    named = re.split(r"\b(?:with|without|that|which|whose|has|having)\b", text.lower(), maxsplit=1)[0]
    spoken = {_stem(word) for word in split_words(named)}
    found = [name for name in categories if spoken >= (words := {_stem(word) for word in split_words(name)}) and words]
    same = [name for name in found if name.casefold() == category.casefold()]
    return "" if same or not found else found[0]


def split_words(text: str) -> list[str]:
    """The words of a text in small letters; digits up to ten in words."""
    words = re.findall(r"[a-z]+|\d+", text.lower())
    return [_NUMBERS[int(word)] if word.isdigit() and int(word) < len(_NUMBERS) else word for word in words]


def _stem(word: str) -> str:
    """A word without its ending."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            break
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word


def _likest(word: str, forms: Sequence[str]) -> str:
    """The form that is spelt most like a word; of "legged" and "legless" the plural."""
    plural = [form for form in forms if form.endswith("s")] if word.endswith(("ed", "less")) else []
    return get_close_matches(word.removesuffix("less"), plural or forms, n=1, cutoff=0)[0]


def embed(texts: Iterable[str]) -> np.ndarray:
    """Vectors (n, 256) of texts; empty texts become NaN.

    Raises:
        InputError: the encoder is not installed.
    """
    texts = list(texts)
    vectors = np.full((len(texts), WIDTH), np.nan, np.float32)
    filled = [k for k, text in enumerate(texts) if text]
    if filled:
        vectors[filled] = _encoder().embed([" ".join(split_words(texts[k])) for k in filled])
    return vectors


@cache
def _encoder() -> Any:
    import logging
    from importlib.util import find_spec
    from pathlib import Path

    found = find_spec("wordllama")
    if found is None or found.origin is None:
        raise InputError("text needs the sentence encoder, the extra 'text'; in the checkout: pip install -c constraints.txt -e '.[text]'")
    root = logging.getLogger()
    before = root.level, list(root.handlers)
    from wordllama import WordLlama

    root.level, root.handlers = before[0], before[1]  # the package sets up logging of the whole program when it is imported
    return WordLlama.load(
        cache_dir=Path(found.origin).parent, disable_download=True
    )  # its tokenizer lies there, and nothing else is looked for
