"""Captions as vectors: a sentence encoder whose weights come with its package, and the words that a model has learnt.

A sentence is the mean of the 256-dimensional vectors of its word pieces (WordLlama: token embeddings of large language models, distilled
and cut to 256 numbers; package ``wordllama``, extra ``text``, nothing is downloaded). Words that mean the same lie close together, so that
a model trained on "a small couch" understands something of "a little sofa". Data sets store the vectors of their captions, so that training
needs no encoder; a request is encoded when shapes are sampled.

A word that no caption holds tells the model nothing. Requests with such words are refused with the nearest words of the captions, measured
by the same vectors. Other endings are put as the captions have them (order tells nothing: "three-legged" is "three with legs", "armless"
"without arms"), digits in words; stop words that no caption has are left out. Captions deny parts alone ("without arms"), so that other
denials ("not a chair", "not tall") are refused: their vectors would be those of what is denied.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from molgen.errors import InputError
from molgen.shapes.words import (
    ALIASES,
    LACKS,
    NOT,
    OPPOSITES,
    PARTS,
    STOP_WORDS,
    class_meant,
    describes,
    likest,
    split_denials,
    split_words,
    stem,
    stems,
)

WIDTH = 256


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

    def encode(self, text: str, classes: Sequence[str] = ()) -> list[float]:
        """The vector of a request.

        Args:
            text: the request.
            classes: of the training data, which cannot be denied.

        Raises:
            InputError: the encoder is not installed, the text has no words that say anything or words that are in no caption, denies
                other things than parts, or both asks for a part and denies it.
        """
        if foreign := [word for word in re.findall(r"[^\W\d_]+", text) if not word.isascii()]:
            raise InputError(f"text: words have to be English, got {', '.join(map(repr, foreign))}")
        text = LACKS.sub("without", text)
        spoken = split_words(text)
        if not set(spoken) - STOP_WORDS:
            got = f"{text!r}, which names nothing" if spoken else "no words"
            raise InputError(f"text: expected a description such as 'a low table with four legs', got {got}")
        self._check_denials(text, classes)
        forms: dict[str, list[str]] = {}
        for known in self.words:
            forms.setdefault(stem(known), []).append(known)
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
            return denial if word in NOT else ""
        if word.endswith("less") and "without" in self.words and (found := forms.get(stem(word.removesuffix("less")))):
            return f"without {likest(word, found)}"
        found = [form for each in stems(word) for form in forms.get(each, ())]
        if not found:
            meant = next((meant for alias, meant in ALIASES.items() if stem(alias) in stems(word)), "")
            return meant if meant and set(meant.split()) <= set(self.words) else None
        form = likest(word, found)
        return f"with {form}" if word.endswith("ed") and form.endswith("s") and "with" in self.words else form

    def _check_denials(self, text: str, classes: Sequence[str]) -> None:
        """Refuses to deny other things than parts, unless captions do so, and to deny a part that is asked for."""
        denials, rest = split_denials(text)
        asked = {stem(word) for word in rest if word not in STOP_WORDS}
        parts = "captions deny parts alone, as in 'without arms'"
        for denial, words in denials:
            said = " ".join([denial, *words])
            if denial in NOT and denial in self.words:
                continue
            if not words:
                raise InputError(f"text: {denial!r} stands before no part; {parts}")
            if describes(words[0]):
                other = OPPOSITES.get(words[0], "")
                example = f", such as {other!r}" if other in self.words else ""
                raise InputError(f"text: {said!r} cannot be asked for, as {parts}; say what is wanted instead{example}")
            name = class_meant(words[-1], classes)
            if denial != "not" and PARTS.get(name) in {class_meant(word, classes) for word in rest if word not in STOP_WORDS}:
                name = ""
            if name and (denial == "not" or stem(words[-1]) in {stem(known.lower()) for known in classes}):
                raise InputError(f"text: {said!r} cannot be asked for, as {parts}, and {name} is a class; name the class that is wanted")
            if stem(words[-1]) in asked:
                raise InputError(f"text: {words[-1]!r} is both asked for and denied; leave one of them away")

    def nearest(self, word: str, count: int = 4) -> list[str]:
        """The words of the captions that mean most nearly the same."""
        content = [known for known in self.words if known not in STOP_WORDS]
        vectors = embed([word, *content])
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return [content[k] for k in np.argsort(-(vectors[1:] @ vectors[0]))[:count]]


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
